"""Shards on a Dask cluster: the side that hands them out.

The rule: Dask decides where a shard runs and runs it again when a worker dies. A bounded number of shards is on its
way at any time, and each future is let go when its result is here, so a plan may have as many shards as it likes. When
the scheduler is lost, all that was on its way counts as undone: the next run finds out what was done.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any, Protocol

import attrs

from ..errors import ConfigurationError, ConnectError, TransportError
from ._clients import Make, reference
from ._plan import Shard
from ._results import EndedError, ShardResult

ON_THE_WAY = 1_000
"""Most shards that the scheduler knows of at the same time."""
_TIMEOUT = 30.0  # seconds to find the scheduler, and one worker


class DaskScheduler(Protocol):
    """What a client knows of its scheduler."""

    @property
    def address(self) -> str:
        """Where it is."""
        ...


class DaskClient(Protocol):
    """A `distributed.Client`, of which only the address of its scheduler is used, and how it is secured."""

    @property
    def scheduler(self) -> DaskScheduler:
        """What speaks to the scheduler."""
        ...

    @property
    def security(self) -> object:
        """Certificates, if any."""
        ...


@asynccontextmanager
async def dask(
    engine: str | DaskClient, client: Make, to: str, retries: int
) -> AsyncGenerator[Callable[[Shard], Awaitable[ShardResult]]]:
    """Connect to a cluster, and give what runs a shard there."""
    named = reference(client)
    distributed, worker = await asyncio.to_thread(_loaded)
    async with await _connected(distributed, engine) as cluster:
        token = f"envoy-{secrets.token_hex(4)}"
        await _prepare(cluster, worker.Plugin(token, named))
        try:
            yield _Run(cluster, worker.run, token, to, retries)
        finally:
            if cluster.status == "running":  # else the scheduler is gone, and nothing can be told
                with suppress(Exception):
                    await asyncio.wait_for(cluster.unregister_worker_plugin(token), _TIMEOUT)


async def _prepare(cluster: Any, plugin: object) -> None:
    """Give every worker what it needs, those that come later, too."""
    try:
        await asyncio.wait_for(cluster.register_plugin(plugin), _TIMEOUT)
    except TimeoutError:
        raise TransportError("the workers of the Dask cluster do not answer") from None
    except Exception as error:  # noqa: BLE001 - Dask raises what it likes, with tracebacks of workers in the text
        name = type(error).__name__
        msg = f"a worker of the Dask cluster cannot run shards ({name}): install the same envoy-async there as here"
    else:
        return
    raise ConfigurationError(msg)


def _loaded() -> tuple[Any, Any]:
    try:
        return import_module("distributed"), import_module("._worker", __package__)
    except ModuleNotFoundError:
        msg = 'an engine needs one more package, here and on the workers: pip install "envoy-async[dask]"'
    raise ConfigurationError(msg)


async def _connected(distributed: Any, engine: str | DaskClient) -> Any:
    address, security = (engine, None) if isinstance(engine, str) else (engine.scheduler.address, engine.security)
    options = {"asynchronous": True, "set_as_default": False, "security": security, "timeout": _TIMEOUT}
    cluster = distributed.Client(address, **options)
    try:
        await _met(cluster, address)
    except BaseException:
        await cluster.close()
        raise
    return cluster


async def _met(cluster: Any, address: str) -> None:
    """Wait for the scheduler, and for one worker."""
    try:
        await cluster
    except ValueError:
        raise ConfigurationError(f"{address} is no address of a scheduler, such as tcp://scheduler:8786") from None
    except OSError:
        raise ConnectError(f"no Dask scheduler answers at {address}") from None
    try:
        await cluster.wait_for_workers(1, timeout=_TIMEOUT)
    except TimeoutError:
        raise TransportError(f"the Dask scheduler at {address} has no worker") from None


@attrs.frozen
class _Run:
    """Runs a shard on the cluster."""

    cluster: Any
    function: Callable[..., Awaitable[ShardResult]]
    token: str
    to: str
    retries: int

    async def __call__(self, shard: Shard) -> ShardResult:
        """Hand the shard to a worker, and wait for what comes of it."""
        key = f"{self.token}-{shard.part}"
        future = self.cluster.submit(
            self.function, shard, self.to, self.token, key=key, retries=self.retries, pure=False
        )
        try:
            result: ShardResult = await future.result()
        except Exception:
            if future.cancelled():
                raise EndedError("the Dask scheduler is gone, or does not know of the work any more") from None
            raise
        finally:
            future.release()
        return result
