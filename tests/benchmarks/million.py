"""Memory while 1,000,000 records stream by, and whether later pages take longer than earlier ones.

Each way of reading runs in a process of its own, against a server in another. Its resident memory is read after the
first 100 pages, when everything has been loaded, and after every 100 pages from then on. The default way reads the
whole million, the others 200,000 records, so that all of it takes less than a minute. Times are those of the reading
process's own work (CPU), since the machine may be busy.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter, process_time

import attrs

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from envoy_async import EnvoyClient, Pages
from envoy_async.models import Call
from tests.benchmarks._calls_server import SIZE, Listing, running

MOST = 20.0  # MiB
EVERY = 100  # pages between two readings
PART = 1_000  # pages
PAGES = 10_000
STATM = Path("/proc/self/statm")
WAYS: dict[str, Callable[[EnvoyClient], Pages[Call]]] = {
    "default": lambda envoy: envoy.calls.list(),
    "prefetch(16)": lambda envoy: envoy.calls.list().prefetch(16),
    "backward": lambda envoy: envoy.calls.list(strategy="backward"),
    "checkpoint() per 100": lambda envoy: envoy.calls.list(),
}


@attrs.frozen
class Reading:
    """What was measured after so many pages."""

    seconds: float
    work: float
    """Seconds of CPU."""
    memory: float
    """Resident, in MiB."""


def now() -> Reading:
    """Measure; without /proc the memory is the highest so far."""
    if STATM.exists():
        memory = int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Reading(perf_counter(), process_time(), memory / 2**20)


async def stream(way: str, url: str, pages: int) -> list[Reading]:
    """Read so many pages by record, and measure after every 100 pages."""
    readings: list[Reading] = []
    count, last, saving = 0, "", way.startswith("checkpoint")
    async with EnvoyClient("envai_live_1", base_url=url) as envoy:
        listing = WAYS[way](envoy)
        async for call in listing:
            assert call.id != last
            last = call.id
            count += 1
            if saving and count % 100 == 0:
                listing.checkpoint()
            if count % (EVERY * SIZE) == 0:
                readings.append(now())
        assert count == listing.report.records == pages * SIZE
        assert listing.report.requests == listing.report.pages == pages
        assert listing.report.proven
    return readings


def read(way: str, url: str, pages: int) -> list[Reading]:
    """Run in a process of its own."""
    return asyncio.run(stream(way, url, pages))


def per_page(readings: list[Reading]) -> float:
    """Tell the milliseconds of CPU that each of these pages took."""
    return (readings[-1].work - readings[0].work) / (len(readings) - 1) / EVERY * 1000


def measure(way: str, pages: int) -> float:
    """Print one line of the table; returns by how many MiB the memory grew at most."""
    own = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with running(Listing(pages), 0.0) as (url,), own:
        readings = own.submit(read, way, url, pages).result()
    first, last = readings[0], readings[-1]
    most = max(reading.memory for reading in readings) - first.memory
    rate = (len(readings) - 1) * EVERY * SIZE / (last.seconds - first.seconds)
    part = min(PART, pages // 2) // EVERY
    print(
        f"| {way} | {pages * SIZE:,} | {first.memory:.1f} MiB | {most:.1f} MiB | {last.memory - first.memory:.1f} MiB "
        f"| {rate:,.0f} | {per_page(readings[: part + 1]):.2f} ms | {per_page(readings[-part - 1 :]):.2f} ms |",
        flush=True,
    )
    return most


def main() -> int:
    """Print the table; 1 when the memory grows more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=PAGES, help="of the default way; the others read a fifth")
    pages = parser.parse_args().pages
    print(f"growth since page {EVERY}, at most {MOST:g} MiB; CPU per page of the first and the last {PART:,} pages\n")
    print("| way | records | at first | grew at most | at the end | records per second | CPU, first | CPU, last |")
    print("|---|---|---|---|---|---|---|---|")
    grown = [measure(way, pages if way == "default" else pages // 5) for way in WAYS]
    return int(max(grown) > MOST)


if __name__ == "__main__":
    sys.exit(main())
