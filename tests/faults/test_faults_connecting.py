"""Faults 1 to 6, 19, 20: no connection comes about, so nothing was sent, and every kind of operation may try again."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import aiohttp
import pytest
import trustme

from envoy_async import Timeouts, errors
from tests.faults._proxy import Link, TcpProxy
from tests.faults.conftest import READ, SHOWN, UNSAFE, every_operation, fails
from tests.transport.conftest import (
    UUID,
    MisbehavingServer,
    Operation,
    SkippingClock,
    answer,
    hang,
    line_of,
    make_client,
    settled,
)

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]


class Repairs(SkippingClock):
    """A clock that repairs something while the client waits for the first time."""

    def __init__(self, repair: Callable[[], object]) -> None:
        super().__init__()
        self._repair = repair

    async def sleep(self, seconds: float) -> None:
        """Skip this wait, and repair."""
        await super().sleep(seconds)
        self._repair()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make a certificate authority that nobody trusts by default."""
    return trustme.CA()


def server_side(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """Make the server's side of TLS, with a certificate for this name."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with authority.issue_cert(name).private_key_and_cert_chain_pem.tempfile() as file:
        context.load_cert_chain(file)
    return context


def trusting(authority: trustme.CA) -> aiohttp.ClientSession:
    """Make a session that trusts the authority."""
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


def resolve_as(monkeypatch: pytest.MonkeyPatch, *answers: list[tuple[socket.AddressFamily, str]] | None) -> list[str]:
    """Have names resolve to these addresses, one entry for each question, the last for ever; `None` is a failure."""
    asked: list[str] = []
    script = list(answers)

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Address]:
        asked.append(host)
        found = script.pop(0) if len(script) > 1 else script[0]
        if found is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture
def full_port() -> Iterator[tuple[str, int]]:
    """Hold an address whose queue of connections is full, so that connecting to it takes for ever."""
    with socket.socket() as held, socket.socket() as first, socket.socket() as second:
        held.bind(("127.0.0.1", 0))
        held.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(held.getsockname())
        yield held.getsockname()


@every_operation
async def test_fault_001_dns_failure(operation: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is asked for again, and the operation runs once when it does."""
    asked = resolve_as(monkeypatch, None, None, [(socket.AF_INET, "127.0.0.1")])
    async with MisbehavingServer(answer(200, SHOWN)) as server:
        async with make_client(f"http://localhost:{server.port}/v1") as envoy:
            await operation(envoy)
        assert len(server.executed) == 1
    assert asked == ["localhost"] * 3


async def test_fault_001_dns_failure_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that never resolves is a `ConnectError` for an unsafe operation too; the failure is not remembered."""
    asked = resolve_as(monkeypatch, *[None] * 4, [(socket.AF_INET, "127.0.0.1")])
    async with (
        MisbehavingServer(answer(200, SHOWN)) as server,
        make_client(f"http://localhost:{server.port}/v1") as envoy,
    ):
        error = await fails(UNSAFE(envoy), errors.ConnectError)
        assert [row.cause for row in error.attempts] == ["ConnectError"] * len(asked) == ["ConnectError"] * 4
        assert server.executed == []
        await UNSAFE(envoy)
        assert len(server.executed) == 1


@every_operation
async def test_fault_002_connection_refused(operation: Operation, closed_port: int) -> None:
    """A refused connection is tried four times, and is no unknown outcome: nothing can have run."""
    async with make_client(f"http://127.0.0.1:{closed_port}/v1") as envoy:
        error = await fails(operation(envoy), errors.ConnectError)
    assert [row.cause for row in error.attempts] == ["ConnectError"] * 4
    assert f"127.0.0.1:{closed_port}" in error.message


@every_operation
async def test_fault_003_connecting_hangs(operation: Operation, full_port: tuple[str, int]) -> None:
    """A host that takes no connections costs `Timeouts.connect` per attempt, not the call's whole time."""
    patience = Timeouts(deadline=60.0, attempt=30.0, connect=0.05)
    began = time.perf_counter()
    async with make_client(f"http://127.0.0.1:{full_port[1]}/v1", timeouts=patience) as envoy:
        error = await fails(operation(envoy), errors.ConnectError)
    assert len(error.attempts) == 4
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("operation", [READ, UNSAFE], ids=["read", "unsafe"])
async def test_fault_004_no_free_place_in_the_pool(operation: Operation) -> None:
    """Who never got a place is told so, and that nothing was sent: no lost answer, and no unknown outcome."""
    async with MisbehavingServer(answer(200, SHOWN), hang) as server, make_client(server.url) as envoy:
        await READ(envoy)
        holding = [asyncio.ensure_future(READ(envoy)) for _ in range(40)]
        await settled(lambda: line_of(envoy) + len(server.executed) == 41)
        sent = len(server.executed)
        error = await fails(operation(envoy.with_options(deadline=0.05)), errors.DeadlineExceededError)
        assert isinstance(error, errors.DeadlineExceededError)
        assert type(error.last_error) is errors.PoolTimeoutError
        for task in holding:
            task.cancel()
        await asyncio.wait(holding)
        assert len(server.executed) == sent < 41


@every_operation
@pytest.mark.parametrize("fault", ["nobody signed", "another name"])
async def test_fault_005_bad_certificate(fault: str, operation: Operation, authority: trustme.CA) -> None:
    """A certificate of an unknown authority, or for another host, ends the call at once; nothing was sent."""
    context = server_side(authority, "localhost" if fault == "nobody signed" else "elsewhere.example")
    session = aiohttp.ClientSession() if fault == "nobody signed" else trusting(authority)
    async with (
        MisbehavingServer(answer(200, SHOWN), ssl=context) as server,
        session,
        make_client(server.url, session=session) as envoy,
    ):
        error = await fails(operation(envoy), errors.TlsError)
        assert len(error.attempts) == 1
        assert server.executed == []


@every_operation
async def test_fault_006_tls_handshake_cut(operation: Operation, authority: trustme.CA) -> None:
    """A handshake that breaks off proves that nothing was sent: tried again, and executed once."""
    async with (
        MisbehavingServer(answer(200, SHOWN), ssl=server_side(authority, "localhost")) as server,
        TcpProxy(server.port, down=Link(limit_data=50)) as proxy,
        trusting(authority) as session,
    ):
        clock = Repairs(lambda: setattr(proxy, "down", Link()))
        url = f"https://localhost:{proxy.port}/v1"
        async with make_client(url, session=session, clock=clock) as envoy:
            await operation(envoy)
        assert proxy.connections == 2
        assert len(server.executed) == 1


PASSWORD = "proxy-canary-88e1"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy")


@every_operation
async def test_fault_019_proxy_of_the_environment(
    operation: Operation, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    """A proxy that the environment names is not used: it sees no connection, no key, and no error shows its password.

    The SDK has no setting for a proxy; a session given to it may bring one.
    """
    refuses = answer(407, b"", headers={"Proxy-Authenticate": "Basic"})
    async with MisbehavingServer(refuses) as proxy, MisbehavingServer(answer(200, SHOWN)) as server:
        for name in VARIABLES:
            for spelling in (name, name.upper()):
                monkeypatch.setenv(spelling, f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
        async with make_client(server.url) as envoy:
            await operation(envoy)
        assert len(server.executed) == 1
        async with make_client(f"https://127.0.0.1:{closed_port}/v1") as envoy:
            error = await fails(operation(envoy), errors.ConnectError)  # the address itself was tried
        assert PASSWORD not in repr(error)
        assert (proxy.connections, proxy.executed) == (0, [])


@pytest.mark.parametrize("broken", ["refused", "hangs"])
async def test_fault_020_ipv6_broken(broken: str, monkeypatch: pytest.MonkeyPatch, full_port: tuple[str, int]) -> None:
    """When the first address of a host is dead and the second works, the first attempt gets through, within a second.

    The address that hangs is an IPv4 one: which IPv6 addresses hang differs between machines.
    """
    dead = (socket.AF_INET6, "::1") if broken == "refused" else (socket.AF_INET, "127.0.0.1")
    port = full_port[1]
    resolve_as(monkeypatch, [dead, (socket.AF_INET, "127.0.0.2")])
    server = await asyncio.start_server(_answers, "127.0.0.2", port)
    async with server:
        began = time.perf_counter()
        async with make_client(f"http://localhost:{port}/v1", timeouts=Timeouts(connect=20.0)) as envoy:
            call = await envoy.calls.get(UUID)
        assert call.id == f"call_{UUID}"
        assert time.perf_counter() - began < 5


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await answer(200, SHOWN).run(writer)
    await reader.read()
    writer.close()
