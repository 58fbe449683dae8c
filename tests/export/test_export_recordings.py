"""The recordings of many calls: each whole or not there, none fetched twice, and no failure ends the others."""

from __future__ import annotations

import asyncio
import shutil
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest

from envoy_async import EnvoyClient, RetryPolicy
from envoy_async.bulk import Outcome
from envoy_async.errors import ConfigurationError, InvalidRequestError, NotFoundError, ServerError
from envoy_async.export.recordings import StoredRecording, recordings
from envoy_async.models import Call
from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.recordings import recording_bytes

MemoryFileSystem: Any = import_module("fsspec.implementations.memory").MemoryFileSystem  # which has no types
FILES = "/recordings/{call_id}.mp4"
Found = dict[str, Outcome[Call, StoredRecording]]
pytestmark = pytest.mark.usefixtures("memory")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run a sandbox of a few calls, at a fixed time."""
    async with Sandbox(calls=30, loads=3, quota=None, clock=partial(float, 1_763_740_800)) as running:
        yield running


@pytest.fixture
def retry() -> RetryPolicy:
    """Try once."""
    return RetryPolicy(max_attempts=1)


def with_recording(sandbox: Sandbox) -> list[str]:
    """Name the calls that have a recording."""
    return [key for key, call in sandbox.store.calls.items() if call["recording_status"] == "AVAILABLE"]


def names_in(folder: Path) -> list[str]:
    """Give the names of all files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def requests(sandbox: Sandbox, what: str) -> int:
    """Count the requests for links or files."""
    return sum(request.path.partition("?")[0].endswith(what) for request in sandbox.requests)


async def run(envoy: EnvoyClient, to: str | Path, **options: bool) -> Found:
    """Download all recordings, and arrange the outcomes by call."""
    return {one.key.id: one async for one in recordings(envoy, envoy.calls.list(), to, **options)}


