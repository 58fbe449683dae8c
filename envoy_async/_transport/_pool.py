"""Sessions: one lane per event loop, opened on first use and closed with its loop.

The rule: a lane lives and dies with its loop. It keeps an async generator suspended, which the loop closes
when it shuts down (`asyncio.run` does so), and the generator closes the lane's sockets; so one client works
over several `asyncio.run` calls and leaves nothing behind. The gates' windows belong to the client and stay.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from random import Random

import aiohttp

from .._credentials import Credentials
from .._gate import CATEGORIES, Gate, QuotaStore, Window, category
from .._retry import Budget, Kind
from .._wire import Request
from ..errors import ClientClosedError, ConfigurationError
from ._limits import Limits

_STUBBORN = 1.0  # seconds for a credentials callable that was cancelled to end
_KEEP_ALIVE = 4.0  # seconds; below the 5 s after which common servers drop idle connections


class Lane:
    """What one event loop uses: sessions, lines at the gates, time limits, and the task that fetches a credential."""

    def __init__(self, gates: Mapping[str, Gate], given: aiohttp.ClientSession | None) -> None:
        self.open = True
        self._fetching: asyncio.Task[Credentials] | None = None
        self._gates = gates
        self.attempts = Limits()
        self.rests = Limits()  # of the waits between attempts, which end when the lane begins to close
        self.closing = asyncio.get_running_loop().create_future()
        self._given = given
        self._reads = given or _session(aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE))
        # a pooled connection gone stale loses a POST without telling, so unsafe operations never use one
        self._fresh = given or _session(aiohttp.TCPConnector(limit=0, force_close=True))
        self.keeper = self._keep()

    def gate(self, request: Request) -> Gate:
        """Return the gate of the quota this request counts against."""
        return self._gates[category(request.template)]

    def fetch(self, begin: Callable[[], Coroutine[None, None, Credentials]]) -> asyncio.Task[Credentials]:
        """Return the fetch of a credential under way, begun now when there is none; it ends with the lane."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(begin())
            self._fetching.add_done_callback(_heard)
        return self._fetching

    def session(self, kind: Kind) -> aiohttp.ClientSession:
        """Return the session that sends this kind of operation."""
        return self._fresh if kind is Kind.UNSAFE else self._reads

    def bare(self) -> aiohttp.ClientSession:
        """Return a session over the same connections that sends nothing of its own: no header, no cookie, no login."""
        connector = self._reads.connector
        if connector is None:
            msg = "the session was closed"
            raise ClientClosedError(msg)
        return aiohttp.ClientSession(connector=connector, connector_owner=False, cookie_jar=aiohttp.DummyCookieJar())

    async def drain(self, grace: float) -> None:
        """Let nothing new go out, and give the attempts under way so many seconds to end."""
        self._shut()
        await self.attempts.quiet(grace)

    def _shut(self) -> None:
        """Send away who waits: in line, between attempts, or for a credential."""
        self.open = False
        if not self.closing.done():
            self.closing.set_result(None)
        for gate in self._gates.values():
            gate.close()
        if self._fetching is not None:
            self._fetching.cancel()
        self.rests.end()

    async def _keep(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._shut()
            self.attempts.end()
            try:
                if self._fetching is not None:
                    await asyncio.wait([self._fetching], timeout=_STUBBORN)
                while self.attempts:  # noqa: ASYNC110 - each hands its permit back while this gate still counts
                    await asyncio.sleep(0)
                for gate in self._gates.values():
                    await gate.ended()
            finally:
                self.attempts.close()
                await self._close_own()

    async def _close_own(self) -> None:
        if self._given is None:
            try:
                await self._reads.close()
            finally:
                await self._fresh.close()


def _heard(fetching: asyncio.Task[Credentials]) -> None:
    """Take note of a failure that nobody is left to hear of."""
    if not fetching.cancelled():
        fetching.exception()


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class Pool:
    """The lane of the running loop; shared by all views of a client."""

    def __init__(
        self, given: aiohttp.ClientSession | None = None, *, store: QuotaStore | None = None, line: str = ""
    ) -> None:
        self.closed = False
        self.budget = Budget()
        self._given = given
        self._store, self.line = store, line
        self._process = os.getpid()
        self._windows = {name: Window(Random()) for name in CATEGORIES}  # noqa: S311 - jitter
        self._lane: Lane | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def lane(self) -> Lane | None:
        """Return the running loop's lane, or `None` when it is still to be opened."""
        if self.closed:
            msg = "the client was closed"
            raise ClientClosedError(msg)
        here = self._loop is asyncio.get_running_loop() and self._lane is not None and self._lane.open
        return self._lane if here else None

    async def open(self) -> Lane:
        """Open a lane in the running loop; one whose loop has ended is left behind, closed."""
        self._refuse_sharing()
        if self._loop is not None and self._loop.is_closed() and self._lane is not None and self._lane.open:
            for window in self._windows.values():  # what was under way ended with its loop, and told nobody
                window.abandon()
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        gates = {
            name: Gate(window, self._loop.time, store=self._store, line=f"{self.line} {name}")
            for name, window in self._windows.items()
        }
        self._lane = Lane(gates, self._given)
        await anext(self._lane.keeper)
        return self._lane

    def _refuse_sharing(self) -> None:
        """Refuse to work where the sockets belong to another process or to a loop that runs elsewhere."""
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return
        if self._process != os.getpid() and self._lane is not None and self._lane.open:
            msg = "this client was in use before the process was forked; make one client in each process"
            raise ConfigurationError(msg)
        if self._loop.is_running() and self._process == os.getpid():
            msg = "this client is in use in another running event loop; make one client per loop"
            raise ConfigurationError(msg)

    def reopen(self) -> None:
        """Let a closed client be used again."""
        self.closed = False

    async def close(self, grace: float) -> None:
        """Close the running loop's lane, *grace* seconds for what is under way. Does nothing the second time.

        Raises:
            ConfigurationError: the client is in use in another event loop or process, and goes on there.
        """
        self._refuse_sharing()
        self.closed = True
        lane, self._lane = self._lane, None
        if lane is None or self._loop is not asyncio.get_running_loop():
            return
        try:
            await lane.drain(grace)
        finally:
            await lane.keeper.aclose()
