"""Opening and closing: with loops that come and go, with calls under way, again and again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TypeVar

import aiohttp
import pytest

from envoy_async import EnvoyClient, EnvoyError, RetryPolicy, Timeouts, errors
from envoy_async.models import Call
from tests.transport.conftest import (
    KEY,
    READS,
    UNSAFE,
    UUID,
    MisbehavingServer,
    Step,
    answer,
    complaints,
    drop,
    failure_of,
    hang,
    line_of,
    make_client,
    refuse,
    settled,
    slow,
    trickle,
    trickle_headers,
)

T = TypeVar("T")


async def outcome(running: asyncio.Future[T]) -> T | BaseException:
    """Wait for a call that must not hang: its result or its error, which is never a stray cancellation."""
    done, _ = await asyncio.wait({running}, timeout=3)
    if not done:
        running.cancel()
        await asyncio.wait({running})
        pytest.fail("the call hangs")
    assert not running.cancelled()
    return running.exception() or running.result()


async def test_closed_means_closed() -> None:
    """After `close` every call is a `ClientClosedError`, and nothing is sent."""
    async with MisbehavingServer(answer()) as server:
        async with make_client(server.url) as envoy:
            await envoy.calls.get(UUID)
            view = envoy.with_options(deadline=1)
        for operation in (*READS.values(), *UNSAFE.values()):
            assert type(await failure_of(operation(envoy))) is errors.ClientClosedError
            assert type(await failure_of(operation(view))) is errors.ClientClosedError
        assert len(server.executed) == 1


async def test_closing_is_harmless() -> None:
    """Closing twice, or closing what was never opened, does nothing."""
    envoy = make_client("http://127.0.0.1:9/v1")
    await envoy.close()
    await envoy.close()
    async with MisbehavingServer(answer()) as server:
        async with make_client(server.url) as used:
            await used.calls.get(UUID)
            await used.close()
        await used.close()


async def test_entered_again() -> None:
    """A closed client that is entered again works, with new connections."""
    async with MisbehavingServer(answer()) as server:
        envoy = make_client(server.url)
        for _ in range(3):
            async with envoy:
                await envoy.calls.get(UUID)
        assert [sent.connection for sent in server.executed] == [1, 2, 3]


async def test_without_async_with() -> None:
    """`async with` is not needed, only `close` at the end."""
    async with MisbehavingServer(answer()) as server:
        envoy = make_client(server.url)
        await envoy.calls.get(UUID)
        await envoy.close()
        assert len(server.executed) == 1


async def test_an_error_in_the_block_passes() -> None:
    """An error inside `async with` passes through unchanged, and the client is closed."""
    async with MisbehavingServer(answer()) as server:
        envoy = make_client(server.url)

        async def fail() -> None:
            async with envoy:
                await envoy.calls.get(UUID)
                raise LookupError

        with pytest.raises(LookupError):
            await fail()
        assert type(await failure_of(envoy.calls.get(UUID))) is errors.ClientClosedError


@pytest.mark.parametrize("given", [False, True], ids=["own session", "given session"])
@pytest.mark.parametrize("step", [hang, trickle_headers, trickle], ids=str)
async def test_closing_over_calls_under_way(step: Step, given: bool) -> None:
    """Without grace, calls under way end at once: reads because of the closing, unsafe ones in what is not known."""
    async with MisbehavingServer(answer(), step) as server, aiohttp.ClientSession() as session:
        envoy = make_client(server.url, session=session if given else None)
        await envoy.calls.get(UUID)
        running = [asyncio.ensure_future(operation(envoy)) for operation in (*READS.values(), *UNSAFE.values())]
        await server.until(1 + len(running))
        await asyncio.sleep(0.1)
        await envoy.close(grace=0)
        found = [type(await outcome(task)) for task in running]
        assert found == [errors.ClientClosedError] * len(READS) + [errors.OutcomeUnknownError] * len(UNSAFE)
        assert len(server.executed) == 1 + len(running)


async def test_closing_lets_what_is_on_the_wire_end() -> None:
    """Within the grace, calls on the wire get their answers; nothing new goes out, and closing waits no longer."""
    async with MisbehavingServer(answer(), slow(answer(), 0.2)) as server:
        envoy = make_client(server.url)
        await envoy.calls.get(UUID)
        running = [asyncio.ensure_future(operation(envoy)) for operation in (READS["calls.get"], *UNSAFE.values())]
        await server.until(1 + len(running))
        closing = asyncio.ensure_future(envoy.close(grace=5))
        await asyncio.sleep(0)
        assert type(await failure_of(envoy.calls.get(UUID))) is errors.ClientClosedError
        await asyncio.wait_for(closing, 3)
        assert not [error for error in [await outcome(task) for task in running] if isinstance(error, BaseException)]
        assert len(server.executed) == 1 + len(running)


async def test_closing_with_a_grace_that_ends() -> None:
    """What has not ended when the grace is over is ended: a read as closed, a phone call as unknown."""
    async with MisbehavingServer(answer(), hang) as server:
        envoy = make_client(server.url)
        await envoy.calls.get(UUID)
        operations = READS["calls.get"], UNSAFE["calls.create"]
        running = [asyncio.ensure_future(operation(envoy)) for operation in operations]
        await server.until(3)
        await asyncio.wait_for(envoy.close(grace=0.1), 3)
        found = [type(await outcome(task)) for task in running]
        assert found == [errors.ClientClosedError, errors.OutcomeUnknownError]


async def test_a_call_that_fails_while_closing_is_not_retried() -> None:
    """A retryable failure within the grace ends in `ClientClosedError`; nothing is sent again."""
    async with MisbehavingServer(slow(drop, 0.1)) as server:
        envoy = make_client(server.url)
        running = asyncio.ensure_future(envoy.calls.get(UUID))
        await server.until(1)
        await envoy.close()
        assert type(await outcome(running)) is errors.ClientClosedError
        assert len(server.executed) == 1


async def test_cancelling_a_close_ends_the_grace() -> None:
    """A close that is cancelled while it waits for calls on the wire ends them at once, and is cancelled."""
    async with MisbehavingServer(answer(), hang) as server:
        envoy = make_client(server.url)
        await envoy.calls.get(UUID)
        running = asyncio.ensure_future(envoy.calls.get(UUID))
        await server.until(2)
        closing = asyncio.ensure_future(envoy.close(grace=60))
        await asyncio.sleep(0.01)
        closing.cancel()
        await asyncio.wait([closing], timeout=3)
        assert closing.cancelled()
        assert type(await outcome(running)) is errors.ClientClosedError


async def test_a_cancelled_block_does_not_wait() -> None:
    """`async with` that ends because its task was cancelled gives calls under way no grace."""
    async with MisbehavingServer(answer(), hang) as server:
        envoy, running = make_client(server.url), list[asyncio.Task[Call]]()

        async def work() -> None:
            async with envoy:
                await envoy.calls.get(UUID)
                running.append(asyncio.create_task(envoy.calls.get(UUID)))
                await asyncio.Event().wait()

        task = asyncio.ensure_future(work())
        await server.until(2)
        task.cancel()
        await asyncio.wait([task], timeout=3)
        assert task.cancelled()
        assert type(await outcome(running[0])) is errors.ClientClosedError


async def test_closing_from_another_thread() -> None:
    """Closing in another thread while the client is in use is refused, and says why; the client goes on."""
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        error = await asyncio.to_thread(asyncio.run, failure_of(envoy.close()))
        assert isinstance(error, errors.ConfigurationError)
        await envoy.calls.get(UUID)


async def test_closing_over_a_line_at_the_gate() -> None:
    """Calls that wait for quota are sent away; nothing of them was sent, so all are simply closed."""
    async with MisbehavingServer(refuse("5"), answer()) as server, make_client(server.url) as envoy:
        patient = asyncio.ensure_future(envoy.calls.list().collect())
        await settled(lambda: line_of(envoy) == 1)
        waiting = [asyncio.ensure_future(operation(envoy)) for operation in (*READS.values(), *UNSAFE.values())]
        await settled(lambda: line_of(envoy) == 1 + len(waiting))
        await envoy.close()
        assert {type(await outcome(task)) for task in [patient, *waiting]} == {errors.ClientClosedError}
        assert len(server.executed) == 1


async def test_closing_over_a_call_that_just_got_its_permit() -> None:
    """A call whose turn came in the moment of closing is not sent, and says why."""
    for operation in (READS["calls.get"], *UNSAFE.values()):
        async with MisbehavingServer(refuse("5"), answer()) as server, make_client(server.url) as envoy:
            waiting = asyncio.ensure_future(operation(envoy))
            await settled(lambda: line_of(envoy) == 1)
            pool = envoy._transport.pool
            assert pool._lane is not None
            pool._windows["general"].paused_until = 0.0
            pool._lane._gates["general"]._move()
            await envoy.close()
            assert type(await outcome(waiting)) is errors.ClientClosedError
            assert len(server.executed) == 1


async def test_closing_over_a_back_off() -> None:
    """A call that waits between attempts ends with the close, however long it would have waited."""
    policy = RetryPolicy(base=1_000, cap=1_000)
    timeouts = Timeouts(deadline=5_000)
    async with (
        MisbehavingServer(drop) as server,
        EnvoyClient(KEY, base_url=server.url, retry=policy, timeouts=timeouts) as envoy,
    ):
        running = asyncio.ensure_future(envoy.calls.get(UUID))
        await server.until(1)
        await asyncio.sleep(0.1)
        await envoy.close()
        assert type(await outcome(running)) is errors.ClientClosedError
        assert len(server.executed) == 1


async def test_closing_at_any_moment() -> None:
    """Closed after 0, 1, 2, … turns of the loop, a crowd of calls ends in results or our errors, and never hangs."""
    async with MisbehavingServer(answer()) as server:
        envoy = make_client(server.url)
        for turns in range(30):
            async with envoy:
                calls = [operation(envoy) for operation in (*READS.values(), *UNSAFE.values()) for _ in range(10)]
                crowd = [asyncio.ensure_future(call) for call in calls]
                for _ in range(turns):
                    await asyncio.sleep(0)
            for task in crowd:
                found = await outcome(task)
                assert not isinstance(found, BaseException) or isinstance(
                    found, errors.ClientClosedError | errors.OutcomeUnknownError
                )
            assert envoy._transport.pool._windows["general"].in_flight == 0


async def test_a_task_group_does_not_end_in_silence() -> None:
    """Closing under a `TaskGroup` is heard: its calls fail, they are not cancelled."""
    async with MisbehavingServer(hang) as server, make_client(server.url) as envoy:

        async def close() -> None:
            await server.until(1)
            await envoy.close(grace=0)

        with pytest.RaisesGroup(errors.OutcomeUnknownError):
            async with asyncio.TaskGroup() as group:
                group.create_task(envoy.calls.create())
                group.create_task(close())


async def test_a_given_session_is_left_alone() -> None:
    """Closing the client leaves a session passed in open, and what others send with it alone."""
    async with MisbehavingServer(answer()) as server, aiohttp.ClientSession() as session:
        envoy = make_client(server.url, session=session)
        await envoy.calls.get(UUID)
        await envoy.close()
        assert type(await failure_of(envoy.calls.get(UUID))) is errors.ClientClosedError
        async with session.get(server.url) as plain:
            assert plain.status == 200
        async with envoy:
            await envoy.calls.get(UUID)
        assert not session.closed


async def test_a_given_session_that_was_closed() -> None:
    """A session passed in that its owner has closed is an error of the SDK, not a bare `RuntimeError`."""
    session = aiohttp.ClientSession()
    envoy = make_client("http://127.0.0.1:9/v1", session=session)
    await session.close()
    assert isinstance(await failure_of(envoy.calls.get(UUID)), EnvoyError)
    await envoy.close()


async def test_another_loop_while_this_one_runs() -> None:
    """A second event loop in another thread is refused while the first runs; the first is not disturbed."""
    found: list[object] = []
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)

        def elsewhere() -> None:
            async def use() -> None:
                found.append(await failure_of(envoy.calls.get(UUID)))

            asyncio.run(use())

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        await envoy.calls.get(UUID)
        assert [type(each) for each in found] == [errors.ConfigurationError]
        assert len(server.executed) == 2


PROGRAM = """
import asyncio, sys
from envoy_async import EnvoyClient

