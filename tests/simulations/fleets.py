"""A thousand tasks in eight processes under one quota, with a real Redis: the figures.

The rule: real processes, each with a client of its own, a real Redis, and the sandbox, whose quota is 100 requests in
any 6 seconds: the vendor's, ten times as fast. What is used, refused, and starved is counted by the server. Every task
asks for one call after the other. Compared are: clients with `RedisQuotaStore`; the same whose tasks read listings,
which are patient; clients without a store; and throttled-py asked by every task for itself, before a plain request. No
fewer tasks can be starved than there were requests too few for each to have one.

Then Redis gets into trouble in the middle of a run: killed and started again, frozen, flushed, and processes with
clocks that differ by ±5 seconds. Told is what was refused from the trouble on until ten seconds after its end, how long
the store kept anybody waiting, and what is used and refused from ten seconds after its end.

Run it with ``nox -s simulations``; ``--only NAME`` runs one case, ``--seconds`` sets its length. It ends with 1 when a
figure is beyond its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args

import aiohttp
import attrs

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from envoy_async import EnvoyClient
from envoy_async._retry import Timeouts
from envoy_async.errors import EnvoyError
from envoy_async.fleet._redis import RedisQuotaStore
from envoy_async.quota import Lease, Standing
from envoy_async.sandbox import Sandbox
from tests._redis_server import RedisServer, connect, flush

T = TypeVar("T")
Way = Literal["store", "patient", "none", "throttled"]
Trouble = Literal["down", "frozen", "restarted", "flushed", "scripts", "skewed"]

PROCESSES, TASKS = 8, 125
QUOTA, WINDOW = 100, 6.0
SECONDS = 36.0
BEFORE, LASTS, HEALED = 14.0, 8.0, 10.0  # seconds: until the trouble, of it, and after it
USED, REFUSED, CALLS, STARVED = 0.95, 0.005, 12.0, 0.02
REFUSED_IN_TROUBLE, DELAY = 0.05, 0.5
SKEWS = (-5.0, 5.0)


class Counter(logging.Handler):
    """Counts warnings: of a store that failed, or a Redis out of reach."""

    warned = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self.warned += record.levelno >= logging.WARNING


class Watched:
    """A store that notes how long it kept anybody waiting."""

    def __init__(self, store: RedisQuotaStore) -> None:
        self._store = store
        self.longest = 0.0

    async def lease(self, line: str, count: int, *, limit: int | None, window: float, patient: bool) -> Lease:
        """Grant up to *count* requests to go now."""
        return await self._timed(self._store.lease(line, count, limit=limit, window=window, patient=patient))

    async def pause(self, line: str, seconds: float) -> None:
        """Grant nothing for so long."""
        await self._timed(self._store.pause(line, seconds))

    async def peek(self, line: str) -> Standing:
        """Tell what is known, and take nothing."""
        return await self._timed(self._store.peek(line))

    async def _timed(self, asked: Awaitable[T]) -> T:
        began = time.monotonic()
        try:
            return await asked
        finally:
            self.longest = max(self.longest, time.monotonic() - began)


@attrs.frozen
class Order:
    """What a process is to do."""

    way: Way
    base_url: str
    key: str
    redis: str
    call: str
    seconds: float
    skew: float = 0.0
    """Seconds that its clock is wrong by."""


async def ask(order: Order, store: Watched | None, answered: list[int]) -> None:
    """Let each task ask for one call after the other, until it is cancelled: the body of a process."""
    timeouts = Timeouts(deadline=3600.0)
    async with EnvoyClient(order.key, base_url=order.base_url, quota_store=store, timeouts=timeouts) as envoy:

        async def task(number: int) -> None:
            while True:
                with contextlib.suppress(EnvoyError):
                    if order.way == "patient":
                        await anext(envoy.calls.list(page_size=1).by_page())
                    else:
                        await envoy.calls.get(order.call)
                    answered[number] += 1

        await asyncio.gather(*map(task, range(TASKS)))


async def ask_throttled(order: Order, answered: list[int]) -> None:
    """Let each task ask throttled-py, wait as long as it says, and send a plain request."""
    from throttled.asyncio import RedisStore, Throttled, rate_limiter
    from throttled.exceptions import StoreUnavailableError

    rate = rate_limiter.per_duration(timedelta(seconds=WINDOW), round(0.97 * QUOTA), 3)
    options = {"CONNECTION_POOL_KWARGS": {"max_connections": TASKS}}  # else it fails with as many tasks
    limiter = Throttled(using="gcra", quota=rate, store=RedisStore(order.redis, options))

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        while (found := await limiter.limit("quota")).limited:  # noqa: ASYNC110 - that is what is compared
            await asyncio.sleep(found.state.retry_after)
        async with session.get(f"{order.base_url}/calls/{order.call}") as answer:
            answered[number] += answer.status == 200

    async def task(session: aiohttp.ClientSession, number: int) -> None:
        while True:
            with contextlib.suppress(StoreUnavailableError):  # a thousand tasks are many for one Redis
                await one(session, number)

    async with aiohttp.ClientSession(headers={"X-API-Key": order.key}) as session:
        await asyncio.gather(*(task(session, number) for number in range(TASKS)))


async def work(order: Order) -> None:
    """Wait for the sign to begin, ask until the time is over, and tell what came of it."""
    if order.skew:
        wall = time.time
        time.time = lambda: wall() + order.skew
    counter = Counter()
    logging.getLogger("envoy_async").addHandler(counter)
    answered, store = [0] * TASKS, Watched(RedisQuotaStore(order.redis)) if order.way in {"store", "patient"} else None
    asking = ask_throttled(order, answered) if order.way == "throttled" else ask(order, store, answered)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(order.seconds):
            await asking
    longest = 0.0 if store is None else store.longest
    print(json.dumps({"starved": answered.count(0), "longest": longest, "warned": counter.warned}), flush=True)


@attrs.frozen
class Result:
    """What came of a run; times are seconds from its beginning."""

    accepted: list[float]
    refused: list[float]
    calls: int
    """Script calls of Redis."""
    starved: int
    longest: float
    """How long the store kept anybody waiting at most."""
    warned: int
    """How often a process went on without Redis."""

    def part(self, since: float, until: float) -> tuple[float, float]:
        """Tell which part of the quota was used in a span, and which part of the requests was refused."""
        accepted, refused = (sum(since <= at < until for at in them) for them in (self.accepted, self.refused))
        return accepted / (QUOTA * (until - since) / WINDOW), refused / max(1, accepted + refused)


async def start(order: Order) -> asyncio.subprocess.Process:
    """Start a process, and wait until it is ready."""
    pipe, told = asyncio.subprocess.PIPE, json.dumps(attrs.asdict(order))
    worker = await asyncio.create_subprocess_exec(sys.executable, __file__, "--order", told, stdin=pipe, stdout=pipe)
    assert worker.stdout is not None
    await worker.stdout.readline()
    return worker


async def tell(worker: asyncio.subprocess.Process) -> dict[str, float]:
    """Wait for the end of a process; gives what it told."""
    out, _ = await worker.communicate()
    return cast("dict[str, float]", json.loads(out))


async def run(way: Way, seconds: float, trouble: Trouble | None = None) -> Result:
    """Run the fleet, with trouble in the middle if there is to be."""
    with RedisServer() as redis:
        async with Sandbox(calls=250, loads=10, quota=QUOTA, window=WINDOW, algorithm="sliding") as sandbox:
            call, skews = next(iter(sandbox.store.calls)), SKEWS if trouble == "skewed" else (0.0, 0.0)
            order = Order(way, sandbox.base_url, sandbox.api_key, redis.url, call, seconds)
            orders = [attrs.evolve(order, skew=skews[number % 2]) for number in range(PROCESSES)]
            workers = await asyncio.gather(*map(start, orders))
            began = time.time()
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write(b"go\n")
            told = asyncio.gather(*map(tell, workers))
            if trouble is not None:
                await cause(trouble, redis)
            found, calls = await told, await scripts(redis)
            accepted = [each.at - began for each in sandbox.requests if each.status == 200]
            refused = [each.at - began for each in sandbox.requests if each.status == 429]
    starved = sum(int(each["starved"]) for each in found)
    warned = sum(int(each["warned"]) for each in found)
    return Result(accepted, refused, calls, starved, max(each["longest"] for each in found), warned)


async def cause(trouble: Trouble, redis: RedisServer) -> None:
    """Let Redis get into trouble, and out of it again."""
    await asyncio.sleep(BEFORE)
    if trouble == "flushed":
        await flush(redis.url)
    if trouble == "scripts":
        client = connect(redis.url)
        await client.script_flush()
        await client.aclose()
    if trouble == "restarted":
        redis.stop()
        await asyncio.to_thread(redis.start)
    if trouble == "down":
        redis.stop()
        await asyncio.sleep(LASTS)
        await asyncio.to_thread(redis.start)
    if trouble == "frozen":
        redis.freeze()
        await asyncio.sleep(LASTS)
        redis.thaw()


async def scripts(redis: RedisServer) -> int:
    """Count the script calls of Redis since its start."""
    client = connect(redis.url)
    stats = await client.info("commandstats")  # pyright: ignore[reportUnknownMemberType]
    await client.aclose()
    return sum(int(stats[name]["calls"]) for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)


def show(way: Way, seconds: float) -> bool:
    """Run and print an undisturbed run; says whether it is within the limits."""
    result = asyncio.run(run(way, seconds))
    used, refused = result.part(0.0, seconds)
    permits = len(result.accepted) + len(result.refused)
    calls = result.calls / max(1, permits)
    least = max(0, PROCESSES * TASKS - len(result.accepted))
    counts = f"{calls:10.1f}{result.starved:10}{least:8}{result.longest:9.3f} s{result.warned:7}"
    print(f"{way:10}{used:8.1%}{refused:10.2%}{counts}", flush=True)
    starved = result.starved <= least + STARVED * PROCESSES * TASKS
    well = used >= USED and refused <= REFUSED and calls <= CALLS and starved and result.longest <= DELAY
    return well or way not in {"store", "patient"}


def show_trouble(trouble: Trouble) -> bool:
    """Run and print a run with trouble; says whether it is within the limits."""
    lasts = {"down": LASTS, "frozen": LASTS, "skewed": HEALED}.get(trouble, 0.0)
    healed = BEFORE + lasts + HEALED
    seconds = healed + 2 * WINDOW
    result = asyncio.run(run("store", seconds, trouble))
    used_in, refused_in = result.part(BEFORE, healed)
    used, refused = result.part(healed, seconds)
    print(f"{trouble:10}{used_in:8.1%}{refused_in:10.2%}{used:10.1%}{refused:10.2%}{result.longest:9.3f} s", flush=True)
    well = refused_in <= REFUSED_IN_TROUBLE and used >= USED and refused <= REFUSED
    return well and result.longest <= DELAY


def main() -> int:
    """Run the cases and print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of an undisturbed run")
    parser.add_argument("--only", choices=[*get_args(Way), *get_args(Trouble)])
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        asyncio.run(work(Order(**json.loads(options.order))))
        return 0
    ways = [way for way in get_args(Way) if options.only in {None, way}]
    troubles = [trouble for trouble in get_args(Trouble) if options.only in {None, trouble}]
    print(f"{PROCESSES} processes of {TASKS} tasks, {QUOTA} requests in any {WINDOW:.0f} s, {options.seconds:.0f} s")
    wells = list[bool]()
    if ways:
        print("way           used   refused   scripts   starved   least    longest  alone")
        wells += [show(way, options.seconds) for way in ways]
    if troubles:
        print("trouble   meanwhile: used, refused; then: used, refused; longest")
        wells += [show_trouble(trouble) for trouble in troubles]
    print("all within the limits" if all(wells) else "NOT within the limits")
    return 0 if all(wells) else 1


if __name__ == "__main__":
    sys.exit(main())
