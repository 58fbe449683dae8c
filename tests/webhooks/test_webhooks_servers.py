"""Receivers under real servers: aiohttp's, and uvicorn with Starlette and FastAPI."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import attrs
import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from starlette.applications import Starlette

from envoy_async.webhooks import Event, Receiver, aiohttp_handler, starlette_route
from tests.webhooks.conftest import delivery, verifier

LIMIT = 1024 * 1024  # bytes of a body


@asynccontextmanager
async def aiohttp_server(receiver: Receiver) -> AsyncGenerator[int]:
    """Serve as aiohttp's documentation says; gives the port."""
    app = web.Application()
    app.router.add_post("/hooks", aiohttp_handler(receiver))
    app.cleanup_ctx.append(receiver.lifespan)
    runner = web.AppRunner(app, shutdown_timeout=1, lingering_time=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@asynccontextmanager
async def uvicorn_server(app: Starlette) -> AsyncGenerator[int]:
    """Serve an ASGI application with uvicorn; gives the port."""
    config = uvicorn.Config(app, port=0, log_config=None, ws="none", lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it so
        await asyncio.sleep(0.002)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


def starlette_server(receiver: Receiver) -> AbstractAsyncContextManager[int]:
    """Serve with Starlette."""
    return uvicorn_server(Starlette(routes=[starlette_route("/hooks", receiver)], lifespan=receiver.lifespan))


def fastapi_server(receiver: Receiver) -> AbstractAsyncContextManager[int]:
    """Serve with FastAPI."""
    return uvicorn_server(FastAPI(routes=[starlette_route("/hooks", receiver)], lifespan=receiver.lifespan))


Serve: TypeAlias = Callable[[Receiver], AbstractAsyncContextManager[int]]
SERVERS: dict[str, Serve] = {"aiohttp": aiohttp_server, "starlette": starlette_server, "fastapi": fastapi_server}


@attrs.define
class Running:
    """A receiver under a server."""

    receiver: Receiver
    port: int
    handled: list[str]
    hold: asyncio.Event
    """While it is not set, handlers wait."""
    writer: asyncio.StreamWriter = attrs.field(init=False)

    async def send(self, head: str, *body: bytes) -> asyncio.StreamReader:
        """Send a request, and leave the connection open."""
        reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(f"{head}\r\nHost: localhost\r\n\r\n".encode())
        for part in body:
            self.writer.write(part)
        return reader

    async def leave(self) -> None:
        """Close the connection."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def ask(self, head: str, *body: bytes) -> int:
        """Send a request; gives the status of the answer."""
        reader = await self.send(head, *body)
        status = int((await reader.readline()).split()[1])
        await self.leave()
        return status

    async def deliver(self, id: str, *more: str) -> int:
        """Send a delivery, with some more lines among its headers; gives the status of the answer."""
        return await self.ask(*request(id, *more))


def request(id: str, *more: str, size: int = 0) -> tuple[str, bytes]:
    """Write the head of a delivery, and its body."""
    headers, body = delivery(id, padding="x" * size)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /hooks HTTP/1.1", f"Content-Length: {len(body)}", *lines, *more]), body


def chunked(id: str, size: int) -> tuple[str, bytes]:
    """Write a delivery of this many bytes that does not say how long it is."""
    head, body = request(id, size=size - len(request(id)[1]))
    assert len(body) == size
    head = "\r\n".join(line for line in head.split("\r\n") if not line.startswith("Content-Length"))
    return f"{head}\r\nTransfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@pytest.fixture(params=SERVERS)
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """Run a receiver under each server, and look that nothing is left behind."""
    handled: list[str] = []
    hold = asyncio.Event()
    hold.set()

    async def handle(event: Event) -> None:
        await hold.wait()
        handled.append(event.message_id)

    receiver = Receiver(verifier(), handle, answer_within=0.05, grace=0.2)
    async with SERVERS[request.param](receiver) as port:
        yield Running(receiver, port, handled, hold)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:  # the server's own end within a few turns of the loop
        _, left = await asyncio.wait(left, timeout=1)
    assert not left


async def test_deliveries(running: Running) -> None:
    """A delivery is accepted and handled once, a forged one and any other method refused."""
    assert [await running.deliver(id) for id in ("a", "a", "b")] == [200, 200, 200]
    assert running.handled == ["a", "b"]
    head, body = request("c")
    assert await running.ask(head, body[::-1]) == 401
    assert await running.ask("GET /hooks HTTP/1.1") == 405
    assert running.handled == ["a", "b"]


async def test_acknowledged_fast(running: Running) -> None:
    """A slow handler does not keep its sender; meanwhile a copy gets 409, and after its end 200."""
    running.hold.clear()
    assert [await running.deliver("a") for _ in range(2)] == [200, 409]
    assert running.handled == []
    running.hold.set()
    await asyncio.sleep(0)
    assert await running.deliver("a") == 200
    assert running.handled == ["a"]


async def test_the_server_stops(running: Running) -> None:
    """A handler that is still at work when the server stops is waited for, and then cancelled."""
    running.hold.clear()
    assert await running.deliver("a") == 200
    # the fixture ends the server, and finds no task


async def test_a_header_twice(running: Running) -> None:
    """A header that is there twice comes through to the verifier, which refuses the delivery."""
    assert await running.deliver("a", "Webhook-Id: b") == 401
    assert running.handled == []


@pytest.mark.parametrize("whole", [True, False])
async def test_the_largest_body(running: Running, *, whole: bool) -> None:
    """A body of exactly the limit is handled, one of a byte more is refused, whether it says its length or not."""

    def make(id: str, size: int) -> tuple[str, bytes]:
        return request(id, size=size - len(request(id)[1])) if whole else chunked(id, size)

    assert await running.ask(*make("a", LIMIT)) == 200
    assert await running.ask(*make("b", LIMIT + 1)) == 413
    assert running.handled == ["a"]


async def test_a_body_without_an_end(running: Running) -> None:
    """A body that never ends is refused as soon as it is too large."""
    head, _ = chunked("a", 200)
    reader = await running.send(head)
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    answer = asyncio.create_task(reader.readline())
    sent = 0
    with contextlib.suppress(ConnectionError):
        while not answer.done():
            running.writer.write(chunk)
            sent += len(chunk)
            await running.writer.drain()
            await asyncio.sleep(0)
    assert b" 413 " in await answer
    assert sent < 64 * LIMIT
    await running.leave()
    assert running.handled == []


async def test_the_sender_leaves_within_the_body(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """A sender that leaves in the middle of the body leaves nothing behind, and no error in the log."""
    caplog.set_level(logging.INFO)
    head, body = request("a", size=100_000)
    await running.send(head, body[:50_000])
    await asyncio.sleep(0.02)
    await running.leave()
    await asyncio.sleep(0.02)
    assert await running.deliver("b") == 200
    assert running.handled == ["b"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("broken", ["chunk", "gzip"])
async def test_a_broken_body(running: Running, broken: str) -> None:
    """A body that breaks its own framing or encoding is the sender's mistake, and never a 500."""
    head, body = request("a") if broken == "gzip" else chunked("a", 200)
    if broken == "gzip":
        head += "\r\nContent-Encoding: gzip"
    else:
        body = b"zz" + body
    assert await running.ask(head, body) < 500


async def test_the_sender_leaves_before_the_answer(running: Running) -> None:
    """A sender that leaves while the handler works does not stop it."""
    running.hold.clear()
    await running.send(*request("a"))
    async with asyncio.timeout(5):
        while not running.receiver._tasks:  # noqa: ASYNC110 - what is waited for sends no event
            await asyncio.sleep(0.001)
    await running.leave()
    running.hold.set()
    async with asyncio.timeout(5):
        while running.receiver._tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert running.handled == ["a"]
    assert await running.deliver("a") == 200
    assert running.handled == ["a"]
