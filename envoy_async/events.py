"""What happens inside a call, told as it happens: retries, refusals for quota, outcomes nobody knows.

The rule: an event is a value without a secret, a header, or a body. A hook is told, never asked: what it raises is
logged and changes nothing, since a call that was placed must not look like one that failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import attrs

from .errors import EnvoyError, OutcomeUnknownError

T = TypeVar("T")
_log = logging.getLogger("envoy_async")


@attrs.frozen
class Retry:
    """A failed attempt is about to be followed by another."""

    method: str
    route: str
    """Path template, such as `/calls/{call_id}`."""
    attempt: int
    """Number of the attempt that failed, from 1."""
    wait: float
    """Seconds until the next one may go; after a 429 all calls of the client wait, in line."""
    error: EnvoyError
    """What went wrong."""


@attrs.frozen
class RateLimited:
    """The server refused an attempt for quota (429)."""

    method: str
    route: str
    """Path template, such as `/calls/{call_id}`."""
    pause: float
    """Seconds for which nothing of the client goes out."""
    retry_after: float | None
    """Seconds the server asked to wait, `None` when it did not say."""


@attrs.frozen
class Hooks:
    """Who is told of what; `None` is nobody."""

    on_retry: Callable[[Retry], None] | None = None
    on_rate_limited: Callable[[RateLimited], None] | None = None
    on_outcome_unknown: Callable[[OutcomeUnknownError], None] | None = None


def tell(hook: Callable[[T], None] | None, event: T) -> None:
    """Tell a hook of an event, if there is one."""
    if hook is None:
        return
    try:
        hook(event)
    except Exception:  # noqa: BLE001 - whatever it is
        _log.exception("a hook raised, and the call goes on without it")
