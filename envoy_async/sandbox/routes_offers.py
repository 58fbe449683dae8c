"""The operations of the group Offers.

Read in the documentation, as samples: the fields of an offer, the minimal bodies, ``pending``, ``accepted``,
``internal``, and that a load counts distinct carriers and knows its highest offer. Assumptions of ours: that an
amount is above zero; that each offer without a carrier counts as one more; that an unknown load, carrier, or call is
a 422; that accepting an offer covers the load when it is open, and changes no other load; that every other status is
kept as it is sent; that unknown fields are ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Record, invalid
from .events import emit
from .listing import page_from
from .routes_loads import OPEN_STATUSES
from .routing import Inquiry, Operation
from .store import newest_first
from .validation import (
    Limits,
    check_field,
    find_row,
    need,
    need_link,
    need_record,
    need_text,
    read_id,
    read_link,
    read_text,
)

if TYPE_CHECKING:
    from .store import Store

AMOUNT = Limits(kind=float)


def list_offers(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /offers: newest first."""
    rows = newest_first(store.offers.values())
    return page_from(rows, inquiry.query, show=lambda offer: _shown(store, offer))


def get_offer(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /offers/{offer_id}."""
    return _shown(store, _find_offer(store, inquiry))


def create_offer(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /offers: record a carrier's price for a load."""
    body = need_record(inquiry.body)
    load = need_link(store.loads, body, "load_id", "load_")
    offer = _new_offer(store, body, load)
    store.offers[str(offer["id"])] = offer
    _count(store, load)
    answer = _shown(store, offer)
    emit(store, "offer.created", answer)
    return answer


def update_offer(store: Store, inquiry: Inquiry) -> object:
    """Answer PATCH /offers/{offer_id}: a new status, and notes if they are given."""
    offer, body = _find_offer(store, inquiry), need_record(inquiry.body)
    status, notes = need_text(body, "status"), read_text(body, "notes")
    now = store.stamp()
    offer.update(status=status, notes=notes if "notes" in body else offer["notes"], updated_at=now)
    load = store.loads[str(offer["load_id"])]
    if status == "accepted" and load["load_status"] in OPEN_STATUSES:
        carrier = store.carriers.get(str(offer["carrier_id"]))
        name = carrier["name"] if carrier else load["carrier_name"]
        load.update(carrier_name=name, load_status="Covered", is_posted=False, updated_at=now)
        emit(store, "load.updated", load)
    answer = _shown(store, offer)
    emit(store, "offer.updated", answer)
    return answer


def _find_offer(store: Store, inquiry: Inquiry) -> Record:
    """Get the offer an inquiry is about, or answer 400 or 404."""
    return find_row(store.offers, inquiry.ids["offer_id"], "ofr_", "offer_id")


def _new_offer(store: Store, body: Record, load: Record) -> Record:
    """Write the offer a body describes."""
    amount, notes = need(body, "offer_amount"), read_text(body, "notes")
    check_field("offer_amount", amount, AMOUNT)
    if not isinstance(amount, (int, float)) or amount <= 0:
        raise invalid("offer_amount", "must be above 0")
    carrier = read_link(store.carriers, body, "carrier_id", "car_")
    call = read_link(store.calls, body, "call_id", "call_")
    contact_id = None if body.get("contact_id") is None else read_id(body["contact_id"], "con_", "contact_id")
    now = store.stamp()
    return {
        "id": store.new_id("ofr_"),
        "load_id": load["id"],
        "offer_amount": amount,
        "status": "pending",
        "source": "internal",
        "created_at": now,
        "updated_at": now,
        "carrier_id": carrier and carrier["id"],
        "contact_id": contact_id,
        "call_id": call and call["id"],
        "email_message_id": None,
        "notes": notes,
        "created_by_id": None,
        "updated_by_id": None,
    }


def _count(store: Store, load: Record) -> None:
    """Let a load know how many carriers made an offer, and the highest one."""
    offers = [offer for offer in store.offers.values() if offer["load_id"] == load["id"]]
    amounts = [amount for offer in offers if isinstance(amount := offer["offer_amount"], (int, float))]
    load.update(
        offer_count=len({offer["carrier_id"] or offer["id"] for offer in offers}), max_offer_amount=max(amounts)
    )


def _shown(store: Store, offer: Record) -> Record:
    """Give an offer as it is answered: with its carrier, and with the numbers of its load."""
    load = store.loads[str(offer["load_id"])]
    numbers = {"tms_load_id": load["tms_load_id"], "load_number": load["load_number"]}
    return {**offer, **numbers, "carrier": store.carriers.get(str(offer["carrier_id"]))}


OPERATIONS: tuple[Operation, ...] = (
    Operation(name="offers.create", method="POST", path="/offers", run=create_offer),
    Operation(name="offers.list", method="GET", path="/offers", run=list_offers),
    Operation(name="offers.get", method="GET", path="/offers/{offer_id}", run=get_offer),
    Operation(name="offers.update", method="PATCH", path="/offers/{offer_id}", run=update_offer),
)
