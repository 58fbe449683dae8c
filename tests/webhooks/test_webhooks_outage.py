"""An outage of the receiver loses no event: real servers, real deliveries, a real Redis, and reconciliation."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from envoy_async import EnvoyClient
from envoy_async.sandbox import Sandbox
from tests._redis_server import RedisServer

SERVICE = Path(__file__).with_name("_service.py")
LATER = 3_600.0  # seconds until the sandbox tries again: in this test, never
EVENTS = 40  # before, during, and after the outage


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*arguments: str, settings: dict[str, str]) -> AsyncGenerator[str]:
    """Run the receiver: give what it says when it has caught up, and at the end ask it to stop, as deployments do."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVICE), *arguments, env={**os.environ, **settings}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() in (0, -signal.SIGTERM)  # uvicorn ends itself by the signal it got
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("framework", ["aiohttp", "fastapi"])
async def test_a_receiver_that_was_down_processes_every_event_once(
    framework: str, own_redis: RedisServer, tmp_path: Path
) -> None:
    """Stopped under traffic and started again, it has each event exactly once, though nobody sends it a second time."""
    log, port, began = tmp_path / "events.txt", free_port(), time.time()
    log.touch()
    arguments = (framework, str(port), own_redis.url, str(log), str(began))

    def got() -> list[str]:
        return log.read_text(encoding="utf-8").split()

    async with (
        Sandbox(calls=10, loads=10, quota=None, delivery_delays=(LATER,) * 4) as sandbox,
        EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy,
    ):
        endpoint = await envoy.webhook_endpoints.create(
            url=f"http://127.0.0.1:{port}/hooks", event_types=["offer.created"]
        )
        settings = {"ENVOY_API_KEY": sandbox.api_key, "ENVOY_BASE_URL": sandbox.base_url}
        settings |= {"WEBHOOK_SECRET": endpoint.signing_secret, "WEBHOOK_ENDPOINT": endpoint.id}
        load_id = next(iter(sandbox.store.loads))

        async def traffic() -> None:
            for amount in range(EVENTS):
                await envoy.offers.create(load_id=load_id, offer_amount=100 + amount)

        def failed() -> int:
            return sum(row["status"] == "FAILED" for row in sandbox.store.attempts.values())

        async with running(*arguments, settings=settings) as told:
            assert told == "caught up: 0 handled, 0 waiting\n"
            before = asyncio.create_task(traffic())
            await until(lambda: len(got()) > EVENTS // 4)
        await before
        lost_at_stop = failed()
        await traffic()
        await until(lambda: failed() >= lost_at_stop + EVENTS)
        after = asyncio.create_task(traffic())
        async with running(*arguments, settings=settings) as told:
            assert int(told.split()[2]) >= EVENTS  # without reconciliation they would be lost
            await after
            await until(lambda: len(got()) >= 3 * EVENTS)
        assert Counter(got()) == Counter(sandbox.store.messages.keys())
        assert len(sandbox.store.messages) == 3 * EVENTS
