"""What the first call of a process does that later ones need not do.

The rule: nothing is imported here that the SDK would have to import.
"""

from __future__ import annotations

import asyncio
import json
from time import process_time

from envoy_async import EnvoyClient


async def first(url: str) -> list[float]:
    """Read the first record twice; returns the seconds of CPU of both."""
    took: list[float] = []
    async with EnvoyClient("envai_live_1", base_url=url) as envoy:
        for _ in range(2):
            began = process_time()
            await envoy.calls.list().first()
            took.append(process_time() - began)
    return took


def main(url: str) -> None:
    """Tell the milliseconds."""
    one, two = asyncio.run(first(url))
    print(json.dumps({"ms": (one - two) * 1000}))
