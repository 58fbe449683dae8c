"""What a delivery tells: an event, open to kinds and fields that are not known.

The rule: what an event is about, `type` and `data`, has to be as the samples show. The rest of what they show is
`None` where it is not so, since no event should be lost over it, and everything stays whole in `payload`. The vendor's
names of events and what is in `data` are not known, so no kind has a class here: name the model with `Event.read`.
"""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Self, TypeVar, cast

import attrs
import msgspec

from .._converter import encode, structure
from .._wire import BadInput
from ..errors import InvalidResponseError, PayloadError
from ..models import Timestamp

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened. Source: `payload` of two sample attempts (partial: names read, types assumed).

    Events may come in any order, and late: where the order matters, read the record anew.
    """

    message_id: str
    """`webhook-id`, the same over attempts and replays: what tells one event from another."""
    sent_at: datetime
    """When this attempt was signed, by the sender's clock; of an event read over the API, when it was made."""
    type: str | None
    """Its kind, such as those of `webhook_endpoints.event_types()`."""
    id: str | None
    """`evt_…`; `None` when there is no such text."""
    occurred_at: datetime | None
    """When it happened: `timestamp` of the payload; `None` when that is no moment with a zone."""
    data: dict[str, object] = attrs.field(repr=False, hash=False)
    """What it is about; `{}` when there is nothing."""
    payload: dict[str, object] = attrs.field(repr=False, hash=False)
    """The whole body, with what is not known here."""

    @classmethod
    def from_payload(cls, payload: dict[str, object], *, message_id: str, sent_at: datetime) -> Self:
        """Make an event of a payload that is trusted, such as one that comes out of a queue of your own.

        Raises:
            PayloadError: a field of it is not what the samples show.
        """
        id_, type_, data = (payload.get(key) for key in ("id", "type", "data"))
        if not isinstance(type_, str | None):
            raise PayloadError("$.type: expected string")
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise PayloadError("$.data: expected object")
        return cls(
            message_id=message_id,
            sent_at=sent_at,
            type=type_,
            id=id_ if isinstance(id_, str) else None,
            occurred_at=_instant(payload.get("timestamp")),
            data=cast("dict[str, object]", data),
            payload=payload,
        )

    def read(self, model: builtins.type[T]) -> T:
        """Read `data` as a model, such as `models.Call`; fields it does not know are left out.

        Raises:
            PayloadError: it is no such record; the message names the place.
        """
        try:
            body = encode(self.data)
        except BadInput:
            body = None  # such as half a surrogate pair, which JSON can spell
        if body is None:
            raise PayloadError("$.data: holds what no JSON can")
        return _read(body, model, "$.data")


def read_event(body: bytes, *, message_id: str, sent_at: datetime) -> Event:
    """Read the body of a delivery whose signature was checked.

    Raises:
        PayloadError: it is no JSON object, or a field of it is not what the samples show.
    """
    return Event.from_payload(_read(body, dict[str, object]), message_id=message_id, sent_at=sent_at)


def _read(body: bytes, type_: type[T], place: str = "$") -> T:
    try:
        return structure(body, type_)
    except InvalidResponseError as error:
        problem = error.message
    raise PayloadError(problem.replace("@ $", f"@ {place}"))


def _instant(value: object) -> datetime | None:
    try:
        return msgspec.convert(value, Timestamp)
    except (msgspec.ValidationError, UnicodeError):  # the latter for half a surrogate pair
        return None
