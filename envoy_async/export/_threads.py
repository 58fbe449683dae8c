"""Work on files in a thread, which nobody leaves behind.

The rule: whoever waits for such work waits for its end, even when cancelled: a thread cannot be stopped from outside,
so it is told, and looks. After a cancellation no file is being written any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class StoppedError(Exception):
    """The work ended early because nobody waits for its result any more."""


class Stop:
    """Tells work in a thread that it is no longer wanted."""

    def __init__(self) -> None:
        self._told = threading.Event()

    def tell(self) -> None:
        """Ask the work to end."""
        self._told.set()

    def check(self) -> None:
        """End the work if it was asked to."""
        if self._told.is_set():
            raise StoppedError


async def in_thread(work: Callable[[], T], stop: Stop | None = None) -> T:
    """Run work in a thread and wait until it has ended, whatever happens."""
    running = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
            if stop is not None:
                stop.tell()
    if cancelled is None:
        return running.result()
    running.exception()  # which nobody will ask for
    raise cancelled
