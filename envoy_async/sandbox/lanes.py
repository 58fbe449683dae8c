"""Lanes, and which carrier may be used on which: a lane is where a load comes from and where it goes.

Assumptions of ours: a load's lane is made of the city and state of its first and of its last stop, compared as
written; ids of lanes and preferences, and the carrier's id inside a preference, are bare uuids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .validation import need_list, need_record

if TYPE_CHECKING:
    from .answers import Record
    from .store import Store

ENDS = ("origin_city", "origin_state", "destination_city", "destination_state")


def ends_of(load: Record) -> Record:
    """Give origin and destination of a load, as a lane writes them."""
    stops = need_list(load, "stops")
    places = [need_record(need_record(stop)["location"]) for stop in (stops[0], stops[-1])]
    return dict(zip(ENDS, (place[key] for place in places for key in ("city", "state")), strict=True))


def find_lane(store: Store, ends: Record) -> Record | None:
    """Find the lane between two places."""
    return next((lane for lane in store.lanes.values() if ends.items() <= lane.items()), None)


def add_lane(store: Store, lane_id: str, ends: Record) -> Record:
    """Keep a new lane."""
    return store.lanes.setdefault(lane_id, {"id": lane_id, **ends})


def bare_id(carrier: Record) -> str:
    """Give a carrier's id the way preferences write it."""
    return str(carrier["id"]).removeprefix("car_")


def preferences_of(store: Store, carrier: Record) -> list[Record]:
    """List what is settled about a carrier's lanes, in order of creation."""
    wanted = bare_id(carrier)
    return [row for row in store.lane_preferences.values() if row["carrier_id"] == wanted]


def find_preference(store: Store, carrier: Record, load: Record) -> Record | None:
    """Find what is settled about a carrier on the lane of a load."""
    lane = find_lane(store, ends_of(load))
    if lane is None:
        return None
    return next((row for row in preferences_of(store, carrier) if row["lane_id"] == lane["id"]), None)
