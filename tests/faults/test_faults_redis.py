"""Faults of the Redis that a fleet shares its quota through; the numbers are those of the catalogue of faults.

A real server of Redis, a real sandbox, and clients as users make them. What whole fleets do while Redis is in trouble
is measured by ``tests/simulations/fleets.py``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time

import pytest

from envoy_async import ApiKey, BearerToken, EnvoyClient
from envoy_async.fleet import RedisQuotaStore
from envoy_async.sandbox import Sandbox
from tests._redis_server import RedisServer, connect, flush, names


def client(sandbox: Sandbox, url: str, *, token: bool = False) -> EnvoyClient:
    """Make a client that shares its quota."""
    credentials = BearerToken(sandbox.bearer_token) if token else ApiKey(sandbox.api_key)
    return EnvoyClient(credentials, base_url=sandbox.base_url, quota_store=RedisQuotaStore(url))


async def timed(envoy: EnvoyClient, sandbox: Sandbox) -> float:
    """Get a call, and tell how long it took."""
    began = time.monotonic()
    await envoy.calls.get(next(iter(sandbox.store.calls)))
    return time.monotonic() - began


async def test_fault_072_redis_is_down_at_the_start(
    own_redis: RedisServer, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls go out at once by the process's own part of the quota, with one warning; later Redis is used."""
    caplog.set_level(logging.WARNING, "envoy_async")
    own_redis.stop()
    async with client(sandbox, own_redis.url) as envoy:
        assert max([await timed(envoy, sandbox) for _ in range(10)]) <= 0.5
        assert [record.message for record in caplog.records if "out of reach" in record.message]
        assert len(caplog.records) == 1
        own_redis.start()
        await asyncio.sleep(2.6)
        await timed(envoy, sandbox)
        redis = connect(own_redis.url)
        assert await names(redis)
        await redis.aclose()


async def test_fault_073_redis_is_frozen(own_redis: RedisServer, sandbox: Sandbox) -> None:
    """No call waits for Redis for more than half a second, and those behind the first not at all."""
    async with client(sandbox, own_redis.url) as envoy:
        await timed(envoy, sandbox)
        own_redis.freeze()
        took = [await timed(envoy, sandbox) for _ in range(20)]
        own_redis.thaw()
    assert max(took) <= 0.5
    assert sorted(took)[17] <= 0.2


@pytest.mark.parametrize("how", ["restarted", "flushed", "scripts"])
async def test_fault_074_redis_loses_its_data(how: str, own_redis: RedisServer) -> None:
    """Nothing is refused but what the burst of a quota takes, no error is raised, and no second burst follows."""
    async with Sandbox(calls=50, loads=10, quota=100, algorithm="sliding") as sandbox:
        async with client(sandbox, own_redis.url) as envoy:
            for _ in range(60):
                await timed(envoy, sandbox)
            if how == "restarted":
                own_redis.stop()
                own_redis.start()
            elif how == "flushed":
                await flush(own_redis.url)
            else:
                redis = connect(own_redis.url)
                await redis.script_flush()
                await redis.aclose()
            late = asyncio.gather(*(timed(envoy, sandbox) for _ in range(60)), return_exceptions=True)
            await asyncio.sleep(3.0)
            late.cancel()
        statuses = [request.status for request in sandbox.requests]
    assert statuses.count(429) == 0
    assert 60 < len(statuses) <= 100


async def test_fault_075_clocks_of_machines_differ(redis_server: str, sandbox: Sandbox) -> None:
    """Only the clock of Redis counts: a process whose own is an hour ahead is granted no more and waits no longer."""
    async with client(sandbox, redis_server) as envoy:
        with pytest.MonkeyPatch.context() as patch:
            wall, ticks = time.time, time.monotonic
            patch.setattr(time, "time", lambda: wall() + 3600.0)
            assert await timed(envoy, sandbox) <= 0.5
            assert ticks() > 0.0
        assert await timed(envoy, sandbox) <= 0.5


HOLDER = """
import asyncio, sys
from envoy_async.fleet import RedisQuotaStore

async def take():
    store = RedisQuotaStore(sys.argv[1])
    for _ in range(5):
        await store.lease("line", 1, limit=100, window=60.0, patient=False)
    print("taken", flush=True)
    await asyncio.sleep(60.0)

asyncio.run(take())
"""


async def test_fault_076_a_process_dies_holding_leases(own_redis: RedisServer) -> None:
    """What it had leased is lost and comes back with time; nobody waits for the dead."""
    known = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, own_redis.url, env=known, stdout=pipe)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"taken\n"
    holder.kill()
    await holder.communicate()
    store, granted = RedisQuotaStore(own_redis.url), 0
    while (await store.lease("line", 1, limit=100, window=60.0, patient=False)).granted:
        granted += 1
    assert granted in {65, 66}


async def test_fault_079_quotas_of_different_keys_in_one_redis(redis_server: str) -> None:
    """Two keys use their quotas side by side through one Redis, and neither key stands in it."""
    async with (
        Sandbox(calls=50, loads=10) as sandbox,
        client(sandbox, redis_server) as first,
        client(sandbox, redis_server, token=True) as second,
    ):
        took = await asyncio.gather(*(timed(envoy, sandbox) for _ in range(60) for envoy in (first, second)))
    assert max(took) <= 10.0
    redis = connect(redis_server)
    known = " ".join(await names(redis))
    assert sandbox.api_key not in known
    assert sandbox.bearer_token not in known
    await redis.aclose()
