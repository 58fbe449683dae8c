"""Loads: the freight to be moved, and what is sent to create or change one."""

from collections.abc import Mapping, Sequence

import attrs

from .._masking import masked
from ._values import UNSET, OpenEnum, Timestamp, Unset


class EquipmentType(OpenEnum):
    """Trailer kind. Two values were met in the documentation (seen); others stay usable."""

    VAN = "VAN"
    REEFER = "REEFER"


class LoadMode(OpenEnum):
    """Mode of transport. One value was met in the documentation (seen); others stay usable."""

    FTL = "FTL"


class EscalationStatus(OpenEnum):
    """State of an escalation. The four values are named in the documentation's prose (seen)."""

    ACTIVE = "ACTIVE"
    RESPONDED = "RESPONDED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"


@attrs.frozen(kw_only=True)
class Location:
    """A place. Only city and state were visible (partial)."""

    city: str
    state: str


@attrs.frozen(kw_only=True)
class Stop:
    """One stop of a load. Only the location was visible (partial)."""

    location: Location


@attrs.frozen(kw_only=True)
class LoadContact:
    """A person tied to a load, such as the driver. Names read, types assumed (partial)."""

    type: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = attrs.field(default=None, repr=masked)
    email: str | None = None


@attrs.frozen(kw_only=True)
class Load:
    """A load. Source: `PATCH /loads/{load_id}` (seen); fields from `driver` on by name only (partial)."""

    id: str
    load_number: str
    organization_id: str
    equipment_type: EquipmentType
    created_at: Timestamp
    updated_at: Timestamp
    tms_load_id: str | None = None
    external_id: str | None = None
    mode: LoadMode | None = None
    load_status: str | None = None
    tms_status: str | None = None
    weight: float | None = None
    distance: float | None = None
    """Miles."""
    commodity: str | None = None
    po_numbers: tuple[str, ...] | None = None
    posted_rate: int | None = None
    """US dollars, as the two rates below."""
    max_buy_rate: int | None = None
    suggested_market_rate: int | None = None
    length_feet: int | None = None
    special_instructions: tuple[str, ...] | None = None
    is_posted: bool = False
    temperature_setting_minimum: int | None = None
    temperature_setting_maximum: int | None = None
    temperature_run_type: str | None = None
    last_reported_state: str | None = None
    last_reported_city: str | None = None
    last_reported_long: float | None = None
    last_reported_lat: float | None = None
    tms_carrier_id: str | None = None
    carrier_name: str | None = None
    customer_name: str | None = None
    carrier_rep: LoadContact | None = None
    driver: LoadContact | None = None
    carrier_rep_user_id: str | None = None
    stops: tuple[Stop, ...] | None = None
    context: object = None
    custom_fields: object = None
    offer_count: int | None = None
    """Distinct carriers that made an offer."""
    max_offer_amount: float | None = None


@attrs.frozen(kw_only=True)
class NewLoad:
    """A load to create or update. Source: `POST /loads` (partial: more optional fields exist, see `extra`)."""

    load_number: str
    """Unique reference of the load; a known one is updated."""
    equipment_type: str
    """An `EquipmentType` or its text."""
    stops: Sequence[Stop | Mapping[str, object]]
    """In driving order, at least a pickup and a dropoff."""
    equipment_type_raw: str | None | Unset = UNSET
    tms_load_id: str | None | Unset = UNSET
    """Exactly 18 characters."""
    tms_status: str | None | Unset = UNSET
    weight: float | None | Unset = UNSET
    distance: float | None | Unset = UNSET
    """Miles."""
    commodity: str | None | Unset = UNSET
    po_numbers: Sequence[str] | None | Unset = UNSET
    posted_rate: int | None | Unset = UNSET
    """US dollars, as the two rates below."""
    max_buy_rate: int | None | Unset = UNSET
    suggested_market_rate: int | None | Unset = UNSET
    length_feet: int | None | Unset = UNSET
    temperature_setting_minimum: int | None | Unset = UNSET
    temperature_setting_maximum: int | None | Unset = UNSET
    temperature_run_type: str | None | Unset = UNSET
    last_reported_state: str | None | Unset = UNSET
    last_reported_city: str | None | Unset = UNSET
    last_reported_long: float | None | Unset = UNSET
    last_reported_lat: float | None | Unset = UNSET
    tms_carrier_id: str | None | Unset = UNSET
    carrier_name: str | None | Unset = UNSET
    customer_name: str | None | Unset = UNSET


@attrs.frozen(kw_only=True)
class LoadUpdate:
    """A change to a load. Source: `PATCH /loads/{load_id}` (seen): one field is accepted."""

    is_posted: bool | None | Unset = UNSET


@attrs.frozen(kw_only=True)
class LoadIngestResult:
    """What creating a load did. Source: sample of `POST /loads` (partial)."""

    success: bool
    load_id: str
    message: str | None = None
    processed_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class LoadBatchItem:
    """What happened to one load of a batch. Source: sample of `POST /loads/batch` (partial)."""

    load_identifier: str
    success: bool
    load_id: str | None = None
    operation: str | None = None
    error: str | None = None


@attrs.frozen(kw_only=True)
class LoadBatchResult:
    """What happened to a batch: one item per load, in the order sent. Source: `POST /loads/batch` (seen)."""

    success: bool
    """True once at least one load went through."""
    total_loads: int
    successful: int
    failed: int
    created: int
    updated: int
    results: tuple[LoadBatchItem, ...]
    processed_at: Timestamp


@attrs.frozen(kw_only=True)
class Escalation:
    """A question of the voice agent to a human. Source: `GET /loads/{load_id}/escalations` (seen)."""

    id: str
    load_id: str
    agent_type: str
    message: str
    status: EscalationStatus
    created_at: Timestamp
    call_id: str | None = None
    escalation_type: str | None = None
    response_message: str | None = None
    response_user_id: str | None = None
    responded_at: Timestamp | None = None
    resolved_at: Timestamp | None = None
