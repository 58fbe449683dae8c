"""What may be sent again, and when.

The rule: every decision is a function of values (operation, error, numbers, an injected `Random`); nothing
here waits, sends, or reads a clock. tenacity runs the loop, in `_transport`, only after a first failure.
A failure lies in one of these phases, told apart by the class of the error: nothing was sent; sent, no
status seen; an answer. What was not sent, or was refused with `rate_limit_exceeded`, did not run. Anything
else may have run, and an unsafe operation is then never sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from random import Random
from types import MappingProxyType

import attrs

from ._wire import Request
from .errors import (
    AttemptTimeoutError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    EnvoyError,
    InvalidResponseError,
    OutcomeUnknownError,
    PoolTimeoutError,
    RateLimitedError,
    StatusError,
)


class Kind(Enum):
    """Whether running an operation twice does harm."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    UNSAFE = "unsafe"


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "POST /auth/login": Kind.UNSAFE,
        "POST /api-keys": Kind.UNSAFE,  # the secret would be lost with the answer
        "GET /api-keys": Kind.READ,
        "GET /api-keys/{api_key_id}": Kind.READ,
        "DELETE /api-keys/{api_key_id}": Kind.IDEMPOTENT,
        "POST /loads": Kind.IDEMPOTENT,  # upsert by load_number (seen)
        "GET /loads": Kind.READ,
        "POST /loads/batch": Kind.IDEMPOTENT,  # each load an upsert (seen)
        "GET /loads/stats": Kind.READ,
        "GET /loads/tab-counts": Kind.READ,
        "GET /loads/{load_id}": Kind.READ,
        "PATCH /loads/{load_id}": Kind.IDEMPOTENT,  # absolute values
        "GET /loads/{load_id}/calls": Kind.READ,
        "GET /loads/{load_id}/verifications": Kind.READ,
        "GET /loads/{load_id}/escalations": Kind.READ,
        "POST /offers": Kind.UNSAFE,
        "GET /offers": Kind.READ,
        "GET /offers/{offer_id}": Kind.READ,
        "PATCH /offers/{offer_id}": Kind.UNSAFE,  # accepting may set off more than the new status
        "POST /carriers": Kind.UNSAFE,  # idempotent with an MC number: `Request.keyed`
        "GET /carriers": Kind.READ,
        "POST /carriers/batch": Kind.UNSAFE,  # idempotent when every carrier has an MC number
        "GET /carriers/{carrier_id}": Kind.READ,
        "PATCH /carriers/{carrier_id}": Kind.IDEMPOTENT,  # absolute values
        "POST /carriers/{carrier_id}/enable": Kind.IDEMPOTENT,
        "POST /carriers/{carrier_id}/disable": Kind.IDEMPOTENT,
        "GET /carriers/{carrier_id}/lane-preferences": Kind.READ,
        "PATCH /carriers/{carrier_id}/lane-preferences/{preference_id}": Kind.IDEMPOTENT,  # an absolute value
        "POST /carriers/{carrier_id}/lane-preferences/{preference_id}/restrict": Kind.IDEMPOTENT,  # a no-op (partial)
        "POST /carriers/{carrier_id}/lane-preferences/{preference_id}/unrestrict": Kind.IDEMPOTENT,  # the same
        "POST /carriers/{carrier_id}/lane-preferences/disable-for-load": Kind.IDEMPOTENT,  # finds or creates (partial)
        "GET /calls": Kind.READ,
        "POST /calls": Kind.UNSAFE,  # places a phone call
        "GET /calls/{call_id}": Kind.READ,
        "POST /calls/{call_id}/join": Kind.UNSAFE,
        "POST /calls/{call_id}/end": Kind.IDEMPOTENT,  # harmless if already ended (seen)
        "GET /calls/{call_id}/recording": Kind.READ,
        "POST /outreaches": Kind.UNSAFE,  # places a phone call
        "GET /outreaches": Kind.READ,
        "GET /outreaches/{outreach_id}": Kind.READ,
        "POST /webhooks/endpoints": Kind.UNSAFE,
        "GET /webhooks/endpoints": Kind.READ,
        "GET /webhooks/endpoints/{endpoint_id}": Kind.READ,
        "PATCH /webhooks/endpoints/{endpoint_id}": Kind.IDEMPOTENT,  # absolute values
        "DELETE /webhooks/endpoints/{endpoint_id}": Kind.IDEMPOTENT,
        "POST /webhooks/endpoints/{endpoint_id}/rotate-secret": Kind.UNSAFE,  # each time another secret
        "GET /webhooks/endpoints/{endpoint_id}/messages": Kind.READ,
        "GET /webhooks/messages/{message_id}/attempts": Kind.READ,
        "POST /webhooks/messages/{message_id}/replay": Kind.IDEMPOTENT,  # the webhook-id stays the same (partial)
        "GET /webhooks/event-types": Kind.READ,
    }
)
"""One row per operation; what has no row is unsafe, unless it is a GET."""


