"""What the tests of deliveries share: a receiver on a real socket, a clock moved by hand, and a small sandbox."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
from aiohttp import web

from envoy_async.sandbox import Sandbox

Answer: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC
PATIENCE = 10.0  # seconds within which a delivery must have come
ENDPOINTS = "/webhooks/endpoints"


@attrs.define
class Clock:
    """Stands still until a test moves it."""

    now: float = NOW

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@attrs.frozen(kw_only=True)
class Delivery:
    """What came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message."""
        return self.headers["webhook-id"]


class Receiver:
    """Writes down what comes in, and answers as it is told: with statuses in turn, then with 204."""

    def __init__(self, statuses: Iterable[int], answer: Answer | None) -> None:
        self.got: list[Delivery] = []
        self.statuses = deque(statuses)
        self.answer = answer
        self.port = 0
        self._came = asyncio.Condition()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/hooks"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Write one delivery down and answer it."""
        got = Delivery(path=request.path, headers=request.headers.copy(), body=await request.read())
        async with self._came:
            self.got.append(got)
            self._came.notify_all()
        if self.answer is not None:
            return await self.answer(request)
        return web.Response(status=self.statuses.popleft() if self.statuses else 204)

    async def reach(self, count: int) -> list[Delivery]:
        """Wait until so many deliveries have come in."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: len(self.got) >= count)
        return self.got


@asynccontextmanager
async def receiving(*statuses: int, answer: Answer | None = None, host: str = "127.0.0.1") -> AsyncGenerator[Receiver]:
    """Run a receiver."""
    receiver = Receiver(statuses, answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()


def small(clock: Callable[[], float], **options: Any) -> Sandbox:
    """Make a sandbox with few records."""
    return Sandbox(calls=3, loads=3, quota=None, clock=clock, **options)


async def register(sandbox: Sandbox, send: Send, url: str, *kinds: str, **fields: object) -> dict[str, Any]:
    """Register an endpoint, for offers if nothing else is said."""
    body = {"url": url, "event_types": kinds or ["offer.created"], **fields}
    status, _, endpoint = await send(sandbox, "POST", ENDPOINTS, json=body)
    assert status == 200
    return dict(endpoint)


def rows_of(sandbox: Sandbox, *names: str) -> list[tuple[object, ...]]:
    """Give what the attempts say, oldest first."""
    return [tuple(row[name] for name in names) for row in sandbox.store.attempts.values()]
