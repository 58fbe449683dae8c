"""All shards of a plan, here or on a cluster.

The rule: shards are taken from the plan as there is room for them, the failure of one never ends the others, and what
may pass is tried again. Only what concerns all of them ends the run: a target of another plan, a scheduler that is
gone, a cancellation. Then no manifest is written, the parts stay, and the same call goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial

from .. import bulk
from ..errors import ConfigurationError, TransportError
from ..export._threads import Stop, in_thread
from ._clients import Clients, Make, from_environment
from ._dask import ON_THE_WAY, DaskClient, dask
from ._manifest import FleetManifest, claim, sum_up
from ._places import place_of
from ._plan import Plan, Shard
from ._results import EndedError, ShardResult, of_error
from ._shard import attempt

Progress = Callable[[int, int, int], None]
Run = Callable[[Shard], Awaitable[ShardResult]]
_LONGEST = 30.0  # seconds until a shard is tried again


async def export_distributed(
    plan: Plan,
    engine: str | DaskClient | None = None,
    *,
    client: Make = from_environment,
    concurrency: int = 4,
    retries: int = 3,
    progress: Progress | None = None,
) -> FleetManifest:
    """Run all shards of a plan, and write one manifest over all of them into its target.

    Run it again after anything: what is there is kept, what is missing is fetched.

    Args:
        plan: what to fetch, and where to.
        engine: `None` for this process; the address of a Dask scheduler, such as `tcp://scheduler:8786`, or a
            `distributed.Client` (extra `dask`). Each worker runs as many shards at once as it has threads.
        client: makes the client of an organization, on the workers: a function of a module that they can import.
        concurrency: most shards at once in this process.
        retries: how often a shard is tried again after an error that may pass.
        progress: is told after each shard how many are done, of how many, and how many records they have.

    Returns:
        The manifest, which tells of shards that failed, too.

    Raises:
        ConfigurationError: there is another plan's export in the target, or a setting cannot work.
        TransportError: the scheduler cannot be reached, or is gone; nothing that was fetched is lost.
        OSError: the target cannot be written to.
    """
    if type(retries) is not int or retries < 0 or type(concurrency) is not int or concurrency < 1:
        raise ConfigurationError("concurrency must be a whole number of at least 1, and retries of at least 0")
    place = await in_thread(partial(place_of, plan.to))
    await in_thread(partial(claim, place, plan))
    if engine is None:
        async with Clients(client) as clients:
            results = await _results(plan, partial(_patiently, clients, plan.to, retries), concurrency, progress)
    else:
        async with dask(engine, client, plan.to, retries) as run:
            results = await _results(plan, run, ON_THE_WAY, progress)
    stop = Stop()
    return await in_thread(partial(sum_up, place, plan, results, stop), stop)


async def _results(plan: Plan, run: Run, most: int, progress: Progress | None) -> list[ShardResult]:
    """Run all shards, so many at once."""
    results: list[ShardResult] = []
    total, records = len(plan), 0
    async with aclosing(bulk.map(run, plan, concurrency=most)) as outcomes:
        async for outcome in outcomes:
            error = outcome.error
            if isinstance(error, EndedError):
                raise TransportError(f"{error}: run it again, which goes on with what is there")
            results.append(outcome.result() if error is None else of_error(outcome.key, error))
            records += results[-1].records
            if progress is not None:
                progress(len(results), total, records)
    return results


async def _patiently(clients: Clients, to: str, retries: int, shard: Shard) -> ShardResult:
    """Run a shard in this process, and again a little later after what may pass."""
    for number in range(retries):
        try:
            return await attempt(shard, clients, to)
        except Exception:  # noqa: BLE001 - the last one is told
            await asyncio.sleep(min(_LONGEST, 2.0**number))
    return await attempt(shard, clients, to)
