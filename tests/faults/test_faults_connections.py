"""Faults 7 to 18, 21: a connection breaks, stalls, or goes stale; what may have run is never run again blindly."""

from __future__ import annotations

import asyncio
import itertools
import time

import aiohttp
import pytest

from envoy_async import EnvoyClient, RetryPolicy, Timeouts, errors
from tests.faults._proxy import Link, TcpProxy
from tests.faults.conftest import (
    IMPATIENT,
    ONCE,
    READ,
    REPEATABLE,
    SHOWN,
    UNSAFE,
    Waiting,
    assert_final,
    assert_sent_again,
    assert_unknown,
    fails,
    repeatable,
    virtual,
)
from tests.transport.conftest import (
    GOOD,
    UUID,
    MisbehavingServer,
    Operation,
    Step,
    answer,
    brotli,
    cut_chunk,
    cut_gzip,
    drop,
    drop_unread,
    endless_chunks,
    half_body,
    half_headers,
    half_status,
    make_client,
    no_trailer,
    raw,
    reset,
    reset_unread,
    settled,
    trickle,
    trickle_headers,
)


async def _drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte of a body every ten seconds, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(10)


async def _inform(writer: asyncio.StreamWriter) -> None:
    """Send informational answers for ever, as many at a time as fit."""
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50)
        await writer.drain()
        await asyncio.sleep(0.01)


