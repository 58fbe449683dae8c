"""Shards on a Dask cluster: the side of the workers. It loads with Dask, and not before.

The rule: the clients of a worker belong to its process and its event loop, and live as long as the run they are for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ._clients import Clients, referred
from ._plan import Shard
from ._results import ShardResult, of_error
from ._shard import attempt

if TYPE_CHECKING:

    class WorkerPlugin:
        """What Dask knows as a plugin."""

    def get_worker() -> Any:
        """Give the worker that runs this task."""

else:  # what type checkers need not have installed
    from distributed import WorkerPlugin, get_worker


class Plugin(WorkerPlugin):
    """Holds the clients of a worker process for one run."""

    def __init__(self, name: str, client: str) -> None:
        self.name = name
        self._client = client
        self._clients: Clients | None = None

    @property
    def clients(self) -> Clients:
        """The clients; `ConfigurationError` when this worker cannot import what makes them."""
        self._clients = self._clients or Clients(referred(self._client))
        return self._clients

    async def teardown(self, worker: object) -> None:  # noqa: ARG002 - Dask gives it
        """Close the clients."""
        if self._clients is not None:
            await self._clients.close()


async def run(shard: Shard, to: str, name: str) -> ShardResult:
    """Run a shard on this worker; what may pass is raised, and Dask tries again."""
    plugin: Plugin = get_worker().plugins[name]
    try:
        clients = plugin.clients
    except ConfigurationError as error:
        return of_error(shard, error)
    return await attempt(shard, clients, to)
