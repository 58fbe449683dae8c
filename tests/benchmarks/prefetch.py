"""What fetching ahead gains: 100 pages of calls, read one after the other and with `prefetch`.

A server in another process answers each request a fixed time after it came. Both ways are timed in turns, in changing
order, each with a client of its own. A ratio is that of neighbours: one reading page by page, and the median of three
ahead, which are so short that a machine which halts for a moment would upset one. All must give the same calls in the
same order. Held to a limit is the default strategy with 8 pages at 20 ms; the others are there to be known.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import attrs

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from envoy_async import EnvoyClient, Pages
from envoy_async.models import Call
from tests.benchmarks._calls_server import SIZE, Listing, running

LEAST = 6.0
TIMES = 3
LISTING = Listing(pages=100, step=20 * 60)
LATENCIES = (0.0, 0.02, 0.1)


@attrs.frozen
class Setting:
    """One row of the table."""

    strategy: str
    latency: float
    ahead: int
    rounds: int
    limit: float = 0.0
    pages: int = LISTING.pages

    def listing(self, envoy: EnvoyClient) -> Pages[Call]:
        """List the calls."""
        if self.strategy == "backward":
            return envoy.calls.list(strategy="backward")
        if self.strategy == "windows":
            first, last = LISTING.at(0).date(), LISTING.at(LISTING.pages - 1).date()
            return envoy.calls.list(strategy="windows", start_date=first, end_date=last)
        return envoy.calls.list(limit=None if self.pages == LISTING.pages else self.pages * SIZE)


async def read(setting: Setting, url: str, ahead: int) -> tuple[float, list[Call]]:
    """Read the whole listing; returns how many seconds that took, and the calls."""
    async with EnvoyClient("envai_live_1", base_url=url) as envoy:
        listing = setting.listing(envoy).prefetch(ahead)
        gc.collect()
        began = perf_counter()
        found = [call async for call in listing]
        return perf_counter() - began, found


async def compare(setting: Setting, url: str, *, ahead_first: bool) -> tuple[float, float]:
    """Read it both ways; returns the seconds one after the other, and those ahead."""
    ways = (1, *[setting.ahead] * TIMES)
    seconds: dict[int, list[float]] = {1: [], setting.ahead: []}
    before: list[Call] = []
    for ahead in ways[::-1] if ahead_first else ways:
        took, found = await read(setting, url, ahead)
        seconds[ahead].append(took)
        assert found == (before or found)
        before = found
    assert len(before) == setting.pages * SIZE
    assert all(newer.created_at > older.created_at for newer, older in pairwise(before))
    return seconds[1][0], statistics.median(seconds[setting.ahead])


def tell(setting: Setting, rows: list[tuple[float, float]]) -> float:
    """Print one line of the table; returns the median of the ratios."""
    ratios = [alone / ahead for alone, ahead in rows]
    alone, ahead = (statistics.median(column) for column in zip(*rows, strict=True))
    median, least = statistics.median(ratios), f"{setting.limit:g}" if setting.limit else ""
    print(
        f"| {setting.strategy} | {setting.pages} | {setting.latency * 1000:.0f} ms | {setting.ahead} "
        f"| {alone:.3f} s | {ahead:.3f} s | {median:.2f} [{min(ratios):.2f}, {max(ratios):.2f}] | {least} |"
    )
    return median


async def main() -> int:
    """Print the table; 1 when fetching ahead gains less than it must."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    settings = [
        Setting("default", 0.02, 8, rounds, LEAST),
        Setting("backward", 0.02, 8, max(1, rounds // 2)),
        Setting("windows", 0.02, 8, max(1, rounds // 2)),
        Setting("default", 0.0, 8, max(1, rounds // 2)),
        Setting("default", 0.1, 16, 1, pages=50),
    ]
    measured: dict[Setting, list[tuple[float, float]]] = {setting: [] for setting in settings}
    with running(LISTING, *LATENCIES) as urls:
        where = dict(zip(LATENCIES, urls, strict=True))
        await read(settings[3], where[0.0], 1)  # the first of all also builds the decoder
        for number in range(rounds):
            for setting in settings if number % 2 else settings[::-1]:
                if number < setting.rounds:
                    pair = await compare(setting, where[setting.latency], ahead_first=number % 2 == 1)
                    measured[setting].append(pair)
    print(f"pages of {SIZE} calls; ratio: median [least, most]\n")
    print("| strategy | pages | latency | prefetch | one after the other | ahead | ratio | at least |")
    print("|---|---|---|---|---|---|---|---|")
    medians = {setting: tell(setting, rows) for setting, rows in measured.items()}
    return int(any(median < setting.limit for setting, median in medians.items()))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
