"""The groups of operations as a client carries them.

The rule: a group is loaded and made when it is first asked for, and stays. So a client costs what it is used for: the
models and methods of the other groups are never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._download import Fetch
    from .._wire import Send
    from .api_keys import ApiKeys
    from .auth import Auth
    from .calls import Calls
    from .carriers import Carriers
    from .lane_preferences import LanePreferences
    from .loads import Loads
    from .offers import Offers
    from .outreaches import Outreaches
    from .webhooks import WebhookEndpoints, WebhookMessages


class Groups:
    """Ten groups, which send through one function."""

    auth: Auth
    api_keys: ApiKeys
    loads: Loads
    offers: Offers
    carriers: Carriers
    lane_preferences: LanePreferences
    calls: Calls
    outreaches: Outreaches
    webhook_endpoints: WebhookEndpoints
    webhook_messages: WebhookMessages
    _send: Send
    _scope: str
    _fetch: Fetch

    def _share(self, send: Send, scope: str, fetch: Fetch) -> None:
        """Set what the groups send with; those that were made before stay with whoever has them."""
        self._send, self._scope, self._fetch = send, scope, fetch
        for name in GROUPS:
            self.__dict__.pop(name, None)

    if not TYPE_CHECKING:  # type checkers read the names above, and find one that is not there

        def __getattr__(self, name: str) -> object:
            if name not in GROUPS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            from .. import resources

            more = {"fetch": self._fetch} if name == "calls" else {}
            group = getattr(resources, GROUPS[name])(self._send, scope=self._scope, **more)
            setattr(self, name, group)
            return group

        def __dir__(self) -> list[str]:
            return sorted({*super().__dir__(), *GROUPS})


GROUPS = {name: kind for name, kind in Groups.__annotations__.items() if not name.startswith("_")}
"""The names of their classes, in the order of the reference."""
