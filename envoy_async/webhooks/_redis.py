"""Processed events in Redis, or Valkey, for all processes and machines that share an endpoint (extra `redis`).

The rule: whoever sets the key first has claimed the id; the server ends the lease. No script: `SET NX PX` claims, `SET
PX` notes, and a transaction over the watched key gives back. The value names who claimed, so nobody gives back what is
somebody else's by now.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ._stores import KEPT, LEASE, Claim

if TYPE_CHECKING:
    from redis.asyncio import Redis

_DONE = "done"
_TIMEOUT = 1.0  # seconds Redis may take: a sender waits for the answer
_CONNECTIONS = 32  # at most …
_WAIT = 2.0  # … and seconds that deliveries beyond wait for one


class RedisReplayStore:
    """A replay store in Redis; any number of processes share it. It needs the extra `redis`.

    What Redis forgets (a flush, a failover that lost the last writes) can be processed once more. A store belongs to
    the event loop in which it is first used.

    Args:
        redis: the address, `redis://…`, `rediss://…`, or `unix://…`; or a client of `redis.asyncio`, which stays yours.
        prefix: what keys begin with; give each endpoint its own, since a message has the same id at all endpoints.

    Raises:
        ConfigurationError: the extra is not installed, or the address is none.
    """

    def __init__(self, redis: str | Redis, *, prefix: str = "envoy-async:webhooks:") -> None:
        self._own = isinstance(redis, str)
        client = _connected(redis) if isinstance(redis, str) else redis
        del redis  # what fails below may be printed with its local variables, and an address can hold a password
        if client is None:
            raise ConfigurationError(
                "the address of Redis must begin with redis://, rediss://, or unix://, and be whole"
            )
        self._redis = client
        self._prefix = prefix
        self._claims: dict[str, tuple[str, float]] = {}  # what stands in the keys claimed here, and until when

    async def claim(self, id: str, *, lease: float = LEASE, reprocess: bool = False) -> Claim:
        """Claim an id, see `ReplayStore`."""
        key, token = self._prefix + id, secrets.token_hex(16)
        if not await self._redis.set(key, token, nx=True, px=_milliseconds(lease)):
            found = _text(await self._redis.get(key))
            if found == _DONE and not reprocess:
                return "done"
            # It is our own when the answer was lost on the way and the client asked once more.
            if found != token and not (found == _DONE and await self._swap(key, _DONE, token, lease)):
                return "busy"
        now = asyncio.get_running_loop().time()
        while self._claims and self._claims[first := next(iter(self._claims))][1] <= now:  # of who never came back
            del self._claims[first]
        self._claims[id] = token, now + lease
        return "new"

    async def done(self, id: str, *, ttl: float = KEPT) -> None:
        """Note that an id was processed."""
        self._claims.pop(id, None)
        await self._redis.set(self._prefix + id, _DONE, px=_milliseconds(ttl))

    async def release(self, id: str) -> None:
        """Give back an id."""
        claim = self._claims.pop(id, None)
        if claim is not None:
            await self._swap(self._prefix + id, claim[0], None, 0)

    async def aclose(self) -> None:
        """Close the connections, if they were opened here."""
        if self._own:
            await self._redis.aclose()

    async def _swap(self, key: str, old: str, new: str | None, lease: float) -> bool:
        """Replace a value, or delete it (None), if it is what it was, and tell whether it was."""
        from redis.exceptions import WatchError

        async with self._redis.pipeline() as pipe:
            await pipe.watch(key)
            if _text(await pipe.get(key)) != old:
                return False
            pipe.multi()  # type: ignore[no-untyped-call]
            if new is None:
                pipe.delete(key)
            else:
                pipe.set(key, new, px=_milliseconds(lease))
            try:
                await pipe.execute()
            except WatchError:  # somebody was faster
                return False
        return True


def _text(value: bytes | str | None) -> str | None:
    """Read a value; clients can be set to give text."""
    return value.decode() if isinstance(value, bytes) else value


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _connected(url: str) -> Redis | None:
    """Make a client, which connects when it is first used; `None` if the address is none."""
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        del url
        raise ConfigurationError("install envoy-async[redis] to keep processed events in Redis") from None
    with contextlib.suppress(ValueError):  # which may hold the password
        pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
            url,
            max_connections=_CONNECTIONS,
            timeout=_WAIT,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # the sender tries again
        )
        return Redis.from_pool(pool)
    return None
