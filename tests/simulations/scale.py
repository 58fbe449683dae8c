"""One quota under up to 100,000 processes, and up to 100,000 organizations: the figures.

The rule: gate, window, and sharing are the real ones, one of each per process; the server, Redis, and the time are
modelled. Every process has at least two patient tasks that always want to send. The processes begin within ten
seconds, and nobody knows the quota yet. The first minute and the second, which pays for the burst of the first, are
told apart. Where so many processes would take too long, a run begins in the middle instead: Redis knows the quota, and
a fleet before it used it up.

Run it with ``nox -s simulations``; ``--processes N`` runs fleets of so many, ``--all`` one of 100,000 too, which takes
minutes and two gigabytes; ``--write`` puts the tables into the documentation. It ends with 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import sys
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

import attrs

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from envoy_async._gate import Gate, Window
from envoy_async.fleet._buckets import cut
from envoy_async.fleet._desk import Known
from envoy_async.fleet._sharing import Sharing
from tests.simulations._desk import ModelledDesk, ModelledRedis
from tests.simulations._organizations import duration, organizations
from tests.simulations._runs import Run
from tests.simulations._servers import WINDOW, Server, VirtualLoop, per_span
from tests.simulations._tables import Table

PAGE = Path(__file__).parents[2] / "docs/explanation/at-scale.md"
BEGIN, END = "<!--- simulated: made by tests/simulations/scale.py -->\n", "<!--- end of simulated -->"
LINE, TASKS, ENOUGH = "general", 2, 0.5  # tasks of a process; of all together, for each request per second
ROUND_TRIP, START = 0.001, 10.0  # seconds: to Redis and back; in which all processes begin
USED, REFUSED, LONGEST = 0.95, 0.005, 2.0  # limits; the last is seconds for an interactive call
FLEETS = {  # quota per minute: processes, and seconds that are measured
    100: {1: 180.0, 10: 180.0, 100: 180.0, 1_000: 180.0, 10_000: 60.0},
    6_000: {1: 180.0, 10: 60.0, 100: 60.0, 1_000: 60.0, 10_000: 30.0},
}
LARGEST = 100_000, 45.0
MOST = 10_000  # processes of a run that begins with nobody knowing anything


@attrs.frozen
class Fleet:
    """A run to make."""

    processes: int
    quota: int
    seconds: float
    seed: int = 0

    @property
    def tasks(self) -> int:
        """Tasks of a process."""
        return max(TASKS, math.ceil(ENOUGH * self.quota / WINDOW / self.processes))

    @property
    def begun(self) -> bool:
        """Whether it begins in the middle."""
        return self.processes > MOST

    @property
    def since(self) -> float:
        """From when on it is measured."""
        return START if self.begun else 2 * WINDOW


@attrs.frozen
class Found:
    """What came of a run."""

    fleet: Fleet
    used: float
    refused: float
    before: tuple[float, float]
    """Used in the first minute and the second."""
    first: int
    """Refused in the first minute."""
    served: int
    """Processes that sent anything."""
    requests: int
    """Requests in all, from the beginning."""
    asks: float
    scripts: float
    commands: float
    """Per second."""
    per_request: float
    """Script calls."""
    longest: float
    took: float

    @property
    def named(self) -> tuple[str, str]:
        """Its first two cells."""
        return f"{self.fleet.quota:,}", f"{self.fleet.processes:,}"

    @property
    def good(self) -> bool:
        """Whether it is within the limits."""
        return self.used >= USED and self.refused <= REFUSED and self.longest <= LONGEST


class Process:
    """One process of a fleet."""

    def __init__(self, number: int, redis: ModelledRedis, server: Server, random: Random) -> None:
        clock = asyncio.get_running_loop().time
        sharing = Sharing(ModelledDesk(redis, number), clock, random, 1)
        gate = Gate(Window(random), clock, store=sharing, line=LINE)
        self.run = Run(server, gate, random)
        self.random = random

    async def work(self, count: int) -> None:
        """Begin at some moment, and send without pause."""
        await asyncio.sleep(self.random.uniform(0.0, START))
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                tasks.create_task(self.run.work(number, patient=True))

    async def call(self, since: float, waits: list[float]) -> None:
        """Make an interactive call every few seconds, and note how long it waited for its permit."""
        loop, gate = asyncio.get_running_loop(), self.run.gate
        await asyncio.sleep(since)
        while True:
            await asyncio.sleep(self.random.uniform(3.0, 10.0))
            began = loop.time()
            if not gate.enter(began):
                await gate.wait()
            waits.append(loop.time() - began)
            await self.run.attempt()


def in_the_middle(fleet: Fleet, redis: ModelledRedis, server: Server) -> None:
    """Let a fleet have used the quota up to this moment: evenly, and with its burst gone."""
    for number in range(int(0.97 * fleet.quota)):
        server.hit(-WINDOW + number * WINDOW / (0.97 * fleet.quota), "others")
    kept, parts = redis.kept(LINE), cut(fleet.quota, WINDOW)
    kept.known, kept.known_until = Known(fleet.quota, WINDOW), math.inf
    if parts.burst is not None:
        kept.full_at[parts.burst.name] = parts.burst.usable * parts.burst.interval
    kept.full_at[parts.steady.name] = parts.steady.usable * parts.steady.interval


async def saturate(fleet: Fleet) -> Found:
    """Let all processes send without pause, and one beside them make a call now and then."""
    began, loop, random = time.perf_counter(), asyncio.get_running_loop(), Random(fleet.seed)
    server = Server("sliding", fleet.quota, offset=random.uniform(0.0, WINDOW))
    redis = ModelledRedis(loop.time, ROUND_TRIP)
    if fleet.begun:
        in_the_middle(fleet, redis, server)
    processes = [Process(number, redis, server, random) for number in range(fleet.processes + 1)]
    jobs, waits = [loop.create_task(process.work(fleet.tasks)) for process in processes[1:]], list[float]()
    jobs.append(loop.create_task(processes[0].call(fleet.since, waits)))
    await asyncio.sleep(fleet.since)
    before = redis.asks, redis.scripts, redis.commands
    await asyncio.sleep(fleet.seconds)
    asks, scripts, commands = redis.asks - before[0], redis.scripts - before[1], redis.commands - before[2]
    accepted, refused = server.accepted["own"], server.refused_at
    sent, settled = sum(at >= fleet.since for at in accepted), min(WINDOW, fleet.since)
    late, minutes = sum(at >= settled for at in refused), per_span(accepted, WINDOW, 2 * WINDOW)
    found = Found(
        fleet=fleet,
        used=sent / (fleet.quota * fleet.seconds / WINDOW),
        before=(minutes[0] / fleet.quota, minutes[1] / fleet.quota),
        refused=late / (sum(at >= settled for at in accepted) + late),
        first=len(refused) - late,
        served=sum(process.run.done.total() > 0 for process in processes[1:]),
        requests=len(accepted),
        asks=asks / fleet.seconds,
        scripts=scripts / fleet.seconds,
        commands=commands / fleet.seconds,
        per_request=scripts / sent,
        longest=max(waits),
        took=time.perf_counter() - began,
    )
    for job in jobs:
        job.cancel()
    await asyncio.wait(jobs)
    for process in processes:
        process.run.gate.close()
    return found


def run(fleet: Fleet) -> Found:
    """Make a run in virtual time."""
    gc.disable()  # it would look at all processes again and again
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(saturate(fleet))
    finally:
        gc.enable()


async def size(processes: int = 200) -> float:
    """Measure the bytes that one process needs for gate and sharing, after it sent something."""
    loop = asyncio.get_running_loop()
    server, redis = Server("sliding", 6_000), ModelledRedis(loop.time, ROUND_TRIP)
    spare = Process(0, redis, server, Random(0))
    await spare.run.call(patient=True)  # what is made once for all
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    these = [Process(number, redis, server, Random(number)) for number in range(processes)]
    for process in these:
        await process.run.call(patient=True)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for process in (spare, *these):
        process.run.gate.close()
    return used / processes


def chosen(processes: int | None, *, largest: bool) -> list[Fleet]:
    """List the fleets to run: all, or those of one size."""
    if processes is not None:
        return [Fleet(processes, quota, sizes.get(processes, LARGEST[1])) for quota, sizes in FLEETS.items()]
    fleets = [Fleet(size, quota, seconds) for quota, sizes in FLEETS.items() for size, seconds in sizes.items()]
    return [*fleets, Fleet(LARGEST[0], 100, LARGEST[1])] if largest else fleets


def made(fleets: list[Fleet]) -> list[Found]:
    """Run them, the longest first."""
    with ProcessPoolExecutor(2) as pool:
        longest_first = sorted(fleets, key=lambda fleet: -fleet.processes * fleet.seconds)
        runs = {fleet: pool.submit(run, fleet) for fleet in longest_first}
        return [runs[fleet].result() for fleet in fleets]


def tell(table: Table, found: list[Found]) -> None:
    """Tell of the runs: how much was used, who had a turn, and what Redis was asked."""
    head = "Quota per minute", "Processes"
    table.head(*head, "Used, minute 1", "Minute 2", "Then", "Refused, minute 1", "Then", "Longest interactive wait")
    for one in found:
        first = ("-",) * 3 if one.fleet.begun else (*(f"{used:.0%}" for used in one.before), f"{one.first:,}")
        cells = *first[:2], f"{one.used:.1%}", first[2], f"{one.refused:.2%}", f"{one.longest:.3f} s"
        table.row(*one.named, *cells, good=one.good)
    table.head(*head, "Requests", "Processes that had a turn", "A turn for all takes at least", "A process asks every")
    for one in found:
        all_had, every = one.fleet.processes * WINDOW / (0.97 * one.fleet.quota), one.fleet.processes / one.asks
        cells = f"{one.requests:,}", f"{one.served:,}", duration(all_had), duration(every)
        table.row(*one.named, *cells, good=True)
    table.head(*head, "Script calls per request", "Script calls per second", "Commands per second", "Simulated in")
    for one in found:
        cells = f"{one.per_request:,.1f}", f"{one.scripts:,.0f}", f"{one.commands:,.0f}", duration(one.took)
        table.row(*one.named, *cells, good=True)


def main() -> int:
    """Measure, print, and on request write; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--processes", type=int, help="run fleets of so many only")
    parser.add_argument("--all", action="store_true", help=f"run a fleet of {LARGEST[0]:,} too")
    parser.add_argument("--write", action="store_true", help="put the tables into the documentation")
    options = parser.parse_args()
    began, table = time.perf_counter(), Table()
    tell(table, made(chosen(options.processes, largest=options.all)))
    if options.processes is None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            bytes_each = runner.run(size())
        organizations(table, bytes_each)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(before + BEGIN + "\n".join([*table.lines, "", ""]) + END + rest.split(END)[1], encoding="utf-8")
    print(f"\n{time.perf_counter() - began:.0f} s; limits missed: {table.missed}")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
