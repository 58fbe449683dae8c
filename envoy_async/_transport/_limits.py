"""Time limits of attempts, and of the waits between them.

The rule: a limit cancels the task that stands in it, and what leaves it then is a `TimeoutError`, unless somebody else
has cancelled the task, too. One timer watches all limits of a lane, since one for each, or asyncio's own, would cost a
twentieth of a small request.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import cast


class Limit:
    """A block that is left early when its time is over, or when all limits are ended."""

    __slots__ = ("_cancelling", "_limits", "_over", "_seconds", "_task")

    def __init__(self, limits: Limits, seconds: float) -> None:
        self._limits, self._seconds = limits, seconds
        self._over = False

    def __enter__(self) -> None:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._limits.watch(self, self._seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limits.leave(self)
        if self._over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def end(self) -> None:
        """Cancel the task, once."""
        if not self._over:
            self._over = True
            self._task.cancel()


class Limits:
    """The limits of one event loop that tasks stand in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[Limit, float] = {}  # on the loop's clock
        self._timer: asyncio.TimerHandle | None = None  # which looks when the first of them is due
        self._quiet = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._due)

    def within(self, seconds: float = math.inf) -> Limit:
        """Return the limit of a block: so many seconds from when it is entered."""
        return Limit(self, seconds)

    def watch(self, limit: Limit, seconds: float) -> None:
        """Take in a limit whose block is entered."""
        due = self._due[limit] = self._loop.time() + seconds
        if due < math.inf and (self._timer is None or due < self._timer.when()):
            self._look_at(due)

    def leave(self, limit: Limit) -> None:
        """Let go of a limit whose block is left."""
        del self._due[limit]
        if not self._due:
            self._quiet.set()

    async def quiet(self, seconds: float) -> None:
        """Wait until no task stands in a limit, at most so many seconds."""
        self._quiet.clear()
        if self._due:
            try:
                async with asyncio.timeout(seconds):
                    await self._quiet.wait()
            except TimeoutError:
                return

    def end(self) -> None:
        """End all blocks that are under way."""
        for limit in self._due:
            limit.end()

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_at(self, when: float) -> None:
        self.close()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """End what is due, and come back when the next is."""
        now, self._timer = self._loop.time(), None
        for limit, due in self._due.items():
            if due <= now:
                limit.end()
        if later := [due for due in self._due.values() if now < due < math.inf]:
            self._look_at(min(later))
