"""Where clients that share a key agree on its quota.

The rule: a store hands out leases, a few requests at a time, remembers pauses, and tells what it knows; it decides
nothing about order, priorities, or retries. A gate without a store decides by its own window alone, which is
right for one client on the key, and polite beside others. `LocalQuotaStore` lets the clients of one process,
in any of its threads and event loops, share one quota.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random
from typing import Protocol

import attrs

from ._ending import Ending
from ._quota import DOCUMENTED
from ._window import Window

_ON_THE_WAY = 0.5  # seconds from a lease to the server's count of its request


@attrs.frozen
class Standing:
    """What a store knows of a line: the limit per window if anybody told it, and the seconds left of a pause."""

    limit: int | None = None
    window: float = DOCUMENTED
    pause: float = 0.0


@attrs.frozen
class Lease:
    """The answer to a wish: how many requests may go now, or if none, after how many seconds to ask again."""

    granted: int
    retry_after: float = 0.0
    standing: Standing | None = None
    """What is known of the line by now, if the store tells."""


class QuotaStore(Protocol):
    """What a gate asks of a place where clients agree on a quota.

    A *line* names a quota: the same for all who share it, another for each category. A store that raises, or takes
    longer than 0.4 seconds, is left alone for a while; the gate then decides by itself.
    """

    async def lease(self, line: str, count: int, *, limit: int | None, window: float, patient: bool) -> Lease:
        """Grant up to *count* requests to go now; *limit* per *window* seconds, or no limit known yet.

        A *patient* lease is for a listing or a bulk run; a store may keep a little back for the others.
        """
        ...

    async def pause(self, line: str, seconds: float) -> None:
        """Grant nothing for so long: the server refused a request."""
        ...

    async def peek(self, line: str) -> Standing:
        """Tell what is known, and take nothing."""
        ...


class LocalQuotaStore:
    """Shares quotas between the clients of one process; safe to use from several threads and event loops.

    It counts like a gate does: the whole quota may go at once, and a run longer than a window is spaced evenly.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # nothing is awaited under it
        self._windows: dict[str, Window] = {}

    async def lease(self, line: str, count: int, *, limit: int | None, window: float, patient: bool) -> Lease:
        """Grant up to *count* requests to go now."""
        with self._lock:
            shared, now = self._window(line), self._clock()
            if limit is not None:
                shared.quota.limit, shared.quota.length = limit, window + _ON_THE_WAY
            granted = 0
            while granted < count and shared.delay(now, patient=patient) == 0.0:
                shared.sent(now, patient=patient)
                shared.done(now, None, Ending.ABANDONED)
                granted += 1
            return Lease(granted, 0.0 if granted else shared.delay(now, patient=patient))

    async def pause(self, line: str, seconds: float) -> None:
        """Grant nothing for so long."""
        with self._lock:
            self._window(line).pause(self._clock(), seconds)

    async def peek(self, line: str) -> Standing:
        """Tell what is known."""
        with self._lock:
            shared = self._window(line)
            left = max(0.0, shared.paused_until - self._clock())
            length = shared.quota.length - (_ON_THE_WAY if shared.quota.limit else 0.0)
            return Standing(shared.quota.limit, length, left)

    def _window(self, line: str) -> Window:
        return self._windows.setdefault(line, Window(Random(0)))  # noqa: S311 - never draws: no attempt fails
