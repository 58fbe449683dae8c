"""A time limit that blames nobody else for a busy event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")
_STEP = 0.04  # seconds


async def soon(asked: Coroutine[object, object, T], patience: float) -> T:
    """Await an answer for so many seconds in which the loop turned.

    An answer may have come while the loop was busy with something else, so time counts in steps, and after each of
    them the loop has had a look at its sockets.

    Raises:
        TimeoutError: there was none; the question was cancelled, and has ended.
    """
    asking = asyncio.get_running_loop().create_task(asked)
    try:
        for _ in range(round(patience / _STEP)):
            done, _ = await asyncio.wait([asking], timeout=_STEP)
            if done:
                return asking.result()
        raise TimeoutError
    finally:
        if asking.cancel():
            await asyncio.wait([asking])
