"""What a webhook endpoint is: the fields callers may set, and the secrets its deliveries are signed with.

Keys that begin with an underscore stay in the store and are never shown. Read in the documentation: ``whsec_``, and
that a retired secret stays valid for 24 hours. Assumptions of ours: what follows the prefix is the base64 of 24 bytes;
every retired secret has its own 24 hours, also when there are several; an address is plain ASCII with a host; unknown
event types and unknown fields of a body are accepted; an endpoint is shut off by a failure that comes five days after
another one without a success in between.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .answers import Record, invalid, seconds_of, timestamp
from .validation import is_list, is_record, need_list, need_record, need_text

if TYPE_CHECKING:
    from .store import Store

LONGEST_URL = 2_083
SECRET_BYTES = 24
RETIREMENT = 86_400.0  # seconds a retired secret stays valid
PATIENCE = 5 * 86_400.0  # seconds of nothing but failures, then an endpoint is shut off
VISIBLE_ASCII = re.compile(r"[!-~]+")
SETTABLE_STATUSES = ("ACTIVE", "PAUSED")


def read_url(body: Record) -> str:
    """Read the address deliveries go to."""
    url = need_text(body, "url")
    if not 1 <= len(url) <= LONGEST_URL:
        raise invalid("url", f"must have 1 to {LONGEST_URL} characters")
    if not _is_web_address(url):
        raise invalid("url", "must be an http or https URL")
    return url


def read_event_types(body: Record) -> list[object]:
    """Read the kinds of events an endpoint wants, at least one."""
    kinds = need_list(body, "event_types")
    if not kinds:
        raise invalid("event_types", "must have at least 1 item")
    for index, kind in enumerate(kinds):
        if not isinstance(kind, str):
            raise invalid(f"event_types[{index}]", "must be a string")
    return list(kinds)


def read_headers(body: Record) -> Record | None:
    """Read the optional extra headers."""
    if body.get("headers") is None:
        return None
    headers = need_record(body["headers"], "headers")
    for name, value in headers.items():
        if not isinstance(value, str):
            raise invalid(f"headers.{name}", "must be a string")
    return dict(headers)


def read_status(body: Record) -> str:
    """Read a status callers may set; DISABLED belongs to the platform."""
    status = need_text(body, "status")
    if status not in SETTABLE_STATUSES:
        raise invalid("status", f"must be one of {', '.join(SETTABLE_STATUSES)}")
    return status


def shown(endpoint: Record) -> Record:
    """Give what callers may see of an endpoint: no secrets."""
    return {key: value for key, value in endpoint.items() if not key.startswith("_")}


def shown_with_secret(endpoint: Record) -> Record:
    """Give an endpoint as after creation and rotation: with its current secret."""
    return {**shown(endpoint), "signing_secret": _secrets(endpoint)[0]["secret"]}


def add_secret(store: Store, endpoint: Record) -> None:
    """Put a new secret in front; the one before it gets the moment at which it ends."""
    rows = _secrets(endpoint)
    fresh: Record = {"secret": _make_secret(store, endpoint, len(rows)), "expires_at": None}
    end = timestamp(store.moment() + RETIREMENT)
    endpoint["_secrets"] = [fresh, *({**row, "expires_at": row["expires_at"] or end} for row in rows)]


def valid_secrets(store: Store, endpoint: Record) -> list[str]:
    """Give the secrets a delivery is signed with now: the current one, then those retired but not yet ended."""
    now = timestamp(store.clock())
    rows = _secrets(endpoint)
    return [str(row["secret"]) for row in rows if row["expires_at"] is None or str(row["expires_at"]) > now]


def note_success(endpoint: Record) -> None:
    """Forget earlier failures."""
    endpoint.pop("_failing_since", None)


def note_failure(store: Store, endpoint: Record) -> None:
    """Shut an active endpoint off once nothing but failures has come from it for too long."""
    now = store.clock()
    since = seconds_of(endpoint.setdefault("_failing_since", timestamp(now)))
    if now - since >= PATIENCE and endpoint["status"] == "ACTIVE":
        reason = f"No delivery has succeeded for {PATIENCE / 86_400:g} days."
        endpoint.update(status="DISABLED", disabled_reason=reason, updated_at=store.stamp())


def _secrets(endpoint: Record) -> list[Record]:
    """Give all secrets an endpoint ever had, newest first."""
    rows = endpoint.get("_secrets")
    return [row for row in rows if is_record(row)] if is_list(rows) else []


def _make_secret(store: Store, endpoint: Record, number: int) -> str:
    """Make the secret of one rotation; it depends on the ids and the number alone."""
    text = f"{store.organization_id}/webhooks/{endpoint['id']}/{number}"
    return "whsec_" + b64encode(hashlib.sha256(text.encode()).digest()[:SECRET_BYTES]).decode()


def _is_web_address(url: str) -> bool:
    """Tell whether a text is an address of the web, with a host and a possible port."""
    try:
        parts = urlsplit(url)
        port = 1 if parts.port is None else parts.port
    except ValueError:  # brackets without an IPv6 address, or no port number
        return False
    plain = VISIBLE_ASCII.fullmatch(url) is not None
    return plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and port > 0
