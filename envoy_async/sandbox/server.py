"""The sandbox as users hold it: one local server, opened and closed with ``async with``.

Nothing is opened before `Sandbox.start`, and nothing stays open after `Sandbox.close`.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from aiohttp import web

from .answers import Reply, http_date
from .gateway import BASE_PATH, Execution, Gateway, Received
from .quota import Algorithm, make_quota
from .seed import make_identity, make_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from .drift import Drift
    from .faults import Fault
    from .store import Store

LARGEST_BODY = 64 * 1024 * 1024
SHUTDOWN_GRACE = 0.1


class Sandbox:
    """A local stand-in for the Envoy API, filled with seeded freight data.

    Example:
        ``async with Sandbox(seed=7, quota=None) as sandbox: ...`` and point a client at ``sandbox.base_url`` with
        ``sandbox.api_key``.

    """

    def __init__(
        self,
        *,
        seed: int = 7,
        calls: int = 2_500,
        loads: int = 400,
        quota: int | None = 100,
        window: float = 60.0,
        algorithm: Algorithm = "fixed",
        drift: Drift | None = None,
        faults: Iterable[Fault] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the data of `seed`; `quota` requests per `window` seconds, `clock` gives Unix seconds."""
        rng = Random(seed)  # noqa: S311 - repeatable on purpose
        identity = make_identity(rng)
        new_quota = partial(make_quota, quota, window, algorithm)
        self._gateway = Gateway(
            store=make_store(rng, identity, calls=calls, loads=loads, clock=clock),
            identity=identity,
            clock=clock,
            new_quota=new_quota,
            faults=list(faults),
            drift=drift,
        )
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        """What operation paths are appended to; RuntimeError while the sandbox is not running."""
        if self._runner is None:
            raise RuntimeError("the sandbox is not running: use 'async with' or await start()")
        host, port = self._runner.addresses[0][:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{BASE_PATH}"

    @property
    def api_key(self) -> str:
        """The key that is let in, as ``X-API-Key``."""
        return self._gateway.identity.api_key

    @property
    def bearer_token(self) -> str:
        """The token that is let in, as ``Authorization: Bearer``."""
        return self._gateway.identity.bearer_token

    @property
    def organization_id(self) -> str:
        """The organization both credentials belong to."""
        return self._gateway.identity.organization_id

    @property
    def store(self) -> Store:
        """The records; change them as you like, between two requests."""
        return self._gateway.store

    @property
    def executions(self) -> list[Execution]:
        """Every operation that really ran, in order."""
        return self._gateway.executions

    @property
    def requests(self) -> list[Received]:
        """Every request that came in, also refused ones, in the order they were answered."""
        return self._gateway.requests

    @property
    def faults(self) -> list[Fault]:
        """The faults in force; the list may be changed at any time."""
        return self._gateway.faults

    def fail(self, fault: Fault) -> None:
        """Put one more fault in force."""
        self.faults.append(fault)

    def spend(self, count: int) -> None:
        """Let somebody else with the same API key use `count` requests of the quota now."""
        self._gateway.quotas[self.api_key].spend(self._gateway.clock(), count)

    async def start(self) -> None:
        """Open the port."""
        if self._runner is not None:
            raise RuntimeError("the sandbox is already running")
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_GRACE)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner

    async def close(self) -> None:
        """Close the port and every connection; does nothing when there is none."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Send what the gateway answers."""
        reply = await self._gateway.answer(request)
        if reply is None:
            _hang_up(request)
            return web.Response()
        date = http_date(self._gateway.clock())  # the same clock as in the quota headers
        headers = {"Date": date, "Content-Type": reply.content_type, **reply.headers}
        if reply.cut is not None:
            return await _send_part(request, reply, headers, reply.cut)
        return web.Response(status=reply.status, body=reply.body, headers=headers)


async def _send_part(request: web.Request, reply: Reply, headers: Mapping[str, str], cut: int) -> web.StreamResponse:
    """Promise the whole body, send its first `cut` bytes, and hang up."""
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.content_length = len(reply.body)
    with contextlib.suppress(ConnectionError):  # the caller may have left
        await response.prepare(request)
        await response.write(reply.body[:cut])
    _hang_up(request)
    return response


def _hang_up(request: web.Request) -> None:
    """Close the TCP connection, once what was written is out."""
    if request.transport is not None:
        request.transport.close()
