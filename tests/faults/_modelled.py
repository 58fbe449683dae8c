"""A server without sockets, for virtual time: it counts per window as a quota does, and is down when it is told to be.

The rule: it stands behind `EnvoyClient(session=…)`, so that all of the client runs but aiohttp's own code. Time is the
event loop's. Everything that arrives is written down before anything else happens to it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from email.utils import formatdate
from math import ceil
from types import TracebackType
from typing import cast

import aiohttp
import attrs
from multidict import CIMultiDict
from yarl import URL

from envoy_async import EnvoyClient, Timeouts
from tests.transport.conftest import ENDED, PAGINATION, RECORD, REFUSED, SkippingClock, make_client

EPOCH = 1_700_000_000.0  # Unix seconds when the loop's clock shows 0
ADDRESS = "http://127.0.0.1:9/v1"  # where nobody listens


@attrs.frozen
class Arrival:
    """One request that came in, in seconds of the loop."""

    at: float
    method: str
    path: str
    category: str
    accepted: bool


class ModelledServer:
    """Accepts `quota` requests in any trailing minute, and says so in headers.

    Args:
        quota: requests, `None` for any number.
        latency: seconds for the way there and back.
        silent: nothing is said in headers, and each second counts for itself instead.
    """

    def __init__(self, quota: int | None = None, *, latency: float = 0.05, silent: bool = False) -> None:
        self.quotas: dict[str, int | None] = {"auth": 10, "api-keys": 1_000, "general": quota}
        self.window = 1.0 if silent else 60.0
        self.latency = latency
        self.silent = silent
        self.down = False
        self.arrivals: list[Arrival] = []
        self._counted: dict[str, deque[float]] = {name: deque() for name in self.quotas}

    @property
    def accepted(self) -> list[Arrival]:
        """What was let in."""
        return [arrival for arrival in self.arrivals if arrival.accepted]

    @property
    def refused(self) -> int:
        """How many were refused for quota."""
        return len(self.arrivals) - len(self.accepted)

    def most_within(self, seconds: float, *, since: float = 0.0) -> int:
        """Say how many came in within any stretch of time of this length."""
        times = [arrival.at for arrival in self.arrivals if arrival.at >= since]
        ends = deque[float]()
        most = 0
        for at in times:
            ends.append(at)
            while ends[0] <= at - seconds:
                ends.popleft()
            most = max(most, len(ends))
        return most

    def use(self, count: int, category: str = "general") -> int:
        """Let somebody else send this many at once; returns how many of them were let in."""
        return sum(self._take(asyncio.get_running_loop().time(), category) for _ in range(count))

    def request(self, method: str, url: URL, **_: object) -> Exchange:
        """Stand in for the method of an aiohttp session."""
        return Exchange(self, method, url)

    def answer(self, method: str, url: URL) -> Answer:
        """Take a request that has just arrived."""
        now, first = asyncio.get_running_loop().time(), url.path.split("/")[2]
        category = first if first in self.quotas else "general"
        accepted = self.down or self._take(now, category)
        self.arrivals.append(Arrival(now, method, url.path, category, accepted))
        if self.down:
            raise aiohttp.ServerDisconnectedError
        headers = CIMultiDict({} if self.silent else self._told(now, category))
        if accepted:
            return Answer(200, headers, Content(_body(url)))
        headers["Retry-After"] = str(max(1, ceil(self._counted[category][0] + self.window - now)))
        return Answer(429, headers, Content(json.dumps(REFUSED).encode()))

    def _take(self, now: float, category: str) -> bool:
        counted, quota = self._counted[category], self.quotas[category]
        began = now // 1 - 1e-9 if self.silent else now - self.window
        while counted and counted[0] <= began:
            counted.popleft()
        room = quota is None or len(counted) < quota
        if room:
            counted.append(now)
        return room

    def _told(self, now: float, category: str) -> Mapping[str, str]:
        counted, quota = self._counted[category], self.quotas[category]
        if quota is None:
            return {}
        return {
            "Date": formatdate(int(EPOCH + now), usegmt=True),
            "X-RateLimit-Limit": str(quota),
            "X-RateLimit-Remaining": str(max(0, quota - len(counted))),
            "X-RateLimit-Reset": str(int(EPOCH + (counted[0] if counted else now) + self.window)),
        }


def _body(url: URL) -> bytes:
    """Make a body that every operation can read; a listing goes on for ever, two records a page."""
    page = int(url.query.get("page", 1))
    rows = [{**RECORD, "id": f"call_{number:08x}-52f4-4d0e-9a43-3c1f6f2b8d90"} for number in (2 * page, 2 * page + 1)]
    pagination = {**PAGINATION, "page": page, "total_count": 10**6, "total_pages": 5 * 10**5, "has_next": True}
    token = {"access_token": "token-1", "token_type": "bearer", "expires_in": 3600}
    return json.dumps({**RECORD, **ENDED, **token, "data": rows, "pagination": pagination}).encode()


class Content:
    """A body that comes in one piece."""

    def __init__(self, body: bytes) -> None:
        self._pieces = [body]

    def at_eof(self) -> bool:
        """Whether it was read."""
        return not self._pieces

    async def readany(self) -> bytes:
        """Give the body."""
        return self._pieces.pop()


@attrs.frozen
class Answer:
    """What a client sees of an answer."""

    status: int
    headers: CIMultiDict[str]
    content: Content


class Exchange:
    """One request on its way there and back."""

    def __init__(self, server: ModelledServer, method: str, url: URL) -> None:
        self._server, self._method, self._url = server, method, url

    async def __aenter__(self) -> Answer:
        await asyncio.sleep(self._server.latency / 2)
        answer = self._server.answer(self._method, self._url)
        await asyncio.sleep(self._server.latency / 2)
        return answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hold nothing."""


class LoopClock(SkippingClock):
    """The loop's clock as it is: virtual time skips waits by itself."""

    async def sleep(self, seconds: float) -> None:
        """Note the wait, and wait."""
        self.waits.append(seconds)
        await asyncio.sleep(seconds)

    def __call__(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()


def make_modelled(server: ModelledServer, *, deadline: float = 90.0) -> EnvoyClient:
    """Make a client of this server."""
    session = cast("aiohttp.ClientSession", server)
    return make_client(ADDRESS, session=session, clock=LoopClock(), timeouts=Timeouts(deadline=deadline))