def kind_of(request: Request) -> Kind:
    """Look the operation up in the table; a body with a key of its own makes the operation idempotent."""
    if request.keyed:
        return Kind.IDEMPOTENT
    fallback = Kind.READ if request.method == "GET" else Kind.UNSAFE
    return KINDS.get(request.operation, fallback)


def _positive(_: object, field: attrs.Attribute[float], value: object) -> None:
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        msg = f"{field.name} must be a positive number of seconds, not {value!r}"
        raise ConfigurationError(msg)


def _at_least_one(_: object, field: attrs.Attribute[int], value: object) -> None:
    if not isinstance(value, int) or value < 1:
        msg = f"{field.name} must be at least 1, not {value!r}"
        raise ConfigurationError(msg)


def _share(_: object, field: attrs.Attribute[float], value: object) -> None:
    if not isinstance(value, int | float) or not 0 <= value < float("inf"):
        msg = f"{field.name} must be a number of retries for each call, such as 0.1, not {value!r}"
        raise ConfigurationError(msg)


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long things may take, in seconds.

    Args:
        deadline: a whole call, with its retries and waits; listings do not count the wait for quota.
        attempt: one attempt, from sending to the last byte of the answer.
        connect: opening one connection.
    """

    deadline: float = attrs.field(default=90.0, validator=_positive)
    attempt: float = attrs.field(default=30.0, validator=_positive)
    connect: float = attrs.field(default=5.0, validator=_positive)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how patiently a failed operation is sent again.

    Args:
        max_attempts: attempts for one call, the first included; refusals for quota (429) are not counted.
        base: back-off before the first retry is random up to this many seconds, and doubles. After a 429 without
            `Retry-After` it is nearly twice as long.
        cap: longest back-off in seconds.
        max_retry_after: longest `Retry-After` in seconds that is waited for; listings wait for any.
        budget: retries for each call, on average over the client's calls; beyond, the first error is raised. It keeps
            retries from doubling the load of a server that fails. Waiting for quota (429) is not counted.
    """

    max_attempts: int = attrs.field(default=4, validator=_at_least_one)
    base: float = attrs.field(default=0.5, validator=_positive)
    cap: float = attrs.field(default=20.0, validator=_positive)
    max_retry_after: float = attrs.field(default=120.0, validator=_positive)
    budget: float = attrs.field(default=0.1, validator=_share)


class Budget:
    """How many retries the calls of a client have left, all together.

    A call earns a share of a retry, a retry costs one. There are ten to begin with, and one more each minute, so that
    a client with few calls may retry at all; what is saved up is worth twenty.
    """

    def __init__(self) -> None:
        self._left = 10.0
        self._filled_at: float | None = None

    def earn(self, share: float) -> None:
        """Add what one more call earns."""
        self._left = min(_SAVED, self._left + share)

    def spend(self, now: float) -> bool:
        """Pay for one retry; says whether there was enough left. *now* is in seconds."""
        if self._filled_at is not None:
            self.earn(max(0.0, now - self._filled_at) / _REFILL)
        self._filled_at = now
        if self._left < _ENOUGH:
            return False
        self._left -= 1
        return True


class Verdict(Enum):
    """What a failed attempt means for the operation."""

    RETRY = "retry"
    RAISE = "raise"
    UNKNOWN = "unknown"


