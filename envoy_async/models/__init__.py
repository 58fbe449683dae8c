"""The shapes of the API, one module per group: answers (`Load`), inputs (`NewLoad`), changes (`LoadUpdate`)."""

from ._page import Page
from ._values import UNSET, OpenEnum, Timestamp, Unset
from .calls import Call, CallDirection, CallRecording, CallStatus, EndCallResult
from .carriers import Carrier, CarrierVerification
from .loads import (
    EquipmentType,
    Escalation,
    EscalationStatus,
    Load,
    LoadBatchItem,
    LoadBatchResult,
    LoadContact,
    LoadIngestResult,
    LoadMode,
    LoadUpdate,
    Location,
    NewLoad,
    Stop,
)

__all__ = [
    "UNSET",
    "Call",
    "CallDirection",
    "CallRecording",
    "CallStatus",
    "Carrier",
    "CarrierVerification",
    "EndCallResult",
    "EquipmentType",
    "Escalation",
    "EscalationStatus",
    "Load",
    "LoadBatchItem",
    "LoadBatchResult",
    "LoadContact",
    "LoadIngestResult",
    "LoadMode",
    "LoadUpdate",
    "Location",
    "NewLoad",
    "OpenEnum",
    "Page",
    "Stop",
    "Timestamp",
    "Unset",
]
