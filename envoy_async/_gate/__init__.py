"""The quota gate: all tasks of a client behave as one polite caller.

The rule: `Window` is arithmetic over times it is told and what the server's headers say; `Gate` puts tasks in
front of it, interactive calls in one line and patient ones (listings, bulk, export) in another. Within a line
it is first come, first served. Interactive calls go first, but every tenth permit goes to a patient task that
waits, so nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

from ..errors import ClientClosedError
from ._ending import Ending
from ._leases import Leases, Wish
from ._quota import DOCUMENTED, SHARE
from ._soon import soon
from ._store import Lease, LocalQuotaStore, QuotaStore, Standing
from ._window import Window

__all__ = [
    "CATEGORIES",
    "DOCUMENTED",
    "SHARE",
    "Ending",
    "Gate",
    "Lease",
    "LocalQuotaStore",
    "QuotaStore",
    "Standing",
    "Window",
    "category",
    "soon",
]

CATEGORIES = ("auth", "api-keys", "general")  # each has a quota of its own (rate-limit guide, seen)
_IN_A_ROW = 9  # interactive permits while a patient task waits

Line: TypeAlias = "deque[asyncio.Future[None]]"


@lru_cache(256)
def category(path: str) -> str:
    """Name the quota a request counts against, by the first part of its path."""
    first = path.split("/", 2)[1]
    return first if first in CATEGORIES else "general"


class Gate:
    """Two lines of tasks in front of a `Window`, within one event loop.

    Without a *store* the window alone decides, by what it sent and what the server says of others. With one, the
    window and a lease from the store must agree, under the name *line*.
    """

    def __init__(
        self, window: Window, clock: Callable[[], float], *, store: QuotaStore | None = None, line: str = ""
    ) -> None:
        self._window = window
        self._clock = clock
        self._interactive: Line = deque()
        self._patient: Line = deque()
        self._waiting = 0
        self._passed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._leases = None if store is None else Leases(store, line, window, clock, self._move)

    @property
    def waiting(self) -> int:
        """How many tasks stand in line."""
        return self._waiting

    @property
    def full(self) -> bool:
        """Whether the lines stand still because too many requests are under way, not for quota."""
        return self._window.full

    def enter(self, now: float, *, patient: bool = False) -> bool:
        """Take a permit if one is free and nobody is to go before; says whether it was taken."""
        if self._closed:
            raise _closed()
        if not self._waiting and self._leases is None and self._window.enter(now, patient=patient):
            return True
        if (self._waiting and not self._first(patient=patient)) or self._window.delay(now, patient=patient) > 0.0:
            return False
        if self._leases is not None and not self._leases.take(now):
            return False
        self._window.sent(now, patient=patient)
        if self._waiting and not patient:
            self._passed += 1
        return True

    async def wait(self, *, patient: bool = False) -> None:
        """Wait in line for a permit. A cancelled waiter's permit goes to the next."""
        turn = asyncio.get_running_loop().create_future()
        (self._patient if patient else self._interactive).append(turn)
        self._waiting += 1
        self._move()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self.give_back()
            raise
        finally:
            self._waiting -= 1
        if self._closed:  # in the moment its turn came
            self._window.unsent()
            raise _closed()

    @property
    def paused(self) -> float:
        """Seconds for which nobody goes."""
        return self._window.paused_until - self._clock()

    def refusals(self, now: float) -> int:
        """Count the pauses in a row, that of a refusal now included; an answer or a quiet window ends the row."""
        return self._window.refusals(now)

    def give_back(self) -> None:
        """Hand a permit back that was not used."""
        self._window.unsent()
        self._move()

    def leave(self, now: float, headers: Mapping[str, str] | None, ending: Ending, pause: float = 0.0) -> None:
        """Hand the permit back after the attempt, with the answer's headers; a *pause* (seconds) is for everybody."""
        self._window.done(now, headers, ending, pause)
        if pause and self._leases is not None and not self._closed:
            self._leases.pause(pause)
        if self._waiting:
            self._move()

    def close(self) -> None:
        """Send everybody in line away with `ClientClosedError`."""
        if self._timer is not None:
            self._timer.cancel()
        self._closed = True
        for line in self._interactive, self._patient:
            for turn in line:
                if not turn.done():
                    turn.set_exception(_closed())
            line.clear()
        if self._leases is not None:
            self._leases.close()

    async def ended(self) -> None:
        """Wait until the closed gate's own task, which asks the store, is over."""
        if self._leases is not None and (asking := self._leases.close()) is not None:
            await asyncio.wait([asking])

    def _first(self, *, patient: bool) -> bool:
        """Whether a newcomer would be the first to go."""
        if _head(self._interactive) is not None:
            return False
        return _head(self._patient) is None or (not patient and self._passed < _IN_A_ROW)

    def _move(self) -> None:
        """Let those go whose turn it is, and come back when the next may."""
        while not self._closed:
            now = self._clock()
            line, delay = self._next(now)
            if line is None:
                return
            if delay > 0.0:
                self._come_back(delay)
                return
            patient = line is self._patient
            if self._leases is not None and not self._leases.take(now):
                self._leases.want(Wish(self._waiting, patient))
                return
            self._window.sent(now, patient=patient)
            line.popleft().set_result(None)
            self._passed = 0 if patient or _head(self._patient) is None else self._passed + 1

    def _next(self, now: float) -> tuple[Line | None, float]:
        """Choose the line that moves next, and tell how long it has to wait."""
        interactive, patient = _head(self._interactive) is not None, _head(self._patient) is not None
        if patient and interactive and self._passed >= _IN_A_ROW:
            return self._patient, self._window.delay(now)  # its turn has come, with the rights of an interactive call
        if patient and not interactive:
            return self._patient, self._window.delay(now, patient=True)
        if interactive:
            return self._interactive, self._window.delay(now)
        return None, math.inf

    def _come_back(self, delay: float) -> None:
        if delay == math.inf:  # an answer moves the line
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + delay:
                return  # it looks again then: a timer for each step would fill the loop's heap
            self._timer.cancel()
        self._timer = loop.call_later(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        self._move()


def _head(line: Line) -> asyncio.Future[None] | None:
    """Give the first in line; those who were cancelled have left it."""
    while line and line[0].done():
        line.popleft()
    return line[0] if line else None


def _closed() -> ClientClosedError:
    return ClientClosedError("the client was closed")
