"""What no server can be made to cause on demand."""

from __future__ import annotations

import asyncio
import os
from random import Random

import aiohttp
import pytest
from yarl import URL

from envoy_async import EnvoyClient, RetryPolicy, Timeouts, errors
from envoy_async._credentials import NO_SECRET
from envoy_async._transport import Pool, Transport
from envoy_async._transport._body import Body
from envoy_async._transport._failures import translate
from envoy_async._transport._statuses import status_error
from envoy_async._wire import Response
from tests.transport.conftest import UUID, MisbehavingServer, SkippingClock, answer, drop, failure_of, hang, make_client


def test_what_aiohttp_refuses_to_send_is_bad_input() -> None:
    """A request that aiohttp itself refuses never left, and the message does not quote it."""
    found = translate(ValueError("envai_live_canary"), None, URL("https://api.test"), NO_SECRET)
    assert type(found) is errors.InvalidRequestError
    assert "canary" not in str(found)


def test_without_an_event_loop() -> None:
    """Driven by something else than asyncio, or after a fork inside a running loop, a call says what it needs."""
    step = EnvoyClient("envai_live_1").calls.get(UUID)
    with pytest.raises(errors.ConfigurationError, match="no asyncio event loop"):
        step.send(None)


def test_forked_while_in_use() -> None:
    """In a process forked from one that uses the client, its sockets are not touched, and the error says why."""
    pool, first = Pool(), asyncio.new_event_loop()
    try:
        first.run_until_complete(pool.open())
        pool._process = -1
        for use in (pool.open(), pool.close(grace=0)):
            with pytest.raises(errors.ConfigurationError, match="forked"):
                asyncio.run(use)
        pool._process = os.getpid()
        first.run_until_complete(pool.close(grace=0))
    finally:
        first.close()


async def test_closing_in_two_tasks_at_once() -> None:
    """Two tasks may close the same client, and a third time is harmless too."""
    async with MisbehavingServer(answer()) as server:
        envoy = make_client(server.url)
        await envoy.calls.get(UUID)
        await asyncio.gather(envoy.close(), envoy.close())
        await envoy.close()


async def test_entering_again_while_a_call_of_before_ends() -> None:
    """A client that is closed and entered again at once waits for no permit of its former life."""
    async with MisbehavingServer(hang, answer()) as server, aiohttp.ClientSession() as session:
        envoy = make_client(server.url, session=session)
        async with envoy:
            former = asyncio.ensure_future(envoy.calls.get(UUID))
            await server.until(1)
        async with envoy:
            await asyncio.wait_for(envoy.calls.get(UUID), 5)
        assert type(await failure_of(former)) is errors.ClientClosedError


async def test_nothing_is_sent_after_the_deadline() -> None:
    """A call whose time ran out while it waited is not sent any more, and its permit goes back."""
    clock = SkippingClock()
    policy = RetryPolicy(base=2.0, cap=2.0)
    async with MisbehavingServer(drop) as server:
        envoy = make_client(server.url, retry=policy, clock=clock, timeouts=Timeouts(deadline=60.0))

        async def oversleep(seconds: float) -> None:
            clock.waits.append(seconds + 60.0)

        old = envoy._transport
        envoy._use(Transport(old.settings, old.access, old.pool, clock=clock, sleep=oversleep, random=Random(1)))
        async with envoy:
            error = await failure_of(envoy.calls.get(UUID))
            assert type(error) is errors.DeadlineExceededError
            assert len(server.executed) == 1
            assert old.pool._windows["general"].in_flight == 0


async def test_a_deadline_in_the_last_attempt_is_a_deadline() -> None:
    """When the deadline cuts the only attempt, that is what the error says."""
    once, patience = RetryPolicy(max_attempts=1), Timeouts(deadline=0.3)
    async with MisbehavingServer(hang) as server, make_client(server.url, retry=once, timeouts=patience) as envoy:
        assert type(await failure_of(envoy.calls.get(UUID))) is errors.DeadlineExceededError


@pytest.mark.parametrize("filler", range(180, 205))
def test_a_key_across_the_cut_leaves_no_part(filler: int) -> None:
    """The key is taken out of the server's words before they are cut, so that no beginning of it stays."""
    secret = "envai_live_canary_7f3a91c2"
    for body in (b"x" * filler + secret.encode(), b'{"error": {"code": "c", "message": "%s"}}' % secret.encode()):
        error = status_error(Response(400, {}, body), secret)
        assert "envai" not in f"{error!r}{vars(error)}"


def test_what_follows_a_gzip_body_is_not_kept() -> None:
    """Bytes behind the end of the gzip stream are damage, not something to collect."""
    body = Body("gzip")
    with pytest.raises(errors.InvalidResponseError, match="damaged"):
        body.feed(bytes.fromhex("1f8b08000000000000034b040043beb7e801000000") + b"junk")
