"""Where the numbers of a shared quota are kept: what is asked there, and what it tells.

The rule: a desk counts by its own clock and decides nothing. `RedisDesk` is the one there is; simulations have a model.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from ._buckets import Bucket


@attrs.frozen
class Known:
    """A quota: so many requests in so many seconds."""

    limit: int
    window: float


@attrs.frozen
class Look:
    """What the desk knows of a line. Times are seconds on its own clock."""

    now: float
    known: Known | None
    pause: float
    """Seconds left of a pause."""
    era: bytes
    """Another when the desk has forgotten everything, or nobody asked for a whole window."""


@attrs.frozen
class Charge:
    """What came of asking a bucket."""

    granted: bool
    remaining: int
    retry_after: float


class Desk(Protocol):
    """Where the numbers are kept; every method is one or two round trips, and may raise."""

    async def look(self, line: str, window: float) -> Look:
        """Tell what is known, and remember for *window* seconds that somebody asked."""
        ...

    async def charge(self, line: str, bucket: Bucket, cost: int) -> Charge:
        """Take so many requests from a bucket, or none."""
        ...

    async def learn(self, line: str, known: Known, *, first: bool) -> None:
        """Note a quota; the *first* one only while none is known."""
        ...

    async def pause(self, line: str, seconds: float) -> None:
        """Note a pause; one that is longer stands."""
        ...

    async def attend(self, line: str, now: float, until: float) -> tuple[int, int]:
        """Sign in as one who waits until a time; tells how many processes wait, and how many there are."""
        ...
