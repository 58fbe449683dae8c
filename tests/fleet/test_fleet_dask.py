"""A plan on a Dask cluster of processes: workers and schedulers are killed, and nothing is lost or there twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, MutableMapping
from datetime import date, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from envoy_async.errors import ConfigurationError, ConnectError, TransportError
from envoy_async.fleet import FleetManifest, Plan, export_distributed, plan
from envoy_async.sandbox import Fault, Sandbox
from tests.fleet import _cluster

distributed: Any = import_module("distributed")  # which is loose about its types
LAST = date(2025, 11, 21)
FIRST = LAST - timedelta(days=29)


@pytest.fixture(scope="module")
def known() -> Sandbox:
    """Tell what is in the sandbox of this file."""
    return _cluster.sandbox()


@pytest.fixture(scope="module")
def processes() -> Iterator[_cluster.Processes]:
    """Start processes that end with this file."""
    with _cluster.Processes() as running:
        yield running


@pytest.fixture(scope="module")
def served(processes: _cluster.Processes, known: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Serve 50 organizations, and give the environment that reaches them."""
    said = tmp_path_factory.mktemp("sandbox") / "said"
    processes.start(str(Path(_cluster.__file__)), "0.02", out=said)
    url = _cluster.waited(said).split()[1]
    return {"ENVOY_BASE_URL": url, "ENVOY_BEARER_TOKEN": known.bearer_token, "ENVOY_API_KEY": ""}


