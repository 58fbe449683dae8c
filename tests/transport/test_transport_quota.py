"""The client at the sandbox's quota: all of it used, next to nothing refused.

Time is taken from the sandbox's log, by the clock that its quota counts with. In the first test that clock stands
still while anything is running: an event loop that jumps over idle time drives sandbox and client together, so that
neither load nor scheduling counts. The second test runs in real time, and is let off the delays that the loop itself
measured meanwhile.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import pytest

from envoy_async import EnvoyClient
from envoy_async.sandbox import Sandbox
from envoy_async.sandbox.quota import Algorithm

T = TypeVar("T")
EPOCH = 1_763_740_800.0
QUIET = 0.002  # seconds without an event, after which nothing can be under way on the loopback interface


class SkippingSelector(selectors.DefaultSelector):
    """Waits for events only as long as they take over loopback; the rest of the time is skipped, and added up."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait a little for events; when there are none, say that the whole timeout has passed."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(QUIET)
        if not events:
            self.skipped += timeout
        return events


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only where nothing happens."""

    def __init__(self) -> None:
        self._skipping = SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Return the seconds skipped so far."""
        return self._skipping.skipped


@attrs.frozen
class Measured:
    """What the sandbox's log says about a run."""

    requests: int
    refused: int
    seconds: float


def measure(sandbox: Sandbox) -> Measured:
    """Read the sandbox's log."""
    log = sandbox.requests
    return Measured(len(log), sum(row.status == 429 for row in log), log[-1].at - log[0].at)


async def list_all(algorithm: Algorithm, page_size: int, clock: Callable[[], float]) -> Measured:
    """List 2,500 calls through a quota of 20 per second."""
    async with Sandbox(calls=2_500, loads=1, quota=20, window=1.0, algorithm=algorithm, clock=clock) as sandbox:
        async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
            found = await envoy.calls.list(page_size=page_size).collect()
        assert len({call.id for call in found}) == len(found) == 2_500
        return measure(sandbox)


async def get_all(algorithm: Algorithm, tasks: int, clock: Callable[[], float]) -> Measured:
    """Get 200 calls one by one from many tasks through a quota of 20 per second."""
    async with Sandbox(calls=200, loads=1, quota=20, window=1.0, algorithm=algorithm, clock=clock) as sandbox:
        ids = iter([str(call["id"]) for call in sandbox.store.calls.values()])

        async def work(envoy: EnvoyClient) -> None:
            for call_id in ids:
                await envoy.with_options(deadline=3_600).calls.get(call_id)

        async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
            await asyncio.gather(*(work(envoy) for _ in range(tasks)))
        return measure(sandbox)


def skip_through(run: Callable[[Callable[[], float]], Awaitable[T]]) -> T:
    """Run in a loop that skips idle time, with a clock for the sandbox that shows the same time."""

    async def main() -> T:
        loop = asyncio.get_running_loop()
        return await run(lambda: EPOCH + 0.25 + loop.time())

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(main())


def within_the_promise(found: Measured, quota: int, excuse: float = 0.0) -> None:
    """Check the promise: at most 3 % refused, and at most 15 % longer than the quota needs."""
    windows = -(-found.requests // quota)
    assert found.refused <= 0.03 * found.requests
    assert found.seconds <= 1.15 * (windows - 1) + excuse


@pytest.mark.parametrize("algorithm", ["fixed", "sliding"])
@pytest.mark.parametrize("page_size", [20, 100])
def test_a_listing_uses_the_quota(algorithm: Algorithm, page_size: int) -> None:
    """2,500 calls in 25 or 125 requests: hardly one refused, and next to no time lost."""
    within_the_promise(skip_through(lambda clock: list_all(algorithm, page_size, clock)), 20)


@pytest.mark.parametrize("algorithm", ["fixed", "sliding"])
def test_a_crowd_uses_the_quota(algorithm: Algorithm) -> None:
    """200 requests of 100 tasks go through as one polite caller's."""
    within_the_promise(skip_through(lambda clock: get_all(algorithm, 100, clock)), 20)


@pytest.mark.parametrize("algorithm", ["fixed", "sliding"])
async def test_a_listing_in_real_time(algorithm: Algorithm) -> None:
    """2,500 calls by the clock on the wall: at most 15 % over what the quota needs, delays of the machine aside."""
    delays: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            delays.append(time.perf_counter() - before - 0.005)

    watching = asyncio.create_task(watch())
    found = await list_all(algorithm, 100, time.time)
    watching.cancel()
    await asyncio.wait({watching})
    within_the_promise(found, 20, excuse=sum(delays))
