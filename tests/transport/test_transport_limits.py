"""Time limits: who is cancelled, and what comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from envoy_async._transport._limits import Limits

pytestmark = pytest.mark.looptime


def now() -> float:
    """Tell the loop's time."""
    return asyncio.get_running_loop().time()


def mine() -> asyncio.Task[object]:
    """Give the running task."""
    task = asyncio.current_task()
    assert task is not None
    return task


async def held(limits: Limits, seconds: float, work: Callable[[], Awaitable[object]]) -> str:
    """Stand in a limit, and say what came out and when."""
    try:
        with limits.within(seconds):
            await work()
    except BaseException as error:  # noqa: BLE001 - it is told
        return f"{type(error).__name__} at {now():g}"
    return f"done at {now():g}"


async def test_each_block_has_its_own_time() -> None:
    """A block ends when its own time is over, in whichever order they began; one that is done in time is left alone."""
    limits = Limits()
    began = now()
    seconds = [5.0, 2.0, 9.0, 2.0, 3.0]
    work = [30.0, 30.0, 30.0, 1.0, 30.0]
    told = await asyncio.gather(
        *(held(limits, most, partial(asyncio.sleep, took)) for most, took in zip(seconds, work, strict=True))
    )
    assert began == 0.0
    assert told == ["TimeoutError at 5", "TimeoutError at 2", "TimeoutError at 9", "done at 1", "TimeoutError at 3"]
    assert not limits


async def test_a_block_without_a_time_is_ended_with_the_others() -> None:
    """`end` ends all, those too that have no time, and may be called again."""
    limits = Limits()
    running = [asyncio.create_task(held(limits, most, lambda: asyncio.sleep(99))) for most in (float("inf"), 50.0)]
    await asyncio.sleep(1)
    assert limits
    limits.end()
    limits.end()
    assert await asyncio.gather(*running) == ["TimeoutError at 1"] * 2
    limits.close()


async def test_a_task_that_timed_out_is_not_cancelled_any_more() -> None:
    """Once the block has told of its end, the task is as it was before, and waits again."""
    limits = Limits()
    assert await held(limits, 1, lambda: asyncio.sleep(9)) == "TimeoutError at 1"
    assert mine().cancelling() == 0
    await asyncio.sleep(1)


async def test_who_cancels_comes_first() -> None:
    """A task that was cancelled by somebody else, before its time or in the same moment, stays cancelled."""
    limits = Limits()
    early = asyncio.create_task(held(limits, 5, lambda: asyncio.sleep(9)))
    both = asyncio.create_task(held(limits, 2, lambda: asyncio.sleep(9)))
    await asyncio.sleep(1)
    early.cancel()
    asyncio.get_running_loop().call_at(2.0, both.cancel)
    assert await early == "CancelledError at 1"
    assert await both == "CancelledError at 2"
    limits.close()


async def test_a_failure_at_the_end_of_the_time_is_told() -> None:
    """What a block raises instead of the cancellation comes out as it is, and the task is not cancelled any more."""
    limits = Limits()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(9)
        except asyncio.CancelledError:
            raise ConnectionResetError from None

    assert await held(limits, 1, stubborn) == "ConnectionResetError at 1"
    assert mine().cancelling() == 0


async def test_blocks_within_blocks() -> None:
    """The end of an outer block passes through an inner one, and is told by the outer."""
    limits = Limits()
    told: list[str] = []

    async def inner() -> None:
        try:
            with limits.within(5):
                await asyncio.sleep(9)
        except asyncio.CancelledError:
            told.append(f"inner at {now():g}")
            raise

    assert await held(limits, 2, inner) == "TimeoutError at 2"
    assert told == ["inner at 2"]


async def test_waiting_until_all_is_quiet() -> None:
    """`quiet` waits for the blocks under way, at most as long as it is told, and not at all when there are none."""
    limits = Limits()
    await limits.quiet(9)
    assert now() == 0
    running = asyncio.create_task(held(limits, 50, lambda: asyncio.sleep(3)))
    await asyncio.sleep(1)
    await limits.quiet(1)
    assert (now(), bool(limits)) == (2, True)
    await limits.quiet(5)
    assert (now(), await running) == (3, "done at 3")
    limits.close()


async def test_one_timer_watches_all() -> None:
    """However many blocks there are, the loop keeps one timer for them."""
    limits = Limits()
    loop = asyncio.get_running_loop()
    timers = [asyncio.create_task(held(limits, 5.0 - at / 100, lambda: asyncio.sleep(0))) for at in range(100)]
    await asyncio.gather(*timers)
    waiting = [timer for timer in getattr(loop, "_scheduled") if not timer.cancelled()]  # noqa: B009 - its own
    assert len(waiting) <= 1
    limits.close()