_SAVED = 20.0  # retries
_REFILL = 60.0  # seconds for one more
_ENOUGH = 1 - 1e-9  # ten tenths are a little less than one
_NEARLY = 0.95
_TOO_MANY = 429
_WHO_ARE_YOU = 401
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_MAY_HAVE_RUN = frozenset({408, 425, 429})  # and every 5xx


def verdict(kind: Kind, error: EnvoyError) -> Verdict:
    """Judge one failed attempt: send again, give up, or say that the outcome is unknown."""
    if isinstance(error, ConnectError | PoolTimeoutError) or is_quota_refusal(error):
        return Verdict.RETRY
    if kind is Kind.UNSAFE:
        return Verdict.UNKNOWN if _may_have_run(error) else Verdict.RAISE
    passing = isinstance(error, ConnectionLostError | AttemptTimeoutError)
    passing |= isinstance(error, InvalidResponseError) and error.cut
    passing |= isinstance(error, StatusError) and error.status in _PASSING
    return Verdict.RETRY if passing else Verdict.RAISE


def _may_have_run(error: EnvoyError) -> bool:
    if isinstance(error, StatusError):
        status = error.status or 0
        return status in _MAY_HAVE_RUN or status >= 500  # noqa: PLR2004 - 5xx
    return isinstance(error, ConnectionLostError | AttemptTimeoutError | InvalidResponseError)


def is_quota_refusal(error: EnvoyError | None) -> bool:
    """Whether the server refused for quota, before running anything."""
    return isinstance(error, RateLimitedError) and error.status == _TOO_MANY and error.code == "rate_limit_exceeded"


def is_stranger(kind: Kind, error: EnvoyError) -> bool:
    """Whether the server refused the credential before running anything, so that another one may be tried."""
    refused = error.status == _WHO_ARE_YOU
    return refused and (kind is not Kind.UNSAFE or error.code == "not_authenticated")


def backoff(policy: RetryPolicy, error: EnvoyError, failures: int, rng: Random) -> float:
    """Seconds to wait after the given number of failures (from 1).

    What the server asked for, with jitter on top, so that it is never shortened. If it asked for nothing,
    full jitter, `U(0, min(cap, base · 2^(failures - 1)))`; after a 429 nearly all of `min(cap, base · 2^failures)`,
    since where a quota is used up, a try that comes early is another refusal.
    """
    if error.retry_after:
        return error.retry_after + rng.uniform(0, min(0.5, max(0.05, 0.1 * error.retry_after)))
    if error.retry_after is None and isinstance(error, RateLimitedError):
        return rng.uniform(_NEARLY, 1.0) * min(policy.cap, policy.base * 2.0 ** min(failures, 30))
    return rng.uniform(0, min(policy.cap, policy.base * 2.0 ** min(failures - 1, 30)))


@attrs.frozen(eq=False, repr=False)
class Failure:
    """A failed attempt and where the call stands: all that a decision rests on."""

    kind: Kind
    error: EnvoyError
    failures: int
    """Failed attempts so far that count against `max_attempts`."""
    wait: float
    """Seconds the next attempt would wait, from `backoff`."""
    left: float
    """Seconds left until the deadline."""
    patient: bool = False


def again(policy: RetryPolicy, failure: Failure) -> bool:
    """Decide whether the operation is sent again."""
    if verdict(failure.kind, failure.error) is not Verdict.RETRY:
        return False
    if is_quota_refusal(failure.error):
        asked = failure.wait if failure.error.retry_after is None else failure.error.retry_after
        return failure.patient or (failure.wait < failure.left and asked <= policy.max_retry_after)
    return failure.failures < policy.max_attempts and failure.wait < failure.left


def outcome_unknown(error: EnvoyError) -> OutcomeUnknownError:
    """Build the error for an unsafe operation that may have run."""
    unknown = OutcomeUnknownError(f"the operation may have run and was not sent again: {error.message}")
    unknown.status, unknown.code, unknown.request_id = error.status, error.code, error.request_id
    unknown.last_error = error.with_traceback(None)  # its frames hold the body
    return unknown
