"""How many requests one caller may send: pure arithmetic, the clock is an argument.

The vendor documents three categories (``/auth/*``, ``/api-keys/*``, and all else) with their limits and headers, not
the algorithm. Both usual ones are here, because a client that is polite to one of them may still be refused by the
other. Assumptions of ours: that each credential counts for itself, and that ``/auth/*``, which takes no credential,
is counted by the address of the caller.
"""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

Algorithm: TypeAlias = Literal["fixed", "sliding"]
Category: TypeAlias = Literal["auth", "api keys", "general"]

UNLIMITED = 1_000_000_000
AUTH_LIMIT = 10
API_KEYS_LIMIT = 1_000


@attrs.frozen(kw_only=True)
class Standing:
    """Where a caller stands at one instant; ``reset`` in Unix seconds, ``wait`` in seconds (0: may send)."""

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
    """Counts the accepted requests of one caller."""

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


class Ledger:
    """The quotas of all callers, each opened when it is first spent from: whoever only knocks leaves no trace."""

    def __init__(self, limit: int | None, window: float, algorithm: Algorithm) -> None:
        """Allow `limit` general requests per `window` seconds; None lifts the limits of all categories."""
        auth, api_keys = (None, None) if limit is None else (AUTH_LIMIT, API_KEYS_LIMIT)
        self._limits: Mapping[Category, int | None] = {"auth": auth, "api keys": api_keys, "general": limit}
        self._new = partial(make_quota, window=window, algorithm=algorithm)
        self._new(limit)  # senseless settings are refused at once
        self._quotas: dict[tuple[Category, str], Quota] = {}

    def look(self, category: Category, holder: str, now: float) -> Standing:
        """Tell the standing of `holder`; one who has spent nothing yet has a full quota."""
        quota = self._quotas.get((category, holder)) or self._new(self._limits[category])
        return quota.look(now)

    def spend(self, category: Category, holder: str, now: float, count: int = 1) -> None:
        """Use up `count` requests of `holder`, never more than remain."""
        key = (category, holder)
        if key not in self._quotas:
            self._quotas[key] = self._new(self._limits[category])
        self._quotas[key].spend(now, count)


def category_of(path: str) -> Category:
    """Tell which quota a path (below the base path) counts against."""
    if path.startswith("/auth/"):
        return "auth"
    if path == "/api-keys" or path.startswith("/api-keys/"):
        return "api keys"
    return "general"
