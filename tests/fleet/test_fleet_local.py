"""A plan in this process: one failure is one outcome, what may pass is tried again, and each key has one client."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Callable, MutableMapping
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from envoy_async import EnvoyClient
from envoy_async.errors import ConfigurationError
from envoy_async.export import _folder
from envoy_async.fleet import FleetManifest, _clients, _running, export_distributed, from_environment, plan, run_shard
from envoy_async.fleet._clients import Clients, reference, referred
from envoy_async.quota import LocalQuotaStore
from envoy_async.sandbox import Fault, Sandbox
from tests.fleet import _cluster

NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC
LAST = date(2025, 11, 21)
FIRST = LAST - timedelta(days=29)


@pytest.fixture
async def sandbox(environ: MutableMapping[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """Run a sandbox of five organizations, which the environment leads to with a token for all of them."""
    async with Sandbox(calls=250, loads=5, organizations=5, quota=None, clock=partial(float, NOW)) as running:
        environ["ENVOY_BASE_URL"] = running.base_url
        environ["ENVOY_BEARER_TOKEN"] = running.bearer_token
        environ.pop("ENVOY_API_KEY", None)
        environ.pop("ENVOY_REDIS_URL", None)
        monkeypatch.setattr(_running, "_LONGEST", 0.0)  # wait for nothing
        yield running


def everything(sandbox: Sandbox) -> list[str]:
    """Name all calls of all organizations."""
    return sorted(name for store in sandbox.stores.values() for name in store.calls)


async def test_all_organizations_with_one_manifest(sandbox: Sandbox, tmp_path: Path) -> None:
    """The parts together hold what the sandbox holds, once; the manifest proves it; again, not one request is sent."""
    planned = plan("calls", sandbox.organization_ids, tmp_path)
    told: list[tuple[int, int, int]] = []

    def progress(done: int, total: int, records: int) -> None:
        told.append((done, total, records))

    manifest = await export_distributed(planned, progress=progress)
    assert sorted(_cluster.ids_in(tmp_path)) == everything(sandbox)
    assert (manifest.complete, manifest.proven, manifest.records) == (True, True, len(everything(sandbox)))
    assert [it[:2] for it in told] == [(number, 5) for number in range(1, 6)]
    assert told[-1][2] == manifest.records
    asked = len(sandbox.requests)
    assert manifest.requests == asked
    again = await export_distributed(planned)
    assert (again.kept, again.requests, again.proven, again.id_digest) == (5, 0, True, manifest.id_digest)
    assert len(sandbox.requests) == asked
    assert FleetManifest.load(tmp_path) == again


async def test_days_into_a_storage(sandbox: Sandbox) -> None:
    """Parts of a few days each go to an object storage, with plan and manifest; together they hold those days once."""
    to = "memory://fleet/days"
    planned = plan("calls", sandbox.organization_ids, to, since=FIRST, until=LAST, days=4)
    manifest = await export_distributed(planned, concurrency=8)
    dated = [call for store in sandbox.stores.values() for call in store.calls.values()]
    expected = [call for call in dated if str(FIRST) <= str(call["created_at"])[:10] <= str(LAST)]
    assert (manifest.records, manifest.parts, manifest.complete) == (len(expected), 40, True)
    assert (manifest.repeated, manifest.proven) == (0, False)
    assert FleetManifest.load(to) == manifest


async def test_a_deactivated_key_is_one_outcome(
    sandbox: Sandbox, tmp_path: Path, environ: MutableMapping[str, str]
) -> None:
    """An organization whose own key was deactivated fails at once, by name; all others are there."""
    gone = sandbox.organization_ids[3]
    environ[f"ENVOY_API_KEY_{gone.upper().replace('-', '_')}"] = "envai_live_deactivated"
    manifest = await export_distributed(plan("calls", sandbox.organization_ids, tmp_path))
    (failure,) = manifest.failures
    assert (failure.organization, failure.error, manifest.fetched) == (gone, "NotAuthenticatedError", 4)
    assert not manifest.complete
    assert b"deactivated" not in (tmp_path / "manifest.json").read_bytes()
    assert len([it for it in sandbox.requests if it.status == 401]) == 1
    del environ[f"ENVOY_API_KEY_{gone.upper().replace('-', '_')}"]
    again = await export_distributed(plan("calls", sandbox.organization_ids, tmp_path))
    assert (again.fetched, again.kept, again.proven) == (1, 4, True)


async def test_what_may_pass_is_tried_again(sandbox: Sandbox, tmp_path: Path) -> None:
    """A shard whose server fails three times is there after three more tries."""
    sandbox.fail(Fault(times=3, status=503))
    planned = plan("calls", sandbox.organization_ids[:1], tmp_path)
    manifest = await export_distributed(planned, client=_cluster.client_of, retries=3)
    assert (manifest.complete, manifest.records) == (True, 250)


async def test_what_does_not_pass_is_an_outcome(sandbox: Sandbox, tmp_path: Path) -> None:
    """A server that keeps failing is told of by class and message, and there is a manifest all the same."""
    sandbox.fail(Fault(times=None, status=503))
    planned = plan("calls", sandbox.organization_ids[:2], tmp_path)
    manifest = await export_distributed(planned, client=_cluster.client_of, retries=1)
    assert [shard.error for shard in manifest.failures] == ["ServerError"] * 2
    assert "GET /calls" in str(manifest.failures[0].message)
    assert len(sandbox.requests) == 4


async def test_a_full_disk_is_an_outcome(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room for a part, its shard says so; the others are there, and with room again it is, too."""
    name = sandbox.organization_ids[2]
    write_whole = _folder.write_whole

    def full(path: Path, content: bytes) -> None:
        if name in str(path):
            raise OSError(errno.ENOSPC, "no space left on device", str(path))
        write_whole(path, content)

    planned = plan("calls", sandbox.organization_ids, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(_folder, "write_whole", full)
        manifest = await export_distributed(planned, retries=1)
    (failure,) = manifest.failures
    assert (failure.organization, failure.error, manifest.fetched) == (name, "OSError", 4)
    assert "no space left on device" in str(failure.message)
    assert (await export_distributed(planned)).proven


async def test_an_error_of_the_client_function(sandbox: Sandbox, tmp_path: Path) -> None:
    """Any error of the function that makes clients is an outcome, and user info in its message is masked."""
    manifest = await export_distributed(plan("calls", ["org_a"], tmp_path), client=_cluster.broken, retries=0)
    assert (manifest.failures[0].error, manifest.complete) == ("LookupError", False)
    assert "secret" not in str(manifest.failures[0].message)
    assert "vault.example.test" in str(manifest.failures[0].message)


async def test_no_credentials_is_an_outcome(
    sandbox: Sandbox, tmp_path: Path, environ: MutableMapping[str, str]
) -> None:
    """Without any key, each shard says so, and is not tried again."""
    del environ["ENVOY_BEARER_TOKEN"]
    manifest = await export_distributed(plan("calls", sandbox.organization_ids, tmp_path))
    assert {shard.error for shard in manifest.failures} == {"ConfigurationError"}
    assert (manifest.failed, sandbox.requests) == (5, [])


async def test_cancelled_on_the_way(sandbox: Sandbox, tmp_path: Path) -> None:
    """What was there when a run was cancelled stays, there is no manifest yet, and the next run fetches the rest."""
    planned = plan("calls", sandbox.organization_ids, tmp_path)
    sandbox.fail(Fault(nth=6, times=1, delay=30))
    halfway = asyncio.Event()

    def progress(done: int, total: int, records: int) -> None:
        if done == 3:
            halfway.set()

    running = asyncio.create_task(export_distributed(planned, concurrency=1, progress=progress))
    await halfway.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert FleetManifest.load(tmp_path) is None
    sandbox.faults.clear()
    manifest = await export_distributed(planned)
    assert (manifest.kept, manifest.fetched, manifest.proven) == (3, 2, True)
    assert sorted(_cluster.ids_in(tmp_path)) == everything(sandbox)


async def test_another_plan_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    """A target that holds another plan's parts is refused before anything is sent."""
    await export_distributed(plan("calls", sandbox.organization_ids[:1], tmp_path))
    asked = len(sandbox.requests)
    with pytest.raises(ConfigurationError, match="of another plan"):
        await export_distributed(plan("calls", sandbox.organization_ids[:2], tmp_path))
    assert len(sandbox.requests) == asked


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"retries": -1}])
async def test_settings_out_of_bounds(tmp_path: Path, wrong: dict[str, int]) -> None:
    """No shard at once, and fewer than no tries, are refused, and nothing is written."""
    with pytest.raises(ConfigurationError, match="concurrency must be"):
        await export_distributed(plan("calls", ["org_a"], tmp_path / "x"), **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


async def test_organizations_of_one_key_share_a_client(sandbox: Sandbox) -> None:
    """All organizations of a token use one pool of connections and one quota; another key has its own."""
    clients = Clients(from_environment)
    async with clients, clients.of("org_a") as first, clients.of("org_b") as second, clients.of(None) as own:
        assert first._transport.pool is second._transport.pool
        assert first._transport.settings.organization_id == "org_a"
        assert second._transport.settings.organization_id == "org_b"
        assert own._transport.settings.organization_id is None
        assert own._transport.pool is not first._transport.pool


async def test_clients_nobody_uses_are_closed(
    sandbox: Sandbox, environ: MutableMapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the clients that no shard uses, the latest 16 are kept; those in use are never closed."""
    closed: list[EnvoyClient] = []

    async def close(self: EnvoyClient) -> None:
        closed.append(self)

    monkeypatch.setattr(EnvoyClient, "close", close)
    for number in range(20):
        environ[f"ENVOY_API_KEY_{number}"] = f"envai_live_{number}"
    clients = Clients(from_environment)
    async with clients.of("0"):
        for number in range(1, 20):
            async with clients.of(str(number)):
                pass
        assert len(closed) == 3
    assert len(clients._held) == 16
    await clients.close()
    assert len(closed) == 20
    assert len(set(closed)) == 20


async def test_the_quota_store_of_the_environment(
    sandbox: Sandbox, environ: MutableMapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `ENVOY_REDIS_URL`, all clients of a process share one store, which is closed with them."""
    environ["ENVOY_REDIS_URL"] = "redis://127.0.0.1:1"
    environ["ENVOY_API_KEY_ORG_B"] = "envai_live_b"
    made: list[object] = []

    def store(environ: object) -> object:
        made.append(_store(environ))  # type: ignore[arg-type]
        return made[-1]

    _store = _clients._store
    monkeypatch.setattr(_clients, "_store", store)
    async with Clients(from_environment) as clients, clients.of("org_a") as first, clients.of("org_b") as second:
        assert first._transport.pool is not second._transport.pool
    assert len(made) == 1
    assert type(made[0]).__name__ == "RedisQuotaStore"
    from_environment(None)
    assert len(made) == 2
    from_environment(None, quota_store=LocalQuotaStore())
    assert len(made) == 2


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "nonsense"])
async def test_a_redis_that_is_out_of_reach(
    url: str, sandbox: Sandbox, tmp_path: Path, environ: MutableMapping[str, str]
) -> None:
    """All is fetched, and the manifest tells why Redis was not asked; an address that is none fails each shard."""
    environ["ENVOY_REDIS_URL"] = url
    manifest = await export_distributed(plan("loads", sandbox.organization_ids, tmp_path))
    if url == "nonsense":
        assert {shard.error for shard in manifest.failures} == {"ConfigurationError"}
        assert manifest.failed == 5
    else:
        assert (manifest.complete, manifest.fetched) == (True, 5)
        assert {shard.quota_trouble for shard in manifest.shards} == {"ConnectionError"}


