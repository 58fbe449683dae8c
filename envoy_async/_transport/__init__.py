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
from yarl import URL

from .._credentials import ANONYMOUS, PARTICULAR
from .._gate import Ending, Gate
from .._retry import Kind, kind_of, outcome_unknown
from .._wire import Request, Response
from ..errors import (
    ClientClosedError,
    ConfigurationError,
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
from ..events import tell
from ..middleware import around
from . import _log
from ._access import Access, copied
from ._addresses import ADDRESS, is_loopback
from ._body import Body
from ._call import Call, Settings
from ._download import Fetcher
from ._failures import SendOnce, is_success, refusal, translate
from ._pool import Lane, Pool
from ._retrying import Retrying

__all__ = ["ADDRESS", "Access", "Lane", "Pool", "Settings", "Transport", "is_loopback"]

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
        self._limits = aiohttp.ClientTimeout(sock_connect=settings.timeouts.connect, ceil_threshold=_EXACT)
        self._retrying = Retrying(settings, access, pool, clock=clock, sleep=sleep, random=random)
        self.fetch = Fetcher(settings, pool, clock=clock, sleep=sleep, random=random).fetch

    def view(self, settings: Settings) -> Transport:
        """Return a transport with other settings over the same pool."""
        return Transport(settings, self.access, self.pool, clock=self._clock, sleep=self._sleep, random=self._random)

    async def send(self, request: Request) -> Response:
        """Send a request until it succeeds or the policy gives up; raises public errors only."""
        now = self._clock()
        call = Call(request, kind_of(request), now, now + self.settings.timeouts.deadline, now)
        attempt = self._inside if self.settings.middleware and request.operation != ANONYMOUS else self._attempt
        try:
            try:
                response = await attempt(call)
            except EnvoyError as error:
                failure = error
            else:
                _log.ended(call, self._clock, response)
                return response
            response = await self._retrying.go_on(call, failure, attempt)
        except BaseException as error:
            _log.ended(call, self._clock, error)
            raise
        _log.ended(call, self._clock, response)
        return response

    async def _inside(self, call: Call) -> Response:
        """Run one attempt inside the middlewares; each of them sees the request as it was asked for."""
        asked = call.request

        def send(request: Request) -> Awaitable[Response]:
            call.request = request
            return self._attempt(call)

        call.judged, failure = None, None
        try:
            response = await around(self.settings.middleware, asked, send)
        except Exception as error:
            if call.kind is not Kind.UNSAFE or not call.succeeded:
                raise
            failure = error
        else:
            if type(response) is Response:  # callers need not type-check
                return response
        finally:
            call.request = asked
        wrong = ConfigurationError("a middleware failed, or gave no Response")
        raise (outcome_unknown(wrong) if call.kind is Kind.UNSAFE and call.succeeded else wrong) from failure

    async def _attempt(self, call: Call) -> Response:
        """Run one attempt; whatever happens, the permit goes back and the ledger gets its row."""
        lane = self.pool.lane() or await self.pool.open()
        gate = lane.gate(call.request)
        if not self._passes(call, gate):
            await self._admit(call, lane, gate)
        answer: aiohttp.ClientResponse | None = None
        outcome: Response | EnvoyError = _CANCELLED
        try:
            with lane.attempts.within(min(self.settings.timeouts.attempt, call.deadline - call.sent)):
                async with self._request(lane, call) as answer:
                    body, content = Body(answer.headers.get("Content-Encoding")), answer.content
                    while not content.at_eof():
                        body.feed(await content.readany())
            outcome = Response(answer.status, answer.headers, body.end())
            if not is_success(outcome):
                outcome = refusal(outcome, call.secret)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, EnvoyError) as error:
            outcome = translate(error, answer, URL(self.settings.base_url), call.secret)
        except asyncio.CancelledError as cancelled:
            cancelled.with_traceback(None)  # aiohttp's frames hold the headers
            self._doubt(call, answer)
            raise cancelled.with_traceback(None)  # noqa: B904
        finally:
            now = self._clock()
            pause = self._retrying.settle(call, lane, outcome, now)
            gate.leave(now, None if answer is None else answer.headers, _ending(outcome), pause)
        if isinstance(outcome, EnvoyError):
            raise outcome
        doubt = self.settings.hooks.on_outcome_unknown if call.kind is Kind.UNSAFE else None
        return Response(outcome.status, outcome.headers, outcome.body, call.ledger, doubt)

    def _doubt(self, call: Call, answer: aiohttp.ClientResponse | None) -> None:
        """Tell that an unsafe operation was cancelled after its sending began, unless it was refused already."""
        if call.kind is Kind.UNSAFE and (answer is None or answer.status < 400):  # noqa: PLR2004 - refused
            tell(self.settings.hooks.on_outcome_unknown, at(outcome_unknown(_CANCELLED), call.request, call.ledger))

    def _request(self, lane: Lane, call: Call) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return lane.session(call.kind).request(
            call.request.method,
            URL(self.settings.base_url + call.request.target, encoded=True),
            data=_streamed(call.request.body),
            headers=self.settings.headers(call.credential, call.request),
            skip_auto_headers=None if call.request.method == "GET" else ("Content-Type",),
            timeout=self._limits,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            middlewares=(SendOnce(),),
        )

    def _passes(self, call: Call, gate: Gate) -> bool:
        """Take a permit at once, where nothing else has to be looked at; so it is for nearly all."""
        credential, now = self.access.current, self._clock()
        if credential is None or call.request.operation in PARTICULAR or now >= call.deadline:
            return False
        if not gate.enter(now, patient=call.request.patient):
            return False
        call.credential, call.sent = credential, now
        return True

    async def _admit(self, call: Call, lane: Lane, gate: Gate) -> None:
        """Take a permit while there is a credential; raises when there is none before the deadline."""
        anonymous = call.request.operation == ANONYMOUS
        while True:
            if not anonymous:
                call.check(self.access.kind)  # for an operation that takes no such credential, none is fetched
                if self.access.current is None:
                    await self._fetch(call, lane)
                    call.check(self.access.kind)
            call.sent = self._clock()
            if not gate.enter(call.sent, patient=call.request.patient):
                await self._queue(call, gate)
                call.sent = self._clock()
            if call.sent < call.deadline and (anonymous or self.access.current):
                break
            gate.give_back()
            if call.sent >= call.deadline:
                raise self._retrying.too_late(call, None)
        call.credential = None if anonymous else self.access.current  # it may have changed in line

    async def _fetch(self, call: Call, lane: Lane) -> None:
        """Wait for a credential, at most until the deadline; the fetch itself goes on for the others."""
        fetching = lane.fetch(self.access.fetch)
        if fetching is asyncio.current_task():
            raise ConfigurationError("the credentials callable waits for itself: in it, only auth.login can be used")
        left = max(0.0, call.deadline - self._clock())
        await asyncio.wait({fetching, lane.closing}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not lane.open:
            raise ClientClosedError("the client was closed")
        if not fetching.done():
            raise self._retrying.too_late(call, None)
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
        if not patient and gate.paused > min(call.deadline - began, self.settings.retry.max_retry_after):
            raise self._retrying.paused(gate.paused)
        try:
            async with asyncio.timeout(None if patient else max(0.0, call.deadline - began)):
                await gate.wait(patient=patient)
        except TimeoutError:
            late = self._retrying.too_late(call, PoolTimeoutError("no free place in the pool") if gate.full else None)
        else:
            call.deadline += self._clock() - began if patient else 0.0
            return
        raise late
