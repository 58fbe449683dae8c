"""What gate and retries cost a call that succeeds at once.

The rule: the client's own call, and the same through a gate that lets everybody pass and counts nothing, and without
what retries need, are timed in turns, with a session that answers at once, where the difference shows. Beside it
stands the bare aiohttp request over a socket, with the reading of its body. All is the CPU of this process; medians.
"""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from time import process_time_ns
from types import SimpleNamespace
from typing import cast

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from envoy_async import EnvoyClient
from envoy_async._retry import kind_of
from envoy_async._transport._call import Call
from envoy_async._wire import Request, Response, build
from tests.benchmarks._calls import OLDEST
from tests.benchmarks._ungated import ungate

ROUNDS, CALLS = 15, 400


class Instant:
    """Stands in for aiohttp's session: every request has its answer without a wait."""

    def __init__(self) -> None:
        quota = {"X-RateLimit-Limit": "1000000000", "X-RateLimit-Remaining": "999999999"}
        times = {"X-RateLimit-Reset": "60", "Date": formatdate(0, usegmt=True)}
        self._headers = CIMultiDict({**quota, **times})

    @asynccontextmanager
    async def request(self, *_: object, **__: object) -> AsyncGenerator[object, None]:
        """Answer in the next turn of the loop, which tidies up its timers meanwhile."""
        await asyncio.sleep(0)
        yield SimpleNamespace(status=200, headers=self._headers, content=Content())


class Content:
    """A body that comes in one piece."""

    def __init__(self) -> None:
        self._pieces = [b"{}"]

    def at_eof(self) -> bool:
        """Whether it was read."""
        return not self._pieces

    async def readany(self) -> bytes:
        """Give the body."""
        return self._pieces.pop()


def instant() -> EnvoyClient:
    """Make a client that has its answers at once."""
    session = cast("aiohttp.ClientSession", Instant())
    return EnvoyClient("envai_live_1", base_url="http://127.0.0.1:1/v1", session=session)


def ungated(envoy: EnvoyClient) -> Callable[[Request], Awaitable[Response]]:
    """Send the same call without gate and retries: one attempt, with its limit, credential, and ledger."""
    transport = envoy._transport

    async def send(request: Request) -> Response:
        now = transport._clock()
        return await transport._attempt(Call(request, kind_of(request), now, now + 90.0, now))

    return send


async def microseconds(way: Callable[[], Awaitable[object]], calls: int) -> float:
    """Measure so many calls, one after another; returns what one took."""
    began = process_time_ns()
    for _ in range(calls):
        await way()
    return (process_time_ns() - began) / calls / 1000


async def rounds(url: str) -> list[tuple[float, float, float]]:
    """Measure all three in turns."""
    request, address = build("GET", "/loads/tab-counts"), URL(f"{url}/calls/{OLDEST}", encoded=True)
    async with instant() as own, instant() as open_, aiohttp.ClientSession() as session:
        for envoy in (own, open_):
            await envoy._transport.send(request)
        ungate(await open_._transport.pool.open())
        send = ungated(open_)

        async def bare() -> None:
            async with session.get(address) as answer:
                await answer.read()

        return [
            (
                await microseconds(lambda: own._transport.send(request), CALLS),
                await microseconds(lambda: send(request), CALLS),
                await microseconds(bare, CALLS // 4),
            )
            for _ in range(ROUNDS + 1)
        ]


def main(url: str) -> None:
    """Tell the microseconds of gate and retries, and their share of a bare request."""
    rows = asyncio.run(rounds(url))[1:]
    extra = statistics.median(own - without for own, without, _ in rows)
    bare = statistics.median(row[2] for row in rows)
    print(json.dumps({"us": extra, "share": extra / bare}))
