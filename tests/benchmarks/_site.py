"""The server that all clients are measured against: calls as cheap as can be, in a process of its own.

The rule: what is timed is the client. Pages are cut from records of the sandbox, written once, of which only the ids,
numbers, and times are replaced, and what was written is kept, so that answering is no more than looking it up. The
address says what is served: `Site.url(records=…, latency=…)` gives a base URL behind which there are so many calls,
newest first, a page per minute, each answered so many seconds after it was asked for. Sorting by `created_at` upwards
is honoured. The quota is so large that nobody is held up, and the headers are those of the real one. Requests on
several connections are answered independently.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import multiprocessing
import ssl
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import formatdate
from functools import lru_cache, partial
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import attrs
import trustme

from envoy_async.sandbox import Sandbox
from tests.benchmarks._calls import FIRST, SIZE

QUOTA = 1_000_000_000
_PAGE, _MINUTE = "p-a-g-e-", "YYYY-MM-DDTHH:MM"
_KEPT = 2_500  # answers, of 66 kB


@attrs.frozen
class Site:
    """Where the server is."""

    port: int
    secure_port: int
    authority: Path
    """The certificate that signed the server's, for `SSL_CERT_FILE`."""

    def url(self, *, records: int, latency: float = 0.0, packed: bool = False, secure: bool = False) -> str:
        """Give the base URL behind which there are so many calls, each answer *latency* seconds late."""
        where = f"https://localhost:{self.secure_port}" if secure else f"http://127.0.0.1:{self.port}"
        return f"{where}/{records}/{latency * 1000:.0f}/{'gzip' if packed else 'plain'}/v1"


class Answers(asyncio.Protocol):
    """One connection, which answers one request after the other."""

    def __init__(self, body: Callable[[str], tuple[bytes, bytes]]) -> None:
        self._body = body
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
            latency = int(target.split("/", 3)[2])  # milliseconds
            if latency:
                asyncio.get_running_loop().call_later(latency / 1000, self._answer, target)
            else:
                self._answer(target)

    def _answer(self, target: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            length, body = self._body(target)
            self._transport.write(b"%b%b%b" % (_head(int(time.time())), length, body))


class Book:
    """Every answer there is, written when it is first asked for."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self.records = [_distinct(record, row) for row, record in enumerate(records)]
        self.pattern = lru_cache(self._pattern)
        self.answer = lru_cache(_KEPT)(self._answer)

    def _answer(self, target: str) -> tuple[bytes, bytes]:
        """Give the last headers and the body of an answer."""
        address = urlsplit(target)
        _, records, _, packing, _, _, *call = address.path.split("/")
        body = self.record() if call else self.page(dict(parse_qsl(address.query)), int(records))
        more = b""
        if packing == "gzip":
            body, more = gzip.compress(body), b"Content-Encoding: gzip\r\n"
        return b"%bContent-Length: %d\r\n\r\n" % (more, len(body)), body

    def record(self) -> bytes:
        """Write one call, whichever was asked for."""
        whole = json.loads(self.page({"page": "1", "page_size": "1"}, 1))
        return json.dumps(whole["data"][0], separators=(",", ":")).encode()

    def page(self, query: dict[str, str], records: int) -> bytes:
        """Write a page; the records are as many as fit into whole pages."""
        number, size = int(query.get("page", 1)), int(query.get("page_size", 20))
        down = query.get("order_desc", "true") == "true"
        pages = records // size
        assert 1 <= number <= pages, "no rows come or go, so nobody should ask for more"
        block = pages - number if down else number - 1
        minute = (FIRST + timedelta(minutes=block)).isoformat(timespec="minutes")[: len(_MINUTE)]
        page = (
            self.pattern(size, down).replace(_PAGE.encode(), b"%08x" % block).replace(_MINUTE.encode(), minute.encode())
        )
        told = {"page": number, "page_size": size, "total_count": pages * size, "total_pages": pages}
        told |= {"has_next": number < pages, "has_prev": number > 1}
        return page + b',"pagination":' + json.dumps(told).encode() + b"}"

    def write(self, to: Path, pages: int) -> Path:
        """Write so many pages to a file, one in a line."""
        asked = ({"page": str(number), "page_size": str(SIZE)} for number in range(1, pages + 1))
        to.write_bytes(b"\n".join(self.page(query, pages * SIZE) for query in asked))
        return to

    def _pattern(self, size: int, down: bool) -> bytes:
        rows = self.records[:size]
        return json.dumps({"data": rows[::-1] if down else rows}, separators=(",", ":"))[:-1].encode()


def _distinct(record: dict[str, Any], row: int) -> dict[str, Any]:
    """Give a record in whose texts a page's number can be put: those that differ from call to call."""
    told = {
        "id": f"call_{_PAGE}-0000-4000-8000-{row:012}",
        "created_at": f"{_MINUTE}:{row * 60 / SIZE:09.6f}Z",
        "load_id": f"load_{_PAGE}-0000-4000-8000-{row:012}",
        "load_number": f"LD{_PAGE}{row:02}",
    }
    told |= {key: f"+1{_PAGE}{row:02}" for key in ("phone_number", "from_number") if record[key]}
    return {**record, **{key: text for key, text in told.items() if record[key]}}


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


async def book() -> Book:
    """Take the records from the sandbox."""
    async with Sandbox(calls=SIZE) as sandbox, aiohttp.ClientSession(headers={"X-API-Key": sandbox.api_key}) as session:
        answer = await session.get(f"{sandbox.base_url}/calls?page_size={SIZE}")
        return Book((await answer.json())["data"])


async def _serve(ports: Connection, secure: ssl.SSLContext) -> None:
    answers, loop = partial(Answers, (await book()).answer), asyncio.get_running_loop()
    servers = [await loop.create_server(answers, "127.0.0.1", 0, ssl=context) for context in (None, secure)]
    ports.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.Event().wait()


def _run(ports: Connection, certificate: Path) -> None:
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.load_cert_chain(certificate)
    run = getattr(__import__("uvloop"), "run") if find_spec("uvloop") else asyncio.run  # noqa: B009 - it has no types
    run(_serve(ports, secure))


@contextmanager
def running() -> Generator[Site]:
    """Run the server in another process."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        authority, certificate = Path(folder, "authority.pem"), Path(folder, "server.pem")
        signer = trustme.CA()
        signer.cert_pem.write_to_path(str(authority))
        signer.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        process = spawn.Process(target=_run, args=(there, certificate), daemon=True)
        process.start()
        try:
            there.close()
            port, secure_port = cast("list[int]", here.recv())
            yield Site(port, secure_port, authority)
        finally:
            process.kill()
            process.join()
            here.close()
