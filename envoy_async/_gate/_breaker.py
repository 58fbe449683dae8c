"""The breaker: a server that is down is asked by one request now and then, not by all.

The rule: when of at least ten attempts within ten seconds half or more failed, it opens: one probe every two
seconds, for all tasks together. The first answer starts a ramp, from a tenth of the rate to all of it within ten
seconds, because a server that just came back must not meet everybody who waited at once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from random import Random

from ._ending import Ending

_SPAN = 10  # seconds looked back on
_ATTEMPTS, _SHARE = 10, 0.5
_PROBE, _JITTER = 2.0, 0.25  # many clients must not probe in step
_RAMP, _FIRST = 10.0, 0.1


class Breaker:
    """Whether anybody may go, and at which share of the rate. Times are seconds on the caller's clock."""

    def __init__(self, random: Random) -> None:
        self.open = False
        self._random = random
        self._slots: deque[list[int]] = deque()  # one per second: the second, attempts, failures
        self._probe_at = -math.inf
        self._probing = False
        self._since = -math.inf

    def delay(self, now: float) -> float:
        """Seconds until the next probe of an open breaker: infinity while one is under way."""
        if not self.open:
            return 0.0
        return math.inf if self._probing else max(0.0, self._probe_at - now)

    def share(self, now: float) -> float:
        """Which part of the rate may be used, from 0.1 to 1."""
        return min(1.0, _FIRST + (1.0 - _FIRST) * (now - self._since) / _RAMP)

    def sent(self) -> None:
        """Count a request that goes out: from an open breaker it is the probe."""
        self._probing = self.open

    def unsent(self) -> None:
        """Take back a request that never went out; if it was the probe, the next in line probes."""
        self._probing = False

    def done(self, now: float, ending: Ending, answered: Sequence[float] = ()) -> bool:
        """Count the end of an attempt, and answers at these times before; says whether this answer ends an outage."""
        failed = ending is Ending.FAILED or ending is Ending.LOST
        if self.open:
            return self._probed(now, ending, failed=failed)
        for at in answered:
            self._slot(int(at))[1] += 1
        slot = self._slot(int(now))
        slot[1] += ending is not Ending.ABANDONED
        if failed:
            slot[2] += 1
            self._judge(now)
        return False

    def _slot(self, second: int) -> list[int]:
        slots = self._slots
        if not slots or slots[-1][0] != second:
            slots.append([second, 0, 0])
            while slots[0][0] <= second - _SPAN:
                slots.popleft()
        return slots[-1]

    def _probed(self, now: float, ending: Ending, *, failed: bool) -> bool:
        # A request from before the opening may end here too. Its answer is as good a sign as a probe's,
        # and its failure only lets the next probe go a little early.
        self._probing = False
        if failed or ending is Ending.ABANDONED:
            self._wait(now)
        else:
            self.open, self._since = False, now
        return not self.open

    def _judge(self, now: float) -> None:
        attempts, failures = sum(slot[1] for slot in self._slots), sum(slot[2] for slot in self._slots)
        if attempts >= _ATTEMPTS and failures >= _SHARE * attempts:
            self.open, self._probing = True, False
            self._slots.clear()
            self._wait(now)

    def _wait(self, now: float) -> None:
        self._probe_at = now + _PROBE * self._random.uniform(1 - _JITTER, 1 + _JITTER)
