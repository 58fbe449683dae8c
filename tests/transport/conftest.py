"""A server that misbehaves by script, and clients to try on it.

The rule: the server reads every request to its end and counts it in `executed` before it misbehaves, so that a
request sent twice shows. A script is a list of steps, one per request; its last step goes on for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import ssl as tls
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from random import Random
from typing import Self

import aiohttp
import attrs
import pytest

from envoy_async import EnvoyClient, EnvoyError, Login, RetryPolicy, Timeouts
from envoy_async._credentials import Credentials, Source
from envoy_async._transport import Transport
from envoy_async.models import NewLoad, Stop

KEY = "envai_live_canary_7f3a91c2"
UUID = "0b7e6a1c-52f4-4d0e-9a43-3c1f6f2b8d90"
AT = "2026-11-21T10:00:00Z"
RECORD = {
    "id": f"call_{UUID}",
    "status": "COMPLETED",
    "call_time": AT,
    "created_at": AT,
    "updated_at": AT,
    "load_number": "LD1",
    "organization_id": "org_1",
    "equipment_type": "VAN",
}
PAGINATION = {"page": 1, "page_size": 100, "total_count": 1, "total_pages": 1, "has_next": False}
ENDED = {"success": True, "message": "ended", "call_id": f"call_{UUID}", "load_id": f"load_{UUID}"}
GOOD = json.dumps({**RECORD, **ENDED, "data": [RECORD], "pagination": PAGINATION}).encode()
"""One body that every operation used here can read."""
REFUSED = {"error": {"code": "rate_limit_exceeded", "message": "Rate limit exceeded."}}

Operation = Callable[[EnvoyClient], Awaitable[object]]
STOPS: list[Stop | Mapping[str, object]] = [{"location": {"city": "Waco", "state": "TX"}}] * 2
NEW_LOAD = NewLoad(load_number="LD1", equipment_type="VAN", stops=STOPS)
READS: Mapping[str, Operation] = {
    "calls.get": lambda envoy: envoy.calls.get(UUID),
    "calls.list": lambda envoy: envoy.calls.list().collect(),
}
IDEMPOTENT: Mapping[str, Operation] = {
    "calls.end": lambda envoy: envoy.calls.end(UUID),
    "loads.create": lambda envoy: envoy.loads.create(NEW_LOAD),
    "loads.update": lambda envoy: envoy.loads.update(UUID, is_posted=True),
}
UNSAFE: Mapping[str, Operation] = {
    "calls.create": lambda envoy: envoy.calls.create(extra={"phone_number": "+15550100"}),
    "calls.join": lambda envoy: envoy.calls.join(UUID),
}


@attrs.frozen
class Received:
    """One request as it came off the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int

    def values(self, name: str) -> list[str]:
        """Return every value of a header, whatever the case of its name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@attrs.frozen
class Step:
    """What the server does about one request; one that is not `counted` is not even read."""

    name: str
    run: Callable[[asyncio.StreamWriter], Awaitable[None]]
    counted: bool = True

    def __str__(self) -> str:
        return self.name


class MisbehavingServer:
    """Answers by script, on a port of its own."""

    def __init__(self, *script: Step, ssl: tls.SSLContext | None = None, port: int = 0) -> None:
        self.executed: list[Received] = []
        self.connections = 0
        self.port = port
        self._script = list(script)
        self._ssl = ssl
        self._tasks: set[asyncio.Task[object]] = set()
        self._news = asyncio.Condition()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"https://localhost:{self.port}/v1" if self._ssl else f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def until(self, count: int) -> None:
        """Wait until this many requests were executed."""
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: len(self.executed) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._talk(reader, writer, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, tls.SSLError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while not writer.is_closing():
            first = await reader.readexactly(1)
            step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
            if step.counted:
                received = await _read(first, reader, connection)
                async with self._news:
                    self.executed.append(received)
                    self._news.notify_all()
            await step.run(writer)


async def _read(first: bytes, reader: asyncio.StreamReader, connection: int) -> Received:
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.strip().split("\r\n")
    method, target, _ = start.split(" ")
    headers = [line.split(": ", 1) for line in lines]
    received = Received(method, target, tuple((name, value) for name, value in headers), b"", connection)
    length = received.values("Content-Length")
    return attrs.evolve(received, body=await reader.readexactly(int(length[0]))) if length else received


def raw(name: str, data: bytes, *, stay: bool = False) -> Step:
    """Send these bytes; then hang up, or `stay`."""

    async def run(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if not stay:
            writer.close()

    return Step(name, run)


def answer(
    status: int = 200, body: object = GOOD, *, headers: Mapping[str, str] | None = None, chunked: bool = False
) -> Step:
    """Answer properly; a *body* that is not bytes goes out as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**length, **(headers or {})}.items())
    if chunked:
        half = len(content) // 2
        parts = (content[:half], content[half:], b"")
        content = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return raw(f"answer {status}", f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode() + content, stay=True)


def refuse(retry_after: str | None = "0.05") -> Step:
    """Answer 429 for quota, before anything ran."""
    return answer(429, REFUSED, headers={} if retry_after is None else {"Retry-After": retry_after})


