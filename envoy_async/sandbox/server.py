"""The sandbox as users hold it: one local server, opened and closed with ``async with``.

Nothing is opened before `Sandbox.start`, and nothing stays open after `Sandbox.close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random
from typing import TYPE_CHECKING

from aiohttp import web

from .accounts import Accounts
from .answers import Reply, http_date
from .credentials import make_access
from .deliveries import DELAYS, Dispatch
from .delivering import Courier
from .gateway import BASE_PATH, Execution, Gateway, Received
from .organizations import Organizations, Sizes
from .quota import Algorithm, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from .drift import Drift
    from .faults import Fault
    from .store import Store

LARGEST_BODY = 64 * 1024 * 1024
SHUTDOWN_GRACE = 0.1
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach a server that listens everywhere


class Sandbox:
    """A local stand-in for the Envoy API, filled with seeded freight data.

    Example:
        ``async with Sandbox(seed=7, quota=None) as sandbox: ...`` and point a client at ``sandbox.base_url`` with
        ``sandbox.api_key``.

    """

    _runner: web.AppRunner | None = None
    _courier: Courier | None = None
    _serving: set[asyncio.Task[object]]

    def __init__(
        self,
        *,
        seed: int = 7,
        calls: int = 2_500,
        loads: int = 400,
        organizations: int = 2,
        quota: int | None = 100,
        window: float = 60.0,
        algorithm: Algorithm = "fixed",
        token_lifetime: float = 28_800.0,
        drift: Drift | None = None,
        faults: Iterable[Fault] = (),
        delivery_delays: Sequence[float] = DELAYS,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the data of `seed`; `quota` per `window` seconds, tokens live `token_lifetime` seconds of `clock`.

        A delivery that fails is repeated after each of `delivery_delays` (seconds of `clock`).
        """
        rng, own = Random(seed), Random(f"{seed}/accounts")  # noqa: S311 - repeatable on purpose
        access, sizes = make_access(rng, own), Sizes(calls=calls, loads=loads)
        dispatch = Dispatch(delays=tuple(delivery_delays), wake=self._wake)
        everyone = Organizations(
            access, rng, seed=seed, count=organizations, sizes=sizes, clock=clock, dispatch=dispatch
        )
        accounts = Accounts(access, everyone, own, token_lifetime=token_lifetime, clock=clock)
        ledger = Ledger(quota, window, algorithm)
        self._gateway = Gateway(
            organizations=everyone, accounts=accounts, ledger=ledger, clock=clock, faults=list(faults), drift=drift
        )
        self._address = (host, port)

    @property
    def base_url(self) -> str:
        """What operation paths are appended to; RuntimeError while the sandbox is not running."""
        if self._runner is None:
            raise RuntimeError("the sandbox is not running: use 'async with' or await start()")
        address, port = self._runner.addresses[0][:2]
        host = LOOPBACK.get(address, str(address))
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{BASE_PATH}"

    @property
    def api_key(self) -> str:
        """A key that is let in, as ``X-API-Key``, to the first organization."""
        return self._gateway.accounts.access.api_key

    @property
    def bearer_token(self) -> str:
        """A token that is let in, as ``Authorization: Bearer``, until `expire_tokens`; time alone does not end it."""
        return self._gateway.accounts.access.bearer_token

    @property
    def email(self) -> str:
        """The e-mail address of the user, for ``POST /auth/login``."""
        return self._gateway.accounts.access.email

    @property
    def password(self) -> str:
        """The password that belongs to `email`."""
        return self._gateway.accounts.access.password

    @property
    def organization_id(self) -> str:
        """The organization the API key belongs to, and the one a token means when none is named."""
        return self._gateway.accounts.access.organization_id

    @property
    def organization_ids(self) -> tuple[str, ...]:
        """Every organization of the user, which a token may choose from; the first is `organization_id`."""
        return self._gateway.organizations.ids

    @property
    def store(self) -> Store:
        """The records of the first organization; change them as you like, between two requests."""
        return self._gateway.organizations.first

    @property
    def stores(self) -> Mapping[str, Store]:
        """The records of each organization by its id; those of a further one are made when first asked for."""
        return self._gateway.organizations

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
        """Let somebody else with the same API key use `count` requests of the general quota now."""
        gateway = self._gateway
        gateway.ledger.spend("general", gateway.accounts.first_key_id, gateway.clock(), count)

    def expire_tokens(self) -> None:
        """End every token issued so far, `bearer_token` too: from now on they are a 401."""
        self._gateway.accounts.expire_tokens()

    async def deliver(self) -> None:
        """Send every event that is due by the clock, and return when the receivers have answered.

        What is due goes out by itself a moment later, too; this is for tests that do not want to wait for it. To be
        awaited in the event loop the sandbox runs in; RuntimeError while it is not running.
        """
        if self._courier is None:
            raise RuntimeError("the sandbox is not running: use 'async with' or await start()")
        await self._courier.deliver()

    async def start(self) -> None:
        """Open the port, and begin to deliver events."""
        if self._runner is not None:
            raise RuntimeError("the sandbox is already running")
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", r"/{path:[\s\S]*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_GRACE)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._address).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self._serving = runner, set()
        self._courier = Courier(self._gateway.organizations, self._gateway.clock)

    async def close(self) -> None:
        """Close the port and every connection; does nothing when there is none."""
        runner, self._runner = self._runner, None
        courier, self._courier = self._courier, None
        if runner is None or courier is None:
            return
        await courier.close()
        for task in self._serving:  # whose callers may have left long ago, which aiohttp then forgets
            task.cancel()
        await runner.cleanup()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def _wake(self) -> None:
        """Say that there may be something to deliver."""
        if self._courier is not None:
            self._courier.wake()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Send what the gateway answers."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - aiohttp serves in tasks
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
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
