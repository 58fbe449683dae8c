"""The modelled Redis of the simulations decides as a real one does."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from random import Random

import pytest
from redis.asyncio import Redis

from envoy_async.fleet._buckets import Bucket, cut
from envoy_async.fleet._desk import Charge, Desk, Known
from envoy_async.fleet._redis import RedisDesk
from tests.simulations._desk import ModelledDesk, ModelledRedis

HOURS = cut(100, 36_000.0)  # so slow that the time a test takes is nothing
LINE = "a line"


@asynccontextmanager
async def real(url: str) -> AsyncGenerator[Desk]:
    """Give a desk over a real Redis."""
    redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
    desk = RedisDesk(redis, secrets.token_hex(8))
    try:
        yield desk
    finally:
        await desk.close()


def modelled() -> ModelledRedis:
    """Make a model whose clock goes on by a millisecond with each look at it."""
    ticks = count()
    return ModelledRedis(lambda: next(ticks) / 1000, 0.0)


def buckets(random: Random) -> list[Bucket]:
    """List both buckets of a quota as different people see them, in any order."""
    assert HOURS.burst is not None
    some = [bucket.keeping(few) for bucket in (HOURS.burst, HOURS.steady) for few in (0, 1, 2)]
    return random.sample([*some, HOURS.steady.owing], k=7)


async def charged(desk: Desk, line: str, seed: int) -> list[Charge]:
    """Make the charges of a seed."""
    random = Random(seed)
    asked = [(random.choice(buckets(random)), random.choice((1, 1, 1, 2, 5, 30, 69, 70, 200))) for _ in range(60)]
    return [await desk.charge(line, bucket, cost) for bucket, cost in asked]


@pytest.mark.parametrize("seed", range(8))
async def test_the_model_grants_what_redis_grants(redis_server: str, seed: int) -> None:
    """Whatever is asked of the buckets in any order, the model grants, keeps, and delays what throttled-py does."""
    async with real(redis_server) as desk:
        wanted = await charged(desk, secrets.token_hex(8), seed)
    found = await charged(ModelledDesk(modelled(), 0), LINE, seed)
    assert [(one.granted, one.remaining) for one in found] == [(one.granted, one.remaining) for one in wanted]
    assert [one.retry_after for one in found] == pytest.approx([one.retry_after for one in wanted], abs=20.0)
    assert {one.granted for one in found} == {True, False}


@pytest.mark.parametrize("debt", [0.0, 1_000.0])
async def test_a_quota_that_shrank_begins_anew_in_both(redis_server: str, debt: float) -> None:
    """A bucket that lacks more than it can is another quota's: both let it begin anew, and empty."""
    large, small = Bucket("steady", 500.0, 1_000, 1_000), Bucket("steady", 500.0, 3, 10, debt)
    waits = list[float]()
    async with real(redis_server) as desk:
        for one in desk, ModelledDesk(modelled(), 0):
            line = secrets.token_hex(8)
            assert (await one.charge(line, large, 1_000)).granted
            assert not (await one.charge(line, small, 1)).granted
            again = await one.charge(line, small, 1)
            assert not again.granted
            waits.append(again.retry_after)
    assert waits[0] == pytest.approx(waits[1], abs=20.0)
    assert waits[0] < 10 * 500.0


async def told(desk: Desk, other: Desk, line: str) -> list[object]:
    """Let two processes ask, sign in, learn, and pause; gives what they are told."""
    first = await desk.look(line, 600.0)
    await desk.learn(line, Known(100, 60.0), first=True)
    await desk.learn(line, Known(200, 60.0), first=True)
    await desk.pause(line, 300.0)
    await other.pause(line, 100.0)
    second = await other.look(line, 600.0)
    await desk.learn(line, Known(50, 6.0), first=False)
    third = await other.look(line, 600.0)
    now = second.now
    counts = [
        await desk.attend(line, now, now + 6.0),
        await other.attend(line, now + 5.0, now + 7.0),
        await other.attend(line, now + 40.0, now + 41.0),
    ]
    gone = await other.attend(line, now + 1_000.0, now + 1_001.0)
    return [
        first.known,
        first.pause,
        second.known,
        third.known,
        round(second.pause, -1),
        first.era == second.era,
        counts,
        gone,
    ]


async def test_the_model_tells_what_redis_tells(redis_server: str) -> None:
    """A quota, the longer of two pauses, the era, and who waits and who is there are told alike."""
    async with real(redis_server) as desk, real(redis_server) as other:
        wanted = await told(desk, other, secrets.token_hex(8))
    redis = modelled()
    found = await told(ModelledDesk(redis, 0), ModelledDesk(redis, 1), LINE)
    assert found == wanted
    assert found == [None, 0.0, Known(100, 60.0), Known(50, 6.0), 300.0, True, [(1, 1), (2, 2), (1, 2)], (1, 1)]


async def test_the_model_forgets_and_goes_away() -> None:
    """A flushed model knows nothing and begins another era; one that is down raises; a quiet window ends an era."""
    now = 0.0
    redis = ModelledRedis(lambda: now, 0.0)
    desk = ModelledDesk(redis, 0)
    before = await desk.look(LINE, 60.0)
    await desk.learn(LINE, Known(100, 60.0), first=True)
    redis.flush()
    after = await desk.look(LINE, 60.0)
    assert after.known is None
    assert after.era != before.era
    now = 61.0
    assert (await desk.look(LINE, 60.0)).era != after.era
    redis.down = True
    with pytest.raises(ConnectionRefusedError):
        await desk.look(LINE, 60.0)


async def test_the_model_counts_what_it_is_asked() -> None:
    """A look is one round trip of six commands, a charge one script, signing in one round trip of five."""
    redis = modelled()
    desk = ModelledDesk(redis, 0)
    await asyncio.gather(desk.look(LINE, 60.0), desk.charge(LINE, HOURS.steady, 1), desk.attend(LINE, 0.0, 1.0))
    assert (redis.asks, redis.trips, redis.commands, redis.scripts) == (1, 3, 12, 1)
    assert redis.per_second == {0: 12}
