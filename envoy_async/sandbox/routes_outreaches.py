"""The operations of the group Outreaches: each one is a call to a carrier about a load.

Read in the documentation, as samples: the fields of an outreach, and the minimal body of its creation. Assumptions of
ours: that it dials the carrier's own number at once; that a carrier who is disabled, switched off on the lane of the
load, or without a number is a 422; that ``carrier_engaged`` becomes true once the call is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Record, invalid
from .calling import dial
from .events import emit
from .lanes import find_preference
from .listing import page_from
from .routing import Inquiry, Operation
from .store import newest_first
from .validation import find_row, need, need_record

if TYPE_CHECKING:
    from .store import Store


def list_outreaches(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /outreaches: newest first."""
    rows = newest_first(store.outreaches.values())
    return page_from(rows, inquiry.query, show=lambda outreach: _shown(store, outreach))


def get_outreach(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /outreaches/{outreach_id}."""
    return _shown(store, find_row(store.outreaches, inquiry.ids["outreach_id"], "otr_", "outreach_id"))


def create_outreach(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /outreaches: ring a carrier about a load."""
    body = need_record(inquiry.body)
    carrier = find_row(store.carriers, need(body, "carrier_id"), "car_", "carrier_id")
    load = find_row(store.loads, need(body, "load_id"), "load_", "load_id")
    if body.get("modality") not in (None, "call"):
        raise invalid("modality", "must be call")
    call = dial(store, _number_of(store, carrier, load), load)
    outreach: Record = {
        "id": store.new_id("otr_"),
        "carrier_id": carrier["id"],
        "load_id": load["id"],
        "modality": "call",
        "direction": "outbound",
        "created_at": store.stamp(),
        "carrier_engaged": False,
        "call_id": call["id"],
        "conversation_id": None,
    }
    store.outreaches[str(outreach["id"])] = outreach
    answer = _shown(store, outreach)
    emit(store, "outreach.created", answer)
    return answer


def _number_of(store: Store, carrier: Record, load: Record) -> str:
    """Give the number to dial, unless the carrier must not be used."""
    if not carrier["is_active"]:
        raise invalid("carrier_id", "the carrier is disabled")
    preference = find_preference(store, carrier, load)
    if preference is not None and not preference["is_active"]:
        raise invalid("carrier_id", "the carrier is switched off on this lane")
    if carrier["phone"] is None:
        raise invalid("carrier_id", "the carrier has no phone number")
    return str(carrier["phone"])


def _shown(store: Store, outreach: Record) -> Record:
    """Give an outreach as it is answered: with its carrier, and with the number of its load."""
    record = {key: value for key, value in outreach.items() if key != "carrier_id"}
    load = store.loads[str(outreach["load_id"])]
    return {**record, "carrier": store.carriers[str(outreach["carrier_id"])], "load_number": load["load_number"]}


OPERATIONS: tuple[Operation, ...] = (
    Operation(name="outreaches.create", method="POST", path="/outreaches", run=create_outreach),
    Operation(name="outreaches.list", method="GET", path="/outreaches", run=list_outreaches),
    Operation(name="outreaches.get", method="GET", path="/outreaches/{outreach_id}", run=get_outreach),
)