async def test_a_folder_gets_every_recording(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """Each call that has a recording has an outcome and a file, the others have none; the folder is made."""
    folder = tmp_path / "new"
    found = await run(envoy, folder)
    names = with_recording(sandbox)
    assert sorted(found) == sorted(names)
    assert len(names) > 5
    assert names_in(folder) == sorted(f"{name}.m4a" for name in names)
    for name, outcome in found.items():
        path = folder / f"{name}.m4a"
        assert outcome.result() == StoredRecording(str(path), 4120, fetched=True)
        assert path.read_bytes() == recording_bytes(name)


@pytest.mark.parametrize("to", ["folder", "memory://bucket/a"])
async def test_again_fetches_nothing(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path, to: str) -> None:
    """What is there already costs one request for its size, and none at all when its name is trusted."""
    place = to if "://" in to else tmp_path / to
    first = await run(envoy, place)
    links, files = requests(sandbox, "/recording"), requests(sandbox, ".mp4")
    assert links == files == len(first)
    again = await run(envoy, place)
    assert {one.result() for one in again.values()} == {
        attrs.evolve(one.result(), fetched=False) for one in first.values()
    }
    assert (requests(sandbox, "/recording"), requests(sandbox, ".mp4")) == (2 * links, files)
    trusting = await run(envoy, place, verify=False)
    assert {name: one.value for name, one in trusting.items()} == {name: one.value for name, one in again.items()}
    assert (requests(sandbox, "/recording"), requests(sandbox, ".mp4")) == (2 * links, files)


async def test_a_file_of_another_size_is_replaced(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """What is not as large as the API says, or of another type, is no recording."""
    first, second, *_ = with_recording(sandbox)
    (tmp_path / f"{first}.m4a").write_bytes(b"half")
    (tmp_path / f"{second}.wav").write_bytes(bytes(4120))
    found = await run(envoy, tmp_path)
    assert all(one.result().fetched for one in found.values())
    for name in (first, second):
        assert (tmp_path / f"{name}.m4a").read_bytes() == recording_bytes(name)


@pytest.mark.parametrize("to", ["folder", "memory://bucket/a"])
async def test_one_failure_is_one_outcome(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path, to: str) -> None:
    """A recording that cannot be fetched has its error; all others are there; the next run fetches that one."""
    place = to if "://" in to else tmp_path / to
    sandbox.fail(Fault(path=FILES, nth=3, status=500))
    found = await run(envoy, place)
    failed = [name for name, one in found.items() if one.error is not None]
    assert [type(found[name].error) for name in failed] == [ServerError]
    assert len(found) == len(with_recording(sandbox))
    again = await run(envoy, place)
    assert [name for name, one in again.items() if one.result().fetched] == failed


async def test_what_an_interrupted_run_began_is_gone_on_with(
    envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    """In a folder, the part of a recording that broke off is not fetched again."""
    sandbox.fail(Fault(path=FILES, cut=3000))
    (failed,) = [name for name, one in (await run(envoy, tmp_path)).items() if one.error is not None]
    sent = len(sandbox.requests)
    await run(envoy, tmp_path, verify=False)
    (file,) = [request for request in sandbox.requests[sent:] if ".mp4" in request.path]
    assert (file.status, failed in file.path) == (206, True)


async def test_an_object_storage_gets_every_recording(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The files are whole under their names, nothing else is left there, and the outcomes say the URLs."""
    found = await run(envoy, "memory://bucket/deep/er")
    system = MemoryFileSystem()
    names = with_recording(sandbox)
    assert sorted(system.ls("/bucket/deep/er", detail=False)) == sorted(f"/bucket/deep/er/{name}.m4a" for name in names)
    for name, one in found.items():
        assert system.cat_file(f"/bucket/deep/er/{name}.m4a") == recording_bytes(name)
        assert one.result().where == f"memory:///bucket/deep/er/{name}.m4a"


@pytest.mark.parametrize("step", ["put_file", "mv"])
async def test_a_storage_that_fails_has_nothing_half_written(
    envoy: EnvoyClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """When an upload breaks off, no name stands for a part of a recording, and no part is left."""

    def fail(*_: object) -> None:
        raise OSError("the storage is full")

    monkeypatch.setattr(MemoryFileSystem, step, fail)
    found = await run(envoy, "memory://bucket/a")
    assert {str(one.error) for one in found.values()} == {"the storage is full"}
    assert MemoryFileSystem().find("/bucket") == []


async def test_a_storage_without_folders(envoy: EnvoyClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that knows no empty folder, as object storages do, is one where nothing is yet."""

    def makedirs(*_: object, **__: object) -> None:
        """Make nothing."""

    monkeypatch.setattr(MemoryFileSystem, "makedirs", makedirs)
    found = await run(envoy, "memory://bucket/a")
    assert all(one.result().fetched for one in found.values())


async def test_a_folder_that_cannot_be_made(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """Where the folder above is missing, the disk's own error comes before anything is sent."""
    with pytest.raises(FileNotFoundError):
        await run(envoy, tmp_path / "none" / "folder")
    assert sandbox.requests == []


async def test_a_folder_that_goes_away(envoy: EnvoyClient, tmp_path: Path) -> None:
    """A folder that is removed meanwhile does not become a file; each recording that follows is an error of its own."""
    folder = tmp_path / "folder"
    errors: list[Exception | None] = []
    async for outcome in recordings(envoy, envoy.calls.list(), folder, concurrency=1):
        shutil.rmtree(folder, ignore_errors=True)
        errors.append(outcome.error)
    assert isinstance(errors[-1], FileNotFoundError)
    assert not folder.exists()


async def test_a_cancelled_upload_is_waited_for(envoy: EnvoyClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cancels gets the word when the upload has ended, and its file stays until then."""
    begun, go, files = threading.Event(), threading.Event(), list[bool]()

    def put_file(_: object, path: str, name: str) -> None:
        begun.set()
        go.wait()
        files.append(Path(path).is_file())
        raise OSError(name)

    async def first() -> None:
        await anext(recordings(envoy, envoy.calls.list(), "memory://bucket/a", concurrency=1))

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    running = asyncio.create_task(first())
    while not begun.is_set():
        assert not running.done()
        await asyncio.sleep(0)
    running.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert files == [True]


class Listing:
    """Calls of a caller, which a weak reference can follow."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __aiter__(self) -> Listing:
        return self

    async def __anext__(self) -> Call:
        return self.call


async def test_calls_are_let_go_with_the_run(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """A run that is closed holds on to no listing, so none goes on fetching ahead for it."""
    calls = Listing(await envoy.calls.get(with_recording(sandbox)[0]))
    held = weakref.ref(calls)
    found = recordings(envoy, calls, tmp_path)
    await anext(found)
    del calls
    assert held() is not None
    await found.aclose()
    assert held() is None


async def test_only_a_known_status_counts(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """A call whose recording has another status, such as one that is unknown, has no outcome and sends nothing."""
    call = await envoy.calls.get(with_recording(sandbox)[0])

    async def calls() -> AsyncIterator[Call]:
        yield attrs.evolve(call, recording_status="ARCHIVED")

    sent = len(sandbox.requests)
    assert [one async for one in recordings(envoy, calls(), tmp_path)] == []
    assert len(sandbox.requests) == sent


async def test_a_url_is_told_without_user_info(envoy: EnvoyClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in the URL of a storage is in no outcome."""

    def unstrip_protocol(_: object, name: str) -> str:
        return f"http://me:secret@host{name}"  # as the file system of that name would say

    monkeypatch.setattr(MemoryFileSystem, "unstrip_protocol", unstrip_protocol)
    found = await run(envoy, "memory://a")
    assert {one.result().where for one in found.values()} == {f"http://***@host/a/{name}.m4a" for name in found}


async def test_a_call_that_went_away_or_is_none(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """A recording that is gone by now, and an id that no server could have given, are errors of their own."""
    call = await envoy.calls.get(with_recording(sandbox)[0])
    gone = attrs.evolve(call, id="call_00000000-0000-4000-8000-000000000000")
    odd = attrs.evolve(call, id="call_../../../etc/passwd")

    async def calls() -> AsyncIterator[Call]:
        for one in (gone, odd, call):
            yield one

    found = {one.key.id: one async for one in recordings(envoy, calls(), tmp_path)}
    assert type(found[gone.id].error) is NotFoundError
    assert type(found[odd.id].error) is InvalidRequestError
    assert found[call.id].result().fetched
    assert names_in(tmp_path) == [f"{call.id}.m4a"]


def test_fsspec_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error names what to install, before anything is sent."""
    envoy = EnvoyClient("none", base_url="https://example.invalid")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ConfigurationError, match=r'pip install "envoy-async\[fsspec\]"'):
        recordings(envoy, envoy.calls.list(), "memory://x")


@pytest.mark.parametrize(
    ("url", "said"),
    [("s3://key:secret@bucket/x", "kind s3://.*s3fs"), ("nonsense://key:secret@x", "Protocol not known")],
)
def test_a_target_that_fsspec_cannot_reach(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is missing, and does not quote the URL, which may hold a password."""
    monkeypatch.setitem(sys.modules, "s3fs", None)
    envoy = EnvoyClient("none", base_url="https://example.invalid")
    with pytest.raises(ConfigurationError, match=said) as caught:
        recordings(envoy, envoy.calls.list(), url)
    assert "secret" not in str(caught.value)
