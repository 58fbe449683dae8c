"""Replay stores over a real Redis: shared, out of reach, frozen, restarted, emptied; and who may see its password."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as LostError, RedisError

from envoy_async.errors import ConfigurationError
from envoy_async.webhooks import RedisReplayStore
from tests._redis_server import RedisServer, connect
from tests.faults._canary import leaks

PASSWORD = "canary-7f3a91c2"
ADDRESSES = (
    f"http://:{PASSWORD}@localhost",
    f"redis://:{PASSWORD}/more@localhost:x",
    f"redis://[{PASSWORD}",
    f"redis://localhost?socket_timeout={PASSWORD}",
    PASSWORD,
    "",
)


@asynccontextmanager
async def opened(url: str, prefix: str = "") -> AsyncGenerator[RedisReplayStore]:
    """Open a store, and close it."""
    store = RedisReplayStore(url, prefix=prefix or f"{uuid4()}:")
    try:
        yield store
    finally:
        await store.aclose()


async def test_stores_with_one_prefix_share(redis_server: str) -> None:
    """What one process has claimed or done holds for another; only who claimed an id can give it back."""
    prefix = f"{uuid4()}:"
    async with opened(redis_server, prefix) as one, opened(redis_server, prefix) as other:
        assert await one.claim("a") == "new"
        assert await other.claim("a") == "busy"
        await other.release("a")
        assert await other.claim("a") == "busy"
        await one.release("a")
        assert await other.claim("a") == "new"
        await other.done("a")
        assert await one.claim("a") == "done"


async def test_prefixes_separate_endpoints(redis_server: str) -> None:
    """The same id is free for an endpoint with another prefix."""
    first, second = f"{uuid4()}:", f"{uuid4()}:"
    async with opened(redis_server, first) as one, opened(redis_server, second) as other:
        assert [await store.claim("a") for store in (one, other, one)] == ["new", "new", "busy"]
    async with connect(redis_server) as client:
        assert await client.get(f"{first}a") != await client.get(f"{second}a")


async def test_a_lease_that_ended_is_not_given_back(redis_server: str) -> None:
    """Whose lease has ended gives back nothing: neither what another process has claimed nor what it has done."""
    prefix = f"{uuid4()}:"
    async with opened(redis_server, prefix) as one, opened(redis_server, prefix) as other:
        for id in "ab":
            await one.claim(id, lease=0.01)
        await asyncio.sleep(0.02)
        assert [await other.claim(id) for id in "ab"] == ["new", "new"]
        await other.done("b")
        for id in "ab":
            await one.release(id)
        assert [await one.claim(id) for id in "ab"] == ["busy", "done"]


@pytest.fixture
async def overtaken(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisReplayStore]:
    """Give a store that finds another process faster than itself whenever it looks before it writes."""
    async with opened(redis_server) as store, connect(redis_server) as other:
        make = store._redis.pipeline

        def pipeline() -> Pipeline:
            pipe = make()
            get = pipe.get

            async def overtaking(key: str) -> object:
                found = await get(key)
                await other.set(key, "of another")
                return found

            monkeypatch.setattr(pipe, "get", overtaking)
            return pipe

        monkeypatch.setattr(store._redis, "pipeline", pipeline)
        yield store


async def test_giving_back_while_the_key_changes(overtaken: RedisReplayStore) -> None:
    """When a lease ends and another process claims between looking and deleting, the other one keeps its claim."""
    await overtaken.claim("a")
    await overtaken.release("a")
    assert await overtaken.claim("a") == "busy"


async def test_processing_again_while_the_key_changes(overtaken: RedisReplayStore) -> None:
    """Of two who claim again what is done, the slower one hears that it is busy."""
    await overtaken.done("a")
    assert await overtaken.claim("a", reprocess=True) == "busy"


async def test_a_client_stays_its_owners(redis_server: str) -> None:
    """A client that was passed in keeps its connection when the store is closed."""
    async with connect(redis_server) as client:
        store = RedisReplayStore(client, prefix=f"{uuid4()}:")
        first = await client.client_id()  # pyright: ignore[reportUnknownMemberType]
        assert await store.claim("a") == "new"
        await store.aclose()
        assert await client.client_id() == first  # pyright: ignore[reportUnknownMemberType]


async def test_more_at_once_than_connections(redis_server: str) -> None:
    """A store opens few connections, and hundreds of claims at once wait for them instead of failing."""
    async with opened(redis_server) as store, connect(redis_server) as client:
        claims = await asyncio.gather(*(store.claim(str(number % 150)) for number in range(300)))
        assert sorted(claims) == ["busy"] * 150 + ["new"] * 150
        opened_there = await client.client_list()  # pyright: ignore[reportUnknownMemberType]
        assert len(opened_there) < 100


async def test_an_answer_that_is_lost(own_redis: RedisServer) -> None:
    """When the answer to a claim gets lost on the way, a client that asks again knows its own claim."""
    lost: list[bytes] = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on commands and answers; hang up instead of the first answer to a claim."""
        there, here = await asyncio.open_unix_connection(own_redis.path)
        try:
            while data := await reader.read(65_536):
                here.write(data)
                answer = await there.read(65_536)
                if b"NX" in data and not lost:
                    lost.append(answer)
                    break
                writer.write(answer)
        finally:
            for end in writer, here:
                end.close()
                await end.wait_closed()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with server, Redis(port=server.sockets[0].getsockname()[1]) as client:
        store = RedisReplayStore(client)
        assert await store.claim("a") == "new"
        assert lost == [b"+OK\r\n"]
        assert await store.claim("a") == "busy"
        await store.release("a")
        assert await store.claim("a") == "new"


