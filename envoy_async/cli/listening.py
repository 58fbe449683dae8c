"""Events as they come: `envoy-async webhooks listen`.

The rule: the endpoint that the command registers goes when the command ends, however it ends, unless it is to be kept;
and its secret is shown to nobody. The socket is open before there is an endpoint. A delivery that comes before there is
a secret to check it with waits in the queue of the socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number
from yarl import URL

from .._signing import Scheme, SecretEncoding
from .._transport import is_loopback
from ..client import EnvoyClient
from ..errors import NotFoundError, PayloadError
from ..models import WebhookEndpointWithSecret
from ..webhooks import Event, Receiver, WebhookVerifier, aiohttp_handler
from .inputs import InputError
from .operations import Connection
from .summary import write
from .tables import counted, printable

if TYPE_CHECKING:
    from aiohttp import web

Show = Callable[[Event], Awaitable[None]]
_PATH = re.compile(r"/[\w.~/-]*", re.ASCII)
_PATIENCE = 1.0  # seconds that a sender gets at the end who has sent half a delivery
_DELETE = "envoy-async webhook-endpoints delete"
_ROTATE = "envoy-async webhook-endpoints rotate-secret"


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Stand:
    """Where deliveries come in, and which."""

    url: str | None = None
    """Address to register, which leads here; else the one it listens on, which only a sandbox beside it can reach."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 0
    """Port to listen on; 0 takes a free one."""
    path: str = "/"
    """Path where deliveries are taken."""
    event_types: Annotated[list[str] | None, Parameter(negative=(), show_default=False)] = None
    """Name of a kind of event, once for each; else all kinds the API names."""
    keep: Annotated[bool, Parameter(negative=(), show_default=False)] = False
    """Leave the endpoint registered at the end."""
    secret_encoding: SecretEncoding = "base64"  # noqa: S105 - not a secret
    """How the vendor's secrets are read, which is not known; `webhooks verify` finds out."""

    def check(self, home: str) -> None:
        """Refuse what could never get a delivery from the host *home*."""
        if _PATH.fullmatch(self.path) is None:
            raise InputError("--path: expected a path such as /hooks, of letters, digits, and - . _ ~ /")
        for host in (home, self.host):
            if self.url is None and not is_loopback(host):
                raise InputError(f"give --url, an address that leads here: {host} is not this machine alone")

    def opened(self) -> socket.socket:
        """Open the socket."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        return socket.create_server((self.host, self.port), family=family)

    def address(self, listening: socket.socket) -> str:
        """Write the address it listens on."""
        return str(URL.build(scheme="http", host=self.host, port=listening.getsockname()[1], path=self.path))


def listen(*, stand: Stand = Stand(), connection: Connection = Connection()) -> None:  # noqa: B008 - frozen
    """Register an endpoint and print its events as they come, one JSON object per line, until Ctrl-C.

    Then the endpoint is deleted. Deliveries that are refused are told on stderr.
    """
    asyncio.run(_listen(stand, connection))


async def _listen(stand: Stand, connection: Connection) -> None:
    from ..sandbox.serving import ended_by_signals

    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with connection.client() as envoy:
        stand.check(connection.host)
        with stand.opened() as listening:
            address = stand.address(listening)
            kinds = stand.event_types or await _all_kinds(envoy)
            with ended_by_signals(partial(_end, stop)):
                async with (
                    _registered(envoy, stand.url or address, kinds, keep=stand.keep) as endpoint,
                    _served(listening, stand, endpoint, partial(_show, stop)),
                ):
                    _tell(address, endpoint)
                    await stop


def _end(stop: asyncio.Future[None], error: Exception | None = None) -> None:
    """End the wait, unless it has ended."""
    if stop.done():
        return
    if error is None:
        stop.set_result(None)
    else:
        stop.set_exception(error)


async def _all_kinds(envoy: EnvoyClient) -> Sequence[str]:
    kinds = [kind.name async for kind in envoy.webhook_endpoints.event_types()]
    if not kinds:
        raise InputError("the API names no kinds of events: give --event-types")
    return kinds


@asynccontextmanager
async def _registered(
    envoy: EnvoyClient, url: str, kinds: Sequence[str], *, keep: bool
) -> AsyncGenerator[WebhookEndpointWithSecret]:
    """Register an endpoint, and delete it at the end."""
    endpoint = await envoy.webhook_endpoints.create(url=url, event_types=kinds, description="envoy-async listen")
    try:
        yield endpoint
    finally:
        if keep:
            _say(f"{endpoint.id} is kept; `{_ROTATE} {endpoint.id}` gives it a new secret that is shown to you")
        else:
            await _deleted(envoy, endpoint.id)


async def _deleted(envoy: EnvoyClient, endpoint_id: str) -> None:
    try:
        await envoy.webhook_endpoints.delete(endpoint_id)
    except NotFoundError:  # somebody else did
        pass
    except BaseException:
        _say(f"{endpoint_id} is still there: `{_DELETE} {endpoint_id}` ends it")
        raise


@asynccontextmanager
async def _served(
    listening: socket.socket, stand: Stand, endpoint: WebhookEndpointWithSecret, show: Show
) -> AsyncGenerator[None]:
    """Serve on a socket that is open."""
    from aiohttp import web

    verifier = WebhookVerifier(endpoint.signing_secret, scheme=Scheme(secret_encoding=stand.secret_encoding))
    receiver = Receiver(verifier, show)
    app = web.Application()
    app.router.add_post(stand.path, aiohttp_handler(receiver))
    app.cleanup_ctx.append(receiver.lifespan)
    app.on_response_prepare.append(_tell_refusals)
    quiet = logging.Logger("quiet", logging.CRITICAL + 1)  # noqa: LOG001 - a sender that hangs up is no traceback
    runner = web.AppRunner(app, access_log=None, logger=quiet, auto_decompress=False, shutdown_timeout=_PATIENCE)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()


async def _tell_refusals(_: web.Request, answer: web.StreamResponse) -> None:
    if answer.status != 200:  # noqa: PLR2004
        told = str(getattr(answer, "text", None) or answer.reason)
        _say(f"refused: {told.splitlines()[0]}")


async def _show(stop: asyncio.Future[None], event: Event) -> None:
    """Print an event; if nobody reads any more, it was not received, and the program ends."""
    try:
        sys.stdout.write(f"{line_of(event)}\n")
        sys.stdout.flush()
    except OSError as error:
        _end(stop, error)
        raise asyncio.CancelledError from error


def line_of(event: Event) -> str:
    """Write an event as a JSON object on one line.

    Raises:
        PayloadError: it is nested too deeply.
    """
    try:
        text = json.dumps(attrs.asdict(event, recurse=False), ensure_ascii=False, default=datetime.isoformat)
    except RecursionError:
        raise PayloadError("$: nested too deeply to be printed") from None
    return text.encode(errors="backslashreplace").decode()  # half a surrogate pair, as JSON spells it


def _tell(address: str, endpoint: WebhookEndpointWithSecret) -> None:
    kinds = counted(len(endpoint.event_types), "kind")
    write([("listening", f"{address} until Ctrl-C"), ("endpoint", f"{endpoint.id}, {kinds} of events")], sys.stderr)


def _say(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
