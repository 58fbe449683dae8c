"""Fetching a file from a storage that is not the API: no credential, no cookie, nothing of the user's but connections.

The rule: what is sent is the address and a range, also where the storage is the API's own host: a signed address
carries its own right. Its answers are judged by `_download`; no body of a refusal is read, because storages quote the
address in it. No deadline holds for the whole, since a recording may be of any length: what ends an attempt is that
`Timeouts.attempt` passes without a byte, and what ends the download is `RetryPolicy.max_attempts` failures in a row
without one. Nothing here waits for quota, and no retry is paid from the budget: both are the API's.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import TypeVar

import aiohttp
from yarl import URL

from .._credentials import NO_SECRET, Secret
from .._download import FILE, Download
from .._retry import Kind, Verdict, backoff, verdict
from .._wire import Response
from ..errors import ClientClosedError, EnvoyError, at
from ..events import Retry, tell
from . import _log
from ._addresses import checked
from ._call import Call, Settings
from ._failures import SendOnce, refusal, translate
from ._pool import Lane, Pool

T = TypeVar("T")
_REFUSED = 300  # statuses from here on are no file
_TOLD = ("Date", "Location", "Retry-After")  # what is heard of a refusal
_NO_SUCH_PART = 416
_DONE = Response(200, {}, b"")  # how a download that ended well is written down


class Fetcher:
    """Fetches files for one view of the client."""

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Random,
    ) -> None:
        self._settings, self._pool = settings, pool
        self._clock, self._sleep, self._random = clock, sleep, random

    async def fetch(self, address: Secret, download: Download) -> None:
        """Fetch what is missing, going on where a connection broke off.

        Raises:
            EnvoyError: the policy gave up, or the storage refuses; what has come stays.
        """
        now = self._clock()
        call = Call(FILE, Kind.READ, now, math.inf, now)
        try:
            checked(address, self._settings.base_url)
            while not download.whole:
                await self._go_on(call, address, download)
        except EnvoyError as error:
            failure = error
        except (OSError, asyncio.CancelledError) as passing:
            _log.ended(call, self._clock, passing)
            raise passing.with_traceback(None)  # noqa: B904 - its frames hold the address and the bytes
        else:
            _log.ended(call, self._clock, _DONE)
            return
        _log.ended(call, self._clock, failure)
        raise at(failure, FILE, call.ledger)

    async def _go_on(self, call: Call, address: Secret, download: Download) -> None:
        """Run one attempt, and wait after a failure that another may mend."""
        reached, call.sent = download.reached, self._clock()
        lane = self._pool.lane() or await self._pool.open()
        failure = await self._attempt(lane, address, download)
        if download.reached > reached:
            call.failures, call.ledger = 0, ()
        if failure is None:
            call.note(self._clock(), _DONE.status)
            return
        call.note(self._clock(), failure.status, type(failure).__name__)
        call.failures += 1
        call.wait = backoff(self._settings.retry, failure, call.failures, self._random)
        self._give_up(call, lane, failure)
        _log.retried(call, failure)
        tell(self._settings.hooks.on_retry, Retry(FILE.method, FILE.template, len(call.ledger), call.wait, failure))
        with suppress(TimeoutError), lane.rests.within():
            await self._sleep(call.wait)
        if not lane.open:
            raise ClientClosedError("the client was closed")

    def _give_up(self, call: Call, lane: Lane, failure: EnvoyError) -> None:
        """Raise what the caller is to see, unless another attempt is worth its while."""
        if not lane.open:
            raise ClientClosedError("the client was closed")
        policy = self._settings.retry
        patient = call.failures < policy.max_attempts and (failure.retry_after or 0.0) <= policy.max_retry_after
        if not patient or verdict(Kind.READ, failure) is not Verdict.RETRY:
            raise failure

    async def _attempt(self, lane: Lane, address: Secret, download: Download) -> EnvoyError | None:
        """Ask once for what is missing, and take what comes; gives what went wrong, but for what the disk raises."""
        answer: aiohttp.ClientResponse | None = None
        async with lane.bare() as session:
            try:
                answer = await self._within(lane, self._asked(session, address, download), address)
                await self._receive(lane, answer, address, download)
            except EnvoyError as error:
                error.with_traceback(None).status = None if answer is None else answer.status  # its frames hold bytes
                return error
            finally:
                if answer is not None:
                    answer.close()  # one that is left in the middle takes its connection along
        return None

    async def _receive(self, lane: Lane, answer: aiohttp.ClientResponse, address: Secret, download: Download) -> None:
        if answer.status >= _REFUSED and answer.status != _NO_SUCH_PART:
            told = {name: answer.headers[name] for name in _TOLD if name in answer.headers}
            raise refusal(Response(answer.status, told, b""), NO_SECRET)
        download.begin(answer.status, answer.headers)
        if download.whole:
            return
        while data := await self._within(lane, answer.content.readany(), address, answer):
            download.take(data)
        download.end()

    async def _within(
        self, lane: Lane, waiting: Awaitable[T], address: Secret, answer: aiohttp.ClientResponse | None = None
    ) -> T:
        """Wait for one step, at most as long as an attempt may be silent."""
        try:
            with lane.attempts.within(self._settings.timeouts.attempt):
                return await waiting
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            failure = translate(error, answer, URL(address.reveal()), NO_SECRET)
        raise failure

    def _asked(
        self, session: aiohttp.ClientSession, address: Secret, download: Download
    ) -> Awaitable[aiohttp.ClientResponse]:
        return session.get(
            URL(address.reveal(), encoded=True),
            headers={**download.headers, "User-Agent": self._settings.user_agent},
            timeout=aiohttp.ClientTimeout(sock_connect=self._settings.timeouts.connect),
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            middlewares=(SendOnce(),),
        )
