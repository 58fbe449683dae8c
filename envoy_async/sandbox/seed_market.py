"""Invents the market around the seeded loads: which lanes carriers like, what they offered, whom the agent rang.

Offers fit their load: as many distinct carriers as it counts, the highest as high as it says, and on a covered load
the carrier that hauls it is the one that was accepted. Assumptions of ours: the status ``declined``, and that an
outreach belongs to an outbound call of the type Load Offer (whose number need not be the carrier's own).
"""

from __future__ import annotations

from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING

from .answers import Record, seconds_of, timestamp
from .geography import CITIES
from .lanes import ENDS, add_lane, bare_id, find_lane
from .seed_people import raw_uuid

if TYPE_CHECKING:
    from .store import Store

DAY = 86_400.0
BIDDING_TIME = 30 * 3_600.0
SETTLED = 1_700_000_000.0  # Unix seconds, like the carriers' own dates
RESTRICTED_SHARE = 0.15
MOST_OUTREACHES = 100
NOTES = (None, None, "Can pick up early", "Firm on the rate", "Needs the appointment confirmed first")


def fill(store: Store) -> None:
    """Add lanes, preferences, and outreaches to a store that holds carriers, loads, and calls."""
    rng = Random(f"{store.organization_id}/market")  # noqa: S311 - repeatable on purpose
    carriers = list(store.carriers.values())
    for carrier in carriers:
        for _ in range(rng.randint(3, 6)):
            _prefer(store, rng, carrier)
    rung = [call for call in store.calls.values() if _is_outreach(call)]
    for call in rung[-MOST_OUTREACHES:] if carriers else ():
        outreach = _outreach(rng, call, rng.choice(carriers))
        store.outreaches[str(outreach["id"])] = outreach


def make_offers(store: Store, now: float) -> dict[str, Record]:
    """Invent the offers on all loads, in order of creation, none after `now` (Unix seconds).

    Each load has a generator of its own: when this runs, and what became of other loads, makes no difference.
    """
    carriers = list(store.carriers.values())
    offers = list[Record]()
    for load_id, load in store.loads.items():
        if load["offer_count"] and carriers:
            offers += _offers(Random(f"{load_id}/offers"), load, carriers, now)  # noqa: S311
    return {str(offer["id"]): offer for offer in sorted(offers, key=itemgetter("created_at"))}


def _prefer(store: Store, rng: Random, carrier: Record) -> None:
    """Let a carrier like one more lane; a few were restricted since."""
    origin, destination = rng.sample(CITIES, 2)
    ends: Record = dict(zip(ENDS, (origin.name, origin.state, destination.name, destination.state), strict=True))
    lane_id, preference_id = raw_uuid(rng), raw_uuid(rng)
    lane = find_lane(store, ends) or add_lane(store, lane_id, ends)
    restricted = rng.random() < RESTRICTED_SHARE
    store.lane_preferences[preference_id] = {
        "id": preference_id,
        "carrier_id": bare_id(carrier),
        "lane_id": lane["id"],
        "is_active": not restricted,
        "preference_type": "restricted" if restricted else "primary",
        "updated_at": timestamp(SETTLED + rng.uniform(0, 200 * DAY)),
    }


def _offers(rng: Random, load: Record, carriers: list[Record], now: float) -> list[Record]:
    """Invent the offers on one load, the highest first."""
    count, highest = int(str(load["offer_count"])), float(str(load["max_offer_amount"]))
    hauler = next((carrier for carrier in carriers if carrier["name"] == load["carrier_name"]), None)
    others = [carrier for carrier in carriers if carrier is not hauler]
    bidders = rng.sample(others, count if hauler is None else count - 1)
    if hauler is not None:
        bidders.insert(rng.randrange(count), hauler)
    amounts = [highest, *(round(highest * rng.uniform(0.82, 0.999), 2) for _ in range(count - 1))]
    opened = seconds_of(load["created_at"])
    closed = min(opened + BIDDING_TIME, now if load["load_status"] == "Open" else seconds_of(load["updated_at"]))
    return [
        _offer(rng, load, carrier, amount, (rng.uniform(opened, closed), closed))
        for carrier, amount in zip(bidders, amounts, strict=True)
    ]


def _offer(rng: Random, load: Record, carrier: Record, amount: float, times: tuple[float, float]) -> Record:
    """Write one offer, made and decided at these `times` (Unix seconds)."""
    made, decided = timestamp(times[0]), timestamp(times[1])
    internal = rng.random() < 0.6  # noqa: PLR2004
    status = "accepted" if carrier["name"] == load["carrier_name"] else "declined"
    is_open = load["load_status"] == "Open"
    return {
        "id": f"ofr_{raw_uuid(rng)}",
        "load_id": load["id"],
        "offer_amount": amount,
        "status": "pending" if is_open else status,
        "source": "internal" if internal else "web_portal",
        "created_at": made,
        "updated_at": made if is_open else decided,
        "carrier_id": carrier["id"],
        "contact_id": None,
        "call_id": None,
        "email_message_id": None,
        "notes": rng.choice(NOTES),
        "created_by_id": carrier["carrier_rep_user_id"] if internal else None,
        "updated_by_id": None if is_open else carrier["carrier_rep_user_id"],
    }


def _is_outreach(call: Record) -> bool:
    """Tell whether the agent rang a carrier about a load."""
    kind = (call["call_direction"], call["call_type"])
    return kind == ("OUTBOUND", "Load Offer") and call["load_id"] is not None


def _outreach(rng: Random, call: Record, carrier: Record) -> Record:
    """Write the outreach an outbound call was made for."""
    return {
        "id": f"otr_{raw_uuid(rng)}",
        "carrier_id": carrier["id"],
        "load_id": call["load_id"],
        "modality": "call",
        "direction": "outbound",
        "created_at": call["created_at"],
        "carrier_engaged": call["status"] in {"COMPLETED", "IN_PROGRESS"},
        "call_id": call["id"],
        "conversation_id": None,
    }
