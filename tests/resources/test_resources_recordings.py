"""Recordings as files: whole or not at all, gone on with after whatever ended a download, never two in one."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from envoy_async import EnvoyClient
from envoy_async._wire import Request, Response, Send
from envoy_async.errors import (
    ConfigurationError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
)
from envoy_async.resources import Calls
from envoy_async.resources._recording import part_of, recording_name
from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.recordings import recording_bytes
from tests.faults._canary import leaks
from tests.resources.conftest import EAGER, NOBODY, UUID, assert_refused_here, assert_wrong_ids_refused
from tests.transport.conftest import settled

NOON = 1_763_740_800.0
FILES = "/recordings/{call_id}.mp4"
cut = partial(Fault, path=FILES)


@pytest.fixture
async def envoy(sandbox: Sandbox) -> AsyncIterator[EnvoyClient]:
    """Give a client of the sandbox that does not wait between attempts, closed afterwards."""
    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, retry=EAGER) as client:
        yield client


@pytest.fixture
def call_id(sandbox: Sandbox) -> str:
    """Give a call that has a recording."""
    return next(str(call["id"]) for call in sandbox.store.calls.values() if call["recording_status"] == "AVAILABLE")


def part_beside(file: Path, call_id: str) -> Path:
    """Name the part of a download, as the documentation does."""
    return file.with_name(f"{file.name}.{call_id.removeprefix('call_')}.part")


def names_in(folder: Path) -> list[str]:
    """Give the names of all files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def asked(sandbox: Sandbox, what: str) -> list[int]:
    """Give the statuses of the requests for links or files."""
    return [request.status for request in sandbox.requests if what in request.path.partition("?")[0]]


@pytest.mark.parametrize("kind", [str, Path])
async def test_a_recording_becomes_a_file(
    envoy: EnvoyClient, call_id: str, tmp_path: Path, kind: Callable[[Path], str | Path]
) -> None:
    """The file has the recording's bytes, its path comes back, and nothing else is left in the folder."""
    path = await envoy.calls.download_recording(call_id, kind(tmp_path / "talk.mp4"))
    assert path == tmp_path / "talk.mp4"
    assert path.read_bytes() == recording_bytes(call_id)
    assert names_in(tmp_path) == ["talk.mp4"]


async def test_a_folder_names_the_file_after_the_call(envoy: EnvoyClient, call_id: str, tmp_path: Path) -> None:
    """With or without the id's prefix it is the same file, and its ending says what is in it."""
    first = await envoy.calls.download_recording(call_id, tmp_path)
    again = await envoy.calls.download_recording(call_id.removeprefix("call_"), tmp_path)
    assert first == again == tmp_path / f"{call_id}.m4a"
    assert first.read_bytes() == recording_bytes(call_id)


@pytest.mark.parametrize(
    ("content_type", "ending"),
    [
        ("audio/mp4", ".m4a"),
        ("Video/MP4; codecs=avc1", ".mp4"),
        ("audio/wav", ".wav"),
        ("../../x", ".bin"),
        ("", ".bin"),
    ],
)
def test_the_ending_says_what_is_in_the_file(content_type: str, ending: str) -> None:
    """A type that is not known gives an ending that claims nothing, and no text of the server becomes a name."""
    assert recording_name(f"call_{UUID}", content_type) == f"call_{UUID}{ending}"