async def test_out_of_reach(own_redis: RedisServer) -> None:
    """While there is no Redis every method fails at once; when it is back, the store goes on by itself, empty."""
    async with opened(own_redis.url) as store:
        await store.claim("a")
        own_redis.stop()
        for call in (store.claim("b"), store.release("a"), store.done("a")):
            with pytest.raises(RedisError):
                await call
        own_redis.start()
        assert await store.claim("a") == "new"


async def test_restarted(own_redis: RedisServer) -> None:
    """A restart of Redis between two deliveries goes unnoticed, but for what it forgot."""
    async with opened(own_redis.url) as store:
        await store.done("a")
        own_redis.stop()
        own_redis.start()
        await asyncio.sleep(0.01)  # until it is seen that the connection has ended
        assert await store.claim("a") == "new"


async def test_emptied(own_redis: RedisServer) -> None:
    """After FLUSHALL ids are nobody's; giving back or noting one that was claimed before works."""
    async with opened(own_redis.url) as store, connect(own_redis.url) as client:
        for id in "abc":
            await store.claim(id)
        await client.flushall()  # pyright: ignore[reportUnknownMemberType]
        await store.release("a")
        await store.done("b")
        assert [await store.claim(id) for id in "abc"] == ["new", "done", "new"]


async def test_frozen(own_redis: RedisServer) -> None:
    """A Redis that answers nobody is an error within about a second, never a hang; it can go on afterwards."""
    async with opened(own_redis.url) as store:
        await store.claim("a")
        own_redis.freeze()
        began = time.monotonic()
        calls = [store.claim("b"), store.done("c"), store.release("a"), store.claim("d")]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - began < 3
        assert all(isinstance(outcome, RedisError) for outcome in outcomes)
        own_redis.thaw()
        assert await store.claim("e") == "new"


@pytest.mark.parametrize("url", ADDRESSES)
def test_addresses_that_are_none(url: str) -> None:
    """An address that is none is refused in our words; the password is nowhere in the error, nor in its frames."""
    with pytest.raises(ConfigurationError, match="the address of Redis must begin with redis://") as caught:
        RedisReplayStore(url)
    assert leaks(caught.value, PASSWORD) == []
    assert caught.value.__context__ is None


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error says what to install."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=r"install envoy-async\[redis\]"):
        RedisReplayStore("redis://localhost")


async def test_claims_of_who_never_came_back_do_not_pile_up(redis_server: str) -> None:
    """A store lets go of what it claimed some time after the lease, also when nobody asks for the id again."""
    async with opened(redis_server) as store:
        for number in range(30):
            assert await store.claim(f"{uuid4()}", lease=0.002) == "new"
            await asyncio.sleep(0.003)
            assert len(store._claims) == 1, number


@pytest.mark.parametrize("right", [True, False])
async def test_the_password_is_not_shown(*, right: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The password of Redis is in no error, no log, and no repr, whether it is right or wrong, or Redis is gone."""
    caplog.set_level(logging.DEBUG)
    with RedisServer("--requirepass", PASSWORD if right else "another") as server:
        async with opened(server.url.replace("unix://", f"unix://:{PASSWORD}@")) as store:
            if right:
                assert await store.claim("a") == "new"
                server.stop()
            with pytest.raises(RedisError) as caught:
                await store.claim("b")
    assert isinstance(caught.value, LostError)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(store) + repr(caught.value)
    assert PASSWORD not in shown


def test_redis_server_missing(environ: MutableMapping[str, str]) -> None:
    """Where the program is missing, tests fail in CI, and are left out elsewhere; both say what to install."""
    environ["PATH"] = ""
    environ["CI"] = "true"
    with pytest.raises(pytest.fail.Exception, match="redis-server is missing"):
        RedisServer()
    del environ["CI"]
    with pytest.raises(pytest.skip.Exception, match="redis-server is missing"):
        RedisServer()
