"""A quota shared through a real Redis: what is granted, what is kept there, and Redis in trouble."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
import time
import traceback
import uuid

import pytest

from envoy_async import EnvoyClient
from envoy_async.errors import ConfigurationError
from envoy_async.fleet import RedisQuotaStore
from envoy_async.fleet._buckets import Bucket
from envoy_async.fleet._redis import RedisDesk
from envoy_async.quota import Lease, Standing
from envoy_async.sandbox import Sandbox
from tests._redis_server import RedisServer, connect, flush, names

PASSWORD = "pass-word-1"


@pytest.fixture
def line() -> str:
    """Name a quota that no other test uses."""
    return f"{uuid.uuid4().hex} general"


async def lease(store: RedisQuotaStore, line: str, *, limit: int | None = 100, patient: bool = False) -> Lease:
    """Ask for a lease under the documented window."""
    return await store.lease(line, 1, limit=limit, window=60.0, patient=patient)


async def all_of(store: RedisQuotaStore, line: str) -> int:
    """Ask until nothing is granted, and count."""
    granted = 0
    while (await lease(store, line)).granted:
        granted += 1
    return granted


async def test_two_stores_share_a_quota(redis_server: str, line: str) -> None:
    """What one grants is gone for the other; another line is not touched; the burst is 70 of 100."""
    first, second = RedisQuotaStore(redis_server), RedisQuotaStore(redis_server)
    assert await first.peek(line) == Standing()
    assert (await lease(first, line)).granted == 1
    assert await all_of(second, line) in {69, 70}
    refused = await lease(first, line)
    assert refused.standing == Standing(100, 60.0, 0.0)
    assert 0.0 < refused.retry_after <= 5.0
    assert (await lease(first, f"{line} too")).granted == 1


async def test_who_does_not_know_the_quota_is_told(redis_server: str, line: str) -> None:
    """A store grants what is asked while nobody knows the quota, and tells it as soon as anybody does."""
    first, second = RedisQuotaStore(redis_server), RedisQuotaStore(redis_server)
    assert await lease(first, line, limit=None) == Lease(1)
    await lease(second, line, limit=250)
    assert (await lease(first, line, limit=None)).standing == Standing(250, 60.0, 0.0)
    assert await first.peek(line) == Standing(250, 60.0, 0.0)


async def test_a_pause_holds_for_all_and_the_longer_one_stands(redis_server: str, line: str) -> None:
    """A 429 of one process stops every process, for the longest time that the server asked for."""
    first, second = RedisQuotaStore(redis_server), RedisQuotaStore(redis_server)
    await first.pause(line, 30.0)
    await second.pause(line, 5.0)
    refused = await lease(second, line)
    assert refused.granted == 0
    assert refused.retry_after == pytest.approx(30.0, abs=1.0)


async def test_processes_are_counted(redis_server: str, line: str) -> None:
    """Who asked within five minutes is one of those a quota is parted among when Redis is gone."""
    stores = [RedisQuotaStore(redis_server) for _ in range(3)]
    for store in stores * 2:  # from the second time on, the clock of Redis is known
        await lease(store, line)
    desk = RedisDesk(redis := connect(redis_server), "a name")
    now = (await desk.look(line, 60.0)).now
    assert await desk.attend(line, now, now + 1.0) == (4, 4)
    assert await desk.attend(line, now + 10.0, now + 11.0) == (1, 4)
    await redis.aclose()


async def test_another_quota_begins_empty(redis_server: str, line: str) -> None:
    """After a change of the quota, what is owed by the old one does not stop the new one, nor is there a burst."""
    store = RedisQuotaStore(redis_server)
    assert await all_of(store, line) == 70
    waits = list[float]()
    for _ in range(40):
        waits.append((await store.lease(line, 1, limit=6_000, window=60.0, patient=False)).retry_after)
    assert max(waits) <= 2.0


async def test_a_clock_that_was_set_back(redis_server: str, line: str) -> None:
    """After a failover to a Redis whose clock is an hour behind, nobody waits for an hour."""
    desk = RedisDesk(redis := connect(redis_server), "a name")
    bucket = Bucket("steady", 0.5, 3, 3)
    await desk.charge(line, bucket, 1)
    (key,) = await names(text := connect(redis_server, text=True), f"*{line}*steady")
    await text.aclose()
    await redis.incrbyfloat(key, 3600.0)
    assert not (await desk.charge(line, bucket, 1)).granted
    assert (await desk.charge(line, bucket, 1)).retry_after <= 1.5
    await redis.aclose()


async def test_kinds_of_buckets_do_not_add_up(redis_server: str, line: str) -> None:
    """A process that met thousands of quotas keeps a few dozen ready."""
    desk = RedisDesk(redis := connect(redis_server), "a name")
    for number in range(1, 100):
        await desk.charge(line, Bucket("steady", 1.0 / number, 1, 1), 1)
    assert len(desk._limiters) <= 64
    await redis.aclose()


async def test_nothing_in_redis_names_a_key_or_stays_for_ever(own_redis: RedisServer) -> None:
    """Two clients of one key share a quota; Redis holds a digest of the key, and everything there expires."""
    async with Sandbox(calls=50, loads=10) as sandbox:
        ids = list(sandbox.store.calls)
        store, other = RedisQuotaStore(own_redis.url), RedisQuotaStore(own_redis.url)
        async with (
            EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, quota_store=store) as first,
            EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, quota_store=other) as second,
        ):
            await asyncio.gather(*(envoy.calls.get(id) for id in ids[:25] for envoy in (first, second)))
        assert {request.status for request in sandbox.requests} == {200}
        redis = connect(own_redis.url, text=True)
        known = await names(redis)
        assert len({name.split("{")[1].split("}")[0] for name in known}) == 1
        assert not [name for name in known if sandbox.api_key in name or "127.0.0.1" in name]
        assert all([0 < await redis.pttl(name) <= 600_000 for name in known])
        await redis.aclose()


def test_one_store_serves_several_loops(redis_server: str, line: str) -> None:
    """A store works under one `asyncio.run` after the other, closed or not, and leaves no connection open."""
    store = RedisQuotaStore(redis_server)
    assert asyncio.run(lease(store, line)).granted == 1

    async def closed() -> None:
        await lease(store, line)
        await store.aclose()
        await store.aclose()
        await lease(store, line)

    asyncio.run(closed())
    assert not store._open


@pytest.mark.parametrize(
    "url", ["", "redis", "http://localhost", f"redis://:{PASSWORD}@host:port", "unix://", "redis://[::1"]
)
def test_an_address_that_is_none(url: str) -> None:
    """It is refused at once, and no traceback with local variables shows the password."""
    with pytest.raises(ConfigurationError, match="address of Redis") as caught:
        RedisQuotaStore(url)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert PASSWORD not in "".join(told.format()).replace(repr(url), "")


@pytest.mark.parametrize("processes", [0, -1, True, 2.0])
def test_a_number_of_processes_that_is_none(processes: int) -> None:
    """It is refused at once."""
    with pytest.raises(ConfigurationError, match="processes"):
        RedisQuotaStore("redis://localhost", processes=processes)


@pytest.mark.parametrize("missing", ["redis.asyncio.connection", "envoy_async.fleet._throttled"])
def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is told."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=r"envoy-async\[redis\]"):
        RedisQuotaStore("redis://localhost")


def test_a_store_keeps_its_address_to_itself() -> None:
    """The password is not in its text, and it is not pickled."""
    store = RedisQuotaStore(f"redis://:{PASSWORD}@localhost")
    assert PASSWORD not in repr(store) + str(vars(store))
    with pytest.raises(TypeError):
        pickle.dumps(store)


async def test_scripts_that_redis_forgot_come_back(own_redis: RedisServer, line: str) -> None:
    """`SCRIPT FLUSH` is not noticed."""
    store, redis = RedisQuotaStore(own_redis.url), connect(own_redis.url)
    await lease(store, line)
    await redis.script_flush()
    assert (await lease(store, line)).granted == 1
    assert store.trouble is None
    await redis.aclose()


async def test_flushed(own_redis: RedisServer, line: str) -> None:
    """After `FLUSHALL` there is no second burst, for any process that was there before."""
    stores = [RedisQuotaStore(own_redis.url) for _ in range(4)]
    assert sum([await all_of(store, line) for store in stores]) >= 70
    await flush(own_redis.url)
    assert sum(await asyncio.gather(*(all_of(store, line) for store in stores))) <= 4


async def test_restarted(own_redis: RedisServer, line: str) -> None:
    """A Redis that was killed and came back empty is asked again after two seconds or so, and gives no burst."""
    store = RedisQuotaStore(own_redis.url)
    await lease(store, line)
    own_redis.stop()
    assert (await lease(store, line)).granted == 1
    assert store.trouble is not None
    own_redis.start()
    await asyncio.sleep(2.6)
    assert await all_of(store, line) <= 4
    assert store.trouble is None


async def test_frozen(own_redis: RedisServer, line: str, caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that answers nobody costs 0.2 seconds once, then nothing; the process keeps to its part of the quota."""
    caplog.set_level(logging.WARNING, "envoy_async")
    store = RedisQuotaStore(own_redis.url)
    await lease(store, line)
    own_redis.freeze()
    began = time.monotonic()
    assert (await lease(store, line)).granted == 1
    first = time.monotonic()
    assert await all_of(store, line) == 88
    second = time.monotonic()
    own_redis.thaw()
    assert 0.2 <= first - began <= 0.5
    assert second - first <= 0.5
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("flags", "address"),
    [(("--requirepass", PASSWORD), ""), (("--replicaof", "127.0.0.1", "1"), ""), ((), "unix:///nowhere/at/all")],
    ids=["wrong password", "read-only replica", "nobody there"],
)
async def test_a_redis_of_no_use(
    flags: tuple[str, ...], address: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each process keeps to its part of the quota from the beginning, by the number of processes it was made with."""
    caplog.set_level(logging.WARNING, "envoy_async")
    with RedisServer(*flags) as server:
        store = RedisQuotaStore(address or server.url, processes=9)
        assert await all_of(store, line) == 10
        assert store.trouble in {"AuthenticationError", "ReadOnlyError", "ConnectionError"}
        assert len(caplog.records) == 1
        assert PASSWORD not in caplog.text


async def test_connections_are_few(own_redis: RedisServer) -> None:
    """Two hundred lines of one process are served by sixteen connections at most."""
    store, redis = RedisQuotaStore(own_redis.url), connect(own_redis.url)
    await asyncio.gather(*(store.peek(f"{number} general") for number in range(200)))
    assert len(await redis.client_list()) <= 17  # pyright: ignore[reportUnknownMemberType]
    await redis.aclose()
