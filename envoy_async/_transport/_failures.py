"""What an attempt came to, in the words of the SDK.

The rule: the class of aiohttp's exception tells the phase, nothing else does (its trace events fire too
early). What aiohttp says is not quoted, because its errors hold the request's headers.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from yarl import URL

from .._wire import Response
from ..errors import (
    AttemptTimeoutError,
    ClientClosedError,
    ConnectError,
    ConnectionLostError,
    EnvoyError,
    InvalidRequestError,
    InvalidResponseError,
    RedirectError,
    TlsError,
    status_error,
)


class SendOnce:
    """A client middleware, new for each attempt, that lets one request through.

    aiohttp sends idempotent methods again by itself after a disconnect, unseen by any limiter. When it comes
    by here a second time it gets the first error back, and gives up.
    """

    def __init__(self) -> None:
        self._error: aiohttp.ClientError | None = None

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send the request, once."""
        if self._error is not None:
            raise self._error
        try:
            return await handler(request)
        except aiohttp.ClientError as error:
            self._error = error
            raise


def judge(status: int, headers: Mapping[str, str], body: bytes) -> EnvoyError | None:
    """Return the error a whole answer stands for, or `None` for a success."""
    match status // 100:
        case 2:
            return None
        case 3:
            refused = RedirectError(f"the server redirects to {_host(headers.get('Location'))}; this is never followed")
            refused.status = status
            return refused
        case 0 | 1:
            return InvalidResponseError(f"the server answered with status {status}")
        case _:
            return status_error(Response(status, headers, body))


def _host(location: str | None) -> str:
    try:
        return URL(location or "").host or "an unnamed place"
    except ValueError:
        return "an unreadable place"


def translate(
    error: Exception, base_url: str, closed: bool, answer: aiohttp.ClientResponse | None
) -> EnvoyError:
    """Return the public error for what an attempt raised; *answer* is set once a status had arrived."""
    if answer is not None and answer.status >= 400:  # noqa: PLR2004 - refused already, whatever its body was
        return status_error(Response(answer.status, answer.headers, b""))
    found = _translated(error, URL(base_url), closed, answer is not None)
    found.status = None if answer is None else answer.status
    return found


def _translated(error: Exception, url: URL, closed: bool, begun: bool) -> EnvoyError:
    place = f"{url.host}:{url.port}"
    match error:
        case EnvoyError():
            return error
        case RuntimeError() if closed:
            return ClientClosedError("the client was closed")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
            return TlsError(f"the certificate of {place} was refused")
        case aiohttp.ClientConnectorSSLError():
            return TlsError(f"no TLS connection to {place}")
        case aiohttp.ConnectionTimeoutError():
            return ConnectError(f"could not connect to {place} in time")
        case aiohttp.ClientConnectorError():
            reason = error.os_error.strerror or type(error.os_error).__name__
            return ConnectError(f"could not connect to {place}: {reason}")
        case TimeoutError():
            return AttemptTimeoutError(f"no whole answer from {place} in time")
        case aiohttp.ClientResponseError():
            return InvalidResponseError(f"{place} did not answer in HTTP")
        case aiohttp.ClientError() | OSError():
            return _cut() if begun else ConnectionLostError(f"{place} closed the connection without an answer")
        case _:
            return InvalidRequestError(f"the request cannot be sent: {type(error).__name__}")


def _cut() -> InvalidResponseError:
    cut = InvalidResponseError("the answer broke off")
    cut.cut = True
    return cut
