"""What the log is told of a call: one line for each call, one for each retry.

The rule: an allow-list. Method, path template, status, name of the error, its code and request id, seconds, and numbers
of attempts; never a header, a body, a query, or the server's words.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from .._wire import Response
from ..errors import EnvoyError, OutcomeUnknownError
from ._call import Call

_log = logging.getLogger("envoy_async")


def ended(call: Call, clock: Callable[[], float], outcome: Response | BaseException) -> None:
    """Write the line of a call that is over."""
    level = logging.WARNING if isinstance(outcome, OutcomeUnknownError) else logging.DEBUG
    if not _log.isEnabledFor(level):
        return
    told = {
        "method": call.request.method,
        "route": call.request.template,
        "status": outcome.status if isinstance(outcome, Response | EnvoyError) else None,
        "error": None if isinstance(outcome, Response) else type(outcome).__name__,
        "code": outcome.code if isinstance(outcome, EnvoyError) else None,
        "request_id": outcome.request_id if isinstance(outcome, EnvoyError) else None,
        "seconds": round(clock() - call.began, 3),
        "waited": round(sum(row.waited for row in call.ledger), 3),
        "attempts": len(call.ledger),
    }
    words = "%s %s: %s in %.3f s, %d attempts, %.3f s waited"
    what = told["error"] or told["status"]
    numbers = told["seconds"], told["attempts"], told["waited"]
    _log.log(level, words, told["method"], told["route"], what, *numbers, extra=told)


def retried(call: Call, error: EnvoyError) -> None:
    """Write the line of an attempt that is followed by another."""
    if not _log.isEnabledFor(logging.INFO):
        return
    told = {
        "method": call.request.method,
        "route": call.request.template,
        "status": error.status,
        "error": type(error).__name__,
        "code": error.code,
        "request_id": error.request_id,
        "attempts": len(call.ledger),
        "wait": round(call.wait, 3),
    }
    words = "%s %s: attempt %d ended in %s, again in %.3f s"
    _log.info(words, told["method"], told["route"], told["attempts"], told["error"], told["wait"], extra=told)
