"""What may be written into a carrier, and how a new one starts.

The fields were read in complete samples of answers; which of them a request may set was not, so that all but the id,
the two times, and ``is_active`` are writable is an assumption, and so are their types and all defaults.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from .answers import Record, invalid
from .validation import Limits, check_field, is_list, need_text, read_id, read_phone, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .store import Store

MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
NAMES = ("mc_number", "dot_number", "email")
PHONES = ("phone", "dispatcher_phone")
MOMENTS = ("insurance_expiration", "verified_date")
REFUSED: Mapping[str, str] = {
    "is_active": "use enable or disable",
    **dict.fromkeys(("id", "created_at", "updated_at"), "cannot be changed"),
}
PLAIN: Mapping[str, Limits] = {
    **dict.fromkeys(NAMES, Limits(kind=str)),
    **dict.fromkeys(("dispatcher_name", "dispatcher_email", "provider", "ingestion_method"), Limits(kind=str)),
    **dict.fromkeys(("w9_on_file", "authorized_for_hire", "is_onboarded", "is_verified"), Limits(kind=bool)),
    **dict.fromkeys(("on_time_pickup_pct", "on_time_delivery_pct", "tracking_compliance_pct"), Limits(kind=float)),
    "avg_response_time_min": Limits(kind=float),
    "total_loads_hauled": Limits(kind=int),
    **dict.fromkeys(("carrier_rep_name", "carrier_rep_email"), Limits(kind=str)),
}


def read_new(body: Record) -> Record:
    """Read the fields of a carrier to be created; all others are ignored."""
    changes: Record = {"name": need_text(body, "name")}
    changes |= {key: read_text(body, key) for key in NAMES if key in body}
    return changes | ({"phone": read_phone(body, "phone")} if "phone" in body else {})


def read_changes(body: Record) -> Record:
    """Read what a change may name; null empties every field but the name, and unknown fields are ignored."""
    for key in body:
        if key in REFUSED:
            raise invalid(key, REFUSED[key])
    changes: Record = {"name": need_text(body, "name")} if "name" in body else {}
    for key in body:
        if key in PHONES:
            changes[key] = read_phone(body, key)
        elif key in PLAIN or key in MOMENTS or key in {"equipment_types", "carrier_rep_user_id"}:
            changes[key] = None if body[key] is None else _read_value(key, body[key])
    return changes


def new_carrier(store: Store, changes: Record) -> Record:
    """Write a carrier that has just passed the identity check and has hauled nothing yet."""
    now = store.stamp()
    return {
        "id": store.new_id("car_"),
        "name": "",
        **dict.fromkeys((*NAMES, "phone", "dispatcher_name", "dispatcher_phone", "dispatcher_email")),
        "is_active": True,
        "provider": "Highway",
        "ingestion_method": "API",
        **dict.fromkeys(("equipment_types", "insurance_expiration", "w9_on_file", "authorized_for_hire")),
        **dict.fromkeys(("on_time_pickup_pct", "on_time_delivery_pct", "tracking_compliance_pct")),
        "avg_response_time_min": None,
        "total_loads_hauled": 0,
        "is_onboarded": False,
        **dict.fromkeys(("carrier_rep_user_id", "carrier_rep_name", "carrier_rep_email")),
        "is_verified": True,
        "verified_date": now,
        "created_at": now,
        "updated_at": now,
        **changes,
    }


def _read_value(key: str, value: object) -> object:
    """Check one given value and give it as it is kept."""
    if key == "carrier_rep_user_id":
        return read_id(value, "usr_", key)
    if key in PLAIN:
        check_field(key, value, PLAIN[key])
    elif key in MOMENTS:
        _check_moment(key, value)
    elif not is_list(value):
        raise invalid(key, "must be a list")
    elif not all(isinstance(item, str) for item in value):
        raise invalid(key, "must be a list of strings")
    return value


def _check_moment(key: str, value: object) -> None:
    """Refuse what is no date and time with a zone."""
    try:
        known = isinstance(value, str) and MOMENT.fullmatch(value) and datetime.fromisoformat(value)
    except ValueError:
        known = None
    if not known:
        raise invalid(key, "must be a date and time such as 2025-11-21T16:00:00Z")
