"""Calls: what the API tells about a phone call."""

import attrs

from .._masking import masked
from ._values import OpenEnum, Timestamp


class CallStatus(OpenEnum):
    """State of a call. Two values were met in the documentation (seen); others stay usable."""

    SCHEDULED = "SCHEDULED"
    COMPLETED = "COMPLETED"


class CallDirection(OpenEnum):
    """Who called whom. One value was met in the documentation (seen); others stay usable."""

    INBOUND = "INBOUND"


@attrs.frozen(kw_only=True)
class Call:
    """A phone call. Source: `GET /calls`, `GET /calls/{call_id}` (seen)."""

    id: str
    status: CallStatus
    call_time: Timestamp
    created_at: Timestamp
    updated_at: Timestamp
    call_direction: CallDirection | None = None
    phone_number: str | None = attrs.field(default=None, repr=masked)
    """The other party's number, chosen according to the direction."""
    to_number: str | None = attrs.field(default=None, repr=masked)
    from_number: str | None = attrs.field(default=None, repr=masked)
    call_start_time: Timestamp | None = None
    call_end_time: Timestamp | None = None
    call_type: str | None = None
    load_id: str | None = None
    organization_id: str | None = None
    created_by_id: str | None = None
    recording_status: str | None = None
    load_number: str | None = None


@attrs.frozen(kw_only=True)
class EndCallResult:
    """What ending a call did. Source: `POST /calls/{call_id}/end` (seen)."""

    success: bool
    message: str
    call_id: str
    previous_status: CallStatus | None = None


@attrs.frozen(kw_only=True)
class CallRecording:
    """Where to play a recording. Source: `GET /calls/{call_id}/recording` (seen)."""

    call_id: str
    url: str = attrs.field(repr=False)
    """A signed address that expires; whoever holds it can listen."""
    content_type: str
    expires_at: Timestamp
    recording_status: str
    duration_seconds: float | None = None
    file_size_bytes: int | None = None
    recording_start_time: Timestamp | None = None
