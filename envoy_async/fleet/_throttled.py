"""What throttled-py is handed: a connection that is open already. It would open one of its own, and never close it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self, cast

import attrs
from throttled.asyncio import Quota, Rate, RedisStore, Throttled
from throttled.store import ConnectionFactory

from ._buckets import Bucket

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from throttled.types import RedisP

_HANDED = "HANDED"
_SCALE = 1000  # quotas are whole numbers in whole seconds here


@attrs.frozen
class _Handed:
    """Holds a connection through the copies that are made of options."""

    redis: Redis

    def __deepcopy__(self, _: object) -> Self:
        return self


class Factory(ConnectionFactory):
    """Gives the connection that stands in its options."""

    def connect(self, url: str | None = None) -> RedisP:
        """Give it; the address is that of nothing."""
        del url
        handed: _Handed = self.options[_HANDED]
        return cast("RedisP", handed.redis)


def store_over(redis: Redis) -> RedisStore:
    """Make a store over a connection."""
    named = f"{Factory.__module__}.{Factory.__qualname__}"
    return RedisStore("redis://", {"CONNECTION_FACTORY_CLASS": named, _HANDED: _Handed(redis)})


def throttled(bucket: Bucket, store: RedisStore, prefix: str) -> Throttled:
    """Make what charges a bucket of this kind."""
    whole = round(_SCALE / bucket.interval)
    quota = Quota(Rate(timedelta(seconds=_SCALE), whole), burst=bucket.usable)
    return Throttled(using="gcra", quota=quota, store=store, key_prefix=prefix)
