"""How many requests may be under way at once: additive increase, multiplicative decrease.

The rule: answers raise the cap, requests that got none lower it, at most once per round trip; a 429 does
neither, since the quota is not a matter of how many are under way. While nothing is known of the quota the
cap is what keeps the first burst small, so it grows slowly; a server that names its quota protects itself.
"""

from __future__ import annotations

from ._ending import Ending

MOST = 64.0
_START, _KNOWN = 8.0, 32.0
_CUT = 0.7


class Cap:
    """The largest number of requests under way, learned from how attempts end."""

    def __init__(self) -> None:
        self.size = _START
        self._known = False
        self._cut = False
        self._stale = 0

    def known(self) -> None:
        """Take note that the quota is known: the trailing window bounds a burst from now on."""
        self._known, self.size = True, max(self.size, _KNOWN)

    def answered(self) -> None:
        """Count an answer."""
        if self._stale:
            self._stale -= 1
        if self.size < MOST:
            self.size = min(MOST, self.size + self._step())

    def done(self, ending: Ending, in_flight: int) -> None:
        """Count the end of an attempt, with so many still under way."""
        if ending is Ending.ANSWERED:
            self.answered()
            return
        stale, self._stale = self._stale, max(0, self._stale - 1)
        if ending is Ending.LOST and not stale:
            # what is under way now was sent before the cut, so its losses say nothing about the cap after it
            self.size, self._cut, self._stale = max(1.0, self.size * _CUT), True, in_flight

    def _step(self) -> float:
        if not self._known:
            return 0.25 / self.size  # one more per four round trips: each is one more refused when the quota ends
        return 1.0 / self.size if self._cut else 1.0  # doubles per round trip until the first loss
