"""What an attempt came to, in the words of the SDK.

The rule: the class of aiohttp's exception tells the phase, nothing else does (its trace events fire too
early). What aiohttp says is not quoted, because its errors hold the request's headers.
"""

from __future__ import annotations

import os

import aiohttp
from yarl import URL

from .._credentials import Secret
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
)
from ._statuses import status_error


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


def is_success(response: Response) -> bool:
    """Whether the server did what it was asked for."""
    return 200 <= response.status < 300  # noqa: PLR2004 - the class of answers that RFC 9110 calls successful


def refusal(response: Response, secret: Secret) -> EnvoyError:
    """Return the error that an answer stands for which is no success, the secret taken out."""
    match response.status // 100:
        case 3:
            host = _host(response.headers.get("Location"), secret.reveal())
            error: EnvoyError = RedirectError(f"the server redirects to {host}, which is never followed")
        case 0 | 1:
            error = InvalidResponseError("the server answered with a status that is no answer")
        case _:
            return status_error(response, secret.reveal())
    error.status = response.status
    return error


def _host(location: str | None, secret: str) -> str:
    try:
        host = URL(location or "").host or "an unnamed place"
    except (ValueError, IndexError):  # yarl trips over "https://[]@"
        return "an unreadable place"
    return "a place with a secret in its name" if secret and secret.lower() in host else host


def translate(error: Exception, answer: aiohttp.ClientResponse | None, url: URL, secret: Secret) -> EnvoyError:
    """Return the public error for what an attempt raised; *answer* is there once a status had arrived."""
    if answer is None:
        return _unanswered(error, f"{url.host}:{url.port}")
    if answer.status >= 400:  # noqa: PLR2004 - refused already, whatever its body was
        return status_error(Response(answer.status, answer.headers, b""), secret.reveal())
    match error:
        case EnvoyError():
            found = error
        case TimeoutError():
            found = AttemptTimeoutError("the answer did not end in time")
        case _:
            found = InvalidResponseError("the answer broke off")
            found.cut = True
    found.status = answer.status
    return found


def _unanswered(error: Exception, place: str) -> EnvoyError:
    match error:
        case RuntimeError():  # aiohttp's word for a closed session
            found: EnvoyError = ClientClosedError("the session was closed")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ServerFingerprintMismatch():
            found = TlsError(f"the certificate of {place} was refused")
        case aiohttp.ClientConnectorSSLError():
            found = TlsError(f"no TLS connection to {place}")
        case aiohttp.ConnectionTimeoutError():
            found = ConnectError(f"could not connect to {place} in time")
        case aiohttp.ClientConnectorError():
            found = ConnectError(f"could not connect to {place}: {_reason(error.os_error)}")
        case TimeoutError():
            found = AttemptTimeoutError(f"no answer from {place} in time")
        case aiohttp.ClientResponseError():
            found = InvalidResponseError(f"{place} did not answer in HTTP")
        case aiohttp.ClientError() | OSError():
            found = ConnectionLostError(f"{place} closed the connection without an answer")
        case _:
            found = InvalidRequestError(f"the request cannot be sent: {type(error).__name__}")
    return found


def _reason(error: OSError) -> str:
    """Name the cause; asyncio's own text repeats the address, and a resolver's errors have negative numbers."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
