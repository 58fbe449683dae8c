"""Faults 107 and 110: the same delivery many times, and the replay store down."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from envoy_async.webhooks import Event, Receiver, RedisReplayStore
from tests._redis_server import RedisServer
from tests.simulations import copies
from tests.webhooks.conftest import delivery, verifier

COPIES = 200
Case = Callable[[copies.Fleet, str, int], Iterator[str]]
CASES: dict[str, Case] = {**copies.CASES, "kill": partial(copies.kill, lease=1.0)}


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Run a Redis for the tests of this file."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def fleet(redis_server: RedisServer) -> Iterator[copies.Fleet]:
    """Run eight processes, each with a receiver of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])  # where processes find their work
        with copies.fleet(redis_server.url) as running:
            yield running


@pytest.mark.parametrize("case", CASES)
def test_fault_107_the_same_delivery_many_times(fleet: copies.Fleet, case: str) -> None:
    """200 copies at once over eight processes run one handler, the others get 409 or 200.

    After a crash in the handler it runs again; after a `kill -9` between claim and done it runs again when the lease
    ends, and not before.
    """
    assert list(CASES[case](fleet, uuid4().hex, COPIES)) == []


@pytest.mark.parametrize("fault", ["frozen", "gone"])
@pytest.mark.parametrize("fail_closed", [True, False])
async def test_fault_110_the_replay_store_is_down(*, fault: str, fail_closed: bool) -> None:
    """While Redis is down a delivery gets 503 and no handler runs, unless it is told otherwise; then all goes on."""
    ran: list[str] = []

    async def handle(event: Event) -> None:
        ran.append(event.message_id)

    with RedisServer() as server:
        store = RedisReplayStore(server.url)
        async with Receiver(verifier(), handle, store=store, fail_closed=fail_closed) as receiver:
            if fault == "frozen":
                server.freeze()
            else:
                server.stop()
            answer = await asyncio.wait_for(receiver.receive(*delivery()), 3)
            assert (answer.status, ran) == ((503, []) if fail_closed else (200, ["msg_1"]))
            if fault == "frozen":
                server.thaw()
            else:
                server.start()
            answer = await receiver.receive(*delivery("msg_2"))
            assert (answer.status, ran[-1]) == (200, "msg_2")
        await store.aclose()
