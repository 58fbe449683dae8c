"""Outreaches: contacts with a carrier about a load."""

import attrs

from ._values import UNSET, Timestamp, Unset
from .carriers import Carrier


@attrs.frozen(kw_only=True)
class Outreach:
    """An outreach. Source: sample of `GET /outreaches/{outreach_id}` (partial: names read, types assumed)."""

    id: str
    carrier: Carrier
    load_id: str
    modality: str
    """Such as `call`."""
    direction: str
    """Such as `outbound`."""
    created_at: Timestamp
    load_number: str | None = None
    carrier_engaged: bool | None = None
    call_id: str | None = None
    """The phone call it led to; the sample's value has no prefix."""
    conversation_id: str | None = None


@attrs.frozen(kw_only=True)
class NewOutreach:
    """An outreach to start. Source: `POST /outreaches` (partial: `modality` is inferred, see `extra`)."""

    carrier_id: str
    load_id: str
    modality: str | None | Unset = UNSET
