"""A `GET /calls` as cheap as can be, in a process of its own, so that what is timed is the client.

The rule: pages are cut from one page of the sandbox's calls, written once, of which only the ids and the times of
creation are replaced. There is a page's worth of calls per *step* minutes, less than a second apart; sorting by
`created_at`, up or down, and whole days (UTC) are honoured. Requests on several connections are answered
independently, each so many seconds after it came. The quota is so large that nobody is held up.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import attrs

from envoy_async.sandbox import Sandbox

SIZE = 100
QUOTA = 1_000_000_000
FIRST = datetime(2025, 1, 6, tzinfo=UTC)
_PAGE, _MINUTE = "p-a-g-e-", "YYYY-MM-DDTHH:MM"
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\n"


@attrs.frozen
class Listing:
    """So many pages of calls, one page per *step* minutes; block 0 holds the oldest."""

    pages: int
    step: int = 1

    def at(self, block: int) -> datetime:
        """Tell when a block's calls were made."""
        return FIRST + timedelta(minutes=self.step * block)

    def within(self, query: dict[str, str]) -> range:
        """Give the blocks of the days asked for."""
        first, last = query.get("start_date"), query.get("end_date")
        if first is None or last is None:
            return range(self.pages)
        return range(max(0, self._before(first)), max(0, min(self.pages, self._before(last, days=1))))

    def _before(self, day: str, *, days: int = 0) -> int:
        """Count the blocks before the start of a day, or so many days later."""
        start = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=days)
        return -((FIRST - start) // timedelta(minutes=self.step))


class Answers(asyncio.Protocol):
    """One connection, which answers one request after the other."""

    def __init__(self, listing: Listing, patterns: dict[bool, bytes], latency: float) -> None:
        self._listing, self._patterns, self._latency = listing, patterns, latency
        self._asked = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep whom to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer in a while; a request without a body ends with its headers."""
        self._asked += data
        if self._asked.endswith(b"\r\n\r\n"):
            target = self._asked.split(b" ", 2)[1].decode()
            self._asked.clear()
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._answer, target)
            else:
                self._answer(target)

    def _answer(self, target: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            body = self._page(dict(parse_qsl(urlsplit(target).query)))
            head = _REFUSAL if body is None else _head(int(time.time()))
            self._transport.write(head + b"Content-Length: %d\r\n\r\n" % len(body or b"") + (body or b""))

    def _page(self, query: dict[str, str]) -> bytes | None:
        """Write a page; `None` for one that nobody should ask for, since no rows come or go."""
        number, downwards = int(query["page"]), query.get("order_desc") != "false"
        blocks = self._listing.within(query)
        if query["page_size"] != str(SIZE) or not 1 <= number <= len(blocks):
            return None
        block = blocks[-number] if downwards else blocks[number - 1]
        return _written(self._patterns[downwards], block, self._listing) + _envelope(number, len(blocks))


@lru_cache(1)
def _head(second: int) -> bytes:
    headers = {
        "Content-Type": "application/json",
        "Date": formatdate(second, usegmt=True),
        "X-RateLimit-Limit": QUOTA,
        "X-RateLimit-Remaining": QUOTA - 1,
        "X-RateLimit-Reset": second + 60,
    }
    return ("HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())).encode()


def _written(pattern: bytes, block: int, listing: Listing) -> bytes:
    minute = listing.at(block).isoformat(timespec="minutes")[: len(_MINUTE)]
    return pattern.replace(_PAGE.encode(), b"%08x" % block).replace(_MINUTE.encode(), minute.encode())


def _envelope(number: int, pages: int) -> bytes:
    told = {"page": number, "page_size": SIZE, "total_count": pages * SIZE, "total_pages": pages}
    told |= {"has_next": number < pages, "has_prev": number > 1}
    return b',"pagination":' + json.dumps(told).encode() + b"}"


async def _patterns() -> dict[bool, bytes]:
    """Make the text of a page, downwards and upwards, from one of the sandbox's."""
    async with Sandbox(calls=SIZE) as sandbox, aiohttp.ClientSession(headers={"X-API-Key": sandbox.api_key}) as session:
        answer = await session.get(f"{sandbox.base_url}/calls?page_size={SIZE}")
        records: list[dict[str, Any]] = (await answer.json())["data"]
    for row, record in enumerate(records):
        record["id"] = f"call_{_PAGE}-0000-4000-8000-{row:012}"
        record["created_at"] = f"{_MINUTE}:{row * 60 / SIZE:09.6f}Z"
    orders = {True: records[::-1], False: records}
    return {down: json.dumps({"data": rows}, separators=(",", ":"))[:-1].encode() for down, rows in orders.items()}


async def _serve(ports: Connection, listing: Listing, latencies: Sequence[float]) -> None:
    patterns, loop = await _patterns(), asyncio.get_running_loop()
    made = [partial(Answers, listing, patterns, latency) for latency in latencies]
    servers = [await loop.create_server(answers, "127.0.0.1", 0) for answers in made]
    ports.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.Event().wait()


def _run(ports: Connection, listing: Listing, latencies: Sequence[float]) -> None:
    asyncio.run(_serve(ports, listing, latencies))


@contextmanager
def running(listing: Listing, *latencies: float) -> Generator[list[str]]:
    """Run the server in another process; gives a base URL for each latency, in seconds."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_run, args=(there, listing, latencies), daemon=True)
    process.start()
    try:
        there.close()
        yield [f"http://127.0.0.1:{port}/v1" for port in cast("list[int]", here.recv())]
    finally:
        process.kill()
        process.join()
        here.close()
