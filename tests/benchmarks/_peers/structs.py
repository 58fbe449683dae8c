"""The limit of decoding: msgspec's own classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec


class Call(msgspec.Struct):
    """The 17 fields of a call."""

    id: str
    status: str
    call_time: datetime
    created_at: datetime
    updated_at: datetime
    call_direction: str | None = None
    phone_number: str | None = None
    to_number: str | None = None
    from_number: str | None = None
    call_start_time: datetime | None = None
    call_end_time: datetime | None = None
    call_type: str | None = None
    load_id: str | None = None
    organization_id: str | None = None
    created_by_id: str | None = None
    recording_status: str | None = None
    load_number: str | None = None


class CallPage(msgspec.Struct):
    """A page of calls; what it says of itself is not needed here."""

    data: list[Call]


class Client:
    """A decoder."""

    def reader(self) -> Callable[[bytes], Sequence[object]]:
        """Read a page."""
        decode = msgspec.json.Decoder(CallPage).decode
        return lambda body: decode(body).data
