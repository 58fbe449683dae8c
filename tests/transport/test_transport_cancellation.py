"""Cancellation passes through at any moment, and leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from envoy_async import EnvoyClient, RetryPolicy
from tests.transport.conftest import (
    READS,
    UNSAFE,
    UUID,
    MisbehavingServer,
    Operation,
    SkippingClock,
    Step,
    answer,
    drop,
    hang,
    line_of,
    make_client,
    packed,
    refuse,
    settled,
    trickle,
    trickle_headers,
)

OPERATIONS = {"calls.list": READS["calls.list"], **UNSAFE}
operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))


def in_flight(envoy: EnvoyClient) -> int:
    """Return how many permits of the client's gate are taken."""
    return envoy._transport.pool._windows["general"].in_flight


def of_the_server(task: asyncio.Task[object]) -> bool:
    """Say whether a task belongs to the misbehaving server."""
    return any(name in repr(task.get_coro()) for name in ("MisbehavingServer", "_accept_connection2"))


async def cancel_after(envoy: EnvoyClient, operation: Operation, turns: int) -> None:
    """Start an operation and cancel it after this many turns of the loop, unless it has ended by then."""
    before = asyncio.all_tasks()

    async def run() -> object:
        return await operation(envoy)

    task = asyncio.create_task(run())
    for _ in range(turns):
        await asyncio.sleep(0)
    running = task.cancel()
    (done,), _ = await asyncio.wait({task})
    assert done.cancelled() is running
    assert in_flight(envoy) == 0
    assert not [each for each in asyncio.all_tasks() - before if not of_the_server(each)]


@operations
@pytest.mark.parametrize(
    "step", [answer(), answer(chunked=True), refuse("0.02"), drop], ids=["whole", "chunked", "refused", "lost"]
)
async def test_cancelled_at_any_moment(operation: Operation, step: Step) -> None:
    """Cancelled after 0, 1, 2, … turns of the loop, a call ends there, frees its permit, and leaves no task."""
    async with MisbehavingServer(step) as server, make_client(server.url, retry=RetryPolicy(base=0.01)) as envoy:
        for turns in range(40):
            await cancel_after(envoy, operation, turns)


@pytest.mark.parametrize("step", [hang, trickle, trickle_headers], ids=str)
@operations
async def test_cancelled_while_waiting_for_the_answer(operation: Operation, step: Step) -> None:
    """A call cancelled after sending is not sent again, and its connection is not used again."""
    async with MisbehavingServer(step, answer()) as server, make_client(server.url) as envoy:
        task = asyncio.ensure_future(operation(envoy))
        await server.until(1)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert in_flight(envoy) == 0
        await operation(envoy)
        assert [sent.connection for sent in server.executed] == [1, 2]


class StandingClock(SkippingClock):
    """A clock on which a back-off never ends."""

    async def sleep(self, seconds: float) -> None:
        """Note the wait, and do not come back."""
        self.waits.append(seconds)
        await asyncio.Event().wait()


async def test_cancelled_while_backing_off() -> None:
    """A call cancelled between its attempts ends there."""
    clock = StandingClock()
    async with MisbehavingServer(drop, answer()) as server, make_client(server.url, clock=clock) as envoy:
        task = asyncio.create_task(envoy.calls.end(UUID))
        await settled(lambda: clock.waits)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert len(server.executed) == 1
        await envoy.calls.get(UUID)


async def test_cancelled_in_line_at_the_gate() -> None:
    """A waiter that is cancelled leaves the line, and its permit goes to the next."""
    async with MisbehavingServer(refuse("1"), answer()) as server, make_client(server.url) as envoy:
        line = [asyncio.create_task(envoy.calls.end(UUID))]
        await settled(lambda: line_of(envoy) == 1)
        line += [asyncio.create_task(envoy.calls.end(UUID)) for _ in range(8)]
        await settled(lambda: line_of(envoy) == 9)
        for task in line[1::2]:
            task.cancel()
        found = await asyncio.gather(*line, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in found] == [n % 2 == 1 for n in range(9)]
        assert in_flight(envoy) == 0
        assert len(server.executed) == 6  # the first one twice


async def test_cancelled_in_crowds() -> None:
    """Hundreds of calls cancelled at different moments leave a client that works, with all its places free."""
    async with MisbehavingServer(answer(), hang) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        tasks = [asyncio.create_task(envoy.calls.get(UUID)) for _ in range(200)]
        for number, task in enumerate(tasks):
            if number % 10 == 0:
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        assert in_flight(envoy) == 0
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await asyncio.gather(*(envoy.calls.get(UUID) for _ in range(100)))
        assert in_flight(envoy) == 0


async def test_cancelled_group() -> None:
    """One failing task of a `TaskGroup` cancels the calls beside it, as it cancels anything else."""
    async with MisbehavingServer(answer(), hang) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)

        async def fail() -> None:
            await server.until(3)
            raise LookupError

        with pytest.RaisesGroup(LookupError):
            async with asyncio.TaskGroup() as group:
                group.create_task(envoy.calls.end(UUID))
                group.create_task(envoy.calls.create())
                group.create_task(fail())
        assert in_flight(envoy) == 0
        assert len(server.executed) == 3


async def test_a_damaged_answer_frees_its_place() -> None:
    """A failed attempt gives its permit back as well."""
    async with MisbehavingServer(packed(b"damaged")) as server, make_client(server.url) as envoy:
        results = await asyncio.gather(*(envoy.calls.get(UUID) for _ in range(40)), return_exceptions=True)
        assert len(results) == 40
        assert in_flight(envoy) == 0
