"""A quota shared through Redis, or Valkey, by any number of processes and machines (extra `redis`).

The rule: Redis keeps the numbers, and its clock alone counts. The buckets are throttled-py's (GCRA, whose script comes
back by itself after a restart); all else are plain keys that expire by themselves. Names of keys hold a digest of
credentials and address, never the credentials.

A connection or two serve a process, in each of its event loops, and end with the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING

from .._credentials import Secret
from ..errors import ConfigurationError
from ..quota import Lease, Standing
from ._buckets import Bucket
from ._desk import Charge, Known, Look
from ._sharing import Sharing

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from throttled.asyncio import Throttled

_PREFIX = "envoy-async:quota"
_TIMEOUT = 0.25  # seconds for a connection or an answer
_CONNECTIONS = 16  # at most; who finds none free waits
_KNOWN = 600  # seconds for which a quota stays known
_COUNTS = 300  # seconds since a process last waited in which it is counted
_FEW = 64  # kinds of buckets that are kept ready


class RedisQuotaStore:
    """Shares a quota between all processes and machines that reach one Redis. It needs the extra `redis`.

    `EnvoyClient(quota_store=RedisQuotaStore("redis://…"))` is all it takes. Clients with the same credentials share a
    quota, whatever the event loop, process, or machine; those with others do not get in each other's way.

    While Redis cannot be reached, each process keeps to its part of the quota, by the number of processes that were
    there last. It says so once in the log `envoy_async`, and asks Redis again after two to eight seconds. No call waits
    for Redis for more than half a second.

    Args:
        url: the address: `redis://…`, `rediss://…`, or `unix://…`; user and password may stand in it.
        processes: how many processes to reckon with until Redis has told, should it be down at the start.

    Raises:
        ConfigurationError: the extra is not installed, or an argument is none.
    """

    def __init__(self, url: str, *, processes: int = 1) -> None:
        self._url = Secret(url)
        del url  # what fails below may be printed with its local variables
        if not _loaded(self._url):
            msg = "the address of Redis must begin with redis://, rediss://, or unix://, and be whole"
            raise ConfigurationError(msg)
        if type(processes) is not int or processes < 1:
            msg = "processes must be a whole number of at least 1"
            raise ConfigurationError(msg)
        self._processes = processes
        self._name = secrets.token_hex(8)
        self._open: dict[asyncio.AbstractEventLoop, tuple[Sharing, AsyncGenerator[None, None]]] = {}

    async def lease(self, line: str, count: int, *, limit: int | None, window: float, patient: bool) -> Lease:
        """Grant up to *count* requests to go now."""
        sharing = await self._here()
        return await sharing.lease(line, count, limit=limit, window=window, patient=patient)

    async def pause(self, line: str, seconds: float) -> None:
        """Grant nothing for so long, to nobody."""
        await (await self._here()).pause(line, seconds)

    async def peek(self, line: str) -> Standing:
        """Tell what is known, and take nothing."""
        return await (await self._here()).peek(line)

    @property
    def trouble(self) -> str | None:
        """Why Redis is not asked at the moment, such as `ConnectionError`; `None` while all is well."""
        return next((sharing.trouble for sharing, _ in [*self._open.values()] if sharing.trouble), None)

    async def aclose(self) -> None:
        """Close the connections of the running event loop; they also end with it, and open again when needed."""
        if (here := self._open.get(asyncio.get_running_loop())) is not None:
            await here[1].aclose()

    async def _here(self) -> Sharing:
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            desk = RedisDesk(_connected(self._url), self._name)
            sharing = Sharing(desk, loop.time, Random(), self._processes)  # noqa: S311 - jitter
            keeper = self._keep(loop, desk)  # suspended until the loop ends, which closes what is suspended in it
            self._open[loop] = sharing, keeper
            await anext(keeper)
        return self._open[loop][0]

    async def _keep(self, loop: asyncio.AbstractEventLoop, desk: RedisDesk) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            del self._open[loop]
            await desk.close()


class RedisDesk:
    """The numbers in Redis."""

    def __init__(self, redis: Redis, name: str) -> None:
        from ._throttled import store_over

        self._redis = redis
        self._store = store_over(redis)
        self._limiters: dict[Bucket, Throttled] = {}
        self._name = name

    async def look(self, line: str, window: float) -> Look:
        """Tell what is known, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()  # pyright: ignore[reportUnknownMemberType]
            pipe.get(_key(line, "known"))
            pipe.pttl(_key(line, "pause"))
            pipe.set(_key(line, "era"), secrets.token_hex(8), nx=True)
            pipe.get(_key(line, "era"))
            pipe.pexpire(_key(line, "era"), round(window * 1000))
            (seconds, micros), known, pause, _, era, _ = await pipe.execute()
        return Look(
            now=seconds + micros / 1e6,
            known=_known(known),
            pause=max(0, pause) / 1000,
            era=bytes(era),
        )

    async def charge(self, line: str, bucket: Bucket, cost: int) -> Charge:
        """Take so many requests from a bucket, or none."""
        key, limiter = f"{{{line}}}:{bucket.name}", self._limiter(bucket)
        found = await limiter.limit(key, cost)
        lacks = found.state.retry_after / bucket.interval + bucket.usable - cost
        if found.limited and lacks > bucket.deepest + 1:
            # It cannot be: the quota is another by now, or a failover set the clock back. So it begins anew, as if all
            # of a burst had just gone out.
            await self._redis.delete(f"{_PREFIX}:v1:gcra:{key}")
            anew = bucket.owing if bucket.debt else bucket
            await self._limiter(anew).limit(key, anew.usable)
        return Charge(not found.limited, found.state.remaining, found.state.retry_after)

    async def learn(self, line: str, known: Known, *, first: bool) -> None:
        """Note a quota; the *first* one only while none is known."""
        await self._redis.set(_key(line, "known"), f"{known.limit} {known.window}", ex=_KNOWN, nx=first)

    async def pause(self, line: str, seconds: float) -> None:
        """Note a pause; one that is longer stands."""
        key, wanted = _key(line, "pause"), max(1, round(seconds * 1000))
        if await self._redis.pttl(key) < wanted:
            await self._redis.set(key, "", px=wanted)

    async def attend(self, line: str, now: float, until: float) -> tuple[int, int]:
        """Sign in as one who waits until a time; tells how many processes wait, and how many there are."""
        key = _key(line, "processes")
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(key, "-inf", now - _COUNTS)
            pipe.zadd(key, {self._name: until})
            pipe.zcount(key, now, "+inf")
            pipe.zcard(key)
            pipe.expire(key, 2 * _COUNTS)
            _, _, waiting, processes, _ = await pipe.execute()
        return int(waiting), int(processes)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _limiter(self, bucket: Bucket) -> Throttled:
        if bucket not in self._limiters:
            from ._throttled import throttled

            if len(self._limiters) == _FEW:
                self._limiters.clear()
            self._limiters[bucket] = throttled(bucket, self._store, _PREFIX)
        return self._limiters[bucket]


def _key(line: str, name: str) -> str:
    return f"{_PREFIX}:{{{line}}}:{name}"  # braces keep a line together in a cluster


def _known(value: bytes | None) -> Known | None:
    if value is None:
        return None
    limit, window = value.split()
    return Known(int(limit), float(window))


def _loaded(url: Secret) -> bool:
    """Load what is needed, which takes longer than an answer of Redis may; tells whether the address is one."""
    try:
        from redis.asyncio.connection import parse_url

        import_module("._throttled", __package__)
    except ImportError:
        raise ConfigurationError("install envoy-async[redis] to share a quota through Redis") from None
    with contextlib.suppress(ValueError):  # which may hold the password
        return "path" in parse_url(url.reveal()) or not url.reveal().startswith("unix:")
    return False


def _connected(url: Secret) -> Redis:
    """Make a client, which connects when it is first used."""
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url.reveal(),
        max_connections=_CONNECTIONS,
        timeout=_TIMEOUT,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=Retry(NoBackoff(), 1),  # a connection may have been closed while nobody used it
    )
    return Redis.from_pool(pool)
