"""A modelled Redis, for more processes than a machine can run.

The rule: it decides as `RedisDesk` over a real one does, with the arithmetic of throttled-py's script and keys that
expire; a test holds the two against each other. Its clock is an argument, and so is how long a round trip takes. It
counts what it is asked, and never gets slower by it: that is what the counts are for.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable

import attrs

from envoy_async.fleet._buckets import Bucket
from envoy_async.fleet._desk import Charge, Known, Look
from envoy_async.fleet._redis import _COUNTS, _KNOWN  # pyright: ignore[reportPrivateUsage]

_SPAN = 1000  # seconds in which a bucket's rate is a whole number


@attrs.define
class _Kept:
    """What is kept for a line. Times are seconds on the clock of Redis."""

    full_at: dict[str, float] = attrs.field(factory=dict[str, float])
    """When each bucket will be full."""
    known: Known | None = None
    known_until: float = 0.0
    paused_until: float = 0.0
    era: int = 0
    era_until: float = 0.0
    until: dict[int, float] = attrs.field(factory=dict[int, float])
    order: list[tuple[float, int]] = attrs.field(factory=list[tuple[float, int]])
    """Until when each process waits, and the same in this order."""


class ModelledRedis:
    """The data, which may be lost or out of reach, and the counts."""

    def __init__(self, clock: Callable[[], float], latency: float) -> None:
        self._clock = clock
        self._latency = latency
        self._lines: dict[str, _Kept] = {}
        self._eras = 0
        self.down = False
        self.asks = self.trips = self.commands = self.scripts = 0
        self.per_second: Counter[int] = Counter()
        """Commands in each second; a script is one."""

    async def reached(self, commands: int) -> float:
        """Make a round trip with so many commands; gives the time at which they run."""
        await asyncio.sleep(self._latency)
        if self.down:
            raise ConnectionRefusedError
        now = self._clock()
        self.trips += 1
        self.commands += commands
        self.per_second[int(now)] += commands
        return now

    def kept(self, line: str) -> _Kept:
        """Give what is kept for a line."""
        return self._lines.setdefault(line, _Kept())

    def new_era(self) -> int:
        """Give a number that was not given before."""
        self._eras += 1
        return self._eras

    def flush(self) -> None:
        """Lose the data."""
        self._lines.clear()


class ModelledDesk:
    """The numbers, as one process sees them."""

    def __init__(self, redis: ModelledRedis, name: int) -> None:
        self._redis = redis
        self._name = name

    async def look(self, line: str, window: float) -> Look:
        """Tell what is known, and remember for *window* seconds that somebody asked."""
        now = await self._redis.reached(6)
        self._redis.asks += 1
        kept = self._redis.kept(line)
        if now >= kept.era_until:
            kept.era = self._redis.new_era()
        kept.era_until = now + window
        known = kept.known if now < kept.known_until else None
        return Look(now, known, max(0.0, kept.paused_until - now), b"%d" % kept.era)

    async def charge(self, line: str, bucket: Bucket, cost: int) -> Charge:
        """Take so many requests from a bucket, or none."""
        charge = await self._script(line, bucket, cost)
        if not charge.granted and charge.retry_after / bucket.interval + bucket.usable - cost > bucket.deepest + 1:
            await self._redis.reached(1)
            self._redis.kept(line).full_at.pop(bucket.name, None)
            anew = bucket.owing if bucket.debt else bucket
            await self._script(line, anew, anew.usable)
        return charge

    async def _script(self, line: str, bucket: Bucket, cost: int) -> Charge:
        now = await self._redis.reached(1)
        self._redis.scripts += 1
        full_at = self._redis.kept(line).full_at
        interval, at = _SPAN / round(_SPAN / bucket.interval), max(now, full_at.get(bucket.name, now))
        remaining = bucket.usable - cost + math.floor((now - at) / interval)
        if remaining < 0:
            wait = at - now - (bucket.usable - cost) * interval
            return Charge(granted=False, remaining=min(bucket.usable, cost + remaining), retry_after=wait)
        full_at[bucket.name] = at + cost * interval
        return Charge(granted=True, remaining=remaining, retry_after=0.0)

    async def learn(self, line: str, known: Known, *, first: bool) -> None:
        """Note a quota; the *first* one only while none is known."""
        now = await self._redis.reached(1)
        kept = self._redis.kept(line)
        if not first or now >= kept.known_until:
            kept.known, kept.known_until = known, now + _KNOWN

    async def pause(self, line: str, seconds: float) -> None:
        """Note a pause; one that is longer stands."""
        until = await self._redis.reached(1) + seconds
        if self._redis.kept(line).paused_until < until:
            await self._redis.reached(1)
            self._redis.kept(line).paused_until = until

    async def attend(self, line: str, now: float, until: float) -> tuple[int, int]:
        """Sign in as one who waits until a time; tells how many processes wait, and how many there are."""
        await self._redis.reached(5)
        kept = self._redis.kept(line)
        if (before := kept.until.get(self._name)) is not None:
            del kept.order[bisect_left(kept.order, (before, self._name))]
        kept.until[self._name] = until
        insort(kept.order, (until, self._name))
        gone = bisect_left(kept.order, (now - _COUNTS, -1))
        for _, name in kept.order[:gone]:
            del kept.until[name]
        del kept.order[:gone]
        return len(kept.order) - bisect_left(kept.order, (now, -1)), len(kept.order)
