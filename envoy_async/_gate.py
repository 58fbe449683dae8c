"""The quota gate: all tasks of a client behave as one polite caller.

The rule: `Window` is arithmetic over times it is told and what the server's headers say; `Gate` puts tasks
in one line in front of it. A request goes at once while fewer than 97 % of the quota went out in the
trailing window and the server's `Remaining` agrees; then the line moves as the window does. After a 429
everybody waits. A request counts from its sending until one window after its *answer*: the server counted
it at some moment in between, so no trailing window of the server's ever holds more.

The length of the window is the documented minute until an answer says that its request is alone in the
window: then `Reset - Date` (both on the server's clock) is a whole window. What others use of the quota is left
to them until the server's reset; then one request asks again. So it does while the length is not known.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum

from ._wire import http_date
from .errors import ClientClosedError

SHARE = 0.97
_LONGEST = 3600.0  # seconds; a `Reset` further away is not believed
CATEGORIES = ("auth", "api-keys", "general")  # each has a quota of its own (rate-limit guide, seen)
_DOCUMENTED = 60.0  # seconds (rate-limit guide, seen); one or two more are rounding


def category(path: str) -> str:
    """Name the quota a request counts against, by the first part of its path."""
    first = path.split("/", 2)[1]
    return first if first in CATEGORIES else "general"


class Ending(Enum):
    """How an attempt ended, as far as the gate is concerned."""

    ANSWERED = "answered"
    REFUSED = "refused"  # 429
    FAILED = "failed"  # 5xx
    LOST = "lost"  # no connection, no answer, too late, or 503
    ABANDONED = "abandoned"  # cancelled, or never sent: says nothing


class Window:
    """How many requests may go now, and if none, for how long not. Times are seconds on the caller's clock."""

    def __init__(self, max_in_flight: int) -> None:
        self.limit: int | None = None
        self.length = _DOCUMENTED
        self._measured = False
        self.in_flight = 0
        self._max_in_flight = max_in_flight
        self._answered: deque[float] = deque()
        self._asked = False
        self._paused_until = -math.inf
        self._foreign = 0
        self._refill_at = math.inf

    def delay(self, now: float) -> float:
        """Seconds until a request may go: 0 for now, infinity for not before an answer arrives."""
        if now < self._paused_until:
            return self._paused_until - now
        if self.full:
            return math.inf
        if self.limit is None:  # one request asks first, so that its answer tells the quota
            return math.inf if self.in_flight and not self._asked else 0.0
        self._forget(now)
        if self.in_flight + len(self._answered) + self._foreign < SHARE * self.limit:
            return 0.0
        ends = [self._answered[0] + self.length - now] if self._answered else []
        if not self.in_flight and (self._foreign or not self._measured):
            # by the server's word there is room again then: one request asks how much
            ends.append(self._refill_at - now)
        return max(0.0, min(ends, default=math.inf))

    @property
    def full(self) -> bool:
        """Whether as many requests are under way as may be at once."""
        return self.in_flight >= self._max_in_flight

    def sent(self) -> None:
        """Count a request that goes out now."""
        self.in_flight += 1

    def unsent(self) -> None:
        """Take back a request that never went out."""
        self.in_flight -= 1

    def done(self, now: float, headers: Mapping[str, str] | None) -> None:
        """Count a request's end, and learn from the answer's headers (`None` without an answer)."""
        self.in_flight -= 1
        self._answered.append(now)
        self._asked = True
        if headers is not None:
            self._learn(now, headers)
        if self.limit is None:
            self._answered.clear()  # nothing is counted against an unknown quota

    def abandon(self) -> None:
        """Forget what is under way: it ended with its loop, and told nobody."""
        self.in_flight = 0

    def pause(self, now: float, seconds: float) -> None:
        """Let nobody go for so long, an hour at most; a pause is never shortened."""
        self._paused_until = max(self._paused_until, now + min(seconds, _LONGEST))

    def _forget(self, now: float) -> None:
        while self._answered and self._answered[0] + self.length <= now:
            self._answered.popleft()

    def _learn(self, now: float, headers: Mapping[str, str]) -> None:
        limit = _whole(headers.get("X-RateLimit-Limit"))
        if not limit:
            return
        self.limit = limit
        reset = _until_reset(headers)
        remaining = _whole(headers.get("X-RateLimit-Remaining"))
        if remaining is None:
            return
        if remaining >= limit - 1:  # nobody but this request is in the window, so its end is a whole window away
            self.length, self._measured = reset, True
        self._forget(now)
        foreign = max(0, limit - remaining - self.in_flight - len(self._answered))
        # what is under way may not have reached the server when it counted, so it can only add to what we know
        self._foreign = max(foreign, self._foreign) if self.in_flight else foreign
        self._refill_at = now + reset + 1  # the server's times are whole seconds


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,12}", text) else None


def _until_reset(headers: Mapping[str, str]) -> float:
    """Seconds from the server's `Date` to its `Reset`, at least 1: both are whole seconds."""
    reset, date = _whole(headers.get("X-RateLimit-Reset")), http_date(headers.get("Date"))
    if reset is None or date is None:
        return _DOCUMENTED
    span = min(max(reset - date.timestamp(), 1.0), _LONGEST)
    return _DOCUMENTED if _DOCUMENTED < span <= _DOCUMENTED + 2 else span


class Gate:
    """A first-come, first-served line of tasks in front of a `Window`, within one event loop."""

    def __init__(self, window: Window, clock: Callable[[], float]) -> None:
        self._window = window
        self._clock = clock
        self._line: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many tasks stand in line."""
        return len(self._line)

    def enter(self, *, patient: bool = False) -> bool:
        """Take a permit if one is free and nobody waits; says whether it was taken."""
        if self._closed:
            raise _closed()
        if self._line or self._window.delay(self._clock()) > 0:
            return False
        self._window.sent()
        return True

    async def wait(self, *, patient: bool = False) -> None:
        """Wait in line for a permit. A cancelled waiter's permit goes to the next."""
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        self._move()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give_back()
            raise
        if self._closed:  # in the moment its turn came
            self._window.unsent()
            raise _closed()

    def give_back(self) -> None:
        """Hand a permit back that was not used."""
        self._window.unsent()
        self._move()

    def leave(self, headers: Mapping[str, str] | None, ending: Ending, pause: float = 0.0) -> None:
        """Hand the permit back after the attempt, with the answer's headers; a *pause* (seconds) is for everybody."""
        if pause:
            self._window.pause(self._clock(), pause)
        self._window.done(self._clock(), headers)
        self._move()

    def pause(self, seconds: float) -> None:
        """Let nobody go for this long."""
        self._window.pause(self._clock(), seconds)
        self._move()

    @property
    def full(self) -> bool:
        """Whether the line stands still because too many requests are under way, not for quota."""
        return self._window.full

    def close(self) -> None:
        """Send everybody in line away with `ClientClosedError`."""
        if self._timer is not None:
            self._timer.cancel()
        self._closed = True
        for turn in self._line:
            if not turn.done():
                turn.set_exception(_closed())
        self._line.clear()

    def _move(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._line:
            if self._line[0].done():
                self._line.popleft()
                continue
            delay = self._window.delay(self._clock())
            if delay > 0:
                if delay < math.inf:
                    self._timer = asyncio.get_running_loop().call_later(delay, self._move)
                return
            self._window.sent()
            self._line.popleft().set_result(None)


def _closed() -> ClientClosedError:
    return ClientClosedError("the client was closed")
