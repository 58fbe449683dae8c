"""Sends what is due to the registered endpoints, signed, and to this machine only.

The rule: an attempt is taken and becomes SENDING in one step without an await, so the task in the background and
`Sandbox.deliver` never send the same one twice. While nothing is to do, nothing runs. Assumptions of ours, because the
vendor's ways are unknown: any 2xx within 5 seconds is a success and everything else a failure, redirects included;
an endpoint's own headers go out with each delivery, but never instead of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from functools import cached_property, partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from .._signing import sign
from .answers import Record
from .calling import advance
from .deliveries import Outcome, finish, put_back, take
from .endpoints import valid_secrets
from .validation import is_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .organizations import Organizations
    from .store import Store

TIMEOUT = 5.0  # seconds for one delivery
MOST = 16  # under way at one endpoint, so a slow receiver holds up nobody but itself
EXCERPT = 500  # characters
LOOK = 0.05  # seconds; the clock may be one that is moved by hand
GOOD = range(200, 300)
HERE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class ElsewhereError(Exception):
    """An address that is not of this machine."""


class Courier:
    """Delivers for all organizations within one event loop, from the moment it is made until it is closed."""

    def __init__(self, organizations: Organizations, clock: Callable[[], float]) -> None:
        """Start the task in the background."""
        self._organizations = organizations
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._closed = False
        self._sending: dict[asyncio.Task[Outcome], float] = {}  # with the moment it was due
        self._busy = Counter[str]()  # deliveries under way by endpoint
        self._watching = self._loop.create_task(self._watch())

    def wake(self) -> None:
        """Say that there may be something to do; also from another thread."""
        if not self._rung.is_set():
            self._loop.call_soon_threadsafe(self._rung.set)

    async def deliver(self) -> None:
        """Send all that is due by now, and wait until it has been answered."""
        now = self._clock()
        self._start(now)
        while under_way := [task for task, due in self._sending.items() if due <= now]:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            self._start(now)

    async def close(self) -> None:
        """Break off everything; what was under way waits again, should the sandbox be started once more."""
        self._closed = True
        tasks = [self._watching, *self._sending]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if "_session" in vars(self):
            await self._session.close()

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        """Open a session at first use; a connection carries one delivery."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_ThisMachine(), force_close=True, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            middlewares=(_stay_here,),
        )

    async def _watch(self) -> None:
        """Start what is due, and wait for more."""
        while True:
            self._rung.clear()
            self._start(self._clock())
            await self._pause()

    async def _pause(self) -> None:
        """Wait until somebody wakes us, or for a moment when something is still to come."""
        stores = self._organizations.filled
        expecting = any(store.endpoints and (store.agenda or any(store.queues.values())) for store in stores)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK if expecting else None):
                await self._rung.wait()

    def _start(self, now: float) -> None:
        """Let calls go on, and begin every delivery that is due by `now` and has room."""
        for store in self._organizations.filled if not self._closed else ():
            if store.endpoints:
                advance(store)
            for endpoint_id, endpoint in list(store.endpoints.items()):
                self._start_at(store, endpoint_id, endpoint, now)

    def _start_at(self, store: Store, endpoint_id: str, endpoint: Record, now: float) -> None:
        """Begin what is due at one endpoint, if it is active."""
        while endpoint["status"] == "ACTIVE" and self._busy[endpoint_id] < MOST:
            taken = take(store, endpoint_id, now)
            if taken is None:
                break
            due, row = taken
            task = self._loop.create_task(self._send(store, row, endpoint))
            self._sending[task] = due
            self._busy[endpoint_id] += 1
            task.add_done_callback(partial(self._ended, store, row))

    def _ended(self, store: Store, row: Record, task: asyncio.Task[Outcome]) -> None:
        """Write down how a delivery went, and make room for the next."""
        del self._sending[task]
        self._busy[str(row["endpoint_id"])] -= 1
        if task.cancelled():
            put_back(store, row)
        else:
            finish(store, row, task.result())
        self.wake()

    async def _send(self, store: Store, row: Record, endpoint: Record) -> Outcome:
        """Send one attempt, and tell how it went."""
        began = self._loop.time()
        body = json.dumps(row["payload"], separators=(",", ":")).encode()
        headers = _headers(store, row, endpoint, body)
        try:
            code, excerpt = await self._post(str(endpoint["url"]), body, headers)
        except ElsewhereError:
            return Outcome(error="The sandbox delivers to this machine only.", hopeless=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(error=_reason(error), duration_ms=self._since(began))
        wrong = None if code in GOOD else f"The receiver answered {code}."
        return Outcome(status_code=code, excerpt=excerpt, error=wrong, duration_ms=self._since(began))

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Post a body; give the status and the beginning of the answer."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as answer:
            return answer.status, await _beginning(answer.content)

    def _since(self, began: float) -> int:
        """Give the milliseconds since a time of the loop."""
        return round((self._loop.time() - began) * 1_000)


class _ThisMachine(AbstractResolver):
    """Looks nothing up: every name means this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the two addresses of this machine."""
        del family
        addresses = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in addresses
        ]

    async def close(self) -> None:
        """There is nothing to close."""


async def _stay_here(request: aiohttp.ClientRequest, go_on: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Let a request pass whose address is of this machine; asked of the address that is really connected to."""
    if not _is_here(request.url.host or ""):
        raise ElsewhereError
    return await go_on(request)


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine without asking anybody."""
    try:
        return host == "localhost" or any(ip_address(host) in network for network in HERE)
    except ValueError:
        return False


async def _beginning(content: aiohttp.StreamReader) -> str:
    """Read the first characters of an answer, however long it is."""
    read = b""
    async for chunk in content.iter_chunked(4 * EXCERPT):  # a character has up to 4 bytes
        read += chunk
        if len(read) >= 4 * EXCERPT:
            break
    return read.decode(errors="replace")[:EXCERPT]


def _headers(store: Store, row: Record, endpoint: Record, body: bytes) -> dict[str, str]:
    """Give the headers of one delivery: signed with every valid secret, and laid over the endpoint's own."""
    ours = {
        "Content-Type": "application/json",
        "User-Agent": "envoy-sandbox",
        "Accept-Encoding": "identity",
        **sign(valid_secrets(store, endpoint), body, id=str(row["message_id"]), timestamp=int(store.clock())),
    }
    taken = {name.lower() for name in ours}
    own = endpoint["headers"] if is_record(endpoint["headers"]) else {}
    return {**{name: str(value) for name, value in own.items() if name.lower() not in taken}, **ours}


def _reason(error: Exception) -> str:
    """Tell why there was no answer."""
    if isinstance(error, TimeoutError):
        return f"No answer within {TIMEOUT:g} seconds."
    return f"{type(error).__name__}: {error}"
