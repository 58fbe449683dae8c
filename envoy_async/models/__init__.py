"""The shapes of the API, one module per group: answers (`Load`), inputs (`NewLoad`), changes (`LoadUpdate`).

Phone numbers are whole in the fields, and masked in every repr: `phone='***2671'`.

Each module loads when a name of it is first used: who lists calls does not wait for carriers.
"""

from typing import TYPE_CHECKING

from .._names import on_first_use

if TYPE_CHECKING:
    from ._page import InvalidItem, Page
    from ._values import UNSET, OpenEnum, Timestamp, Unset
    from .auth import ApiKeyInfo, ApiKeyWithSecret, LoginResult, NewApiKey
    from .calls import Call, CallDirection, CallRecording, CallStatus, EndCallResult
    from .carriers import (
        AuditNote,
        AuditReason,
        Carrier,
        CarrierBatchItem,
        CarrierBatchResult,
        CarrierVerification,
        DisableForLoad,
        DisableForLoadResult,
        LanePreference,
        LanePreferenceType,
        LanePreferenceUpdate,
        LanePreferenceWithLane,
        NewCarrier,
    )
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
    from .offers import NewOffer, Offer, OfferStatus, OfferUpdate
    from .outreaches import NewOutreach, Outreach
    from .webhooks import (
        NewWebhookEndpoint,
        WebhookAttempt,
        WebhookAttemptStatus,
        WebhookEndpoint,
        WebhookEndpointStatus,
        WebhookEndpointUpdate,
        WebhookEndpointWithSecret,
        WebhookEventType,
        WebhookMessageState,
        WebhookReplay,
    )

__all__ = [
    "UNSET",
    "ApiKeyInfo",
    "ApiKeyWithSecret",
    "AuditNote",
    "AuditReason",
    "Call",
    "CallDirection",
    "CallRecording",
    "CallStatus",
    "Carrier",
    "CarrierBatchItem",
    "CarrierBatchResult",
    "CarrierVerification",
    "DisableForLoad",
    "DisableForLoadResult",
    "EndCallResult",
    "EquipmentType",
    "Escalation",
    "EscalationStatus",
    "InvalidItem",
    "LanePreference",
    "LanePreferenceType",
    "LanePreferenceUpdate",
    "LanePreferenceWithLane",
    "Load",
    "LoadBatchItem",
    "LoadBatchResult",
    "LoadContact",
    "LoadIngestResult",
    "LoadMode",
    "LoadUpdate",
    "Location",
    "LoginResult",
    "NewApiKey",
    "NewCarrier",
    "NewLoad",
    "NewOffer",
    "NewOutreach",
    "NewWebhookEndpoint",
    "Offer",
    "OfferStatus",
    "OfferUpdate",
    "OpenEnum",
    "Outreach",
    "Page",
    "Stop",
    "Timestamp",
    "Unset",
    "WebhookAttempt",
    "WebhookAttemptStatus",
    "WebhookEndpoint",
    "WebhookEndpointStatus",
    "WebhookEndpointUpdate",
    "WebhookEndpointWithSecret",
    "WebhookEventType",
    "WebhookMessageState",
    "WebhookReplay",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_first_use(
        __name__,
        {
            "_page": "InvalidItem Page",
            "_values": "UNSET OpenEnum Timestamp Unset",
            "auth": "ApiKeyInfo ApiKeyWithSecret LoginResult NewApiKey",
            "calls": "Call CallDirection CallRecording CallStatus EndCallResult",
            "carriers": (
                "AuditNote AuditReason Carrier CarrierBatchItem CarrierBatchResult CarrierVerification "
                "DisableForLoad DisableForLoadResult LanePreference LanePreferenceType "
                "LanePreferenceUpdate LanePreferenceWithLane NewCarrier"
            ),
            "loads": (
                "EquipmentType Escalation EscalationStatus Load LoadBatchItem LoadBatchResult "
                "LoadContact LoadIngestResult LoadMode LoadUpdate Location NewLoad Stop"
            ),
            "offers": "NewOffer Offer OfferStatus OfferUpdate",
            "outreaches": "NewOutreach Outreach",
            "webhooks": (
                "NewWebhookEndpoint WebhookAttempt WebhookAttemptStatus WebhookEndpoint "
                "WebhookEndpointStatus WebhookEndpointUpdate WebhookEndpointWithSecret WebhookEventType "
                "WebhookMessageState WebhookReplay"
            ),
        },
    )
