"""The operations of the API: one class per group, one method per endpoint; each loads on first use."""

from typing import TYPE_CHECKING

from .._names import on_first_use
from .._paging import Pages as Pages  # loads with the client, so that the first call waits for half as much
from ._groups import GROUPS, Groups
from ._reading import raw

if TYPE_CHECKING:
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
    "GROUPS",
    "ApiKeys",
    "Auth",
    "Calls",
    "Carriers",
    "Groups",
    "LanePreferences",
    "Loads",
    "Offers",
    "Outreaches",
    "WebhookEndpoints",
    "WebhookMessages",
    "raw",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_first_use(
        __name__,
        {
            "api_keys": "ApiKeys",
            "auth": "Auth",
            "calls": "Calls",
            "carriers": "Carriers",
            "lane_preferences": "LanePreferences",
            "loads": "Loads",
            "offers": "Offers",
            "outreaches": "Outreaches",
            "webhooks": "WebhookEndpoints WebhookMessages",
        },
    )
