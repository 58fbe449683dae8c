"""From one failed attempt to the next, or to the error the caller sees.

The rule: `_retry` decides from values, tenacity runs the loop, and what is decided here is only whose budget pays and
who is told. A new `AsyncRetrying` for each call, made after its first failure; its predicate is true for the SDK's own
errors alone, since any other would swallow a cancellation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random

import tenacity

from .._credentials import Credentials
from .._retry import Failure, Kind, Verdict, again, backoff, is_quota_refusal, is_stranger, outcome_unknown, verdict
from .._wire import Response
from ..errors import (
    AlreadyExistsError,
    ClientClosedError,
    DeadlineExceededError,
    EnvoyError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    at,
)
from ..events import RateLimited, Retry, tell
from . import _log
from ._access import Access
from ._call import Call, Settings
from ._pool import Lane, Pool

_GONE = Response(204, {}, b"")


class Retrying:
    """Goes on after failures, for one view of the client."""

    def __init__(
        self,
        settings: Settings,
        access: Access,
        pool: Pool,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Random,
    ) -> None:
        self._settings, self._access, self._pool = settings, access, pool
        self._clock, self._sleep, self._random = clock, sleep, random

    def settle(self, call: Call, lane: Lane, outcome: Response | EnvoyError, now: float) -> float:
        """Write the attempt into the ledger; returns the seconds that a 429 makes everybody wait."""
        if not call.ledger:
            self._pool.budget.earn(self._settings.retry.budget)
        if isinstance(outcome, Response):
            call.succeeded = True
            call.note(now, outcome.status)
            self._access.worked(call.credential, call.request.operation)
            return 0.0
        call.note(now, outcome.status, type(outcome).__name__)
        refused = isinstance(outcome, RateLimitedError)
        call.failures += not is_quota_refusal(outcome)
        failures = lane.gate(call.request).refusals(now) if refused else call.failures  # a quota is everybody's
        call.wait = backoff(self._settings.retry, outcome, failures, self._random)
        call.last_error = call.judged = outcome
        call.lane = lane
        call.ambiguous |= verdict(Kind.UNSAFE, outcome) is Verdict.UNKNOWN
        if not refused:
            return 0.0
        told = RateLimited(call.request.method, call.request.template, call.wait, outcome.retry_after)
        tell(self._settings.hooks.on_rate_limited, told)
        return call.wait

    async def go_on(self, call: Call, failure: EnvoyError, attempt: Callable[[Call], Awaitable[Response]]) -> Response:
        """Send again from the first failure until it succeeds or the policy gives up."""
        first = [failure]

        async def step() -> Response:
            if first:
                raise first.pop()
            return await attempt(call)

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, EnvoyError) and self._again(call, error)),
            wait=lambda _: 0.0 if is_quota_refusal(call.last_error) else call.wait,
            sleep=partial(self._rest, call),
            reraise=True,
        )
        try:
            return await retrying(step)
        except EnvoyError as error:
            last = error
        # tenacity's frames would only lengthen the traceback; the error of a login belongs to the login
        if last.route is None:
            if call.ambiguous and call.request.method == "DELETE" and isinstance(last, NotFoundError):
                return Response(_GONE.status, _GONE.headers, _GONE.body, call.ledger)  # an earlier attempt deleted it
            last = at(self._final(call, last), call.request, call.ledger)
        if isinstance(last, OutcomeUnknownError):
            tell(self._settings.hooks.on_outcome_unknown, last)
        raise last.with_traceback(None)

    async def _rest(self, call: Call, seconds: float) -> None:
        """Wait between two attempts; closing the client ends it, and the next attempt says so."""
        with suppress(TimeoutError), call.lane.rests.within():
            await self._sleep(seconds)

    def _again(self, call: Call, error: EnvoyError) -> bool:
        if call.final or error is not call.judged:  # what no attempt ended with is not tried again
            return False
        if call.credential is not None and is_stranger(call.kind, error) and self._renews(call, call.credential):
            return self._tell(call, error)
        left = call.deadline - self._clock()
        failure = Failure(call.kind, error, call.failures, call.wait, left, call.request.patient)
        if not call.lane.open or not again(self._settings.retry, failure):
            return False
        if not is_quota_refusal(error) and not self._pool.budget.spend(self._clock()):
            error.retry_suppressed = True
            return False
        return self._tell(call, error)

    def _tell(self, call: Call, error: EnvoyError) -> bool:
        error.with_traceback(None)  # its frames hold the answer and the headers
        _log.retried(call, error)
        told = Retry(call.request.method, call.request.template, len(call.ledger), call.wait, error)
        tell(self._settings.hooks.on_retry, told)
        return True

    def _renews(self, call: Call, credential: Credentials) -> bool:
        """Have a refused credential replaced: once a call, and not where that was of no use just now."""
        operation, now = call.request.operation, self._clock()
        if call.renewed:
            self._access.refused_again(credential, operation, now)
        elif self._access.renewable(operation, now):
            self._access.refused(credential)
            call.renewed, call.wait, call.failures = True, 0.0, call.failures - 1
            return True
        return False

    def _final(self, call: Call, error: EnvoyError) -> EnvoyError:
        """Choose what the caller sees: the last error, that time ran out, or that the outcome is unknown."""
        if call.final or error is not call.judged:  # a middleware's own, or from before anything was sent
            return error
        found = verdict(call.kind, error)
        if found is Verdict.UNKNOWN:
            return outcome_unknown(error)
        if not call.lane.open and found is Verdict.RETRY:
            return ClientClosedError("the client was closed")
        if call.ambiguous and isinstance(error, AlreadyExistsError):
            error.maybe_own = True
        late = call.failures < self._settings.retry.max_attempts or self._clock() >= call.deadline
        out_of_time = found is Verdict.RETRY and late and not error.retry_suppressed
        return self.too_late(call, error) if out_of_time and not is_quota_refusal(error) else error

    def paused(self, seconds: float) -> RateLimitedError:
        """Build the error of a call that would have to wait too long, since the server refused another for quota."""
        error = RateLimitedError(f"the server refused another call for quota, and asked to wait {seconds:.0f} s more")
        error.retry_after = seconds
        return error

    def too_late(self, call: Call, last_error: EnvoyError | None) -> DeadlineExceededError:
        """Build the error of a call that ran out of time."""
        last_error = last_error or call.last_error
        why = "" if last_error is None else f"; last: {last_error.message}"
        late = DeadlineExceededError(f"not done within {self._settings.timeouts.deadline:g} s{why}")
        late.last_error = None if last_error is None else last_error.with_traceback(None)  # its frames hold the body
        return late
