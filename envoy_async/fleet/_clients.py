"""The clients of one process: one per key, however many organizations and shards it is used for.

The rule: where a client comes from travels as the name of a function, and the function runs where the key is. So no
key is ever pickled. Two clients with one key would each think they were alone with its quota; so all shards of a key
use one client, as views of it for their organizations, and those that nobody uses any more are closed.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import attrs

from .._credentials import ApiKey
from ..client import EnvoyClient
from ..errors import ConfigurationError
from ..quota import QuotaStore

if TYPE_CHECKING:
    from ._redis import RedisQuotaStore

Make = Callable[[str | None], EnvoyClient]
_IDLE = 16  # clients that are kept while no shard uses them


def from_environment(organization: str | None, *, quota_store: QuotaStore | None = None) -> EnvoyClient:
    """Make the client of an organization from the environment of this process.

    The key is `ENVOY_API_KEY_<ID>` when that is set, where the id is in capitals and has `_` for every sign that is
    neither letter nor digit, such as `ENVOY_API_KEY_ORG_1A2B`. Else it is `ENVOY_API_KEY`, else `ENVOY_BEARER_TOKEN`.
    `ENVOY_BASE_URL` is heeded too. With `ENVOY_REDIS_URL`, the quota is shared through that Redis; the connection to
    it ends with the event loop, not with the client.

    Args:
        organization: its id; `None` for the organization of the key itself.
        quota_store: where the quota is shared, instead of `ENVOY_REDIS_URL`.
    """
    own = None if organization is None else os.environ.get(f"ENVOY_API_KEY_{_as_name(organization)}")
    store = _store(os.environ) if quota_store is None else quota_store
    return EnvoyClient(ApiKey(own) if own else None, organization_id=organization, quota_store=store)


def _as_name(organization: str) -> str:
    return re.sub("[^A-Za-z0-9]", "_", organization).upper()


def _store(environ: Mapping[str, str]) -> RedisQuotaStore | None:
    url = environ.get("ENVOY_REDIS_URL")
    if not url:
        return None
    from ._redis import RedisQuotaStore

    return RedisQuotaStore(url)


def reference(make: Make) -> str:
    """Name a function that a worker can import, as `module:name`.

    Raises:
        ConfigurationError: it cannot be imported: a lambda, a function within another, or of the program itself.
    """
    module, name = getattr(make, "__module__", ""), getattr(make, "__qualname__", "")
    if module and module != "__main__" and _found(module, name) is make:
        return f"{module}:{name}"
    msg = (
        "client must be a function of a module that the workers can import, no lambda, no function within another, "
        "and none of the program itself: what it would bring along could hold a secret"
    )
    raise ConfigurationError(msg)


def referred(name: str) -> Make:
    """Import the function of this name."""
    module, _, function = name.partition(":")
    found = _found(module, function)
    if found is None:
        msg = f"client: this worker cannot import {name}; install your module where the workers run"
        raise ConfigurationError(msg)
    return cast("Make", found)


def _found(module: str, name: str) -> object:
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


@attrs.define(eq=False)
class _Held:
    """A client, and how many shards use it."""

    client: EnvoyClient
    users: int = 0


class Clients:
    """The clients of this process, by key: `async with Clients(make) as clients`."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._store: RedisQuotaStore | None = None
        self._held: dict[tuple[str, bool], _Held] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def of(self, organization: str | None) -> AsyncGenerator[EnvoyClient]:
        """Give the client of an organization, for as long as it is needed."""
        made = self._made(organization)
        transport = made._transport  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - nobody else has to know
        chosen = transport.settings.organization_id
        line = transport.pool.line, chosen is None
        held = self._held[line] = self._held.pop(line, _Held(made))  # the latest is last
        held.users += 1
        try:
            yield held.client.with_options(organization_id=chosen)
        finally:
            held.users -= 1
            await self._let_go()

    @property
    def trouble(self) -> str | None:
        """Why the Redis of the environment is out of reach; `None` while it is not, or there is none."""
        return None if self._store is None else self._store.trouble

    def _made(self, organization: str | None) -> EnvoyClient:
        if self._make is not from_environment:
            return self._make(organization)
        self._store = self._store or _store(os.environ)
        return from_environment(organization, quota_store=self._store)

    async def _let_go(self) -> None:
        """Close what was longest not used."""
        idle = [line for line, held in self._held.items() if not held.users]
        for line in idle[:-_IDLE]:
            await self._held.pop(line).client.close()

    async def close(self) -> None:
        """Close all clients, and what they shared."""
        while self._held:
            _, held = self._held.popitem()
            await held.client.close()
        store, self._store = self._store, None
        if store is not None:
            await store.aclose()
