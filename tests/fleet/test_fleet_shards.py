"""One shard into its part: whole or not there, never fetched twice, and never over a file that is somebody else's."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
from collections.abc import AsyncIterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest

from envoy_async import BearerToken, EnvoyClient, RetryPolicy
from envoy_async.errors import ServerError
from envoy_async.export import Manifest, _finishing, export
from envoy_async.fleet import Shard, ShardResult, _places, plan, run_shard
from envoy_async.sandbox import Fault, Sandbox

NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC
FILES = "/recordings/{call_id}.mp4"
MemoryFileSystem: Any = import_module("fsspec.implementations.memory").MemoryFileSystem  # which has no types
pytestmark = pytest.mark.usefixtures("memory")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run a sandbox of two organizations, the first with 250 calls, at a fixed time."""
    async with Sandbox(calls=250, loads=10, quota=None, clock=partial(float, NOW)) as running:
        yield running


@pytest.fixture
def retry() -> RetryPolicy:
    """Try once."""
    return RetryPolicy(max_attempts=1)


@pytest.fixture(params=["folder", "memory://bucket/a"])
def to(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name a target: a folder that is not there yet, or an object storage."""
    return request.param if "://" in request.param else str(tmp_path / "new" / request.param)


def calls(sandbox: Sandbox, to: str) -> Shard:
    """Give the shard of all calls of the first organization."""
    return next(iter(plan("calls", [sandbox.organization_id], to)))


def content(to: str, name: str) -> bytes:
    """Read a file of a target."""
    found = _places.place_of(to).read(name)
    assert found is not None
    return found


def put(to: str, name: str, what: bytes) -> None:
    """Write a file into a target."""
    _places.place_of(to).write(name, what)


async def test_a_shard_becomes_a_part_and_is_kept(envoy: EnvoyClient, sandbox: Sandbox, to: str) -> None:
    """A shard is fetched into its part, with a manifest that fits; again, it is kept, and not one request is sent."""
    shard = calls(sandbox, to)
    result = await run_shard(shard, envoy, to)
    part = content(to, shard.part)
    assert (result.outcome, result.records, result.proven, result.part) == ("fetched", 250, True, shard.part)
    assert (result.bytes, result.sha256) == (len(part), hashlib.sha256(part).hexdigest())
    assert sorted(json.loads(line)["id"] for line in part.splitlines()) == sorted(sandbox.store.calls)
    asked = len(sandbox.requests)
    assert result.requests == asked
    again = await run_shard(shard, envoy, to)
    assert again == attrs.evolve(result, outcome="kept", requests=0, waited=again.waited)
    assert again.waited == 0
    assert len(sandbox.requests) == asked


async def test_run_twice_at_the_same_time(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """In a folder, one run fetches a shard and the other waits and keeps it: no page is asked for twice."""
    sandbox.fail(Fault(times=None, delay=0.05))
    shard = calls(sandbox, str(tmp_path))
    results = await asyncio.gather(*(run_shard(shard, envoy, tmp_path) for _ in range(3)))
    assert sorted(result.outcome for result in results) == ["fetched", "kept", "kept"]
    assert {result.id_digest for result in results} == {results[0].id_digest}
    assert len(sandbox.requests) == sum(result.requests for result in results) == 3
    assert [path.name for path in (tmp_path / shard.folder).iterdir() if path.suffix == ".parts"] == []


async def test_run_twice_at_the_same_time_in_a_storage(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """In a storage, which has no locks, both runs upload a whole part; part and manifest fit each other."""
    to = "memory://bucket"
    shard = calls(sandbox, to)
    first, second = await asyncio.gather(*(run_shard(shard, envoy, to) for _ in range(2)))
    assert (first.outcome, second.outcome, first.sha256) == ("fetched", "fetched", second.sha256)
    assert (await run_shard(shard, envoy, to)).outcome == "kept"


async def test_a_manifest_that_was_replaced_meanwhile(
    envoy: EnvoyClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another worker puts its manifest between ours and our part, ours is put there again: the two fit."""
    to = "memory://bucket"
    shard = calls(sandbox, to)
    put_file = MemoryFileSystem.put_file
    ours: list[bytes] = []

    def interrupted(system: object, path: str, target: str, **options: object) -> None:
        put_file(system, path, target, **options)
        if path.endswith(".jsonl"):
            ours.append(content(to, f"{shard.part}.manifest.json"))
            put(to, f"{shard.part}.manifest.json", b"theirs")

    monkeypatch.setattr(MemoryFileSystem, "put_file", interrupted)
    await run_shard(shard, envoy, to)
    assert [content(to, f"{shard.part}.manifest.json")] == ours


async def test_a_file_without_a_manifest_is_left_alone(envoy: EnvoyClient, sandbox: Sandbox, to: str) -> None:
    """A file under the part's name that has no manifest is a failure that says so; it stays, and nothing is sent."""
    shard = calls(sandbox, to)
    put(to, shard.part, b"mine\n")
    result = await run_shard(shard, envoy, to)
    assert (result.outcome, result.error) == ("failed", "ConfigurationError")
    assert "has no manifest: it was not written by this plan" in str(result.message)
    assert content(to, shard.part) == b"mine\n"
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"filters": {"status": "COMPLETED"}}, "is of another listing"),
        ({"operation": "GET /loads"}, "is of another listing"),
        ({"bytes": 1}, "its manifest tells of 1"),
        (None, "or of another version"),
    ],
)
async def test_a_part_of_something_else_is_left_alone(
    envoy: EnvoyClient, sandbox: Sandbox, to: str, changes: dict[str, object] | None, why: str
) -> None:
    """A part whose manifest tells of another listing, or of another size, or cannot be read, is a failure."""
    shard = calls(sandbox, to)
    await run_shard(shard, envoy, to)
    part, beside = content(to, shard.part), f"{shard.part}.manifest.json"
    changed = b"{" if changes is None else json.dumps({**json.loads(content(to, beside)), **changes}).encode()
    put(to, beside, changed)
    asked = len(sandbox.requests)
    result = await run_shard(shard, envoy, to)
    assert (result.outcome, result.error) == ("failed", "ConfigurationError")
    assert why in str(result.message)
    assert (content(to, shard.part), len(sandbox.requests)) == (part, asked)


