"""Even pacing, and the estimate of a quota that the server does not tell.

The rule: a pace spaces requests `1 / rate` apart. The rate is told by the caller where the quota is known.
Where it is not, each pause for a 429 gives one estimate from what was accepted before it, and from there the
rate follows a cubic curve (as TCP CUBIC does): flat around the estimate, where most time is spent, then
steeper, to find out whether there is more by now.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile

_HORIZONS = (2.0, 5.0, 10.0, 30.0, 60.0)  # seconds
_BETA = 0.95  # the curve starts here, below the estimate
_PLATEAU = 30.0  # seconds until the curve is back at the estimate …
_PLATEAU_REQUESTS = 150  # … and as many requests, so that a slow rate is not probed, and refused, too often
_SAMPLE = 3  # requests that make a rate
_TOO_LOW, _STEP_DOWN = 0.3, 0.7  # of the rate before: an estimate below the first is not believed
_LONGEST_PLATEAU = 300.0  # seconds, so that a rate that is too low comes back
_SHORT = 5.0  # seconds of pause
_FAR_OFF, _NEAR = 0.25, 0.9  # of the rate before
_LEAST = 0.001  # requests per second
_CATCH_UP = 0.05  # seconds that timers may be late without lowering the rate


def estimate(accepted: Sequence[float], now: float, pause: float) -> float:
    """Estimate the quota per second when a 429 asks for a pause: the best of several horizons.

    All of *accepted* (times, oldest first) fitted into its span and the pause after it. The short
    horizons see a burst that the long ones dilute, the long ones a window that the short ones miss.
    """
    best, behind, horizons = 0.0, 0, list(_HORIZONS)
    pause = round(pause) or pause  # servers ask for whole seconds, the rest is jitter
    for at in reversed(accepted):
        while horizons and now - at > horizons[0]:
            best = max(best, behind / (horizons.pop(0) + pause))
        if not horizons:
            return best
        behind += 1
    span = now - accepted[0] if accepted else 0.0
    return max(best, behind / max(span + pause, _CATCH_UP))


class Pace:
    """Even spacing of requests, and a rate that finds the quota. Times are seconds, rates are per second."""

    def __init__(self) -> None:
        self.on = False
        self._last = -math.inf
        self._top = math.inf
        self._since = self._cut_at = self._paused = self._uneven_until = 0.0
        self._plateau = _PLATEAU

    def delay(self, now: float, rate: float) -> float:
        """Seconds until the next request keeps this rate."""
        return max(0.0, self._last + 1.0 / rate - now) if rate > 0.0 else math.inf

    def spend(self, now: float, rate: float, since: float) -> None:
        """Count a request that goes out at this rate; what a late timer left out is caught up on, back to *since*."""
        if rate > 0.0:
            self._last = min(now, max(self._last + 1.0 / rate, now - _CATCH_UP, since))

    def rate(self, now: float) -> float:
        """Give the rate on the curve."""
        if not self.on:
            return math.inf
        past = max(0.0, now - self._since) / self._plateau - 1.0
        return self._top * (1.0 + (1.0 - _BETA) * past**3)

    def over(self, now: float, quiet: float) -> bool:
        """Whether nothing has been refused for so many seconds since the last pause."""
        return now >= self._cut_at + self._paused + quiet

    def cut(self, now: float, accepted: Sequence[float], pause: float) -> None:
        """Start the curve anew from what was *accepted*; it begins to run when the *pause* is over."""
        if self.on and not (accepted and accepted[-1] > self._cut_at):  # nothing was accepted, so nothing is learned
            self._since, self._cut_at, self._paused = now + pause, now, pause
            return
        before, soon = self.rate(now), now < self._cut_at + self._paused + _PLATEAU
        if self.on and soon and now >= self._uneven_until:  # the estimate was too high
            top = self._between(now, accepted, before)
        else:
            top = estimate(accepted, now, pause)
            if self.on and top < _TOO_LOW * before:  # after a quiet time the log knows too little
                top = _STEP_DOWN * before
        self._top = max(min(top, before), _LEAST)
        self._plateau = min(max(_PLATEAU, _PLATEAU_REQUESTS / self._top), _LONGEST_PLATEAU)
        # the first estimate is rather low, since `Retry-After` is rounded up; so the curve starts nearer to it
        self._since = now + pause - (0.0 if self.on else self._plateau / 4)
        self._cut_at, self._paused, self.on = now, pause, True
        if pause >= _SHORT:
            self._uneven_until = now + pause + _HORIZONS[-1]

    def _between(self, now: float, accepted: Sequence[float], before: float) -> float:
        """Give the rate to go on with after two refusals in a short time.

        At neither was there room, so what was accepted in between is the server's rate, once a burst no longer
        hides it. After a pause of a whole window it is too low by half; so it counts only where it is far off.
        """
        count = sum(1 for _ in takewhile(lambda at: at > self._cut_at, reversed(accepted)))
        if count < _SAMPLE:
            return before / 2
        seen = count / (now - self._cut_at)
        return seen if seen < _FAR_OFF * before else _NEAR * before
