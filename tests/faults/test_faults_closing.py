"""Faults of closing, and of clients in the wrong place; the numbers are those of the catalogue of faults.

Processes and sockets are real; only `close` with calls under way is tried in virtual time, for it may wait.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from envoy_async import errors
from tests.faults._modelled import ModelledServer, make_modelled
from tests.transport.conftest import (
    KEY,
    UUID,
    MisbehavingServer,
    answer,
    complaints,
    failure_of,
    hang,
    make_client,
    settled,
    slow,
)

virtual = pytest.mark.looptime
POLITE = 10.0  # seconds; longer than `close` may take to let calls under way end


@virtual
@pytest.mark.parametrize("latency", [0.5, 1_000.0], ids=["they end", "they hang"])
async def test_fault_083_closing_with_calls_under_way(latency: float) -> None:
    """What ends soon ends well; else reads are told that the client is closed, and POSTs that it is not known."""
    server = ModelledServer(600)
    async with make_modelled(server) as envoy:
        await envoy.calls.get(UUID)  # which tells the quota, so that all others go out at once
        server.latency = latency
        reads = [asyncio.ensure_future(envoy.calls.get(UUID)) for _ in range(5)]
        posts = [asyncio.ensure_future(envoy.calls.create()) for _ in range(5)]
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await envoy.close()
        assert loop.time() - began <= POLITE
        await asyncio.wait([*reads, *posts], timeout=0.1)
        assert all(task.done() and not task.cancelled() for task in (*reads, *posts))
        found = [{type(task.exception()) for task in tasks} for tasks in (reads, posts)]
    none = type(None)
    ended = [{none}, {none}]
    hung = [{errors.ClientClosedError}, {errors.OutcomeUnknownError}]
    assert found == (ended if latency < 1 else hung)


async def test_fault_084_used_after_closing() -> None:
    """A closed client says so at once."""
    async with MisbehavingServer(answer()) as server:
        async with make_client(server.url) as envoy:
            await envoy.calls.get(UUID)
        assert type(await failure_of(envoy.calls.get(UUID))) is errors.ClientClosedError
        assert type(await failure_of(envoy.calls.create())) is errors.ClientClosedError
        assert len(server.executed) == 1


async def test_fault_084_used_from_another_thread() -> None:
    """A second thread with a loop of its own is told at once that this client belongs to another, and why."""
    found: list[errors.EnvoyError] = []
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)

        async def use() -> None:
            async with asyncio.timeout(5):
                found.append(await failure_of(envoy.calls.get(UUID)))

        thread = threading.Thread(target=lambda: asyncio.run(use()))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert [type(each) for each in found] == [errors.ConfigurationError]
        assert "loop" in str(found[0])
        assert len(server.executed) == 1


FORK = """
import asyncio, os, sys
from envoy_async import EnvoyClient, errors

async def use(envoy):
    async with asyncio.timeout(5):
        return await envoy.calls.get(sys.argv[3])

async def parent(envoy):
    await use(envoy)
    if os.fork():
        os.wait()
        await use(envoy)
        await envoy.close()
        print("parent works")
        return
    try:
        asyncio.run(use(envoy))
    except errors.EnvoyError as error:
        print(type(error).__name__, error)
    sys.stdout.flush()
    os._exit(0)

asyncio.run(parent(EnvoyClient(sys.argv[2], base_url=sys.argv[1])))
"""


async def run_program(program: str, url: str, *arguments: str) -> tuple[str, str, int | None]:
    """Run a program in a Python that complains of everything; returns what it wrote, and how it ended."""
    command = (sys.executable, "-P", "-X", "dev", "-W", "error", "-c", program, url, KEY, UUID, *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    return out.decode(), complaints(err), process.returncode


async def test_fault_084_used_after_a_fork() -> None:
    """A child process that inherited a client is told at once that it must make its own; the parent's is unharmed."""
    async with MisbehavingServer(answer()) as server:
        out, err, code = await run_program(FORK, server.url)
        lines = out.splitlines()
        assert (err, code, lines[-1]) == ("", 0, "parent works")
        told = lines[:-1]
        assert told, "the child said nothing"
        assert all(line.startswith(("ConfigurationError", "ClientClosedError")) for line in told), told
        assert all("fork" in line or "process" in line for line in told), told
        assert len(server.executed) == 2


NEVER_CLOSED = """
import asyncio, gc, sys
from envoy_async import EnvoyClient

async def work():
    envoy = EnvoyClient(sys.argv[2], base_url=sys.argv[1])
    asyncio.get_running_loop().slow_callback_duration = 60  # a slow machine is no fault of ours
    await asyncio.gather(envoy.calls.get(sys.argv[3]), envoy.calls.create())
    listing = envoy.calls.list()
    await anext(listing)
    hanging = asyncio.ensure_future(envoy.calls.end(sys.argv[3]))
    await asyncio.sleep(0.05)
    del envoy, listing
    gc.collect()

asyncio.run(work())
gc.collect()
print("ended")
"""


async def test_fault_085_a_client_that_is_never_closed() -> None:
    """The program ends, no task is destroyed while pending, and no socket is left for the collector to complain of."""
    async with MisbehavingServer(answer(), answer(), answer(), hang) as server:
        out, err, code = await run_program(NEVER_CLOSED, server.url)
        assert (out, code) == ("ended\n", 0)
        assert "Task was destroyed" not in err
        assert "Unclosed" not in err
        assert "Exception ignored" not in err


WORKER = """
import asyncio, signal, sys
from envoy_async import EnvoyClient

async def work():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with EnvoyClient(sys.argv[2], base_url=sys.argv[1]) as envoy:
        done = 0
        while not stop.is_set():
            await envoy.calls.get(sys.argv[3])
            done += 1
            print(done, flush=True)
    print("stopped", done, flush=True)

async def hard():
    async with EnvoyClient(sys.argv[2], base_url=sys.argv[1]) as envoy:
        task = asyncio.current_task()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        try:
            while True:
                print(await envoy.calls.get(sys.argv[3]) is None, flush=True)
        except asyncio.CancelledError:
            print("cancelled", flush=True)

asyncio.run({"polite": work, "hard": hard}[sys.argv[4]]())
"""


@pytest.mark.parametrize("style", ["polite", "hard"])
async def test_fault_089_a_worker_is_told_to_end(style: str) -> None:
    """On SIGTERM it finishes the call under way, or breaks it off, leaves the client, and ends without a complaint."""
    async with MisbehavingServer(answer(), answer(), slow(answer(), 0.1) if style == "polite" else hang) as server:
        command = (sys.executable, "-P", "-X", "dev", "-W", "error", "-c", WORKER, server.url, KEY, UUID, style)
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        await settled(lambda: len(server.executed) >= 3)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            out, err = await process.communicate()
        assert (complaints(err), process.returncode) == ("", 0)
        last = out.decode().splitlines()[-1]
        assert last == ("cancelled" if style == "hard" else f"stopped {len(server.executed)}")