async def test_a_manifest_alone_is_what_a_killed_upload_left(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """In a storage, a manifest comes before its part: alone, it is replaced, and the part is fetched."""
    to = "memory://bucket"
    shard = calls(sandbox, to)
    put(to, f"{shard.part}.manifest.json", b"{}")
    assert (await run_shard(shard, envoy, to)).outcome == "fetched"
    assert (await run_shard(shard, envoy, to)).outcome == "kept"


async def test_what_was_begun_is_gone_on_with(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """In a folder, a shard that failed on its second page goes on there: what passes is raised, and nothing is lost."""
    shard = calls(sandbox, str(tmp_path))
    sandbox.fail(Fault(nth=2, status=503))
    with pytest.raises(ServerError):
        await run_shard(shard, envoy, tmp_path)
    result = await run_shard(shard, envoy, tmp_path)
    assert (result.outcome, result.records, result.proven) == ("fetched", 250, True)


async def test_a_file_that_came_while_a_shard_was_unfinished(
    envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A file that somebody put under the part's name meanwhile is a failure, and stays."""
    shard = calls(sandbox, str(tmp_path))
    sandbox.fail(Fault(nth=2, status=503))
    with pytest.raises(ServerError):
        await run_shard(shard, envoy, tmp_path)
    put(str(tmp_path), shard.part, b"mine\n")
    result = await run_shard(shard, envoy, tmp_path)
    assert (result.outcome, result.error) == ("failed", "ConfigurationError")
    assert "exists already" in str(result.message)
    assert content(str(tmp_path), shard.part) == b"mine\n"


async def test_killed_between_part_and_manifest(
    envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part whose manifest could not be written any more gets it in the next run, without a request."""
    shard = calls(sandbox, str(tmp_path))

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(_finishing, "write_whole", full)
        with pytest.raises(OSError, match="no space left"):
            await run_shard(shard, envoy, tmp_path)
    assert (tmp_path / shard.part).exists()
    assert Manifest.beside(tmp_path / shard.part) is None
    asked = len(sandbox.requests)
    assert (await run_shard(shard, envoy, tmp_path)).outcome == "fetched"
    assert len(sandbox.requests) == asked
    assert (await run_shard(shard, envoy, tmp_path)).outcome == "kept"


async def test_a_disk_that_is_full(
    envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is raised, for another try: there is no half of a part, and with room again it is fetched."""
    shard = calls(sandbox, str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("envoy_async.export._folder.write_whole", full)
        with pytest.raises(OSError, match="no space left"):
            await run_shard(shard, envoy, tmp_path)
    assert not (tmp_path / shard.part).exists()
    assert (await run_shard(shard, envoy, tmp_path)).records == 250


async def test_a_work_folder_of_something_else(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """What another listing left unfinished under the part's name is a failure, and stays."""
    shard = calls(sandbox, str(tmp_path))
    sandbox.fail(Fault(nth=2, status=503))
    (tmp_path / shard.folder).mkdir()
    with pytest.raises(ServerError):
        await export(envoy.calls.list(search="a"), tmp_path / shard.part)
    result = await run_shard(shard, envoy, tmp_path)
    assert (result.outcome, result.error) == ("failed", "CheckpointMismatchError")
    (tmp_path / shard.folder / f"{Path(shard.part).name}.parts" / "state.json").write_bytes(b"{")
    result = await run_shard(shard, envoy, tmp_path)
    assert (result.outcome, result.error) == ("failed", "ConfigurationError")
    assert "is damaged" in str(result.message)


async def test_a_key_that_was_deactivated(sandbox: Sandbox, to: str) -> None:
    """A key that is refused is a failure at once, which tells neither the key nor a record."""
    async with EnvoyClient("envai_live_gone", base_url=sandbox.base_url) as envoy:
        result = await run_shard(calls(sandbox, to), envoy, to)
    assert (result.outcome, result.error, result.records) == ("failed", "NotAuthenticatedError", 0)
    assert len(sandbox.requests) == 1
    assert "envai" not in repr(result)


async def test_a_part_that_cannot_be_written(envoy: EnvoyClient, sandbox: Sandbox, to: str) -> None:
    """A shard whose part has a format nobody knows, as of a newer version, is a failure, and nothing is sent."""
    shard = attrs.evolve(calls(sandbox, to), part="organization=org_a/calls.new")
    result = await run_shard(shard, envoy, to)
    assert (result.outcome, result.error) == ("failed", "ConfigurationError")
    assert "names no format" in str(result.message)
    assert sandbox.requests == []


async def test_a_target_nobody_knows(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A target of a kind that fsspec does not know is a failure that says so, and nothing is sent."""
    result = await run_shard(calls(sandbox, "nowhere://x"), envoy, "nowhere://x")
    assert (result.outcome, result.error) == ("failed", "ConfigurationError")
    assert sandbox.requests == []


def recorded(sandbox: Sandbox) -> list[str]:
    """Name the calls of the first organization that have a recording."""
    return [key for key, call in sandbox.store.calls.items() if call["recording_status"] == "AVAILABLE"]


async def test_recordings_are_downloaded_and_counted(sandbox: Sandbox, to: str) -> None:
    """A shard of recordings puts them all below its organization; again, all are there, and nothing is sent."""
    organization = sandbox.organization_ids[1]
    shard = next(iter(plan("recordings", [organization], to)))
    known = sandbox.stores[organization].calls.items()
    names = [key for key, call in known if call["recording_status"] == "AVAILABLE"]
    token = BearerToken(sandbox.bearer_token)
    async with EnvoyClient(token, base_url=sandbox.base_url, organization_id=organization) as envoy:
        result = await run_shard(shard, envoy, to)
        assert (result.outcome, result.records, result.fetched, result.there) == ("fetched", len(names), len(names), 0)
        assert result.failed == 0
        size = _places.place_of(to).size(f"organization={organization}/recordings/{names[0]}.m4a")
        assert size == 4_120 == result.bytes / len(names)
        asked = len(sandbox.requests)
        again = await run_shard(shard, envoy, to)
    assert (again.outcome, again.fetched, again.there, again.requests) == ("kept", 0, len(names), 0)
    assert (again.id_digest, len(sandbox.requests)) == (result.id_digest, asked)


async def test_a_recording_that_fails(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """Recordings that cannot be fetched are counted, and the first error is told; the next run fetches only them."""
    shard = next(iter(plan("recordings", [None], tmp_path)))
    sandbox.fail(Fault(path=FILES, nth=3, times=2, status=500))
    result = await run_shard(shard, envoy, tmp_path)
    count = len(recorded(sandbox))
    assert (result.outcome, result.failed, result.fetched, result.proven) == ("failed", 2, count - 2, False)
    assert result.error == "ServerError"
    again = await run_shard(shard, envoy, tmp_path)
    assert (again.outcome, again.fetched, again.there, again.records) == ("fetched", 2, count - 2, count)


@pytest.mark.parametrize("changed", [b"{", b'{"filters": {"status": "FAILED"}, "result": %b}'])
async def test_recordings_of_other_calls(envoy: EnvoyClient, sandbox: Sandbox, to: str, changed: bytes) -> None:
    """A manifest of recordings that is of other calls, or cannot be read, is a failure, and nothing is sent."""
    shard = next(iter(plan("recordings", [None], to)))
    beside = f"{shard.part}.manifest.json"
    empty = json.dumps(attrs.asdict(ShardResult(part="x", organization=None, outcome="fetched"))).encode()
    put(to, beside, changed.replace(b"%b", empty))
    result = await run_shard(shard, envoy, to)
    assert (result.outcome, result.error) == ("failed", "ConfigurationError")
    assert "is of other calls" in str(result.message)
    assert sandbox.requests == []
