"""Receive the vendor's webhooks: verified, each event once, none lost.

The rule: a delivery is a stranger's word until its signature, its time, and its shape are checked, in this order, and
whatever it holds, it ends in an `Event` or in a `WebhookError`. An event belongs to whoever claimed it in the
`ReplayStore`, for as long as the lease; who fails gives it back.

How deliveries are signed is inferred from the public convention Standard Webhooks, see `Scheme`. Nothing here opens a
socket, and no framework is imported before its receiver is asked for.
"""

from typing import TYPE_CHECKING

from .._names import on_first_use
from .._signing import Scheme, SecretEncoding, sign
from ._aiohttp import aiohttp_handler
from ._event import Event
from ._once import Handler, run_once
from ._receiver import Answer, Receiver
from ._redis import RedisReplayStore
from ._secrets import End, SecretRing
from ._starlette import starlette_route
from ._stores import Claim, MemoryReplayStore, ReplayStore
from ._verifier import Headers, WebhookVerifier

if TYPE_CHECKING:
    from ._reconcile import Reconciled, reconcile

__all__ = [
    "Answer",
    "Claim",
    "End",
    "Event",
    "Handler",
    "Headers",
    "MemoryReplayStore",
    "Receiver",
    "Reconciled",
    "RedisReplayStore",
    "ReplayStore",
    "Scheme",
    "SecretEncoding",
    "SecretRing",
    "WebhookVerifier",
    "aiohttp_handler",
    "reconcile",
    "run_once",
    "sign",
    "starlette_route",
]

if not TYPE_CHECKING:  # who receives does not wait for the models of endpoints
    __getattr__, __dir__ = on_first_use(__name__, {"_reconcile": "Reconciled reconcile"})