def test_the_key_of_an_organization(sandbox: Sandbox, environ: MutableMapping[str, str]) -> None:
    """Its own key comes first, then the key for all, then the token; none of them is shown."""
    environ["ENVOY_API_KEY"] = "envai_live_all"
    environ["ENVOY_API_KEY_ORG_1A_2B"] = "envai_live_own"
    own, other = from_environment("org_1a-2b"), from_environment("org_x")
    assert own._transport.pool.line == EnvoyClient("envai_live_own")._transport.pool.line
    assert other._transport.pool.line == EnvoyClient("envai_live_all")._transport.pool.line
    assert "envai" not in repr(own)


def test_functions_that_workers_cannot_import() -> None:
    """A lambda, a partial, or a function within another would travel by value, with what it holds: they are refused."""
    secret = "envai_live_secret"

    def within(organization: str | None) -> EnvoyClient:
        return EnvoyClient(secret, organization_id=organization)

    made: list[Callable[[str | None], EnvoyClient]] = [within, partial(from_environment), _cluster.NAMELESS]
    for make in made:
        with pytest.raises(ConfigurationError, match="client must be a function of a module"):
            reference(make)


def test_functions_of_the_program_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of the program itself is refused, and one of a module that is gone, too."""
    for module in ("__main__", "nowhere.at_all"):
        monkeypatch.setattr(_cluster.client_of, "__module__", module)
        with pytest.raises(ConfigurationError, match="none of the program itself"):
            reference(_cluster.client_of)


def test_functions_travel_by_name() -> None:
    """What travels is the name; a worker that cannot import it says so."""
    assert reference(from_environment) == "envoy_async.fleet._clients:from_environment"
    assert referred(reference(_cluster.client_of)) is _cluster.client_of
    for name in ("nowhere.at_all:client", "tests.fleet._cluster:nothing"):
        with pytest.raises(ConfigurationError, match="this worker cannot import"):
            referred(name)
    assert json.dumps(reference(_cluster.broken)) == '"tests.fleet._cluster:broken"'


async def test_several_coordinators_of_one_plan(sandbox: Sandbox, tmp_path: Path) -> None:
    """All of them end well, and tell of the same records; a plan that came first is not replaced."""
    planned = plan("loads", sandbox.organization_ids, tmp_path)
    manifests = await asyncio.gather(*(export_distributed(planned) for _ in range(4)))
    assert {(manifest.complete, manifest.id_digest) for manifest in manifests} == {(True, manifests[0].id_digest)}
    assert not _cluster.files(tmp_path, "*.new")
    with pytest.raises(ConfigurationError, match="another plan"):
        await export_distributed(plan("offers", sandbox.organization_ids, tmp_path))


async def test_recordings_that_are_gone_are_fetched_again(sandbox: Sandbox, tmp_path: Path) -> None:
    """What was deleted since is not told to be there."""
    planned = plan("recordings", sandbox.organization_ids[:1], tmp_path)
    first = await export_distributed(planned)
    files = _cluster.files(tmp_path, "*.m4a")
    assert len(files) == first.records
    for file in sorted(files)[:3]:
        file.unlink()
    again = await export_distributed(planned)
    assert (again.fetched, again.records) == (1, first.records)
    assert _cluster.files(tmp_path, "*.m4a") == files
    assert (await export_distributed(planned)).kept == 1


async def test_a_client_of_another_organization(sandbox: Sandbox, tmp_path: Path) -> None:
    """Its records do not get into the part of this one."""
    first, second = sandbox.organization_ids[:2]
    (shard,) = plan("loads", [first], tmp_path)
    async with from_environment(second) as envoy:
        result = await run_shard(shard, envoy, tmp_path)
    assert (result.outcome, result.error) == ("failed", "ConfigurationError")
    assert sandbox.requests == []