async def test_what_was_there_is_replaced_at_the_end(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """A file of that name stays as it was until the recording is whole; so does it when that fails."""
    file = tmp_path / "talk.mp4"
    file.write_bytes(b"before")
    sandbox.fail(Fault(path=FILES, status=500, times=None))
    with pytest.raises(Exception, match="500"):
        await envoy.calls.download_recording(call_id, file)
    assert (file.read_bytes(), names_in(tmp_path)) == (b"before", ["talk.mp4"])
    sandbox.faults.clear()
    await envoy.calls.download_recording(call_id, file)
    assert file.read_bytes() == recording_bytes(call_id)


async def test_a_link_is_followed_to_its_file(envoy: EnvoyClient, call_id: str, tmp_path: Path) -> None:
    """A symbolic link stays one: the file behind it is replaced."""
    (tmp_path / "far").mkdir()
    (tmp_path / "near.mp4").symlink_to(tmp_path / "far" / "talk.mp4")
    assert await envoy.calls.download_recording(call_id, tmp_path / "near.mp4") == tmp_path / "near.mp4"
    assert (tmp_path / "near.mp4").is_symlink()
    assert (tmp_path / "far" / "talk.mp4").read_bytes() == recording_bytes(call_id)


@pytest.mark.parametrize("cuts", [[1000], [1, 1, 1], [4000, 100]])
async def test_a_lost_connection_is_mended(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path, cuts: list[int]
) -> None:
    """One link is enough, and no byte comes twice."""
    for nth, count in enumerate(cuts, 1):
        sandbox.fail(cut(nth=nth, cut=count))
    path = await envoy.calls.download_recording(call_id, tmp_path)
    assert path.read_bytes() == recording_bytes(call_id)
    assert (asked(sandbox, "/recording"), asked(sandbox, ".mp4")) == (
        [200] * 2 + [206] * len(cuts),
        [200] + [206] * len(cuts),
    )


async def test_the_next_download_goes_on_with_the_part(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """What a download that failed has fetched is not fetched again by the next one, in whatever process."""
    file = tmp_path / "talk.mp4"
    sandbox.fail(cut(cut=1500))
    sandbox.fail(cut(nth=2, times=None, status=500))
    with pytest.raises(Exception, match="500"):
        await envoy.calls.download_recording(call_id, file)
    assert names_in(tmp_path) == [part_beside(file, call_id).name]
    assert part_beside(file, call_id).read_bytes() == recording_bytes(call_id)[:1500]
    sandbox.faults.clear()
    await envoy.calls.download_recording(call_id, file)
    assert file.read_bytes() == recording_bytes(call_id)
    assert (asked(sandbox, ".mp4")[-1], names_in(tmp_path)) == (206, ["talk.mp4"])


async def test_a_whole_part_only_gets_its_name(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """A program that died between the last byte and the name has lost nothing."""
    file = tmp_path / "talk.mp4"
    part_beside(file, call_id).write_bytes(recording_bytes(call_id))
    await envoy.calls.download_recording(call_id, file)
    assert (file.read_bytes(), asked(sandbox, ".mp4")) == (recording_bytes(call_id), [])


async def test_a_part_that_is_too_large_is_fetched_anew(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """A part with more bytes than the recording has is none of it."""
    file = tmp_path / "talk.mp4"
    part_beside(file, call_id).write_bytes(bytes(5000))
    await envoy.calls.download_recording(call_id, file)
    assert (file.read_bytes(), asked(sandbox, ".mp4")) == (recording_bytes(call_id), [200])


async def test_a_part_is_fetched_anew_where_no_size_is_told(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """Without a size from the API nothing tells what a part is of, so none is put together with what comes now."""
    told = (
        f'{{"call_id": "c", "url": "{await link(envoy, call_id)}", "content_type": "audio/mp4", '
        '"expires_at": "2026-01-01T00:00:00Z", "recording_status": "AVAILABLE"}'
    )
    sandbox.fail(Fault(path="/calls/{call_id}/recording", body=told.encode()))
    file = tmp_path / "talk.mp4"
    part_beside(file, call_id).write_bytes(b"of another file")
    await envoy.calls.download_recording(call_id, file)
    assert (file.read_bytes(), asked(sandbox, ".mp4")) == (recording_bytes(call_id), [200])


async def test_parts_of_two_calls_are_never_one_file(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """Another call's part under the same name is left alone."""
    rows = [str(call["id"]) for call in sandbox.store.calls.values() if call["recording_status"] == "AVAILABLE"]
    file = tmp_path / "talk.mp4"
    part_beside(file, rows[0]).write_bytes(recording_bytes(rows[0])[:2000])
    await envoy.calls.download_recording(rows[1], file)
    assert file.read_bytes() == recording_bytes(rows[1])
    assert part_beside(file, rows[0]).stat().st_size == 2000


@pytest.fixture
async def later() -> AsyncIterator[tuple[Sandbox, EnvoyClient, list[float]]]:
    """Give a sandbox whose clock can be put forward."""
    now = [NOON]
    async with (
        Sandbox(calls=60, loads=5, quota=None, clock=lambda: now[0]) as sandbox,
        EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, retry=EAGER) as client,
    ):
        yield sandbox, client, now


async def test_a_link_that_ran_out_is_replaced(later: tuple[Sandbox, EnvoyClient, list[float]], tmp_path: Path) -> None:
    """A link that runs out in the middle costs one more request to the API, and no byte."""
    sandbox, envoy, now = later
    call_id = next(str(call["id"]) for call in sandbox.store.calls.values() if call["recording_status"] == "AVAILABLE")
    for nth in (1, 3):  # before each further part an hour passes
        sandbox.fail(cut(nth=nth, cut=1000))
    seen = asyncio.create_task(put_forward(sandbox, now, hours=2))
    path = await envoy.calls.download_recording(call_id, tmp_path)
    seen.cancel()
    assert path.read_bytes() == recording_bytes(call_id)
    assert asked(sandbox, ".mp4") == [200, 403, 206, 403, 206]
    assert len([ran for ran in sandbox.executions if ran.operation == "calls.recording"]) == 3


async def put_forward(sandbox: Sandbox, now: list[float], hours: int) -> None:
    """Let an hour pass whenever a part of a file was sent, so often."""
    for part in range(1, hours + 1):
        while sum(status in {200, 206} for status in asked(sandbox, ".mp4")) < part:  # noqa: ASYNC110
            await asyncio.sleep(0)
        now[0] += 3_600


async def test_a_fresh_link_that_is_refused_is_an_error(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """A storage that refuses two links in a row is not asked for ever; nothing is left in the folder."""
    sandbox.fail(cut(status=403, times=None))
    with pytest.raises(PermissionDeniedError) as caught:
        await envoy.calls.download_recording(call_id, tmp_path)
    assert (caught.value.status, caught.value.route) == (403, "/calls/{call_id}/recording (the file)")
    assert leaks(caught.value, "signature=") == []
    assert (asked(sandbox, ".mp4"), names_in(tmp_path)) == ([403, 403], [])


async def test_a_storage_that_fails_is_not_the_link(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """Errors of the storage itself are no reason to ask the API again."""
    sandbox.fail(cut(status=500, times=None))
    with pytest.raises(Exception, match="500"):
        await envoy.calls.download_recording(call_id, tmp_path)
    assert [ran.operation for ran in sandbox.executions] == ["calls.recording"]


@pytest.mark.parametrize("size", [4119, 4121, -1, 0])
async def test_the_size_is_checked(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path, size: int
) -> None:
    """A file that is not as large as the API says never gets its name; no size, or none that can be, says nothing."""
    announced = (
        f'{{"call_id": "c", "url": "{await link(envoy, call_id)}", "content_type": "audio/mp4", '
        f'"expires_at": "2026-01-01T00:00:00Z", "recording_status": "AVAILABLE", "file_size_bytes": {size}}}'
    )
    sandbox.fail(Fault(path="/calls/{call_id}/recording", body=announced.encode(), times=None))
    downloading = envoy.calls.download_recording(call_id, tmp_path / "talk.mp4")
    if size > 0:
        with pytest.raises(InvalidResponseError, match=f"has 4120 bytes of this recording, the API says {size}"):
            await downloading
        assert names_in(tmp_path) == []
    else:
        assert (await downloading).read_bytes() == recording_bytes(call_id)


async def link(envoy: EnvoyClient, call_id: str) -> str:
    """Give an address that works."""
    return (await envoy.calls.recording(call_id)).url


async def test_another_size_with_the_next_link_is_another_file(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """When the API names another size with the fresh link, the two are not put together."""
    other = (
        b'{"call_id": "c", "url": "https://x.example/", "content_type": "audio/mp4", "file_size_bytes": 9,'
        b'"expires_at": "2026-01-01T00:00:00Z", "recording_status": "AVAILABLE"}'
    )
    sandbox.fail(Fault(path="/calls/{call_id}/recording", nth=2, body=other))
    sandbox.fail(cut(status=410))
    with pytest.raises(InvalidResponseError, match="changed its size"):
        await envoy.calls.download_recording(call_id, tmp_path)


async def test_a_call_without_a_recording(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """It is the API's own 404, and no file appears."""
    call_id = next(str(call["id"]) for call in sandbox.store.calls.values() if call["recording_status"] is None)
    with pytest.raises(NotFoundError, match="Recording not found"):
        await envoy.calls.download_recording(call_id, tmp_path)
    with pytest.raises(NotFoundError, match="Call not found"):
        await envoy.calls.download_recording(NOBODY, tmp_path)
    assert names_in(tmp_path) == []


async def test_what_is_no_call_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """No text of another form is sent as an id, or becomes the name of a file."""
    download = partial(envoy.calls.download_recording, path=tmp_path)
    await assert_wrong_ids_refused(sandbox, "call_id", "call", download)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("path", ["", "a\0b", 5, None, b"talk.mp4"])
async def test_what_is_no_path_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, path: str) -> None:
    """A path that no file can have is refused before anything is sent."""
    await assert_refused_here(sandbox, "path", lambda: envoy.calls.download_recording(UUID, path))


@pytest.mark.parametrize("path", ["none/talk.mp4", "none/", "none/."])
async def test_a_folder_that_is_not_there(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path, path: str) -> None:
    """The error names the folder, nothing is sent, and no folder is made; nor does a file get the folder's name."""
    with pytest.raises(FileNotFoundError, match="no such folder") as caught:
        await envoy.calls.download_recording(UUID, f"{tmp_path}/{path}")
    assert (caught.value.filename, sandbox.requests) == (str(tmp_path / "none"), [])
    assert names_in(tmp_path) == []


async def test_a_folder_with_a_slash(envoy: EnvoyClient, call_id: str, tmp_path: Path) -> None:
    """What ends in a slash is a folder, in which the file is named after the call."""
    assert await envoy.calls.download_recording(call_id, f"{tmp_path}/") == tmp_path / f"{call_id}.m4a"


async def test_a_folder_that_goes_away(sandbox: Sandbox, call_id: str, tmp_path: Path) -> None:
    """A folder that is removed while the link is asked for does not come back as a file."""
    (folder := tmp_path / "recordings").mkdir()

    async def removing(request: Request, call_next: Send) -> Response:
        folder.rmdir()
        return await call_next(request)

    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, middleware=[removing]) as envoy:
        with pytest.raises(FileNotFoundError):
            await envoy.calls.download_recording(call_id, folder)
    assert names_in(tmp_path) == []


async def test_a_full_disk(envoy: EnvoyClient, call_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's own error comes through; nothing has the file's name, and what was written is gone on with."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "talk.mp4"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            await envoy.calls.download_recording(call_id, file)
    assert leaks(caught.value, "signature=") == []
    assert names_in(tmp_path) == [part_beside(file, call_id).name]
    assert (await envoy.calls.download_recording(call_id, file)).read_bytes() == recording_bytes(call_id)


async def test_a_cancelled_download_is_gone_on_with(
    envoy: EnvoyClient, sandbox: Sandbox, call_id: str, tmp_path: Path
) -> None:
    """Running out of the caller's own patience keeps what has come, and passes as it is."""
    file = tmp_path / "talk.mp4"
    part_beside(file, call_id).write_bytes(recording_bytes(call_id)[:1000])
    slow = cut(delay=600.0)
    sandbox.fail(slow)
    running = asyncio.create_task(envoy.calls.download_recording(call_id, file))
    await settled(lambda: sandbox._gateway._book._seen[slow])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert part_beside(file, call_id).stat().st_size == 1000
    await envoy.calls.download_recording(call_id, file)
    assert file.read_bytes() == recording_bytes(call_id)


async def test_one_download_at_a_time(envoy: EnvoyClient, call_id: str, tmp_path: Path) -> None:
    """While a download writes a file, another of the same recording into it says so at once, and changes nothing."""
    file = tmp_path / "talk.mp4"
    with part_of(file, call_id.removeprefix("call_")) as part:
        part.write(b"begun")
        with pytest.raises(BlockingIOError, match="another download") as caught:
            await envoy.calls.download_recording(call_id, file)
        assert caught.value.filename == str(file)
    assert part_beside(file, call_id).read_bytes() == b"begun"


async def test_many_downloads_at_once(envoy: EnvoyClient, call_id: str, tmp_path: Path) -> None:
    """Of many downloads of one recording into one file each gets it whole, or says that another is at it."""
    file = tmp_path / "talk.mp4"
    jobs = [envoy.calls.download_recording(call_id, file) for _ in range(8)]
    found = await asyncio.gather(*jobs, return_exceptions=True)
    assert {one if one == file else type(one) for one in found} <= {file, BlockingIOError}
    assert file in found
    assert (file.read_bytes(), names_in(tmp_path)) == (recording_bytes(call_id), ["talk.mp4"])


async def test_two_calls_into_one_file(envoy: EnvoyClient, sandbox: Sandbox, tmp_path: Path) -> None:
    """The file is one recording or the other, whole."""
    rows = [str(call["id"]) for call in sandbox.store.calls.values() if call["recording_status"] == "AVAILABLE"][:2]
    sandbox.fail(cut(cut=2000))
    await asyncio.gather(*(envoy.calls.download_recording(row, tmp_path / "talk.mp4") for row in rows))
    assert (tmp_path / "talk.mp4").read_bytes() in {recording_bytes(row) for row in rows}
    assert names_in(tmp_path) == ["talk.mp4"]


async def test_a_part_that_got_its_name_meanwhile(
    envoy: EnvoyClient, call_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened the part right before it became the file never writes into the file."""
    file = tmp_path / "talk.mp4"
    really = Path.stat

    def moved(path: Path, **options: bool) -> os.stat_result:
        if path.suffix == ".part":
            path.replace(file)
        return really(path, **options)

    monkeypatch.setattr(Path, "stat", moved)
    with pytest.raises(BlockingIOError):
        await envoy.calls.download_recording(call_id, file)
    assert file.read_bytes() == b""


async def test_without_locks_it_works_as_well(
    envoy: EnvoyClient, call_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that has no locks for files can download too."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    path = await envoy.calls.download_recording(call_id, tmp_path)
    assert path.read_bytes() == recording_bytes(call_id)


async def test_calls_without_a_client_cannot_download(envoy: EnvoyClient, call_id: str, tmp_path: Path) -> None:
    """A group that was made from a bare `send` says what it lacks."""
    with pytest.raises(ConfigurationError, match="without a client"):
        await Calls(envoy._send).download_recording(call_id, tmp_path)
    assert names_in(tmp_path) == []
