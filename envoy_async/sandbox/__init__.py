"""A faithful local stand-in for the Envoy API, to write and test code against without an account.

It is an independent witness: it shares nothing with the client of this package but how events are signed, so when
both agree, that means something. It keeps to what the vendor's documentation says; where that was not readable, the
module of the operation names each assumption. It serves all 50 operations, and delivers events to webhook endpoints.
"""

from __future__ import annotations

from .drift import Drift, RandomDrift
from .faults import Fault
from .gateway import Execution, Received
from .server import Sandbox
from .store import Store

__all__ = ["Drift", "Execution", "Fault", "RandomDrift", "Received", "Sandbox", "Store"]
