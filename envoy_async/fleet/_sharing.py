"""One process's share in a quota that is kept elsewhere: what it asks for, and how it gets on alone.

The rule: what counts is kept at the desk (Redis), by the desk's clock. A process remembers only what it needs to notice
that the desk forgot something or cannot be reached. Then it keeps to its part of the quota, by the number of processes
that the desk last told, and asks again some seconds later.

A desk that lost its data, or was away, knows nothing of what went out meanwhile. So before anything else, its burst
bucket is emptied, and only the even pace is left.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import TypeVar

import attrs

from .._gate import DOCUMENTED, soon
from ..quota import Lease, Standing
from ._buckets import Cut, cut, late
from ._desk import Charge, Desk, Known, Look

T = TypeVar("T")
_PATIENCE = 0.2  # seconds for all that is asked at once; a gate waits 0.4
_ALONE, _LONGEST_ALONE = 2.0, 6.0  # seconds, and up to a quarter more, until a desk that failed is asked again
_LINES = 1_000  # that a process remembers: those of keys it no longer uses are forgotten
_PART = 0.9  # of the quota is for those who cannot ask
_HEARTBEAT = 1.0  # seconds
_SLACK = 1.0  # seconds by which clocks may differ in length, over a window
_SPREAD = 0.5  # of the time in which each who waits gets a request: more would leave some unused
_LONGEST = 18.0  # seconds of that time: gates ask again after 20, and all who wait are to wait by chance
_logger = logging.getLogger("envoy_async")


@attrs.define
class _Line:
    """What a process remembers of a line. Times are seconds on its own clock."""

    known: Known | None = None
    waiting: int = 1
    processes: int = 1
    owed: int = 0
    """Requests granted before the quota was known, which no bucket was charged with."""
    ahead: float | None = None
    """How much the desk's clock is ahead of this process's."""
    refused: bool = False
    """Whether the last wish was."""
    wait: float = 0.0
    """For how many seconds it was."""
    era: bytes = b""
    seen_at: float = -math.inf
    signed_in_at: float = -math.inf
    paused_until: float = -math.inf
    sent: deque[float] = attrs.field(factory=deque[float])
    """When it was granted what, a window back."""
    alone: bool = False
    """Whether it was granted something without the desk since that was last asked."""

    @property
    def window(self) -> float:
        """Seconds of a window, as far as it is known."""
        return DOCUMENTED if self.known is None else self.known.window

    def count(self, now: float, granted: int) -> None:
        """Count what was granted; of what is older, as much is kept as a part of the quota is counted by."""
        self.sent.extend([now] * granted)
        while len(self.sent) > 1 and self.sent[0] < now - self.window - late(self.window):
            self.sent.popleft()


class Sharing:
    """Leases of one process, from a desk or from its own part of the quota."""

    def __init__(self, desk: Desk, clock: Callable[[], float], random: Random, processes: int) -> None:
        self._desk = desk
        self._clock = clock
        self._random = random
        self._processes = processes
        self._lines: dict[str, _Line] = {}
        self._alone_until = -math.inf
        self._failures = 0
        self.trouble: str | None = None
        """Why the desk is not asked at the moment."""

    async def lease(self, line: str, count: int, *, limit: int | None, window: float, patient: bool) -> Lease:
        """Grant up to *count* requests to go now, see `QuotaStore`."""
        mine = self._line(line)
        told = None if limit is None else Known(limit, window)
        lease = await self._asked(self._lease(line, mine, count, told, patient=patient))
        if lease is None:
            mine.known = _better(mine.known, told)
            lease = self._alone(mine)
        mine.count(self._clock(), lease.granted)
        return lease

    async def pause(self, line: str, seconds: float) -> None:
        """Grant nothing for so long."""
        mine = self._line(line)
        mine.paused_until = max(mine.paused_until, self._clock() + seconds)
        await self._asked(self._desk.pause(line, seconds))

    async def peek(self, line: str) -> Standing:
        """Tell what is known."""
        mine = self._line(line)
        look = await self._asked(self._desk.look(line, mine.window))
        if look is not None:
            mine.known = look.known or mine.known
        return self._standing(mine, 0.0 if look is None else look.pause)

    def _line(self, line: str) -> _Line:
        fresh = _Line(processes=self._processes)
        mine = self._lines[line] = self._lines.pop(line, fresh)  # the latest is last
        if len(self._lines) > _LINES:
            del self._lines[next(iter(self._lines))]
        return mine

    def _standing(self, mine: _Line, pause: float) -> Standing:
        pause = max(pause, mine.paused_until - self._clock(), 0.0)
        return Standing(pause=pause) if mine.known is None else Standing(mine.known.limit, mine.known.window, pause)

    async def _asked(self, question: Coroutine[object, object, T]) -> T | None:
        """Ask the desk, if it is in order; `None` when it is not."""
        if self._clock() < self._alone_until:
            question.close()
            return None
        try:
            answer = await soon(question, _PATIENCE)
        except Exception as error:  # noqa: BLE001 - whatever the desk's libraries raise, calls go on without it
            self._leave(error)
            return None
        self.trouble, self._failures = None, 0
        return answer

    def _leave(self, error: Exception) -> None:
        """Go on without the desk for a while; say so once, and never what an error of Redis may quote."""
        self._failures += 1
        alone = min(_ALONE * self._failures, _LONGEST_ALONE)  # a resolver that hangs takes a thread each time
        self._alone_until = self._clock() + alone * self._random.uniform(1.0, 1.25)
        if self.trouble is None:
            name = type(error.__cause__ or error).__name__
            _logger.warning("the shared quota is out of reach (%s): this process keeps to its part of it", name)
            self.trouble = name

    async def _lease(self, line: str, mine: _Line, count: int, told: Known | None, *, patient: bool) -> Lease:
        look = await self._look(line, mine, told)
        if look.pause:
            return Lease(0, look.pause, self._standing(mine, look.pause))
        if mine.known is None:
            mine.owed += count
            return Lease(count)
        parts = cut(mine.known.limit, mine.known.window)
        await self._settle(line, mine, look, parts)
        count = 1 if mine.refused else count  # who asks for more would be overtaken by those who ask for one
        charge = await self._take(line, parts, count, patient=patient)
        mine.refused = not charge.granted
        mine.wait = 0.0 if charge.granted else charge.retry_after + self._spread(mine, parts)
        return Lease(count if charge.granted else 0, mine.wait, self._standing(mine, 0.0))

    async def _look(self, line: str, mine: _Line, told: Known | None) -> Look:
        """Find out what is known, sign in now and then, and tell what is new."""
        now = self._clock()
        asking = self._desk.look(line, mine.window)
        if mine.ahead is None or now < mine.signed_in_at + _HEARTBEAT:
            look = await asking
        else:  # at the same time, since Redis may be far away
            mine.signed_in_at, at = now, now + mine.ahead
            until = at + _HEARTBEAT + max(_HEARTBEAT, mine.wait)
            look, counts = await asyncio.gather(asking, self._desk.attend(line, at, until))
            mine.waiting, mine.processes = counts
        mine.ahead = look.now - now
        mine.known = _better(look.known, told)
        if mine.known is not None and mine.known != look.known:
            if look.known is not None and look.known.window != mine.known.window:
                old, new = cut(look.known.limit, look.known.window), cut(mine.known.limit, mine.known.window)
                await self._carry_over(line, old, new, more=mine.waiting)
            await self._desk.learn(line, mine.known, first=look.known is None)
        return look

    async def _settle(self, line: str, mine: _Line, look: Look, parts: Cut) -> None:
        """Make up for what the desk does not know: what it forgot, and what went out without it."""
        now = self._clock()
        if mine.alone or (look.era != mine.era and now < mine.seen_at + mine.window - _SLACK):
            await self._empty(line, parts)
        mine.seen_at, mine.era, mine.alone = now, look.era, False
        if mine.owed:
            first = parts.burst or parts.steady
            await self._desk.charge(line, first, min(mine.owed, first.usable))
            mine.owed = 0

    async def _carry_over(self, line: str, old: Cut, new: Cut, *, more: int) -> None:
        """Charge the buckets of another window with what was taken from the old ones, and may just be taken."""
        if old.burst is None or new.burst is None:
            return
        for before, bucket in (old.burst, new.burst), (old.steady.owing, new.steady.owing):
            taken = before.usable - (await self._desk.charge(line, before, 0)).remaining
            await self._desk.charge(line, bucket, min(taken + more, bucket.usable))

    async def _empty(self, line: str, parts: Cut) -> None:
        """Let the even pace alone be left."""
        if parts.burst is not None:
            charge = await self._desk.charge(line, parts.burst, parts.burst.usable)
            if not charge.granted and charge.remaining > 0:
                await self._desk.charge(line, parts.burst, charge.remaining)

    async def _take(self, line: str, parts: Cut, count: int, *, patient: bool) -> Charge:
        """Take from the burst bucket, else from the steady one."""
        few, wait = parts.few if patient else 0, math.inf
        if parts.burst is not None:
            charge = await self._desk.charge(line, parts.burst.keeping(few), count)
            if charge.granted:
                if charge.remaining > parts.few:
                    await self._desk.charge(line, parts.steady.owing, count)
                return charge
            wait = charge.retry_after
        charge = await self._desk.charge(line, parts.steady, count)
        return attrs.evolve(charge, retry_after=min(wait, charge.retry_after))

    def _spread(self, mine: _Line, parts: Cut) -> float:
        """Let those who wait come one after the other, and not all for the same request."""
        return self._random.random() * min(_SPREAD * (mine.waiting - 1) * parts.interval, _LONGEST)

    def _alone(self, mine: _Line) -> Lease:
        """Grant one request, if that is within this process's part of the quota."""
        now, wait = self._clock(), 0.0
        if now < mine.paused_until:
            return Lease(0, mine.paused_until - now)
        if mine.known is not None:
            part = _PART * mine.known.limit / mine.processes
            most = max(1, int(part))
            if len(mine.sent) >= most:
                wait = mine.sent[-most] + mine.window * max(1.0, 1.0 / part) + late(mine.window) - now
        if wait > 0.0:
            return Lease(0, wait)
        mine.alone = True
        return Lease(1)


def _better(known: Known | None, told: Known | None) -> Known | None:
    """Join what the desk knows with what a client was told by the server.

    A window that is shorter than the documented one was measured; the documented one may only be the default.
    """
    if told is None or (known is not None and told.limit == known.limit and told.window >= DOCUMENTED):
        return known
    window = known.window if known is not None and told.window >= DOCUMENTED else told.window
    return Known(told.limit, window)
