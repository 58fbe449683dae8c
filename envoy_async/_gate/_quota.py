"""What the server's headers say about the quota, and what others use of it.

The rule: `Reset` is read against the server's own `Date`, never against a local clock; garbage is ignored. The
length of the window is the documented minute until an answer says that its request is alone in the window:
then `Reset - Date` is a whole window.

What `Remaining` lacks and our own log does not explain, others with the same key used. Of a sliding window or
a token bucket that is the whole truth: their part stays free, and whatever leaves the window makes room. A
window that is counted from fixed borders shows itself by a `Reset` that stands still until it comes. Nothing
leaves such a window before its end, so what remains is spread over the time to the end, less what the others
took per second of the windows before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import attrs

from .._headers import http_date, whole

SHARE = 0.97
MARGIN = 0.03
_OTHERS = 0.01  # of the limit; less is no other client, but a request counted beyond a border
DOCUMENTED = 60.0  # seconds (rate-limit guide, seen); one or two more are rounding
_PROBING = 0.05  # of the rate: a new window must be asked about, whatever others took of the last
_GRAIN, _MOST_SKIPS = 500, 50  # readings for each quota, at least; answers between two readings, at most
_ROUNDING = 2.0  # seconds
LONGEST = 3600.0  # seconds of a pause


class Quota:
    """Limit, window, and foreign traffic, as the server tells. Times are seconds on the caller's clock."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self.length = DOCUMENTED
        self.measured = False
        self.foreign = 0
        self.told = False
        """Whether the last answer that was read named the limit."""
        self.empty = False
        """Whether the last answer said that nothing remains."""
        self.refill_at = math.inf
        self.infers = True
        """Whether others are seen by `Remaining`; not where a store knows of them."""
        self._texts: tuple[str | None, ...] = ()
        self._last = Read(None, None, DOCUMENTED)
        self.borders = Borders()

    @property
    def usable(self) -> float:
        """How many own requests the trailing window may hold; any number while the limit is unknown."""
        return math.inf if self.limit is None else SHARE * self.limit - self.foreign

    @property
    def skips(self) -> int:
        """How many answers may go unread: of a large quota that nobody else uses, one of many is enough."""
        if self.limit is None:
            return _MOST_SKIPS
        return 0 if self.foreign else min(_MOST_SKIPS, (self.limit - 1) // _GRAIN)

    def news(self, headers: Mapping[str, str] | None) -> bool:
        """Whether these headers tell a limit."""
        return headers is not None and "X-RateLimit-Limit" in headers

    def learn(self, now: float, headers: Mapping[str, str], own: int, in_flight: int, *, answers: int = 1) -> None:
        """Read an answer's headers, with so many own requests in the trailing window, and so many under way.

        It is the last of so many *answers*; the others were not read.
        """
        read = self._read(headers.get("X-RateLimit-Limit"), headers.get("X-RateLimit-Reset"), headers.get("Date"))
        limit = read.limit
        self.told = bool(limit)
        if not limit:
            return
        changed, self.limit = limit != self.limit, limit
        remaining = whole(headers.get("X-RateLimit-Remaining"))
        self.empty = remaining == 0
        if remaining is None:
            return
        # Who is alone in the window sees its end a whole window away, unless it has fixed borders and began before.
        # So a window may turn out longer than it seemed at first, up to the documented minute, and never shorter.
        if remaining >= limit - 1 and (not self.measured or read.ahead > self.length):
            self.length, self.measured = read.ahead, True
        elif self.length + 1 < read.ahead <= DOCUMENTED:
            self.length = read.ahead
        if not self.infers:
            return
        foreign = limit - remaining - in_flight - own
        if foreign > 0 or self.foreign:
            # what is under way may not have reached the server when it counted, so it can only add to what we know
            self.foreign = max(0, foreign, self.foreign) if in_flight and not changed else max(0, foreign)
        self.refill_at = now + read.ahead + 1  # the server's times are whole seconds
        if read.reset is not None:
            self.borders.told(now, read.reset, read.ahead, self.length, Left(limit, remaining - in_flight), answers)

    def _read(self, *texts: str | None) -> Read:
        """Read the headers that stay the same for a second: reading a date takes longer than all else here."""
        if texts != self._texts:
            limit, reset, date = texts
            self._texts, self._last = texts, _read(whole(limit), whole(reset), date)
        return self._last


def _read(limit: int | None, reset: int | None, date: str | None) -> Read:
    """Read `Reset` against the server's `Date`, at least 1 second ahead: both are whole seconds.

    What lies further ahead than the documented minute, but for rounding, is not believed: a window so long would stop
    the client for as long.
    """
    at = http_date(date)
    if reset is None or at is None or reset - at.timestamp() > DOCUMENTED + _ROUNDING:
        return Read(limit, None, DOCUMENTED)
    return Read(limit, reset, min(max(reset - at.timestamp(), 1.0), DOCUMENTED))


@attrs.frozen(eq=False, repr=False)
class Read:
    """The limit, and when it is said to be whole again: in Unix seconds, and in seconds from the answer's `Date`."""

    limit: int | None
    reset: int | None
    ahead: float


class Left(NamedTuple):  # made for each answer, and four times as fast to make as an attrs class
    """What one answer says of the quota: the limit, and what remains of it beside the requests under way."""

    limit: int
    free: int


class Borders:
    """A window counted from fixed borders: when it ends, and what others take of it."""

    def __init__(self) -> None:
        self.others = 0.0
        """Requests per second that others send; above 0 only where there are borders."""
        self._reset = 0
        self._began = self._seen = 0.0
        self._ends = math.inf
        self._own = 0
        self._length = DOCUMENTED
        self._left: Left | None = None

    def told(self, now: float, reset: int, ahead: float, length: float, left: Left, answers: int = 1) -> None:  # noqa: PLR0917
        """Count an answer, and those not read before it, into the window that ends at its `Reset`."""
        if reset < self._reset:
            return  # it was overtaken by one from the next window
        if reset > self._reset:
            self._turn(length)
            self._reset, self._began, self._ends, self._own = reset, now, math.inf, 0
        self._own += answers
        self._seen, self._length, self._left = now, length, left
        self._ends = min(self._ends, now + ahead)  # `Date` is cut to whole seconds, so the least is the nearest

    def _turn(self, length: float) -> None:
        """Judge the window that is over: what did others send, and was it one with borders at all."""
        left, before, self.others = self._left, self.others, 0.0
        if left is None or self._seen - self._began < length / 2:
            return
        foreign = left.limit - left.free - self._own
        if foreign > _OTHERS * left.limit:
            seen = foreign / length
            self.others = (before + seen) / 2 if before else seen

    def rate(self, now: float, in_flight: int) -> float:
        """Give the requests per second that leave the others theirs; 0 when nothing is left before the border."""
        left = self._left
        if left is None:
            return math.inf
        if now >= self._ends:  # a new window, of which nobody has told yet
            whole_rate = left.limit / self._length
            return max(_PROBING * whole_rate, SHARE * whole_rate - in_flight / self._length - self.others)
        return max(0.0, (left.free - MARGIN * left.limit) / (self._ends - now) - self.others)
