"""Carriers: who hauls the load."""

import attrs

from ._values import Timestamp
from .loads import EquipmentType


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
    phone: str | None = None
    dispatcher_name: str | None = None
    dispatcher_phone: str | None = None
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
