"""How many requests one credential may send: pure arithmetic, the clock is an argument.

The vendor documents the limit and its headers, not the algorithm. Both usual ones are here, because a
client that is polite to one of them may still be refused by the other.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, Protocol, TypeAlias

import attrs

Algorithm: TypeAlias = Literal["fixed", "sliding"]

UNLIMITED = 1_000_000_000


@attrs.frozen(kw_only=True)
class Standing:
    """Where a credential stands at one instant; ``reset`` in Unix seconds, ``wait`` in seconds (0: may send)."""

    limit: int
    remaining: int
    reset: float
    wait: float

    @property
    def retry_after(self) -> int:
        """Whole seconds, rounded up, after which a request is accepted again."""
        return max(1, math.ceil(self.wait))

    @property
    def headers(self) -> dict[str, str]:
        """The three headers every answer carries."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.floor(self.reset)),
        }


class Quota(Protocol):
    """Counts the accepted requests of one credential."""

    def look(self, now: float) -> Standing:
        """Tell the standing at `now` (Unix seconds) without using anything."""
        ...

    def spend(self, now: float, count: int = 1) -> None:
        """Use up `count` requests at `now`, never more than remain."""
        ...


class FixedWindow:
    """Counts per window; windows are aligned to multiples of their length since the epoch."""

    def __init__(self, limit: int, window: float) -> None:
        """Allow `limit` requests per `window` seconds."""
        self._limit = limit
        self._window = window
        self._index: float = 0.0
        self._used = 0

    def look(self, now: float) -> Standing:
        """Tell the standing at `now` (Unix seconds) without using anything."""
        self._turn(now)
        remaining = self._limit - self._used
        reset = (self._index + 1) * self._window
        return Standing(limit=self._limit, remaining=remaining, reset=reset, wait=0.0 if remaining else reset - now)

    def spend(self, now: float, count: int = 1) -> None:
        """Use up `count` requests at `now`, never more than remain."""
        self._turn(now)
        self._used = min(self._limit, self._used + count)

    def _turn(self, now: float) -> None:
        """Start counting anew when `now` lies in another window."""
        index = now // self._window
        if index != self._index:
            self._index = index
            self._used = 0


class SlidingWindow:
    """Keeps the instants of accepted requests; a request leaves exactly one window after it came."""

    def __init__(self, limit: int, window: float) -> None:
        """Allow `limit` requests in any `window` seconds."""
        self._limit = limit
        self._window = window
        self._log: deque[float] = deque()

    def look(self, now: float) -> Standing:
        """Tell the standing at `now` (Unix seconds) without using anything."""
        while self._log and self._log[0] + self._window <= now:
            self._log.popleft()
        remaining = self._limit - len(self._log)
        reset = self._log[0] + self._window if self._log else now
        return Standing(limit=self._limit, remaining=remaining, reset=reset, wait=0.0 if remaining else reset - now)

    def spend(self, now: float, count: int = 1) -> None:
        """Use up `count` requests at `now`, never more than remain."""
        remaining = self.look(now).remaining
        self._log.extend([now] * min(count, remaining))


def make_quota(limit: int | None, window: float, algorithm: Algorithm) -> Quota:
    """Choose the counter; no limit is a limit nobody reaches (counted by window: a log would only grow)."""
    if window <= 0 or (limit is not None and limit < 1):
        raise ValueError(f"quota and window must be positive, got quota={limit}, window={window}")
    if limit is None:
        return FixedWindow(UNLIMITED, window)
    if algorithm == "fixed":
        return FixedWindow(limit, window)
    if algorithm == "sliding":
        return SlidingWindow(limit, window)
    raise ValueError(f"algorithm must be 'fixed' or 'sliding', got {algorithm!r}")
