"""What the gate costs a short job: 25 pages for an idle client under 100 per minute, and the same without any gate.

Both list 2,500 calls from a sandbox of their own, over a socket, in turns. Without a gate means that everybody passes
and nothing is counted, by a server without a quota. The figure is the ratio of the medians within one run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from pathlib import Path
from time import perf_counter

from envoy_async import EnvoyClient
from envoy_async.sandbox import Sandbox

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from tests.benchmarks._ungated import ungate

MOST = 1.3


async def seconds(quota: int | None) -> float:
    """List 25 pages with an idle client; without a quota there is no gate either."""
    async with (
        Sandbox(calls=2_500, quota=quota, window=60.0) as sandbox,
        EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy,
    ):
        lane = await envoy._transport.pool.open()
        if quota is None:
            ungate(lane)
        began = perf_counter()
        found = [call.id async for call in envoy.calls.list()]
        took = perf_counter() - began
        assert len(set(found)) == 2_500
        assert [row.status for row in sandbox.requests] == [200] * 25
        return took


async def main() -> int:
    """Print the ratio; 1 when a short job is slowed more than it may be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    rows = [(await seconds(100), await seconds(None)) for _ in range(rounds + 1)][1:]
    own, open_ = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"25 pages: {own:.3f} s through the gate, {open_:.3f} s without; ratio {own / open_:.2f}, at most {MOST}")
    return int(own > MOST * open_)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
