"""Faults of cancelling and of concurrency; the numbers are those of the catalogue of faults.

Where the wait itself matters time is virtual and the server modelled; where sockets do, they are real. Fault 80 has a
file of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from looptime import LoopTimeEventLoop

from envoy_async import EnvoyClient, errors
from tests.faults._modelled import ModelledServer, make_modelled
from tests.transport.conftest import (
    KEY,
    UUID,
    MisbehavingServer,
    Step,
    answer,
    failure_of,
    hang,
    line_of,
    refuse,
    settled,
    trickle,
)

virtual = pytest.mark.looptime


@pytest.mark.parametrize("step", [hang, trickle], ids=str)
async def test_fault_081_an_unsafe_call_is_cancelled_after_sending(step: Step) -> None:
    """It ends as cancelled, and `on_outcome_unknown` hears that it may have run; a read has nothing to tell."""
    told: list[errors.OutcomeUnknownError] = []
    async with (
        MisbehavingServer(step) as server,
        EnvoyClient(KEY, base_url=server.url, on_outcome_unknown=told.append) as envoy,
    ):
        for operation, count in ((envoy.calls.get(UUID), 0), (envoy.calls.create(), 1)):
            sent = len(server.executed)
            task = asyncio.ensure_future(operation)
            await server.until(sent + 1)
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            assert len(told) == count
        assert len(server.executed) == 2
    assert (told[0].method, told[0].route) == ("POST", "/calls")


async def test_fault_081_cancelled_before_sending() -> None:
    """An unsafe call that is cancelled in line did not run, and nobody is told that it may have."""
    told: list[errors.OutcomeUnknownError] = []
    async with (
        MisbehavingServer(refuse("30"), answer()) as server,
        EnvoyClient(KEY, base_url=server.url, on_outcome_unknown=told.append) as envoy,
    ):
        line = [asyncio.ensure_future(envoy.calls.get(UUID))]
        await settled(lambda: line_of(envoy) == 1)
        line.append(asyncio.ensure_future(envoy.calls.create()))
        await settled(lambda: line_of(envoy) == 2)
        for task in line:
            task.cancel()
        await asyncio.wait(line)
        assert all(task.cancelled() for task in line)
        assert (len(server.executed), told) == (1, [])


@virtual
@pytest.mark.parametrize("place", ["answer", "line", "back-off"])
async def test_fault_082_the_users_own_timeout(place: str) -> None:
    """`asyncio.timeout` around a call ends it with the user's `TimeoutError`, wherever it waits, and to the second."""
    server = ModelledServer(1 if place == "line" else None, latency=20.0 if place == "answer" else 0.05)
    async with make_modelled(server) as envoy:
        if place == "line":
            await envoy.calls.get(UUID)
        server.down = place == "back-off"
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), len(server.arrivals)

        async def insist() -> None:
            while True:  # a server that is down is tried again by the SDK, and then by the user
                with suppress(errors.TransportError):
                    await envoy.calls.get(UUID)

        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(5.0):
                await insist()
        assert type(caught.value) is TimeoutError
        assert loop.time() - began == pytest.approx(5.0, abs=0.05)
        count = len(server.arrivals)
        await asyncio.sleep(30.0)
        assert len(server.arrivals) == count <= sent + (1000 if place == "back-off" else 1)


@virtual
@pytest.mark.parametrize("leave", ["break", "raise"])
async def test_fault_086_a_loop_that_is_left(leave: str) -> None:
    """After `break` or an error in its body a listing holds nothing open, and goes on with the next record."""
    server = ModelledServer()
    async with make_modelled(server) as envoy:
        before, listing, seen = asyncio.all_tasks(), envoy.calls.list(), list[str]()

        async def body() -> None:
            async for call in listing:
                seen.append(call.id)
                if len(seen) % 5 == 0:
                    if leave == "raise":
                        raise LookupError
                    break

        for _ in range(2):
            try:
                await body()
            except LookupError:
                assert leave == "raise"
            assert asyncio.all_tasks() == before
        await listing.aclose()
    assert len(seen) == len(set(seen)) == 10
    assert seen == sorted(seen)


