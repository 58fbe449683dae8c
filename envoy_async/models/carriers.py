"""Carriers: who hauls the load, and on which lanes."""

import attrs

from .._masking import masked
from ._values import UNSET, OpenEnum, Timestamp, Unset
from .loads import EquipmentType


class AuditReason(OpenEnum):
    """Why a carrier or a lane was switched off. Four codes were met in the documentation (seen); more may exist."""

    PAUSE_ON_LANE = "pause_on_lane"
    SERVICE_QUALITY = "service_quality"
    COMPLIANCE = "compliance"
    OTHER = "other"


class LanePreferenceType(OpenEnum):
    """Kind of a lane preference. Three values were met in samples (partial); others stay usable."""

    PRIMARY = "primary"
    RESTRICTED = "restricted"
    ADMIN_DISABLED = "admin_disabled"


@attrs.frozen(kw_only=True)
class Carrier:
    """A carrier. Source: complete samples (partial: names read, types and nullability assumed)."""

    id: str
    name: str
    is_active: bool
    created_at: Timestamp
    updated_at: Timestamp
    mc_number: str | None = None
    dot_number: str | None = None
    email: str | None = None
    phone: str | None = attrs.field(default=None, repr=masked)
    dispatcher_name: str | None = None
    dispatcher_phone: str | None = attrs.field(default=None, repr=masked)
    dispatcher_email: str | None = None
    provider: str | None = None
    ingestion_method: str | None = None
    equipment_types: tuple[EquipmentType, ...] | None = None
    insurance_expiration: Timestamp | None = None
    w9_on_file: bool | None = None
    authorized_for_hire: bool | None = None
    on_time_pickup_pct: float | None = None
    on_time_delivery_pct: float | None = None
    tracking_compliance_pct: float | None = None
    avg_response_time_min: float | None = None
    total_loads_hauled: int | None = None
    is_onboarded: bool | None = None
    carrier_rep_user_id: str | None = None
    carrier_rep_name: str | None = None
    carrier_rep_email: str | None = None
    is_verified: bool | None = None
    verified_date: Timestamp | None = None


@attrs.frozen(kw_only=True)
class CarrierVerification:
    """A failed check of a carrier. Source: `GET /loads/{load_id}/verifications` (partial)."""

    id: str
    source: str
    created_at: Timestamp
    carrier_id: str | None = None
    status: str | None = None
    reasons: tuple[str, ...] | None = None
    error_stage: str | None = None
    error_message: str | None = None
    carrier: Carrier | None = None


@attrs.frozen(kw_only=True)
class NewCarrier:
    """A carrier to create. Source: `POST /carriers` (partial: all but the name is inferred, see `extra`)."""

    name: str
    mc_number: str | None | Unset = UNSET
    """A known one gives the existing carrier back."""
    dot_number: str | None | Unset = UNSET
    email: str | None | Unset = UNSET
    phone: str | None | Unset = attrs.field(default=UNSET, repr=masked)
    """In E.164, such as `+14155552671`."""


@attrs.frozen(kw_only=True)
class CarrierBatchItem:
    """What happened to one carrier of a batch. Source: sample of `POST /carriers/batch` (partial)."""

    identifier: str
    success: bool
    carrier_id: str | None = None
    operation: str | None = None
    lanes_created: int | None = None
    error: str | None = None


@attrs.frozen(kw_only=True)
class CarrierBatchResult:
    """What happened to a batch: one item per carrier, in the order given. Source: `POST /carriers/batch` (seen)."""

    success: bool
    """True once at least one carrier went through."""
    total: int
    successful: int
    failed: int
    created: int
    updated: int
    results: tuple[CarrierBatchItem, ...]
    processed_at: Timestamp


@attrs.frozen(kw_only=True)
class AuditNote:
    """Why something is switched off or on; kept in the vendor's audit trail.

    Source: `POST /carriers/{carrier_id}/disable` (partial: the name of `reason_note` is inferred).
    """

    reason: str | None | Unset = UNSET
    """An `AuditReason` or its text."""
    reason_note: str | None | Unset = UNSET
    """Free text that goes with the reason `other`."""


@attrs.frozen(kw_only=True)
class LanePreference:
    """Whether a carrier is used on a lane. Its ids are raw uuids, without prefix.

    Source: `PATCH /carriers/{carrier_id}/lane-preferences/{preference_id}` (partial).
    """

    id: str
    carrier_id: str
    lane_id: str
    is_active: bool
    preference_type: LanePreferenceType | None = None
    updated_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class LanePreferenceWithLane(LanePreference):
    """A lane preference with the lane's two ends. Source: `GET /carriers/{carrier_id}/lane-preferences` (partial)."""

    origin_city: str | None = None
    origin_state: str | None = None
    destination_city: str | None = None
    destination_state: str | None = None


@attrs.frozen(kw_only=True)
class LanePreferenceUpdate:
    """A change to a lane preference.

    Source: `PATCH /carriers/{carrier_id}/lane-preferences/{preference_id}` (partial: the one field accepted).
    """

    is_active: bool


@attrs.frozen(kw_only=True)
class DisableForLoad:
    """The load on whose lane a carrier is switched off.

    Source: `POST /carriers/{carrier_id}/lane-preferences/disable-for-load` (partial).
    """

    load_id: str


@attrs.frozen(kw_only=True)
class DisableForLoadResult:
    """The preference that is now off, and whether it is new.

    Source: `POST /carriers/{carrier_id}/lane-preferences/disable-for-load` (partial).
    """

    preference: LanePreference
    created: bool
