"""Many organizations over many processes and machines: a plan of small shards, run here or by Dask, one manifest.

The rule: a shard can be run anywhere, any number of times, by any process: what is whole is kept, and what is not is
fetched. So whatever is killed on the way, running the same plan again ends the work. No shard and no plan holds a
secret: each process finds its keys where it runs.

Dask and Redis load where they are used, and never with this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._clients import from_environment
from ._manifest import FleetManifest
from ._plan import Plan, Shard, plan
from ._results import ShardResult
from ._running import export_distributed
from ._shard import run_shard

if TYPE_CHECKING:
    from ._redis import RedisQuotaStore

__all__ = [
    "FleetManifest",
    "Plan",
    "RedisQuotaStore",
    "Shard",
    "ShardResult",
    "export_distributed",
    "from_environment",
    "plan",
    "run_shard",
]

if not TYPE_CHECKING:  # type checkers read the import above

    def __getattr__(name: str) -> object:
        if name != "RedisQuotaStore":
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return import_module("._redis", __name__).RedisQuotaStore