envoy = EnvoyClient(sys.argv[2], base_url=sys.argv[1])

async def work():
    pages = envoy.calls.list()
    asyncio.get_running_loop().slow_callback_duration = 60  # a slow machine is no fault of ours
    got = await asyncio.gather(pages.collect(), envoy.calls.end(sys.argv[4]), envoy.calls.create())
    print(len(got))

async def entered():
    async with envoy:
        await work()

async def broken_off():
    task = asyncio.ensure_future(envoy.calls.create())
    await work()
    async for call in envoy.calls.list():
        break

for _ in range(3):
    asyncio.run({"entered": entered, "open": work, "broken off": broken_off}[sys.argv[3]]())
"""


@pytest.mark.parametrize("style", ["entered", "open", "broken off"])
async def test_three_loops_one_after_another(style: str) -> None:
    """One client works over three `asyncio.run`, entered each time or never closed at all; nothing is complained of."""
    async with MisbehavingServer(answer()) as server:
        command = (sys.executable, "-P", "-X", "dev", "-W", "error", "-c", PROGRAM, server.url, KEY, style, UUID)
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        async with asyncio.timeout(20):
            out, err = await process.communicate()
        assert (out.decode().split(), complaints(err), process.returncode) == (["3"] * 3, "", 0)
        assert len(server.executed) >= 9


def test_a_loop_that_ended_in_the_middle_does_not_block_the_next() -> None:
    """A request left behind by a loop nobody cleaned up does not count as under way for ever."""
    program = """
import asyncio, attrs
from envoy_async import EnvoyClient, Timeouts

async def serve(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    if served:
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
        writer.close()
    served.append(writer)  # a writer let go hangs up

async def first():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    envoy = EnvoyClient("envai_live_1", base_url=f"http://127.0.0.1:{port}", timeouts=Timeouts(deadline=2))
    left.append(asyncio.ensure_future(envoy.request("GET", "/x")))
    while not served:
        await asyncio.sleep(0.01)
    return envoy

async def second(envoy):
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, envoy:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        envoy._transport.settings = attrs.evolve(envoy._transport.settings, base_url=address)
        print(await envoy.request("GET", "/x", into=dict))

served, left = [], []
loop = asyncio.new_event_loop()
envoy = loop.run_until_complete(first())
loop.close()
assert envoy._transport.pool._windows["general"].in_flight == 1
asyncio.run(second(envoy))
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ended.stdout == "{}\n", ended.stderr
