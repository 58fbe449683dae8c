"""What gate and retries cost a call that succeeds at once.

Three ways to send the same request are timed in turns: the client's own; the same call through a gate that lets
everybody pass and counts nothing, and without what retries need; and the bare aiohttp request with the reading of its
body. First with a session that answers at once, where the differences show; then over a socket, to say what part of a
real call that is. Medians; absolute times depend on the machine, so compare within one run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from time import perf_counter_ns
from types import SimpleNamespace
from typing import cast

import aiohttp
from multidict import CIMultiDict

from envoy_async import EnvoyClient
from envoy_async._retry import kind_of
from envoy_async._transport import Lane
from envoy_async._transport._body import Body
from envoy_async._transport._call import Call
from envoy_async._transport._failures import judge
from envoy_async._wire import Request, Response, build
from envoy_async.sandbox import Sandbox

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from tests.benchmarks._ungated import ungate

MOST = 5.0  # microseconds
Way = Callable[[Request], Awaitable[Response]]


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
        yield SimpleNamespace(status=200, headers=self._headers, content=self)

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Give the body."""
        yield b"{}"


def ungated(envoy: EnvoyClient) -> Way:
    """Send the same call without gate and retries: one attempt, with its limit, credential, and ledger."""
    transport = envoy._transport

    async def send(request: Request) -> Response:
        now = transport._clock()
        return await transport._attempt(Call(request, kind_of(request), now, now + 90.0, now))

    return send


def bare(envoy: EnvoyClient, lane: Lane) -> Way:
    """Send the plain request, with nothing around it."""
    transport = envoy._transport

    async def send(request: Request) -> Response:
        call = Call(request, kind_of(request), 0.0, 90.0, 0.0, transport.access.current)
        async with asyncio.timeout(30), transport._request(lane, call) as answer:
            body = Body(answer.headers.get("Content-Encoding"))
            async for chunk in answer.content.iter_any():
                body.feed(chunk)
        return cast("Response", judge(Response(answer.status, answer.headers, body.end()), call.secret))

    return send


async def microseconds(way: Way, request: Request, calls: int) -> float:
    """Time so many calls, one after another; returns what one took."""
    began = perf_counter_ns()
    for _ in range(calls):
        await way(request)
    return (perf_counter_ns() - began) / calls / 1000


async def compare(own: EnvoyClient, open_: EnvoyClient, rounds: int, calls: int) -> tuple[list[float], float]:
    """Time all ways in turns; returns their medians, and that of what gate and retries cost."""
    request = build("GET", "/loads/tab-counts")
    for envoy in (own, open_):
        await envoy._transport.send(request)
    lane = open_._transport.pool.lane()
    assert lane is not None
    ungate(lane)
    ways = (own._transport.send, ungated(open_), bare(open_, lane))
    rows = [[await microseconds(way, request, calls) for way in ways] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*rows[1:], strict=True)], statistics.median(
        row[0] - row[1] for row in rows[1:]
    )


def tell(where: str, times: list[float]) -> None:
    """Print one line of the table."""
    print(f"{where:<16} {times[0]:8.1f} us own {times[1]:8.1f} us without gate and retries {times[2]:8.1f} us bare")


async def main() -> int:
    """Print both comparisons; 1 when gate and retries cost more than they may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    sessions = [cast("aiohttp.ClientSession", Instant()) for _ in range(2)]
    one, two = (EnvoyClient("envai_live_1", base_url="http://127.0.0.1:1/v1", session=session) for session in sessions)
    async with one, two:
        times, extra = await compare(one, two, rounds, 2_000)
        tell("answered at once", times)
    async with Sandbox(calls=10, quota=None) as sandbox:
        one, two = (EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) for _ in range(2))
        async with one, two:
            real, _ = await compare(one, two, rounds, 100)
            tell("over a socket", real)
    print(f"gate and retries: {extra:.2f} us, which is {extra / real[2]:.2%} of a bare call; they may cost {MOST:g} us")
    return int(extra > MOST)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
