"""The operations of the group Lane Preferences, which take a bearer token only.

Read in the documentation: what each one does, its minimal body, and that a repetition writes no audit row.
Assumptions of ours: that an unknown load is a 404; that PATCH refuses every field but ``is_active`` and leaves no
audit row, like disable-for-load; that a preference already inactive for another cause can still be restricted; that
lifting a restriction makes the lane ``primary`` again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Record, invalid, not_found
from .audit import read_reason, write_audit
from .lanes import ENDS, add_lane, bare_id, ends_of, find_lane, find_preference, preferences_of
from .listing import read_truth
from .routes_carriers import find_carrier
from .routing import Inquiry, Operation
from .validation import find_row, need, need_record, need_truth

if TYPE_CHECKING:
    from .store import Store


def list_preferences(store: Store, inquiry: Inquiry) -> object:
    """Answer GET …/lane-preferences: a bare array in order of creation, with the ends of each lane."""
    rows = preferences_of(store, find_carrier(store, inquiry))
    wanted = read_truth(inquiry.query, "is_active")
    return [_with_ends(store, row) for row in rows if wanted is None or row["is_active"] is wanted]


def update_preference(store: Store, inquiry: Inquiry) -> object:
    """Answer PATCH …/lane-preferences/{preference_id}: is_active and nothing else."""
    preference, body = _find_preference(store, inquiry), need_record(inquiry.body)
    for key in body:
        if key != "is_active":
            raise invalid(key, "extra fields not permitted")
    _switch(store, preference, is_active=need_truth(body, "is_active"))
    return preference


def restrict(store: Store, inquiry: Inquiry) -> object:
    """Answer POST …/restrict: switch a lane off for a reason."""
    preference = _find_preference(store, inquiry)
    why = read_reason(need_record(inquiry.body), required=True)
    if preference["is_active"] or preference["preference_type"] != "restricted":
        preference.update(is_active=False, preference_type="restricted", updated_at=store.stamp())
        write_audit(store, "lane_preference.restricted", preference, why)
    return preference


def unrestrict(store: Store, inquiry: Inquiry) -> object:
    """Answer POST …/unrestrict: switch a lane on again."""
    preference = _find_preference(store, inquiry)
    why = read_reason(need_record(inquiry.body), required=False)
    if not preference["is_active"]:
        preference.update(is_active=True, preference_type="primary", updated_at=store.stamp())
        write_audit(store, "lane_preference.unrestricted", preference, why)
    return preference


def disable_for_load(store: Store, inquiry: Inquiry) -> object:
    """Answer POST …/disable-for-load: switch a carrier off on the lane of a load, known before or not."""
    carrier, body = find_carrier(store, inquiry), need_record(inquiry.body)
    load = find_row(store.loads, need(body, "load_id"), "load_", "load_id")
    known = find_preference(store, carrier, load)
    preference = known or _switched_off(store, carrier, load)
    _switch(store, preference, is_active=False)
    return {"preference": preference, "created": known is None}


def _find_preference(store: Store, inquiry: Inquiry) -> Record:
    """Get the preference an inquiry is about, or answer 400 or 404; another carrier's is a 404."""
    carrier = find_carrier(store, inquiry)
    preference = find_row(store.lane_preferences, inquiry.ids["preference_id"], "", "preference_id")
    if preference["carrier_id"] != bare_id(carrier):
        raise not_found("Preference")
    return preference


def _switch(store: Store, preference: Record, *, is_active: bool) -> None:
    """Switch a preference; one that already stands so stays untouched."""
    if preference["is_active"] is not is_active:
        preference.update(is_active=is_active, updated_at=store.stamp())


def _switched_off(store: Store, carrier: Record, load: Record) -> Record:
    """Add an inactive preference, and the lane when it is new too."""
    ends = ends_of(load)
    lane = find_lane(store, ends) or add_lane(store, store.new_id(""), ends)
    preference_id = store.new_id("")
    store.lane_preferences[preference_id] = {
        "id": preference_id,
        "carrier_id": bare_id(carrier),
        "lane_id": lane["id"],
        "is_active": False,
        "preference_type": "admin_disabled",
        "updated_at": store.stamp(),
    }
    return store.lane_preferences[preference_id]


def _with_ends(store: Store, preference: Record) -> Record:
    """Give a preference together with where its lane begins and ends."""
    lane = store.lanes[str(preference["lane_id"])]
    return {**preference, **{key: lane[key] for key in ENDS}}


ALL = "/carriers/{carrier_id}/lane-preferences"
ONE = ALL + "/{preference_id}"
OPERATIONS: tuple[Operation, ...] = (
    Operation(name="lane_preferences.list", method="GET", path=ALL, run=list_preferences, credential="bearer token"),
    Operation(
        name="lane_preferences.disable_for_load",
        method="POST",
        path=ALL + "/disable-for-load",
        run=disable_for_load,
        credential="bearer token",
    ),
    Operation(
        name="lane_preferences.update", method="PATCH", path=ONE, run=update_preference, credential="bearer token"
    ),
    Operation(
        name="lane_preferences.restrict",
        method="POST",
        path=ONE + "/restrict",
        run=restrict,
        credential="bearer token",
    ),
    Operation(
        name="lane_preferences.unrestrict",
        method="POST",
        path=ONE + "/unrestrict",
        run=unrestrict,
        credential="bearer token",
    ),
)
