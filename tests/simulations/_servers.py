"""Modelled servers and an event loop whose time passes only where nothing happens.

The rule: a server decides at one moment whether a request is accepted, and tells what the vendor's would: the three
quota headers in whole seconds, and `Retry-After` when it refuses. It knows nothing of the gate.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections import Counter, deque
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache

EPOCH = 1_763_740_800.0
WINDOW = 60.0  # seconds


class Skipping(selectors.DefaultSelector):
    """Never waits: it adds up the time that would have been waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Skip the time to the next timer; no socket is ever ready."""
        if timeout is None:
            raise RuntimeError("everybody waits for ever")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Return the seconds skipped so far."""
        return self._skipping.now


@lru_cache(4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class Server:
    """Counts requests: `fixed` or `sliding` windows, a token `bucket`, or a `leaky` bucket of a tenth of the quota."""

    def __init__(self, kind: str, quota: int, *, headers: bool = True, offset: float = 0.0) -> None:
        self.kind, self.quota, self._headers, self._offset = kind, quota, headers, offset
        self.accepted: dict[str, list[float]] = {"own": [], "others": []}
        self.refused: Counter[str] = Counter()
        self.refused_at: list[float] = []
        self._log: deque[float] = deque()
        self._used, self._index = 0, -1.0
        self._tokens, self._at = math.inf, 0.0

    def hit(self, now: float, who: str = "own") -> tuple[dict[str, str], bool]:
        """Take one request; returns the headers of the answer, and whether it was accepted."""
        at = now + self._offset
        room, wait, _ = self._look(at)
        if room >= 1:
            self._take(at)
            self.accepted[who].append(now)
        else:
            self.refused[who] += 1
            self.refused_at.append(now)
        return self._told(at, max(1, math.ceil(wait)) if room < 1 else 0), room >= 1

    def _told(self, at: float, wait: int) -> dict[str, str]:
        retry_after = {"Retry-After": str(wait)} if wait else {}
        if not self._headers:
            return retry_after
        room, _, reset = self._look(at)
        return {
            "X-RateLimit-Limit": str(self.quota),
            "X-RateLimit-Remaining": str(max(0, int(room))),
            "X-RateLimit-Reset": str(int(EPOCH + reset)),
            "Date": _date(int(EPOCH + at)),
        } | retry_after

    def _look(self, at: float) -> tuple[float, float, float]:
        """Tell how many requests fit in now, the seconds until one does, and the `Reset`."""
        if self.kind == "fixed":
            if at // WINDOW != self._index:
                self._index, self._used = at // WINDOW, 0
            reset = (self._index + 1) * WINDOW
            return self.quota - self._used, reset - at, reset
        if self.kind == "sliding":
            while self._log and self._log[0] + WINDOW <= at:
                self._log.popleft()
            over = len(self._log) - self.quota
            wait = self._log[over] + WINDOW - at if over >= 0 else 0.0
            return -over, wait, (self._log[0] if self._log else at) + WINDOW
        rate, most = self.quota / WINDOW, self.quota if self.kind == "bucket" else max(1, self.quota // 10)
        self._tokens, self._at = min(most, self._tokens + (at - self._at) * rate), at
        return self._tokens, (1 - self._tokens) / rate, at + WINDOW

    def _take(self, at: float) -> None:
        if self.kind == "fixed":
            self._used += 1
        elif self.kind == "sliding":
            self._log.append(at)
        else:
            self._tokens -= 1


def per_span(times: Iterable[float], span: float, end: float) -> list[int]:
    """Count times per span of so many seconds, from 0 to the end."""
    counts = Counter(int(at / span) for at in times)
    return [counts[index] for index in range(int(end / span))]
