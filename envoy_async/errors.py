"""Every error of the SDK. Catch `EnvoyError`; the leaves say what happened.

::

    EnvoyError
    ├── ConfigurationError            bad settings; nothing sent
    ├── InvalidRequestError           bad input caught before sending
    ├── TransportError                no usable answer arrived
    │   ├── ConnectError              no connection; nothing sent
    │   ├── PoolTimeoutError          no free place in the client's own pool; nothing sent
    │   ├── TlsError                  the certificate or handshake was refused; nothing sent
    │   ├── ConnectionLostError       the connection broke after sending began
    │   └── AttemptTimeoutError       one attempt took too long
    ├── DeadlineExceededError         the whole call, retries and waits included, ran out of time
    ├── OutcomeUnknownError           an unsafe operation may have run
    ├── StatusError                   an answer of 400 or more
    │   ├── ValidationError           validation_error (400, 422)
    │   │   └── InvalidIdFormatError  invalid_id_format
    │   ├── NotAuthenticatedError     401
    │   ├── PermissionDeniedError     403
    │   ├── NotFoundError             404
    │   ├── AlreadyExistsError        409
    │   ├── RateLimitedError          429
    │   └── ServerError               5xx
    ├── RedirectError                 any 3xx; redirects are never followed
    ├── InvalidResponseError          not JSON, wrong shape, cut, or too large
    ├── PaginationError               a listing cannot go on
    │   ├── DriftError                it changed too much to be read whole
    │   ├── LoopError                 the server's pages turn in circles
    │   └── CheckpointMismatchError   the checkpoint is of another listing
    ├── ClientClosedError             the client was closed
    └── WebhookError                  a delivery of an event was not taken
        ├── SignatureError            its headers are malformed, or no signature is that of a secret in force
        ├── TimestampError            it was signed too long ago, in the future, or at no time that can be read
        ├── PayloadError              it is signed, but no event that can be read
        └── DuplicateDeliveryError    its event was processed before, or is being processed

The rule: an error carries data, never a header or a body, and pickles whole.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._wire import Attempt, Request

E = TypeVar("E", bound="EnvoyError")


class EnvoyError(Exception):
    """Root of every error the SDK raises. Attributes that do not apply to an error are `None`."""

    status: int | None = None
    """HTTP status of the answer."""
    code: str | None = None
    """`error.code` of the answer."""
    param: str | None = None
    """The offending field, dotted with bracketed indexes."""
    request_id: str | None = None
    """`X-Request-ID` of the answer (inferred: no page names such a header)."""
    retry_after: float | None = None
    """Seconds the server asked to wait."""
    method: str | None = None
    """HTTP method of the call."""
    route: str | None = None
    """Path template of the call, such as `/calls/{call_id}`."""
    attempts: tuple[Attempt, ...] = ()
    """The ledger, one row per attempt."""
    checkpoint: str | None = None
    """Where the listing stood that raised it, for `Pages.resume`."""
    retry_suppressed: bool = False
    """Whether it would have been tried again, had the retry budget not been used up."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        where = f"{self.method} {self.route}: " if self.method else ""
        tries = f" (after {len(self.attempts)} attempts)" if len(self.attempts) > 1 else ""
        return f"{where}{self._told}{tries}"

    @property
    def _told(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the class, the message, and the attributes, whatever the leaf's own signature is."""
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(cls: type[EnvoyError], message: str, state: dict[str, object]) -> EnvoyError:
    error = cls.__new__(cls, message)
    error.__dict__.update(state)
    return error


class ConfigurationError(EnvoyError):
    """The settings cannot work; nothing was sent. The message names the setting to change."""


class InvalidRequestError(EnvoyError):
    """The input was refused before anything was sent; `param` names the field."""


class TransportError(EnvoyError):
    """No usable answer arrived."""


class ConnectError(TransportError):
    """No connection could be made, so nothing was sent. The message names host and port."""


class PoolTimeoutError(TransportError):
    """No place in the client's own pool became free in time; nothing was sent."""


class TlsError(TransportError):
    """The server's certificate or handshake was refused; nothing was sent."""


class ConnectionLostError(TransportError):
    """The connection broke after sending began: the operation may have run."""


class AttemptTimeoutError(TransportError):
    """One attempt took longer than `Timeouts.attempt`: the operation may have run."""


class DeadlineExceededError(EnvoyError):
    """The whole call ran out of time, waits and retries included; `last_error` is what came last."""

    last_error: EnvoyError | None = None


@attrs.frozen(kw_only=True)
class Reconciliation:
    """What `OutcomeUnknownError.reconcile` found. It changed nothing."""

    outcome: Literal["found", "not_found", "ambiguous"]
    """`found`: one record like yours exists, made while your operation could run; it is most likely yours.
    `not_found`: there is no such record yet. `ambiguous`: it cannot be told, see `why`."""
    candidates: tuple[object, ...] = ()
    """The records that may be yours: one when found, none when not found, any number when ambiguous."""
    looked_at: str = "nothing"
    """What was read, in plain words."""
    why: str
    """Why this is the outcome, and what can be done about it."""


class OutcomeUnknownError(EnvoyError):
    """An operation that must not run twice may have run: look before you try again, with `reconcile`.

    `last_error` says what went wrong. It is raised instead of a retry for operations such as placing a call.
    """

    last_error: EnvoyError | None = None
    began: datetime | None = None
    """When the attempt that may have run was sent, by this machine's clock; `None` where `reconcile` cannot look."""
    ended: datetime | None = None
    """When it was given up."""
    _look: Callable[[], Awaitable[Reconciliation]] | None = None  # given in `resources`

    async def reconcile(self) -> Reconciliation:
        """Look for what the operation may have done, any number of times. It sends GET requests only: it never acts.

        Where nothing can be looked for (`auth.login`, `EnvoyClient.request`, batches), the outcome is `ambiguous`.

        Raises:
            ConfigurationError: the error was pickled or copied, which leaves the client behind.
            EnvoyError: the look itself failed.
        """
        if self._look is None:
            return Reconciliation(outcome="ambiguous", why="this operation leaves no record that could be looked for")
        return await self._look()

    def __reduce__(self) -> tuple[object, ...]:
        state = self.__dict__ if self._look is None else {**self.__dict__, "_look": _elsewhere}
        return _rebuild, (type(self), self.message, state)


async def _elsewhere() -> Reconciliation:
    raise ConfigurationError("a pickled or copied error has no client: call reconcile() where it was raised")


class StatusError(EnvoyError):
    """The server answered with a status of 400 or more."""


class ValidationError(StatusError):
    """The server refused the input (400, 422); `param` names the field, and so does the text."""

    @property
    def _told(self) -> str:
        named = self.param is None or self.param in self.message
        return self.message if named else f"{self.param}: {self.message}"


class InvalidIdFormatError(ValidationError):
    """The server refused the form of an id, such as a wrong prefix (400)."""


class NotAuthenticatedError(StatusError):
    """The credentials are missing, wrong, or expired (401)."""


class PermissionDeniedError(StatusError):
    """The credentials do not allow this (403)."""


class NotFoundError(StatusError):
    """There is no such record (404)."""


class AlreadyExistsError(StatusError):
    """There is such a record already (409). With `maybe_own`, an earlier attempt of this call has probably made it."""

    maybe_own: bool = False


class RateLimitedError(StatusError):
    """The quota is used up (429); `retry_after` says for how many seconds."""


class ServerError(StatusError):
    """The server failed (5xx)."""


class RedirectError(EnvoyError):
    """The server answered with a redirect, which is never followed; the message names its host."""


class InvalidResponseError(EnvoyError):
    """The answer is not what the API promises: not JSON, wrong shape (with JSON path), too large, or cut (`cut`)."""

    cut: bool = False


class PaginationError(EnvoyError):
    """A listing cannot go on."""


class DriftError(PaginationError):
    """The listing changed too much, or too strangely, to be read whole; what was found has been delivered."""


class LoopError(PaginationError):
    """The server's pages turn in circles: they bring nothing new, and promise more."""


class CheckpointMismatchError(PaginationError):
    """The checkpoint cannot be read, or is of another operation, filter, organization, or version."""


class ClientClosedError(EnvoyError):
    """The client was closed; enter it again with `async with`, or make a new one."""


class WebhookError(EnvoyError):
    """A delivery of an event was not taken. The message says which check failed, and shows nothing of the delivery."""


class SignatureError(WebhookError):
    """The headers of a delivery are malformed, or no signature is that of a secret in force: it may be forged."""


class TimestampError(WebhookError):
    """A delivery was signed too long ago, in the future, or at no time that can be read."""


class PayloadError(WebhookError):
    """A delivery is too large, or signed and yet no event that can be read. Trying it again will not help."""


class DuplicateDeliveryError(WebhookError):
    """The event of a delivery was processed before (`finished`), or is being processed."""

    finished: bool = False


def at(error: E, request: Request, attempts: tuple[Attempt, ...] = ()) -> E:
    """Return *error* with the operation it belongs to and its ledger filled in."""
    error.method, error.route, error.attempts = request.method, request.template, attempts
    return error


def refused(param: str | None, message: str) -> InvalidRequestError:
    """Build the error for input that is not sent."""
    error = InvalidRequestError(message)
    error.param = param
    return error
