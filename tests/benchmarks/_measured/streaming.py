"""Memory and CPU while records stream by.

The rule: nothing is kept but the last record. Memory is read after the first 100 pages, when everything has been
loaded, and after every 100 pages from then on; the CPU of 100 pages is the least of ten such readings, since the
machine may be slow for a while.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time

import attrs

from envoy_async import EnvoyClient, Pages
from envoy_async.models import Call
from tests.benchmarks._calls import SIZE

EVERY = 100  # pages between two readings
PART = 10  # readings
STATM = Path("/proc/self/statm")


@attrs.frozen
class Reading:
    """What was measured after so many pages."""

    seconds: float
    work: float
    """Seconds of CPU."""
    memory: float
    """Resident, in MiB."""


def now() -> Reading:
    """Measure."""
    return Reading(perf_counter(), process_time(), resident() / 2**20)


def resident() -> int:
    """Tell the bytes of resident memory; without /proc the highest so far."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def listing(envoy: EnvoyClient, way: str) -> Pages[Call]:
    """List the calls in the way that is measured."""
    if way == "backward":
        return envoy.calls.list(strategy="backward")
    return envoy.calls.list().prefetch(16) if way == "prefetch" else envoy.calls.list()


async def stream(way: str, url: str, records: int) -> list[Reading]:
    """Read all by record, and measure after every 100 pages."""
    readings: list[Reading] = []
    count, last = 0, ""
    async with EnvoyClient("envai_live_1", base_url=url) as envoy:
        pages = listing(envoy, way)
        async for call in pages:
            assert call.id != last
            last = call.id
            count += 1
            if way == "checkpoints" and count % SIZE == 0:
                pages.checkpoint()
            if count % (EVERY * SIZE) == 0:
                readings.append(now())
        assert count == pages.report.records == records
        assert pages.report.requests == pages.report.pages == records // SIZE
        assert pages.report.proven
    return readings


def main(way: str, url: str, records: str) -> None:
    """Tell what was found."""
    readings = asyncio.run(stream(way, url, int(records)))
    first, last = readings[0], readings[-1]
    work = [after.work - before.work for before, after in pairwise(readings)]
    found = {
        "at first": first.memory,
        "growth": max(reading.memory for reading in readings) - first.memory,
        "per second": (len(readings) - 1) * EVERY * SIZE / (last.seconds - first.seconds),
        "later": min(work[-PART:]) / min(work[:PART]),
    }
    print(json.dumps(found))
