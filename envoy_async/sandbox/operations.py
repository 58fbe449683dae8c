"""Every operation the sandbox serves, one group after the other."""

from __future__ import annotations

from . import (
    routes_api_keys,
    routes_auth,
    routes_calls,
    routes_carriers,
    routes_lanes,
    routes_loads,
    routes_offers,
    routes_outreaches,
    routes_webhooks,
)
from .routing import Operation

OPERATIONS: tuple[Operation, ...] = (
    *routes_auth.OPERATIONS,
    *routes_api_keys.OPERATIONS,
    *routes_loads.OPERATIONS,
    *routes_offers.OPERATIONS,
    *routes_carriers.OPERATIONS,
    *routes_lanes.OPERATIONS,
    *routes_calls.OPERATIONS,
    *routes_outreaches.OPERATIONS,
    *routes_webhooks.OPERATIONS,
)
