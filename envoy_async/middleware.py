"""Middleware: a function of yours around every attempt.

::

    async def traced(request: Request, send: Send) -> Response:
        return await send(request.with_header("traceparent", current()))

    EnvoyClient(middleware=[traced])

The rule: a middleware sees an attempt from the outside. It gets an immutable request without credentials, may pass
on a copy with more headers, and sends it once at most: whether it is sent again is decided by the retry policy alone.
The wait for quota lies inside `send`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs

from ._wire import Request, Response, Send
from .errors import ConfigurationError

__all__ = ["Middleware", "Request", "Response", "Send", "around"]

Middleware = Callable[[Request, Send], Awaitable[Response]]
"""`async def middleware(request, send)`: the answer of the attempt, or the error of `EnvoyError` it ended with."""


def around(middleware: Sequence[Middleware], request: Request, send: Send) -> Awaitable[Response]:
    """Run one attempt inside all middlewares, the first outermost."""
    step: Send = _Once(request, send)
    for function in reversed(middleware):
        step = partial(_through, function, step)
    return step(request)


def _through(function: Middleware, step: Send, request: Request) -> Awaitable[Response]:
    return function(request, step)


class _Once:
    """Lets one request through, and only the one that was to be sent, with other headers perhaps."""

    def __init__(self, request: Request, send: Send) -> None:
        self._request, self._send = request, send
        self._used = False

    def __call__(self, request: Request) -> Awaitable[Response]:
        if self._used:
            msg = "a middleware sent an attempt twice; whether it is sent again is decided by RetryPolicy"
            raise ConfigurationError(msg)
        if attrs.evolve(request, headers=self._request.headers) != self._request:
            msg = "a middleware changed more than the headers of a request"
            raise ConfigurationError(msg)
        self._used = True
        return self._send(request)
