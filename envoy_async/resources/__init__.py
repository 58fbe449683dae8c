"""The operations of the API: one class per group, one method per endpoint."""

from ._base import raw
from .api_keys import ApiKeys
from .auth import Auth
from .calls import Calls
from .carriers import Carriers
from .lane_preferences import LanePreferences
from .loads import Loads
from .offers import Offers
from .outreaches import Outreaches
from .webhooks import WebhookEndpoints, WebhookMessages

__all__ = [
    "ApiKeys",
    "Auth",
    "Calls",
    "Carriers",
    "LanePreferences",
    "Loads",
    "Offers",
    "Outreaches",
    "WebhookEndpoints",
    "WebhookMessages",
    "raw",
]
