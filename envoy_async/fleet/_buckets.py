"""How a shared quota is cut into two buckets, so that an idle fleet may burst and a busy one keeps an even pace.

The rule: the *burst* bucket is large and gains slowly, the *steady* one is small and gains fast. A request is taken
from the burst bucket first, and from the steady one when that is empty. What goes out in a burst is a debt of the
steady bucket, which stays shut until it has gained as much. So a trailing window never holds more than the quota: a
whole burst of 70 % shuts the steady bucket for a window, in which the burst bucket gains 25 %. When both are in use,
they give what they gain, 25 % and 72 %, and the few requests the steady one holds.

One bucket with an even pace would slow a short job: 25 pages under 100 requests per minute would take 15 seconds. A log
of all requests would let it go at once, too, but makes a busy fleet send its whole quota in one moment of each window,
where everything depends on how long each request is on its way.
"""

from __future__ import annotations

import attrs

from .._gate import SHARE

_BURST = 0.25  # of the quota per window is what the burst bucket gains
_HELD = 0.02  # of the quota is what the steady bucket holds
_LATE = 0.5  # seconds from a grant to the server's count of the request, and …
_LATEST = 0.025  # … of the window at most
_WHOLE = 33  # a smaller quota is not cut: halves of requests would add up to more than it


@attrs.frozen
class Bucket:
    """A token bucket, as one who asks it sees it: a request every *interval* seconds, at most *usable* at once."""

    name: str
    """Another for each length of window: what a bucket lacks is kept in seconds."""
    interval: float
    usable: int
    deepest: float
    """Requests it lacks at most, when it is empty and all its debts are unpaid."""
    debt: float = 0.0
    """Seconds for which a request of a burst keeps it shut."""

    def keeping(self, few: int) -> Bucket:
        """Give the bucket as those see it who leave a few to others."""
        return attrs.evolve(self, usable=max(1, self.usable - few))

    @property
    def owing(self) -> Bucket:
        """Give the bucket as those see it who charge it with what it does not hold."""
        return attrs.evolve(self, interval=self.debt, usable=int(self.deepest * self.interval / self.debt))


@attrs.frozen
class Cut:
    """A quota in two buckets, or in one if it is small."""

    burst: Bucket | None
    steady: Bucket
    few: int
    """Requests that patient tasks leave in the burst bucket to the others; taken down to so many, it was no burst."""

    @property
    def interval(self) -> float:
        """Seconds from one request to the next when all is used."""
        return 1.0 / ((1.0 / self.burst.interval if self.burst else 0.0) + 1.0 / self.steady.interval)


def late(window: float) -> float:
    """Tell how many seconds after its grant a request may be counted."""
    return min(_LATE, _LATEST * window)


def cut(limit: int, window: float) -> Cut:
    """Cut a quota of *limit* requests per *window* seconds."""
    if limit < _WHOLE:
        return Cut(None, Bucket(f"steady:{window:g}", window / (SHARE * limit), 1, 1), 0)
    gain = SHARE - _BURST
    most, held = int((gain - _HELD) * limit), int(_HELD * limit) or 1
    interval, shut = window / (gain * limit), window + late(window)
    burst = Bucket(f"burst:{window:g}", window / (_BURST * limit), most, most)
    steady = Bucket(f"steady:{window:g}", interval, held, held + 1 + shut / interval, shut / most)
    return Cut(burst, steady, max(1, limit // 100))
