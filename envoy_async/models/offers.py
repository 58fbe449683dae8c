"""Offers: what a carrier asks for hauling a load."""

import attrs

from ._values import UNSET, OpenEnum, Timestamp, Unset
from .carriers import Carrier


class OfferStatus(OpenEnum):
    """State of an offer. Two values were met in samples (partial); others stay usable."""

    PENDING = "pending"
    ACCEPTED = "accepted"


@attrs.frozen(kw_only=True)
class Offer:
    """An offer. Source: samples of `GET /offers` (partial: names read, types assumed, the end was cut off)."""

    id: str
    tms_load_id: str | None
    load_id: str
    offer_amount: float
    """US dollars (inferred: no page names the currency of an offer)."""
    status: OfferStatus
    source: str
    """Such as `internal` or `web_portal`."""
    created_at: Timestamp
    updated_at: Timestamp
    carrier_id: str | None = None
    contact_id: str | None = None
    call_id: str | None = None
    email_message_id: str | None = None
    notes: str | None = None
    created_by_id: str | None = None
    updated_by_id: str | None = None
    load_number: str | None = None
    carrier: Carrier | None = None


@attrs.frozen(kw_only=True)
class NewOffer:
    """An offer to record. Source: `POST /offers` (partial: only load and amount were read, see `extra`)."""

    load_id: str
    offer_amount: float
    carrier_id: str | None | Unset = UNSET
    contact_id: str | None | Unset = UNSET
    call_id: str | None | Unset = UNSET
    notes: str | None | Unset = UNSET


@attrs.frozen(kw_only=True)
class OfferUpdate:
    """A change to an offer. Source: `PATCH /offers/{offer_id}` (partial: `notes` is inferred, see `extra`)."""

    status: str
    """An `OfferStatus` or its text."""
    notes: str | None | Unset = UNSET
