"""What the gate costs a short job: 25 pages for an idle client under 100 per minute, and the same without any gate.

The rule: both list 2,500 calls from a sandbox of their own, over a socket, in turns. Without a gate means that
everybody passes and nothing is counted, by a server without a quota.
"""

from __future__ import annotations

import asyncio
import json
from time import perf_counter

from envoy_async import EnvoyClient
from envoy_async.sandbox import Sandbox
from tests.benchmarks._ungated import ungate

TURNS = 3


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


async def turns() -> list[tuple[float, float]]:
    """Measure both in turns; the first warms up."""
    return [(await seconds(100), await seconds(None)) for _ in range(TURNS + 1)][1:]


def main() -> None:
    """Tell the ratio of the best turns."""
    own, open_ = zip(*asyncio.run(turns()), strict=True)
    print(json.dumps({"ratio": min(own) / min(open_)}))
