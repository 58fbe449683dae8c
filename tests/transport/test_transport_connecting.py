"""Connecting: nobody there, or nobody to be trusted."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Iterator

import aiohttp
import pytest
import trustme

from envoy_async import Timeouts, errors
from tests.transport.conftest import (
    IDEMPOTENT,
    READS,
    UNSAFE,
    UUID,
    MisbehavingServer,
    Operation,
    SkippingClock,
    answer,
    failure_of,
    make_client,
)

OPERATIONS = {**READS, **IDEMPOTENT, **UNSAFE}
operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make a certificate authority that nobody trusts by default."""
    return trustme.CA()


@pytest.fixture
def full_port() -> Iterator[int]:
    """Hold a port whose queue of connections is full, so that connecting to it takes for ever."""
    if sys.platform != "linux":
        pytest.skip("how a full queue behaves differs between systems")
    with socket.socket() as held, socket.socket() as first, socket.socket() as second:
        held.bind(("127.0.0.1", 0))
        held.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(held.getsockname())
        yield held.getsockname()[1]


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Make the server's side of TLS, with a certificate for these names."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with authority.issue_cert(*names).private_key_and_cert_chain_pem.tempfile() as file:
        context.load_cert_chain(file)
    return context


def trusting_session(authority: trustme.CA) -> aiohttp.ClientSession:
    """Make a session that trusts the authority."""
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


@operations
async def test_nobody_there(operation: Operation, closed_port: int) -> None:
    """A refused connection is tried again for every kind of operation, then named with host and port."""
    async with make_client(f"http://127.0.0.1:{closed_port}/v1") as envoy:
        error = await failure_of(operation(envoy))
    assert type(error) is errors.ConnectError
    assert f"could not connect to 127.0.0.1:{closed_port}: " in str(error)
    assert [row.cause for row in error.attempts] == ["ConnectError"] * 4


async def test_unknown_host() -> None:
    """A name that leads nowhere is a `ConnectError` as well."""
    async with make_client("https://nowhere.invalid/v1") as envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert type(error) is errors.ConnectError
    assert "nowhere.invalid:443" in str(error)


async def test_nobody_takes_the_connection(full_port: int) -> None:
    """A host that does not take connections costs `Timeouts.connect`, not the whole attempt; nothing was sent."""
    async with make_client(f"http://127.0.0.1:{full_port}/v1", timeouts=Timeouts(connect=0.1)) as envoy:
        error = await failure_of(envoy.calls.create())
    assert type(error) is errors.ConnectError
    assert "in time" in str(error)
    assert len(error.attempts) == 4


async def test_connecting_past_the_deadline(full_port: int) -> None:
    """A deadline that ends while connecting is exceeded like any other."""
    patience = Timeouts(deadline=0.1, connect=5.0)
    async with make_client(f"http://127.0.0.1:{full_port}/v1", timeouts=patience) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert type(error) is errors.DeadlineExceededError


@operations
async def test_a_certificate_nobody_signed(operation: Operation, authority: trustme.CA) -> None:
    """A certificate of an unknown authority is refused at once: one attempt, nothing sent."""
    context = server_context(authority, "localhost")
    async with MisbehavingServer(answer(), ssl=context) as server, make_client(server.url) as envoy:
        error = await failure_of(operation(envoy))
        assert type(error) is errors.TlsError
        assert f"localhost:{server.port}" in str(error)
        assert len(error.attempts) == 1
        assert server.executed == []


async def test_a_certificate_for_another_name(authority: trustme.CA) -> None:
    """A trusted certificate for another host is refused as well."""
    context = server_context(authority, "elsewhere.example")
    async with (
        MisbehavingServer(answer(), ssl=context) as server,
        trusting_session(authority) as session,
        make_client(server.url, session=session) as envoy,
    ):
        error = await failure_of(envoy.calls.get(UUID))
        assert type(error) is errors.TlsError
        assert len(error.attempts) == 1
        assert server.executed == []


async def test_a_trusted_certificate(authority: trustme.CA) -> None:
    """A session that trusts the authority gets through, with the key."""
    async with (
        MisbehavingServer(answer(), ssl=server_context(authority, "localhost")) as server,
        trusting_session(authority) as session,
        make_client(server.url, session=session) as envoy,
    ):
        await envoy.calls.get(UUID)
        assert len(server.executed) == 1


async def test_plain_http_behind_https() -> None:
    """A server that does not speak TLS gets no request, and no second attempt."""
    attempts = 0

    async def protest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(protest, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with make_client(f"https://127.0.0.1:{port}/v1") as envoy:
            error = await failure_of(envoy.calls.get(UUID))
    assert type(error) is errors.TlsError
    assert attempts == 1


@operations
async def test_a_handshake_cut_short(operation: Operation) -> None:
    """A handshake that breaks off proves that nothing was sent: tried again, for every kind of operation."""
    attempts = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    clock = SkippingClock()
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with make_client(f"https://127.0.0.1:{port}/v1", clock=clock) as envoy:
            error = await failure_of(operation(envoy))
    assert type(error) is errors.ConnectError
    assert attempts == len(error.attempts) == 4