@pytest.fixture(scope="module")
def cluster(
    processes: _cluster.Processes, served: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> _cluster.Cluster:
    """Run clusters whose workers reach the sandbox."""
    return _cluster.Cluster(processes, tmp_path_factory.mktemp("cluster"), served)


def planned(known: Sandbox, to: Path) -> Plan:
    """Plan 30 days of 50 organizations."""
    return plan("calls", known.organization_ids, to, since=FIRST, until=LAST, days=10)


def expected(known: Sandbox) -> list[str]:
    """Name all calls of those days, of all organizations."""
    calls = (call for name in known.organization_ids for call in known.stores[name].calls.values())
    return sorted(str(call["id"]) for call in calls if str(FIRST) <= str(call["created_at"])[:10] <= str(LAST))


async def test_a_worker_is_killed_on_the_way(known: Sandbox, cluster: _cluster.Cluster, tmp_path: Path) -> None:
    """50 organizations x 30 days on 4 workers, one of which is killed: all records are there, once, in one manifest."""
    address = cluster.start(4)
    asked: list[int] = []

    def progress(done: int, total: int, records: int) -> None:
        asked.append(records)
        if done == 30:
            cluster.kill(cluster.workers[0])

    manifest = await export_distributed(planned(known, tmp_path), address, progress=progress)
    found = sorted(_cluster.ids_in(tmp_path))
    assert found == expected(known)
    assert len(found) > 2_000
    assert (manifest.records, manifest.parts, manifest.complete, manifest.repeated) == (len(found), 150, True, 0)
    assert (manifest.fetched + manifest.kept, manifest.failures) == (150, ())
    assert len(asked) == 150
    assert asked[-1] == len(found)
    assert FleetManifest.load(tmp_path) == manifest
    assert _cluster.files(tmp_path, "manifest.json") == {tmp_path / "manifest.json"}


async def test_the_scheduler_is_killed_on_the_way(known: Sandbox, cluster: _cluster.Cluster, tmp_path: Path) -> None:
    """When the scheduler goes, the error says to run it again; with a new one it goes on, and fetches nothing twice."""
    address = cluster.start(2)

    def progress(done: int, total: int, records: int) -> None:
        if done == 40:
            cluster.kill(cluster.scheduler)

    with pytest.raises(TransportError, match="run it again"):
        await export_distributed(planned(known, tmp_path), address, progress=progress)
    assert FleetManifest.load(tmp_path) is None
    there = {path: path.stat().st_mtime_ns for path in _cluster.files(tmp_path, "*.jsonl")}
    assert 40 <= len(there) < 150
    manifest = await export_distributed(planned(known, tmp_path), cluster.start(1))
    assert sorted(_cluster.ids_in(tmp_path)) == expected(known)
    assert (manifest.complete, manifest.repeated, manifest.records) == (True, 0, len(expected(known)))
    assert manifest.kept >= len(there)
    assert {path: path.stat().st_mtime_ns for path in there} == there


@pytest.fixture
async def worker(environ: MutableMapping[str, str]) -> AsyncIterator[Any]:
    """Run a scheduler and a worker in this process, which reach a sandbox of three organizations."""
    clock = partial(float, _cluster.NOW)
    async with Sandbox(calls=150, loads=5, organizations=3, quota=None, clock=clock) as sandbox:
        environ["ENVOY_BASE_URL"] = sandbox.base_url
        environ["ENVOY_BEARER_TOKEN"] = sandbox.bearer_token
        environ.pop("ENVOY_API_KEY", None)
        quiet = {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
        scheduler = distributed.Scheduler(port=0, **quiet)
        async with scheduler, distributed.Worker(scheduler.address, nthreads=2, **quiet) as running:
            running.sandbox = sandbox
            yield running


async def test_clients_live_as_long_as_the_run(worker: Any, tmp_path: Path) -> None:
    """A worker has one client per key, which is closed when the run has ended; a `distributed.Client` will do, too."""
    sandbox: Sandbox = worker.sandbox
    planned = plan("calls", sandbox.organization_ids, tmp_path)
    async with distributed.Client(worker.scheduler.address, asynchronous=True, set_as_default=False) as client:
        manifest = await export_distributed(planned, client)
    assert (manifest.complete, manifest.proven, manifest.records) == (True, True, 180)
    assert [name for name in worker.plugins if name.startswith("envoy")] == []
    asked = len(sandbox.requests)
    assert (await export_distributed(planned, worker.scheduler.address)).kept == 3
    assert len(sandbox.requests) == asked


async def test_dask_tries_again_what_may_pass(worker: Any, tmp_path: Path) -> None:
    """A shard whose server fails twice is run again by Dask; one that keeps failing is an outcome, as is a bad key."""
    sandbox: Sandbox = worker.sandbox
    planned = plan("calls", sandbox.organization_ids[:1], tmp_path)
    sandbox.fail(Fault(times=2, status=503))
    manifest = await export_distributed(planned, worker.scheduler.address, client=_cluster.client_of, retries=1)
    assert [shard.error for shard in manifest.failures] == ["ServerError"]
    sandbox.fail(Fault(times=2, status=503))
    manifest = await export_distributed(planned, worker.scheduler.address, client=_cluster.client_of, retries=2)
    assert (manifest.complete, len(sandbox.requests)) == (True, 6)
    sandbox.expire_tokens()
    planned = plan("loads", sandbox.organization_ids, tmp_path / "other")
    manifest = await export_distributed(planned, worker.scheduler.address)
    assert {shard.error for shard in manifest.failures} == {"NotAuthenticatedError"}
    assert len(sandbox.requests) == 9


def _nowhere(make: object) -> str:
    """Name a function that no worker has."""
    return "nowhere.at_all:client"


async def test_a_worker_without_the_module(worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a worker cannot import what makes the clients, each shard says so."""
    monkeypatch.setattr("envoy_async.fleet._dask.reference", _nowhere)
    manifest = await export_distributed(plan("calls", ["org_a"], tmp_path), worker.scheduler.address)
    assert manifest.failures[0].error == "ConfigurationError"
    assert "this worker cannot import nowhere.at_all:client" in str(manifest.failures[0].message)


async def test_a_worker_that_cannot_be_told(worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that does not answer at the end is no failure: the manifest is there."""

    async def lost(self: object, name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(distributed.Client, "unregister_worker_plugin", lost)
    planned = plan("calls", worker.sandbox.organization_ids, tmp_path)
    assert (await export_distributed(planned, worker.scheduler.address)).complete


async def test_workers_that_cannot_be_prepared(worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers without this package, and those that do not answer, are one error that says so."""
    troubles: list[Exception] = [ModuleNotFoundError("envoy_async"), TimeoutError()]

    async def refuse(self: object, plugin: object) -> None:
        raise troubles.pop(0)

    monkeypatch.setattr(distributed.Client, "register_plugin", refuse)
    planned = plan("calls", ["org_a"], tmp_path)
    with pytest.raises(ConfigurationError, match=r"cannot run shards \(ModuleNotFoundError\): install"):
        await export_distributed(planned, worker.scheduler.address)
    with pytest.raises(TransportError, match="do not answer"):
        await export_distributed(planned, worker.scheduler.address)


async def test_functions_stay_where_they_are(worker: Any, tmp_path: Path) -> None:
    """A function that workers cannot import is refused before anything is sent: it could bring a secret along."""
    planned = plan("calls", ["org_a"], tmp_path)
    with pytest.raises(ConfigurationError, match="client must be a function of a module"):
        await export_distributed(planned, worker.scheduler.address, client=_cluster.NAMELESS)
    assert worker.sandbox.requests == []


@pytest.mark.usefixtures("impatient")
async def test_no_scheduler_and_no_worker(tmp_path: Path) -> None:
    """An address that is none, one where nobody answers, and a cluster without a worker are errors that say so."""
    planned = plan("calls", ["org_a"], tmp_path)
    with pytest.raises(ConfigurationError, match="is no address of a scheduler"):
        await export_distributed(planned, "nothing://x")
    with pytest.raises(ConnectError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        await export_distributed(planned, "tcp://127.0.0.1:1")
    async with distributed.Scheduler(port=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as scheduler:
        with pytest.raises(TransportError, match="has no worker"):
            await export_distributed(planned, scheduler.address)


@pytest.mark.usefixtures("without_dask")
async def test_dask_is_not_installed(tmp_path: Path) -> None:
    """Without Dask, an engine is an error that says what to install."""
    with pytest.raises(ConfigurationError, match=r'pip install "envoy-async\[dask\]"'):
        await export_distributed(plan("calls", ["org_a"], tmp_path), "tcp://127.0.0.1:1")
