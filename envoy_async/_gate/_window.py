"""The trailing window: how many requests may go now, and if none, for how long not.

The rule: a request goes at once while fewer than 97 % of the quota went out in the trailing window, and the
server's `Remaining` agrees. It counts from its sending until one window after its *answer*: the server counted
it at some moment in between, so no trailing window of the server's ever holds more. Requests are spaced evenly
only where a burst would do harm: to interactive calls behind a long patient run, to a server that just came
back, and where a 429 says that there is less room than the log knows of.

All here is arithmetic over times it is told. It belongs to the client and outlives its loops.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from itertools import islice
from random import Random

from ._breaker import Breaker
from ._cap import MOST, Cap
from ._ending import Ending
from ._pace import Pace
from ._quota import DOCUMENTED, LONGEST, SHARE, Quota

_SAMPLE = 3  # accepted requests from which a rate can be told
_FIRST = 5.0  # seconds after which another asks, when the first has no answer yet
_ANSWERED = Ending.ANSWERED  # looking a member up takes as long as all else that the short way does
_AGAIN = 1.0  # seconds after which a pace is worked out anew: rates grow while one waits


class Window:
    """How many requests may go now, and if none, for how long not. Times are seconds on the caller's clock."""

    def __init__(self, random: Random) -> None:
        self.quota = Quota()
        self.in_flight = 0
        self._cap = Cap()
        self._breaker = Breaker(random)
        self._pace = Pace()
        self._log = array("d")  # when requests ended; where the quota is large they are many
        self._asked = False
        self._sent_at = -math.inf
        self.paused_until = -math.inf
        self._patient_at = -math.inf
        self._waited_since = -math.inf
        self._waited_at = -math.inf
        self._spaced_until = -math.inf  # nothing is spaced from then on
        self._stale = 0
        self._refusals = 0  # pauses in a row
        self._passes = 0.0  # so many may go without a further look
        self._skips = self._unread = 0  # answers that may go unread, and that did
        self._untold = 0  # answers that the quota was not told of

    def enter(self, now: float, *, patient: bool) -> bool:
        """Count a request that goes out now if nothing speaks against it; the short way, for nearly all of them."""
        if self._passes <= 0.0 or self.in_flight + 1 > self._cap.size:
            return False
        self._passes -= 1.0
        self.in_flight += 1
        if patient:
            self._patient_at = now
        return True

    def delay(self, now: float, *, patient: bool = False) -> float:
        """Seconds until somebody who wants to go may: 0 for now, infinity for not before an answer arrives."""
        if now < self.paused_until:
            return self.paused_until - now
        if self.full:
            return math.inf
        if self._breaker.open:
            return self._breaker.delay(now)
        wait = self._until_room(now, patient=patient) or (
            self._until_pace(now, patient=patient) if now < self._spaced_until else 0.0
        )
        if wait:
            if now - self._waited_at > self.quota.length:  # the first to wait after a quiet window
                self._waited_since = now
            self._waited_at = now
            self._spaced_until = max(self._spaced_until, now + self.quota.length)
        return wait

    @property
    def full(self) -> bool:
        """Whether as many requests are under way as may be at once."""
        return self.in_flight + 1 > self._cap.size

    def sent(self, now: float, *, patient: bool = False) -> None:
        """Count a request that goes out now."""
        self.in_flight += 1
        self._sent_at = now
        if patient:
            self._patient_at = now
        if self._breaker.open:
            self._breaker.sent()
        elif now < self._spaced_until:
            rate = self._rate(now, patient=patient)
            if rate < math.inf:
                self._pace.spend(now, rate, self.paused_until)
        self._look(now)

    def unsent(self) -> None:
        """Take back a request that never went out."""
        self.in_flight -= 1
        self._breaker.unsent()

    def done(self, now: float, headers: Mapping[str, str] | None, ending: Ending, pause: float = 0.0) -> None:
        """Count a request's end, learn from the answer's headers (`None` without an answer), and pause after a 429."""
        self.in_flight -= 1
        quota = self.quota
        quiet = self._unread < self._skips and ending is _ANSWERED
        if quiet and (quota.limit is not None or not quota.news(headers)):  # nearly always
            self._unread += 1
            self._log.append(now)
            if self._cap.size < MOST:
                self._cap.answered()
            return
        self._judge(now, headers, ending, pause)
        if pause:
            self.pause(now, pause)
        self._look(now)

    def _look(self, now: float) -> None:
        """Find out how many may go, and how many answers may come, without a further look."""
        asking = self._breaker.open or (self.quota.limit is None and not self._asked)
        # in the first window of a wait nothing is spaced, unless it is for good
        long = self._spaced_until == math.inf or now - self._waited_since >= self.quota.length
        spaced = long and now < self._spaced_until
        shut = asking or spaced or now < self.paused_until
        self._passes = 0.0 if shut else self.quota.usable - self.in_flight - len(self._log)
        self._skips = 0 if asking or self._stale or self._refusals else self.quota.skips

    def _judge(self, now: float, headers: Mapping[str, str] | None, ending: Ending, pause: float) -> None:
        unread = list(islice(reversed(self._log), self._unread))[::-1]
        self._untold, self._unread = self._untold + self._unread, 0
        stale = self._stale
        if stale:
            self._stale -= 1
        if ending is Ending.REFUSED:  # what was refused is not counted, by any server known
            self._refusals = self.refusals(now)
            self._sent_at = -math.inf  # whoever asks next does not wait for who is under way
        else:
            self._log.append(now)
        if now >= self.paused_until and ending is not Ending.REFUSED and ending is not Ending.ABANDONED:
            self._asked, self._refusals = True, 0
        self._forget(now)
        quota = self.quota
        limit, foreign = quota.limit, quota.foreign
        if headers is not None:
            self._learn(now, headers)
        self._cap.done(ending, self.in_flight)
        if self._breaker.done(now, ending, unread):
            # the log is empty after an outage, and a burst is what the server needs least
            self._waited_since, self._waited_at = now - quota.length, now  # as after a long run
            self._spaced_until = max(self._spaced_until, now + quota.length)
        explained = quota.empty or (limit, foreign) != (quota.limit, quota.foreign)
        if ending is Ending.REFUSED and not stale and not explained:
            self._refused(now, pause)

    def _learn(self, now: float, headers: Mapping[str, str]) -> None:
        quota, limit = self.quota, self.quota.limit
        self._untold += 1
        quota.learn(now, headers, len(self._log), self.in_flight, answers=self._untold)
        if quota.told or quota.limit is None:
            self._untold = 0
        if quota.limit is not None and limit is None:
            self._cap.known()
        if quota.borders.others:
            self._spaced_until = math.inf
        if self._pace.on and quota.told and self._pace.over(now, quota.length):
            self._pace.on = False  # the headers tell enough again

    def refusals(self, now: float) -> int:
        """Count the pauses in a row, that of a refusal now included; an answer or a quiet window ends the row."""
        if now < self.paused_until:
            return max(1, self._refusals)
        return 1 if now >= self.paused_until + self.quota.length else self._refusals + 1

    def abandon(self) -> None:
        """Forget what is under way: it ended with its loop, and told nobody."""
        self._stale = 0
        for _ in range(self.in_flight):
            self.unsent()

    def pause(self, now: float, seconds: float) -> None:
        """Let nobody go for so long, an hour at most; a pause is never shortened."""
        self.paused_until = max(self.paused_until, now + min(seconds, LONGEST))
        self._passes = 0.0

    def told(self, now: float, limit: int | None, length: float, pause: float) -> None:
        """Take over what a store knows, where no answer has told yet."""
        quota = self.quota
        if quota.limit is None and limit is not None:
            self._cap.known()
            quota.limit = limit
        if quota.limit == limit and not quota.measured:
            quota.length = length
        self.pause(now, pause)

    def _forget(self, now: float) -> None:
        log, length = self._log, self.quota.length
        over = 0
        while over < len(log) and log[over] + length <= now:
            over += 1
        del log[:over]

    def _refused(self, now: float, pause: float) -> None:
        """Lower the rate for a 429 that what the server tells of its quota does not explain, once per pause."""
        if now >= self.paused_until:
            self._asked = False  # if the quota is not known, one request asks when the pause is over
            unclear = len(self._log) < _SAMPLE and not self._pace.on
            if unclear or pause > DOCUMENTED + 1:  # so long a pause is no matter of this quota
                return
            self._pace.cut(now, self._log, pause)
            self._spaced_until = math.inf
            self._stale = self.in_flight  # what is under way was sent at the old rate

    def _until_room(self, now: float, *, patient: bool) -> float:
        """Seconds until fewer are in the trailing window than may be."""
        quota = self.quota
        if quota.limit is None:  # one request asks first, so that its answer tells the quota
            return max(0.0, self._sent_at + _FIRST - now) if self.in_flight and not self._asked else 0.0
        self._forget(now)
        log, most = self._log, SHARE * quota.limit
        if not quota.foreign and (not quota.infers or self._overtakes(now, patient=patient)):
            most = quota.limit  # the rest is for those whom a patient run would hold up, or a store keeps it
        over = self.in_flight + len(log) + quota.foreign - most
        if over < 0:
            return 0.0
        ends = [log[int(over)] + quota.length - now] if over < len(log) else []
        if not self.in_flight and (quota.foreign or not quota.measured):
            # by the server's word there is room again then: one request asks how much
            ends.append(quota.refill_at - now)
        return max(0.0, min(ends, default=math.inf))

    def _overtakes(self, now: float, *, patient: bool) -> bool:
        """Whether this is an interactive call beside patient ones."""
        return not patient and now - self._patient_at < self.quota.length

    def _until_pace(self, now: float, *, patient: bool) -> float:
        rate = self._rate(now, patient=patient)
        return 0.0 if rate == math.inf else min(_AGAIN, self._pace.delay(now, rate))

    def _rate(self, now: float, *, patient: bool) -> float:
        """Give the rate that requests are spaced by; infinity for no spacing."""
        quota = self.quota
        fair = math.inf if quota.limit is None else math.ceil(SHARE * quota.limit) / quota.length
        share = self._breaker.share(now)
        if self._pace.on:
            return min(fair, self._pace.rate(now)) * share
        if quota.borders.others:
            return min(fair, quota.borders.rate(now, self.in_flight)) * share
        long = self._waited_at - self._waited_since >= quota.length and now - self._waited_at <= quota.length
        even = quota.infers and not self._overtakes(now, patient=patient)  # a store sees to that by itself
        if long and (share < 1.0 or even):
            return fair * share
        return math.inf