def slow(step: Step, seconds: float) -> Step:
    """Do the same, later."""

    async def run(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await step.run(writer)

    return attrs.evolve(step, name=f"slow {step.name}", run=run)


def redirect(location: str, status: int = 307) -> Step:
    """Answer with a redirect."""
    return answer(status, b"", headers={"Location": location})


def half_body(status: int = 200) -> Step:
    """Promise the whole body, send half of it, and hang up."""
    head = f"HTTP/1.1 {status} Scripted\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode()
    return raw(f"half body {status}", head + GOOD[: len(GOOD) // 2])


def packed(body: bytes, encoding: str = "gzip") -> Step:
    """Answer 200 with this body under this Content-Encoding, framed consistently."""
    return answer(200, body, headers={"Content-Encoding": encoding})


async def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    peer = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _trickle_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _bomb(writer: asyncio.StreamWriter) -> None:
    """Send 1 GiB of zeros in about 1 MiB; one block, flushed to a byte border, stands for all 1,024."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    writer.write(packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(1024):
        writer.write(block)
        await writer.drain()
    writer.write(packer.flush() + struct.pack("<II", 0x5B64C2B0, 1 << 30))
    writer.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ZIPPED = gzip.compress(GOOD)
drop = raw("drop", b"")
drop_unread = attrs.evolve(drop, name="drop unread", counted=False)
reset = Step("reset", _abort)
reset_unread = Step("reset unread", _abort, counted=False)
hang = Step("hang", _hang)
trickle = Step("trickle", _trickle)
trickle_headers = Step("trickled headers", _trickle_headers)
bomb = Step("bomb", _bomb)
half_status = raw("half status line", b"HTTP/1.1 2")
half_headers = raw("half headers", b"HTTP/1.1 200 OK\r\nContent-Len")
endless_chunks = raw("chunks without an end", CHUNKED + b"%x\r\n%s\r\n" % (len(GOOD), GOOD))
cut_chunk = raw("cut chunk", CHUNKED + b"%x\r\n%s" % (len(GOOD), GOOD[:20]))
cut_gzip = attrs.evolve(packed(ZIPPED[: len(ZIPPED) // 2]), name="cut gzip")
no_trailer = attrs.evolve(packed(ZIPPED[:-4]), name="gzip without trailer")
damaged_gzip = attrs.evolve(packed(ZIPPED[:-8] + bytes(8)), name="damaged gzip")
mislabelled = attrs.evolve(packed(GOOD), name="plain labelled gzip")
unknown_encoding = attrs.evolve(packed(GOOD, "zzz"), name="encoding zzz")
brotli = attrs.evolve(packed(GOOD, "br"), name="encoding br")
garbage = raw("garbage", b"\x16\x03\x01SSH-2.0-OpenSSH\r\n\r\n")
huge_header = attrs.evolve(answer(headers={"X-Huge": "x" * 200_000}), name="huge header")
many_headers = attrs.evolve(answer(headers={f"X-{n}": "x" for n in range(5_000)}), name="many headers")
two_lengths = raw("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ")
html = attrs.evolve(answer(200, b"<html><body>Sign in</body></html>"), name="html")
bom = attrs.evolve(answer(200, b"\xef\xbb\xbf" + GOOD), name="bom")

LOST = (drop, drop_unread, reset, reset_unread, half_status, half_headers)
"""The connection breaks before a status was seen."""
CUT = (half_body(), endless_chunks, cut_chunk, cut_gzip, no_trailer)
"""A success was seen, its body breaks off."""
UNREADABLE = (damaged_gzip, mislabelled, unknown_encoding, brotli, html)
"""A success whose body is whole and of no use."""
NOT_HTTP = (garbage, huge_header, many_headers, two_lengths)


class SkippingClock:
    """The loop's clock, which jumps over back-offs instead of sleeping; `waits` keeps them."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self) -> float:
        """Return the loop's time, with all skipped waits on top."""
        return asyncio.get_running_loop().time() + sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        """Skip this wait."""
        self.waits.append(seconds)
        await asyncio.sleep(0)


def make_client(
    url: str,
    *,
    credentials: str | Credentials | Login | Source = KEY,
    organization_id: str | None = None,
    retry: RetryPolicy = RetryPolicy(base=0.01, budget=100.0),  # noqa: B008 - frozen
    timeouts: Timeouts = Timeouts(deadline=10.0, attempt=5.0, connect=2.0),  # noqa: B008 - frozen
    session: aiohttp.ClientSession | None = None,
    clock: SkippingClock | None = None,
) -> EnvoyClient:
    """Make a client that is short of patience and does not sleep between attempts."""
    client = EnvoyClient(
        credentials, base_url=url, organization_id=organization_id, retry=retry, timeouts=timeouts, session=session
    )
    old, time = client._transport, clock or SkippingClock()
    client._use(Transport(old.settings, old.access, old.pool, clock=time, sleep=time.sleep, random=Random(7)))
    return client


def complaints(written: bytes) -> str:
    """Give what a program wrote to stderr, but for asyncio's note that the machine is slow."""
    lines = written.decode().splitlines(keepends=True)
    return "".join(line for line in lines if not (line.startswith("Executing <") and line.endswith("seconds\n")))


async def settled(condition: Callable[[], object]) -> None:
    """Wait until something holds, however slow the machine is."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for sends no event
            await asyncio.sleep(0.001)


def line_of(envoy: EnvoyClient) -> int:
    """Count who waits at the client's gate."""
    lane = envoy._transport.pool._lane
    return 0 if lane is None else lane._gates["general"].waiting


async def failure_of(running: Awaitable[object]) -> EnvoyError:
    """Return the error of the SDK that this ends with."""
    with pytest.raises(EnvoyError) as caught:
        await running
    return caught.value


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Hold a port without listening on it, so that connections to it are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    """Check that a test leaves no task behind."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:  # the server's own end within a few turns of the loop
        _, left = await asyncio.wait(left, timeout=1)
    assert not left