until_closed = raw("cut, until closed", b"HTTP/1.1 200 OK\r\n\r\n" + GOOD[: len(GOOD) // 2])
drip = Step("drip", _drip)
endless_1xx = Step("endless 1xx", _inform)
leaves = raw("answer, then hang up", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD))


@repeatable
@pytest.mark.parametrize("step", [reset_unread, drop_unread], ids=str)
async def test_fault_007_reset_at_accept(step: Step, operation: Operation) -> None:
    """A connection that breaks as soon as it is used is made again."""
    await assert_sent_again(operation, step)


@pytest.mark.parametrize("step", [reset_unread, drop_unread], ids=str)
async def test_fault_007_reset_at_accept_of_an_unsafe_operation(step: Step) -> None:
    """Whether the request was read nobody knows, so there is no second POST."""
    await assert_unknown(step, errors.ConnectionLostError)


@virtual
async def test_fault_007_reset_at_accept_by_the_network() -> None:
    """A reset by something in between, before the server is reached, passes too."""
    async with (
        MisbehavingServer(answer(200, SHOWN)) as server,
        TcpProxy(server.port, up=Link(reset_peer=0.0)) as proxy,
    ):
        clock = Waiting()
        async with make_client(proxy.url, clock=clock) as envoy:
            calls = [asyncio.ensure_future(operation(envoy)) for operation in REPEATABLE.values()]
            await settled(lambda: proxy.connections >= len(calls))
            proxy.up = Link()
            await asyncio.gather(*calls)
        assert len(server.executed) == len(calls)


@repeatable
@pytest.mark.parametrize("step", [drop, reset], ids=str)
async def test_fault_008_dropped_after_reading(step: Step, operation: Operation) -> None:
    """A read or an idempotent write is sent once more."""
    await assert_sent_again(operation, step)


@pytest.mark.parametrize("step", [drop, reset], ids=str)
async def test_fault_008_dropped_after_reading_an_unsafe_request(step: Step) -> None:
    """A request that the server read is not sent again: one execution, outcome unknown."""
    await assert_unknown(step, errors.ConnectionLostError)


@virtual
async def test_fault_009_stale_connection() -> None:
    """With 20 ms on the way the server has hung up before the client hears of it: no POST is lost, each runs once.

    A read that was sent into the dead connection is sent once more, by us, and shows in the ledger.
    """
    way = Link(latency=0.02)
    async with MisbehavingServer(leaves) as server, TcpProxy(server.port, up=way, down=way) as proxy:
        async with make_client(proxy.url, clock=Waiting()) as envoy:
            tries = 0
            for _ in range(10):
                await READ(envoy)
                tries += len((await envoy._transport.send(envoy.calls.list()._request)).attempts)
                await UNSAFE(envoy)
        posts = [sent for sent in server.executed if sent.method == "POST"]
        assert len(posts) == len({sent.connection for sent in posts}) == 10
        assert len(server.executed) == 30
        assert tries == 20  # each ran into it once


@pytest.mark.parametrize("step", [drop, reset, half_status, half_headers], ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["own session", "given session"])
async def test_fault_010_resend_by_the_http_library(step: Step, given: bool) -> None:
    """Aiohttp's own resend is off, on fresh and on reused connections: as many executions as rows in the ledger."""
    session = aiohttp.ClientSession() if given else None
    async with MisbehavingServer(answer(200, SHOWN), step) as server:
        async with make_client(server.url, retry=ONCE, session=session) as envoy:
            await READ(envoy)
            for count, (method, path) in enumerate([("GET", "/loads/tab-counts"), ("DELETE", "/x"), ("PUT", "/x")], 2):
                error = await fails(envoy.request(method, path))
                assert len(error.attempts) == 1
                assert len(server.executed) == count
        if session is not None:
            await session.close()


@repeatable
async def test_fault_010_each_attempt_passes_the_gate(operation: Operation) -> None:
    """Three attempts are three executions and three rows, whatever the connection does."""
    async with MisbehavingServer(drop) as server:
        async with make_client(server.url, retry=RetryPolicy(max_attempts=3, base=0.01)) as envoy:
            error = await fails(operation(envoy), errors.ConnectionLostError)
        assert len(server.executed) == len(error.attempts) == 3


@repeatable
@pytest.mark.parametrize("step", [half_status, half_headers], ids=str)
async def test_fault_011_half_headers(step: Step, operation: Operation) -> None:
    """An answer that breaks off before its body is no answer: sent again."""
    await assert_sent_again(operation, step)


@pytest.mark.parametrize("step", [half_status, half_headers], ids=str)
async def test_fault_011_half_headers_for_an_unsafe_operation(step: Step) -> None:
    """It is not sent again, and what was cut is not taken for a status."""
    await assert_unknown(step, errors.ConnectionLostError)


@repeatable
async def test_fault_012_half_body(operation: Operation) -> None:
    """A body shorter than announced is not taken for an answer."""
    await assert_sent_again(operation, half_body())


@pytest.mark.parametrize("status", [200, 201])
async def test_fault_012_half_body_after_a_phone_call(status: int) -> None:
    """The call was placed, by the status: neither failed nor placed again, but unknown, with that status."""
    await assert_unknown(half_body(status), errors.InvalidResponseError, status)


@repeatable
@pytest.mark.parametrize("step", [cut_gzip, no_trailer, endless_chunks, cut_chunk], ids=str)
async def test_fault_013_half_body_in_consistent_framing(step: Step, operation: Operation) -> None:
    """A gzip body that breaks off is asked for again, also where its length is the announced one."""
    await assert_sent_again(operation, step)


@repeatable
@pytest.mark.parametrize("step", [brotli, until_closed], ids=str)
async def test_fault_013_half_body_that_may_as_well_be_nonsense(step: Step, operation: Operation) -> None:
    """What nobody asked for, or what has no announced end, is an error, and never part of an answer."""
    error = await assert_final(operation, step, errors.InvalidResponseError)
    assert error.status == 200


@pytest.mark.parametrize("step", [cut_gzip, no_trailer, endless_chunks, cut_chunk, brotli, until_closed], ids=str)
async def test_fault_013_half_body_after_a_phone_call(step: Step) -> None:
    """The call was placed, by the status: unknown, and not placed again."""
    await assert_unknown(step, errors.InvalidResponseError, 200)


@repeatable
async def test_fault_014_trickling_body(operation: Operation) -> None:
    """Bytes that trickle in do not prolong an attempt; the next one gets through."""
    await assert_sent_again(operation, trickle, IMPATIENT)


async def test_fault_014_trickling_body_of_an_unsafe_operation() -> None:
    """An attempt that ends so leaves the outcome unknown."""
    await assert_unknown(trickle, errors.AttemptTimeoutError, 200, IMPATIENT)


@virtual
async def test_fault_014_trickling_body_by_default() -> None:
    """With nothing set, such an attempt ends after 30 seconds, and the call after 90."""
    async with MisbehavingServer(drip) as server:
        async with make_client(server.url, timeouts=Timeouts(), clock=Waiting()) as envoy:
            began = asyncio.get_running_loop().time()
            await fails(READ(envoy))
            assert 30 <= asyncio.get_running_loop().time() - began <= 90.1
        assert len(server.executed) == 3


@repeatable
@pytest.mark.parametrize("step", [trickle_headers, endless_1xx], ids=str)
async def test_fault_015_trickling_headers(step: Step, operation: Operation) -> None:
    """Headers that trickle in, and informational answers without end, end with the attempt."""
    await assert_sent_again(operation, step, IMPATIENT)


@pytest.mark.parametrize("step", [trickle_headers, endless_1xx], ids=str)
async def test_fault_015_trickling_headers_of_an_unsafe_operation(step: Step) -> None:
    """No status was seen, and it is not sent again."""
    await assert_unknown(step, errors.AttemptTimeoutError, timeouts=IMPATIENT)


@pytest.mark.parametrize("kind", ["idempotent", "unsafe"])
async def test_fault_016_writing_stalls(kind: str) -> None:
    """A peer that reads nothing ends with the attempt; what the server got of it did not run, but who knows."""
    path = "/loads" if kind == "idempotent" else "/calls"
    async with (
        MisbehavingServer(answer(200, SHOWN)) as server,
        TcpProxy(server.port, up=Link(bandwidth=0)) as proxy,
    ):
        async with make_client(proxy.url, timeouts=IMPATIENT) as envoy:
            body = {"load_number": "LD1", "note": "x" * (8 << 20)}
            running = asyncio.ensure_future(envoy.request("POST", path, body=body))
            await settled(lambda: proxy.connections == 1)
            proxy.up = Link()
            if kind == "unsafe":
                await fails(running, errors.OutcomeUnknownError)
            else:
                await running
        assert len(server.executed) == (kind == "idempotent")


@repeatable
async def test_fault_017_black_hole(operation: Operation) -> None:
    """An answer that never arrives is asked for again after the attempt's time; the request ran twice, harmlessly."""
    async with (
        MisbehavingServer(answer(200, SHOWN)) as server,
        TcpProxy(server.port, down=Link(bandwidth=0)) as proxy,
        make_client(proxy.url, timeouts=IMPATIENT) as envoy,
    ):
        running = asyncio.ensure_future(operation(envoy))
        await server.until(1)
        proxy.down = Link()
        await running
        assert len(server.executed) == 2


async def test_fault_017_black_hole_after_a_phone_call() -> None:
    """A phone call whose answer never arrives ran once, and the outcome is unknown."""
    async with (
        MisbehavingServer(answer(200, SHOWN)) as server,
        TcpProxy(server.port, down=Link(bandwidth=0)) as proxy,
        make_client(proxy.url, timeouts=IMPATIENT) as envoy,
    ):
        error = await fails(UNSAFE(envoy), errors.OutcomeUnknownError)
        assert type(error.last_error) is errors.AttemptTimeoutError  # type: ignore[attr-defined]
        assert len(server.executed) == 1


async def test_fault_018_half_open_connection() -> None:
    """A pooled connection that a NAT has forgotten costs a read one attempt; a phone call never meets it."""
    async with (
        MisbehavingServer(answer(200, SHOWN)) as server,
        TcpProxy(server.port) as proxy,
        make_client(proxy.url, timeouts=IMPATIENT) as envoy,
    ):
        await READ(envoy)
        proxy.lose()
        await UNSAFE(envoy)
        assert len(server.executed) == proxy.connections == 2
        await READ(envoy)
        assert (len(server.executed), proxy.connections) == (3, 3)


async def test_fault_018_idle_connections_are_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for more than 4 seconds is not used again: common servers drop it after 5."""
    async with MisbehavingServer(answer(200, SHOWN)) as server, make_client(server.url) as envoy:
        for later, expected in ((0.0, 1), (3.0, 1), (7.5, 2)):
            now = time.monotonic() + later
            monkeypatch.setattr("aiohttp.connector.monotonic", lambda now=now: now)
            await READ(envoy)
            assert server.connections == expected


async def test_fault_021_all_connections_reset_at_once() -> None:
    """When all connections of a running job break at once, they come back one after the other, and nothing is lost."""
    clock = Waiting()
    async with MisbehavingServer(answer(200, SHOWN), *[reset] * 8, answer(200, SHOWN)) as server:
        async with TcpProxy(server.port) as proxy:
            async with make_client(proxy.url, retry=RetryPolicy(base=0.2), clock=clock) as envoy:
                await READ(envoy)
                found = await asyncio.gather(*(envoy.calls.get(UUID) for _ in range(200)))
            assert len(found) == 200
            assert proxy.most_open <= 33
        assert len(server.executed) == 209
    assert len(clock.waits) == 8
    ordered = sorted(clock.waits)
    assert max(late - early for early, late in itertools.pairwise(ordered)) > 0.005


async def test_fault_021_the_slicer_and_the_slow_close() -> None:
    """What is only slow, or comes in small pieces, is no fault at all."""
    slow = Link(slicer=16, slicer_delay=0.0001, slow_close=0.05)
    async with MisbehavingServer(leaves) as server, TcpProxy(server.port, up=slow, down=slow) as proxy:
        async with EnvoyClient("envai_live_canary_7f3a91c2", base_url=proxy.url) as envoy:
            assert (await envoy.calls.get(UUID)).id == f"call_{UUID}"
        assert len(server.executed) == 1
