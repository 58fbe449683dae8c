"""What was processed, and what is being processed: so that an event runs once.

The rule: an id is nobody's, claimed until its lease ends, or done. Only who claimed it releases it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from ..errors import ConfigurationError

Claim: TypeAlias = Literal["new", "busy", "done"]
LEASE = 60.0
"""Seconds a claim holds: longer than a handler takes, since it is cancelled at the end of it."""
KEPT = 7 * 86_400.0
"""Seconds a processed event is remembered: longer than anybody tries to deliver it."""


class ReplayStore(Protocol):
    """Where it is kept which events were processed. Any error a method raises means that the store is down.

    One store belongs to one endpoint: a message that goes to two endpoints has the same id at both.
    """

    async def claim(self, id: str, *, lease: float = LEASE, reprocess: bool = False) -> Claim:
        """Claim an id for *lease* seconds, at once or not at all.

        Args:
            id: `Event.message_id`.
            lease: seconds after which it is nobody's again, unless `done` comes first.
            reprocess: whether an id that is done can be claimed again.

        Returns:
            `new`: it is yours. `busy`: somebody has claimed it. `done`: it was processed.
        """
        ...

    async def done(self, id: str, *, ttl: float = KEPT) -> None:
        """Note for *ttl* seconds that an id was processed."""
        ...

    async def release(self, id: str) -> None:
        """Give back an id that this store has claimed; does nothing when its lease has ended."""
        ...


class MemoryReplayStore:
    """A replay store in memory: for one process, and forgotten when it ends.

    Args:
        limit: most processed events to remember; the oldest are forgotten first.
        clock: what tells the time, in seconds from anywhere.

    Raises:
        ConfigurationError: the limit is less than 1.
    """

    def __init__(self, limit: int = 100_000, *, clock: Callable[[], float] = time.monotonic) -> None:
        if limit < 1:
            raise ConfigurationError("limit must be 1 or more")
        self._limit = limit
        self._clock = clock
        self._busy: dict[str, float] = {}
        self._done: dict[str, float] = {}  # in the order they were done

    async def claim(self, id: str, *, lease: float = LEASE, reprocess: bool = False) -> Claim:
        """Claim an id, see `ReplayStore`."""
        now = self._clock()
        while self._busy and self._busy[first := next(iter(self._busy))] <= now:  # of who never came back
            del self._busy[first]
        if self._done.get(id, now) > now and not reprocess:
            return "done"
        if self._busy.get(id, now) > now:
            return "busy"
        self._busy[id] = now + lease
        self._done.pop(id, None)
        return "new"

    async def done(self, id: str, *, ttl: float = KEPT) -> None:
        """Note that an id was processed."""
        self._busy.pop(id, None)
        self._done.pop(id, None)
        self._done[id] = self._clock() + ttl
        while len(self._done) > self._limit:
            del self._done[next(iter(self._done))]

    async def release(self, id: str) -> None:
        """Give back an id."""
        self._busy.pop(id, None)
