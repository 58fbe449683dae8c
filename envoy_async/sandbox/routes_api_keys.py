"""The operations of the group API Keys, which take a bearer token only.

Assumptions of ours: that an empty name and an ``expires_at`` without a zone are refused; that ``expires_at`` comes back
in UTC, and may lie in the past; that an expired key stays active, it only opens nothing; that unknown fields are
ignored; that deactivating a key again changes nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .answers import Record, invalid, not_found
from .routing import Inquiry, Operation
from .store import newest_first
from .validation import need_record, need_text, read_id

if TYPE_CHECKING:
    from .store import Store

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


def find_key(store: Store, inquiry: Inquiry) -> Record:
    """Get the key an inquiry is about, or answer 400 or 404."""
    key = store.api_keys.get(read_id(inquiry.ids["api_key_id"], "key_", "api_key_id"))
    if key is None:
        raise not_found("API key")
    return key


def list_keys(store: Store, inquiry: Inquiry) -> object:  # noqa: ARG001 - every operation has this signature
    """Answer GET /api-keys: a bare array, newest first."""
    return newest_first(store.api_keys.values())


def create_key(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /api-keys: the one time the secret is told."""
    body = need_record(inquiry.body)
    name, expires_at = need_text(body, "name"), _moment(body, "expires_at")
    if not name:
        raise invalid("name", "must not be empty")
    description = None if body.get("description") is None else need_text(body, "description")
    record, secret = inquiry.accounts.issue_key(store, name, description, expires_at)
    return {**record, "key": secret}


def deactivate_key(store: Store, inquiry: Inquiry) -> object:
    """Answer DELETE /api-keys/{api_key_id}: the key opens nothing from now on, its record stays."""
    key = find_key(store, inquiry)
    if key["is_active"]:
        key.update(is_active=False, updated_at=store.stamp())
    return {}


def _moment(body: Record, key: str) -> str | None:
    """Read an optional moment with a zone; gives it as a timestamp in UTC."""
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not MOMENT.fullmatch(value):
        raise invalid(key, "must be an RFC 3339 date and time with a zone")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # a 31st of February, or the last hour of the year 9999 in the far west
        raise invalid(key, "must be a date and time of the calendar") from None
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


OPERATIONS: tuple[Operation, ...] = (
    Operation(name="api_keys.create", method="POST", path="/api-keys", run=create_key, credential="bearer token"),
    Operation(name="api_keys.list", method="GET", path="/api-keys", run=list_keys, credential="bearer token"),
    Operation(
        name="api_keys.get", method="GET", path="/api-keys/{api_key_id}", run=find_key, credential="bearer token"
    ),
    Operation(
        name="api_keys.deactivate",
        method="DELETE",
        path="/api-keys/{api_key_id}",
        run=deactivate_key,
        credential="bearer token",
    ),
)
