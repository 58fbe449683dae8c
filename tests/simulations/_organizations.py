"""Many organizations, each with a key and a quota of its own: what a client, a plan, and a manifest need.

The rule: what one machine can hold is measured with the real thing. What takes a fleet is reckoned, and says from what.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import time
import tracemalloc
from contextlib import AsyncExitStack
from datetime import date
from multiprocessing.connection import Connection
from pickle import dumps
from sys import getsizeof
from tempfile import TemporaryDirectory

import attrs
import msgspec

from envoy_async import EnvoyClient
from envoy_async.fleet import plan, run_shard
from envoy_async.fleet._dask import ON_THE_WAY
from envoy_async.sandbox import Sandbox
from tests.simulations._servers import WINDOW
from tests.simulations._tables import Table

CLIENTS = 200
RATE, BURST = 97.0, 70.0  # requests of one organization per minute, and at once after a quiet minute
AT_ONCE, ANSWER = 4, 0.2  # shards of a worker at once; seconds for a request
SHARDS = 5  # of 30 days, 7 days each


@attrs.frozen
class Sizes:
    """What was measured, in bytes and seconds."""

    idle: float
    used: float
    plan_seconds: float
    plan_bytes: float
    shards: int
    shard: int
    result: int


def organizations(table: Table, bytes_each: float) -> None:
    """Measure and reckon, and tell."""
    sizes = measured()
    table.head("What one takes", "Measured")
    rows = {
        "gate and share of a process": f"{bytes_each / 1e3:.1f} kB",
        "client that is open and never sent": f"{sizes.idle / 1e3:.0f} kB",
        "client with one connection in use": f"{sizes.used / 1e3:.0f} kB",
        f"plan of 100,000 organizations and 30 days, {sizes.shards:,} shards": f"{sizes.plan_bytes / 1e6:.1f} MB",
        "… made, and all shards listed once": f"{sizes.plan_seconds:.1f} s",
        "shard on its way to a worker": f"{sizes.shard} bytes",
        "its line in the manifest of the fleet": f"{sizes.result} bytes",
    }
    for what, figure in rows.items():
        table.row(what, figure, good=True)
    table.head("Organizations", "Requests each", "Workers", "Clients at work", "Time", "Held up by")
    for count in (10, 1_000, 100_000):
        for requests in (20, 1_000):
            for workers in (4, 40, 250):
                table.row(*reckoned(count, requests, workers), good=True)


def reckoned(count: int, requests: int, workers: int) -> tuple[str, ...]:
    """Reckon how long it takes to send so many requests for each organization, and what holds it up."""
    slots = min(ON_THE_WAY, workers * AT_ONCE)
    together = min(count, slots)  # the first days of all organizations come first
    each = max(0.0, requests - BURST) / RATE * WINDOW
    shard = max(0.0, requests / SHARDS - BURST) / RATE * WINDOW
    by_quota = max(each, count / together * SHARDS * shard)
    by_answers = count * requests * ANSWER / min(slots, count * SHARDS)
    why = "quota" if by_quota > by_answers else "answers"
    return f"{count:,}", f"{requests:,}", f"{workers:,}", f"{together:,}", duration(max(by_quota, by_answers)), why


def duration(seconds: float) -> str:
    """Write a time as a person would."""
    for unit, length in ("days", 86_400.0), ("h", 3_600.0), ("min", 60.0):
        if seconds >= 2.0 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def measured() -> Sizes:
    """Measure with a sandbox in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        base_url, key = here.recv()
        return asyncio.run(_measured(base_url, key))
    finally:
        here.send("end")
        server.join()


def serve(pipe: Connection) -> None:
    """Run a sandbox until the other side has enough."""

    async def run() -> None:
        async with Sandbox(calls=300, quota=100_000) as sandbox:
            pipe.send((sandbox.base_url, sandbox.api_key))
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


async def _measured(base_url: str, key: str) -> Sizes:
    idle = await _per_client(base_url, key, sends=False)
    used = await _per_client(base_url, key, sends=True)
    names = [f"org_{number:032x}" for number in range(100_000)]
    held = sum(map(getsizeof, names)) + getsizeof(tuple(names))  # a plan is its arguments
    began = time.perf_counter()
    planned = plan("calls", names, "/data/calls", since=date(2026, 1, 1), until=date(2026, 1, 30))
    shards = sum(1 for _ in planned)
    seconds = time.perf_counter() - began
    with TemporaryDirectory() as folder:
        async with EnvoyClient(key, base_url=base_url) as envoy:
            result = await run_shard(next(iter(plan("calls", [None], folder))), envoy, folder)
    shard, line = len(dumps(next(iter(planned)))), len(msgspec.json.encode(attrs.asdict(result)))
    return Sizes(idle, used, seconds, held, shards, shard, line)


async def _per_client(base_url: str, key: str, *, sends: bool) -> float:
    """Measure the bytes of a client that is open; the first ones make what is made once for all."""
    async with AsyncExitStack() as stack:
        await _opened(stack, base_url, key, sends=sends)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(CLIENTS):
            await _opened(stack, base_url, key, sends=sends)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    return held / CLIENTS


async def _opened(stack: AsyncExitStack, base_url: str, key: str, *, sends: bool) -> None:
    envoy = await stack.enter_async_context(EnvoyClient(key, base_url=base_url))
    if sends:
        await anext(envoy.calls.list(page_size=1).by_page())
