"""The only sender: requests go out here and nowhere else.

The rule: one attempt is a permit from the gate, one request, and the whole body; its end, good or bad, is
one row of the call's ledger. Redirects are off, aiohttp's own resend is off, and the key goes to the base
URL's origin alone, since every address is the base URL with a quoted path behind it. tenacity runs only after
a first failure, so a success pays nothing for it. The public error is raised outside the `except` that
caught aiohttp's, because aiohttp's print request headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from io import BytesIO
from random import Random

import aiohttp
import tenacity
from yarl import URL

from .._credentials import ANONYMOUS, Credentials
from .._gate import Ending, Gate
from .._retry import (
    Failure,
    Verdict,
    again,
    backoff,
    is_quota_refusal,
    is_stranger,
    kind_of,
    outcome_unknown,
    verdict,
)
from .._wire import Request, Response
from ..errors import (
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    EnvoyError,
    InvalidResponseError,
    PoolTimeoutError,
    RateLimitedError,
    RedirectError,
    ServerError,
    StatusError,
    TransportError,
    at,
)
from ._access import Access, copied
from ._body import Body
from ._call import Call, Settings
from ._failures import SendOnce, judge, translate
from ._pool import Lane, Pool

__all__ = ["Access", "Pool", "Settings", "Transport"]

_LARGE = 1024 * 1024  # bytes
_CANCELLED = EnvoyError("the attempt was cancelled")  # stands in the ledger, never raised
_EXACT = 3600.0  # seconds up to which aiohttp does not round a time limit up


def _ending(outcome: Response | EnvoyError) -> Ending:
    match outcome:
        case Response():
            return Ending.ANSWERED
        case RateLimitedError():
            return Ending.REFUSED
        case TransportError() | StatusError(status=503):
            return Ending.LOST
        case ServerError():
            return Ending.FAILED
        case StatusError() | RedirectError() | InvalidResponseError():
            return Ending.ANSWERED
        case _:
            return Ending.ABANDONED


def _streamed(body: bytes | None) -> bytes | BytesIO | None:
    """Give aiohttp a large body as a stream; it warns about large bytes, and writes them in one go."""
    return body if body is None or len(body) < _LARGE else BytesIO(body)


class Transport:
    """Sends requests for one view of the client; views share the pool, the quota gates, and the credential."""

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
        self.settings = settings
        self.pool = pool
        self.access = access
        self._clock = clock
        self._sleep = sleep
        self._random = random

    def view(self, settings: Settings) -> Transport:
        """Return a transport with other settings over the same pool."""
        return Transport(settings, self.access, self.pool, clock=self._clock, sleep=self._sleep, random=self._random)

    async def send(self, request: Request) -> Response:
        """Send a request until it succeeds or the policy gives up; raises public errors only."""
        now = self._clock()
        call = Call(request, kind_of(request), now, now + self.settings.timeouts.deadline, now)
        try:
            return await self._attempt(call)
        except EnvoyError as error:
            failure = error
        return await self._retry(call, failure)

    async def _attempt(self, call: Call) -> Response:
        """Run one attempt; whatever happens, the permit goes back and the ledger gets its row."""
        lane = self.pool.lane() or await self.pool.open(self._clock)
        gate = await self._admit(call, lane)
        limit = lane.begin(min(self.settings.timeouts.attempt, call.deadline - call.sent))
        answer: aiohttp.ClientResponse | None = None
        outcome: Response | EnvoyError = _CANCELLED
        try:
            async with limit, self._request(lane, call) as answer:
                body = Body(answer.headers.get("Content-Encoding"))
                async for chunk in answer.content.iter_any():
                    body.feed(chunk)
            outcome = judge(Response(answer.status, answer.headers, body.end()), call.secret)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, EnvoyError) as error:
            outcome = translate(error, answer, URL(self.settings.base_url), call.secret)
        except asyncio.CancelledError as cancelled:
            raise cancelled.with_traceback(None)  # noqa: B904 - aiohttp's frames hold the headers
        finally:
            lane.end(limit)
            pause = self._settle(call, lane, outcome)
            gate.leave(None if answer is None else answer.headers, _ending(outcome), pause)
        if isinstance(outcome, EnvoyError):
            raise outcome
        return Response(outcome.status, outcome.headers, outcome.body, call.ledger)

    def _request(self, lane: Lane, call: Call) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return lane.session(call.kind).request(
            call.request.method,
            URL(self.settings.base_url + call.request.target, encoded=True),
            data=_streamed(call.request.body),
            headers=self.settings.headers(call.credential, body=call.request.body is not None),
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(sock_connect=self.settings.timeouts.connect, ceil_threshold=_EXACT),
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            middlewares=(SendOnce(),),
        )

    async def _admit(self, call: Call, lane: Lane) -> Gate:
        """Take a permit while there is a credential; raises when there is none before the deadline."""
        gate, anonymous = lane.gate(call.request), call.request.operation == ANONYMOUS
        while True:
            if not anonymous:
                await self._identify(call, lane)
            if not gate.enter(patient=call.request.patient):
                await self._queue(call, gate)
            call.sent = self._clock()
            if call.sent < call.deadline and (anonymous or self.access.current):
                break
            gate.give_back()
            if call.sent >= call.deadline:
                raise self._too_late(call, None)
        call.credential = None if anonymous else self.access.current  # it may have changed in line
        return gate

    async def _identify(self, call: Call, lane: Lane) -> None:
        """See that there is a credential, and that the operation takes it; if it cannot, nothing is fetched."""
        call.check(self.access.kind)
        if self.access.current is None:
            await self._fetch(call, lane)
            call.check(self.access.kind)

    async def _fetch(self, call: Call, lane: Lane) -> None:
        """Wait for a credential, at most until the deadline; the fetch itself goes on for the others."""
        fetching = lane.fetch(self.access.fetch)
        if fetching is asyncio.current_task():
            raise ConfigurationError("the credentials callable waits for itself: in it, only auth.login can be used")
        await asyncio.wait([fetching], timeout=max(0.0, call.deadline - self._clock()))
        if not fetching.done():
            raise self._too_late(call, None)
        if not lane.open:
            raise ClientClosedError("the client was closed")
        if fetching.cancelled():
            failure: BaseException | None = ConfigurationError("the credentials callable was cancelled")
        else:
            failure = fetching.exception()
        if failure is not None:
            call.final = True  # it was tried again where it failed, and says nothing about this operation
            raise copied(failure)

    async def _queue(self, call: Call, gate: Gate) -> None:
        """Wait in line for a permit; only a patient call's deadline waits with it."""
        patient, began = call.request.patient, self._clock()
        try:
            async with asyncio.timeout(None if patient else max(0.0, call.deadline - began)):
                await gate.wait(patient=patient)
        except TimeoutError:
            late = self._too_late(call, PoolTimeoutError("no free place in the pool") if gate.full else None)
        else:
            call.deadline += self._clock() - began if patient else 0.0
            return
        raise late

    def _settle(self, call: Call, lane: Lane, outcome: Response | EnvoyError) -> float:
        """Write the attempt into the ledger; returns the seconds that a 429 makes everybody wait."""
        if isinstance(outcome, Response):
            call.note(self._clock(), outcome.status)
            self.access.worked(call.credential, call.request.operation)
            return 0.0
        call.note(self._clock(), outcome.status, type(outcome).__name__)
        refused = isinstance(outcome, RateLimitedError)
        call.refusals += refused
        call.failures += not is_quota_refusal(outcome)
        call.wait = backoff(self.settings.retry, outcome, call.refusals if refused else call.failures, self._random)
        call.last_error = outcome
        call.closed = not lane.open
        return call.wait if refused else 0.0

    async def _retry(self, call: Call, failure: EnvoyError) -> Response:
        """Let tenacity go on from the first failure; the policy decides, the gate waits for quota."""
        first = [failure]

        async def attempt() -> Response:
            if first:
                raise first.pop()
            return await self._attempt(call)

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, EnvoyError) and self._again(call, error)),
            wait=lambda _: 0.0 if is_quota_refusal(call.last_error) else call.wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except EnvoyError as error:
            last = error
        # tenacity's frames would only lengthen the traceback; the error of a login belongs to the login
        if last.route is None:
            last = at(self._final(call, last), call.request, call.ledger)
        raise last.with_traceback(None)

    def _again(self, call: Call, error: EnvoyError) -> bool:
        if call.final:
            return False
        if call.credential is not None and is_stranger(call.kind, error) and self._renews(call, call.credential):
            return True
        left = call.deadline - self._clock()
        failure = Failure(call.kind, error, call.failures, call.wait, left, call.request.patient)
        return not call.closed and again(self.settings.retry, failure)

    def _renews(self, call: Call, credential: Credentials) -> bool:
        """Have a refused credential replaced: once a call, and not where that was of no use just now."""
        operation, now = call.request.operation, self._clock()
        if call.renewed:
            self.access.refused_again(credential, operation, now)
        elif self.access.renewable(operation, now):
            self.access.refused(credential)
            call.renewed, call.wait, call.failures = True, 0.0, call.failures - 1
            return True
        return False

    def _final(self, call: Call, error: EnvoyError) -> EnvoyError:
        """Choose what the caller sees: the last error, that time ran out, or that the outcome is unknown."""
        if call.final:
            return error
        found = verdict(call.kind, error)
        if found is Verdict.UNKNOWN:
            return outcome_unknown(error)
        if call.closed and found is Verdict.RETRY:
            return ClientClosedError("the client was closed")
        late = call.failures < self.settings.retry.max_attempts or self._clock() >= call.deadline
        out_of_time = found is Verdict.RETRY and late
        return self._too_late(call, error) if out_of_time and not is_quota_refusal(error) else error

    def _too_late(self, call: Call, last_error: EnvoyError | None) -> DeadlineExceededError:
        last_error = last_error or call.last_error
        why = "" if last_error is None else f"; last: {last_error.message}"
        late = DeadlineExceededError(f"not done within {self.settings.timeouts.deadline:g} s{why}")
        late.last_error = last_error
        return late