@virtual
async def test_fault_086_two_consumers_of_one_listing() -> None:
    """The second is told so by a clear error; the first gets every record."""
    async with make_modelled(ModelledServer(latency=1.0)) as envoy:
        listing = envoy.calls.list(limit=10)
        first = asyncio.ensure_future(listing.collect())
        await asyncio.sleep(0.5)
        assert type(await failure_of(anext(listing))) is errors.PaginationError
        assert len({call.id for call in await first}) == 10


@virtual
async def test_fault_087_a_step_that_timed_out_and_is_taken_again() -> None:
    """The listing goes on with the very record that the step would have given: none lost, none twice, no silent end."""
    server = ModelledServer(latency=1.0)
    async with make_modelled(server) as envoy:
        listing, seen, late = envoy.calls.list(limit=20), list[str](), 0
        patience = 0.3
        while len(seen) < 20:
            try:
                seen.append((await asyncio.wait_for(anext(listing), patience)).id)
                patience = 0.3
            except TimeoutError:
                late += 1
                patience = 1.5
        with pytest.raises(StopAsyncIteration):
            await anext(listing)
    assert late == 10
    assert len(set(seen)) == 20
    assert seen == sorted(seen)


@virtual
async def test_fault_088_one_of_many_fails() -> None:
    """In a `TaskGroup` the others are cancelled and awaited; with `gather` they all come to their ends. None hides."""
    server = ModelledServer(latency=1.0)
    async with make_modelled(server) as envoy:
        before = asyncio.all_tasks()

        async def fail() -> None:
            await asyncio.sleep(0.3)
            await envoy.calls.get("no id")

        tasks: list[asyncio.Task[object]] = []
        with pytest.RaisesGroup(errors.InvalidRequestError):
            async with asyncio.TaskGroup() as group:
                tasks += [group.create_task(envoy.calls.get(UUID)) for _ in range(20)]
                group.create_task(fail())
        assert all(task.cancelled() for task in tasks)
        assert asyncio.all_tasks() == before
        steps = [envoy.calls.get("no id" if number == 7 else UUID) for number in range(20)]
        found = await asyncio.gather(*steps, return_exceptions=True)
        assert [number for number, each in enumerate(found) if isinstance(each, errors.EnvoyError)] == [7]
        assert sum(not isinstance(each, BaseException) for each in found) == 19


@virtual
@pytest.mark.parametrize("unsafe", [False, True], ids=["read", "unsafe"])
async def test_fault_090_the_loop_stands_still(unsafe: bool) -> None:
    """Code that blocks the loop past every limit makes no unsafe call run twice; a read still gets its answer."""
    server = ModelledServer(latency=2.0)
    async with make_modelled(server) as envoy:
        client = envoy.with_options(deadline=60.0)
        task = asyncio.ensure_future(client.calls.create() if unsafe else client.calls.get(UUID))
        await asyncio.sleep(1.5)
        stand_still(40.0)  # longer than an attempt may take, shorter than the call
        await asyncio.wait({task})
        assert isinstance(task.exception(), errors.OutcomeUnknownError | None)
        assert unsafe or task.exception() is None
        assert len(server.arrivals) <= (1 if unsafe else 2)


@virtual
async def test_fault_090_permits_do_not_pile_up() -> None:
    """After a standstill no more goes out than the quota allows, as if the loop had never stood still."""
    server = ModelledServer(100)
    async with make_modelled(server, deadline=3_600.0) as envoy:
        tasks = [asyncio.ensure_future(envoy.calls.get(UUID)) for _ in range(300)]
        for _ in range(12):
            await asyncio.sleep(7.0)
            stand_still(5.0)
        await asyncio.gather(*tasks)
    assert server.refused == 0
    assert server.most_within(60.0) <= 100


def stand_still(seconds: float) -> None:
    """Let time pass while the loop does nothing, as code that never awaits does."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, LoopTimeEventLoop)
    loop.setup_looptime(start=loop.time() + seconds)
