"""A gate's side of a quota store: one task that asks, for everybody in line.

The rule: tasks in line never talk to the store; a thousand of them would be a thousand calls for one permit. One
task leases for the next 50 ms of them, when the local window says that they may go. It lives as long as
somebody waits for a lease. A store that fails is left alone for some seconds, and the local window
decides alone: a store out of order must delay nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import attrs

from ._quota import SHARE
from ._soon import soon
from ._store import Lease, QuotaStore, Standing
from ._window import Window

_TICK = 0.05  # seconds of requests in one lease
_PATIENCE = 0.4  # seconds for one answer of the store
_ALONE = 5.0  # seconds without a store that failed
_KEEP = 1.0  # seconds that a lease is good for: later its request would be counted in another window
_ASK_AGAIN = 20.0  # seconds at most, since there may be room by now
_LEAST = 0.001  # seconds; a shorter wait is none, by any clock
_logger = logging.getLogger("envoy_async")


@attrs.frozen(eq=False, repr=False)
class Wish:
    """How many want to go now, and whether the first of them is patient."""

    waiting: int
    patient: bool


class Leases:
    """Permits from a store, in stock; `moved` is called when there are new ones."""

    def __init__(
        self,
        store: QuotaStore,
        line: str,
        window: Window,
        clock: Callable[[], float],
        moved: Callable[[], None],
    ) -> None:
        window.quota.infers = False  # others are known to the store
        self._store = store
        self._line = line
        self._window = window
        self._clock = clock
        self._moved = moved
        self._woken = asyncio.Event()
        self._stock = 0
        self._good_until = 0.0
        self._alone_until = 0.0
        self._wish: Wish | None = None
        self._pause = 0.0
        self._peeked = self._warned = self._closed = False
        self._asking: asyncio.Task[None] | None = None

    def take(self, now: float) -> bool:
        """Take one permit from the stock, if there is one or the store is out of order."""
        if now < self._alone_until:
            return True
        if not self._stock or now >= self._good_until:
            return False
        self._stock -= 1
        return True

    def want(self, wish: Wish) -> None:
        """Have permits leased; for the first interactive call at once, whatever a patient task was told."""
        if self._wish is not None and self._wish.patient and not wish.patient:
            self._woken.set()
        self._wish = wish
        self._start()

    def pause(self, seconds: float) -> None:
        """Tell the store of a pause."""
        self._pause = seconds
        self._woken.set()
        self._start()

    def close(self) -> asyncio.Task[None] | None:
        """Stop asking; gives the task that is ending."""
        if self._asking is not None and not self._closed:  # cancelled twice, it would not wait for what it asked
            self._asking.cancel()
        self._closed = True
        return self._asking

    def _start(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        while self._pause or self._wish:
            self._woken.clear()
            try:
                wait = await self._step()
            except asyncio.CancelledError as error:
                if self._closed:
                    raise
                self._give_up(error)
                wait = 0.0
            except Exception as error:  # noqa: BLE001 - whatever a store raises, calls go on without it
                self._give_up(error)
                wait = 0.0
            await self._rest(wait)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _step(self) -> float:
        """Ask one thing of the store; returns the seconds until the next."""
        if not self._peeked:
            self._peeked = True
            self._told(await soon(self._store.peek(self._line), _PATIENCE))
        if self._pause:
            pause, self._pause = self._pause, 0.0
            await soon(self._store.pause(self._line, pause), _PATIENCE)
        if self._wish is None:
            return 0.0
        lease = await self._lease(self._wish)
        self._told(lease.standing)
        if not lease.granted:
            return min(max(lease.retry_after, _LEAST), _ASK_AGAIN)
        self._stock, self._good_until = lease.granted, self._clock() + _KEEP
        self._next()
        return 0.0

    def _told(self, known: Standing | None) -> None:
        if known is not None:
            self._window.told(self._clock(), known.limit, known.window, known.pause)

    async def _lease(self, wish: Wish) -> Lease:
        quota = self._window.quota
        rate = 0.0 if quota.limit is None else SHARE * quota.limit / quota.length
        count = max(1, min(wish.waiting, int(rate * _TICK)))
        asked = self._store.lease(self._line, count, limit=quota.limit, window=quota.length, patient=wish.patient)
        return await soon(asked, _PATIENCE)

    def _give_up(self, error: BaseException) -> None:
        self._alone_until = self._clock() + _ALONE
        if not self._warned:
            self._warned = True
            _logger.warning("the quota store failed (%s): this client decides by itself", type(error).__name__)
        self._next()

    def _next(self) -> None:
        self._wish = None
        self._moved()
