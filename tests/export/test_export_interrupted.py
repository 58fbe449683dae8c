"""Interrupted exports: whatever stops one, nothing half-written is seen, and going on gives the undisturbed file."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from envoy_async import EnvoyClient
from envoy_async._columns import Column
from envoy_async._paging import Report
from envoy_async.errors import CheckpointMismatchError, ConfigurationError, EnvoyError, ServerError
from envoy_async.export import export, update
from envoy_async.export._cells import line
from envoy_async.export._folder import Folder
from envoy_async.sandbox import Sandbox
from tests.export.conftest import Server, Thing, breaking, content, fails, manifest_of, names, row

KILLED = """
import asyncio, os, signal, sys
from envoy_async import EnvoyClient
from envoy_async.export import export

def progress(report):
    if report.pages == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with EnvoyClient(sys.argv[1], base_url=sys.argv[2]) as envoy:
        await export(envoy.calls.list(page_size=10), sys.argv[4], resume=True, progress=progress)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("name", "for_ever"), [("x.jsonl", False), ("x.jsonl", True), ("x.csv.gz", True), ("x.parquet", True)]
)
async def test_going_on_after_any_failed_write_gives_the_undisturbed_file(
    tmp_path: Path, undisturbed: Path, name: str, for_ever: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever operation on files fails, once or from then on: no half file, then the very same one, no id twice."""
    monkeypatch.setattr("envoy_async.export._listing._PAGES", 2)
    monkeypatch.setattr(os, "fsync", str)  # there is no power cut in this test
    server = Server([row(number) for number in range(15)])
    await export(server.list(size=3), undisturbed / name)
    whole, told = (undisturbed / name).read_bytes(), manifest_of(undisturbed, name)
    at = 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        with breaking(monkeypatch, at, OSError(errno.EIO, "broken"), for_ever=for_ever) as count:
            failed = await fails(export(server.list(size=3), folder / name, resume=True), OSError)
        assert content(folder).get(name) in {None, whole}
        if failed or (folder / f"{name}.parts").exists():
            there = await fails(export(server.list(size=3), folder / name, resume=True), ConfigurationError)
            assert not (there and failed)  # a whole file is there already
        assert (content(folder)[name], manifest_of(folder, name)) == (whole, told)
        assert names(folder) == [name, f"{name}.manifest.json"]
        if count[0] < at:
            break
    assert at > 20


async def test_an_error_of_the_server_keeps_what_was_fetched(tmp_path: Path, undisturbed: Path, server: Server) -> None:
    """The error passes with a note that says how to go on; then no page is asked for twice but the last one."""
    server.refuse = lambda asked: ServerError("down") if asked == 16 else None
    with pytest.raises(ServerError) as caught:
        await export(server.list(), tmp_path / "x.jsonl")

    assert caught.value.__notes__ == [
        f"what was fetched is kept in {tmp_path / 'x.jsonl.parts'}: go on with resume=True"
    ]
    assert not (tmp_path / "x.jsonl").exists()
    manifest = await export(server.list(), tmp_path / "x.jsonl", resume=True)
    await export(server.list(), undisturbed / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_bytes() == (undisturbed / "x.jsonl").read_bytes()
    assert manifest.records == 250
    assert len(server.asked) == 16 + 11 + 25


async def test_nothing_to_resume_begins_anew(tmp_path: Path, server: Server) -> None:
    """`resume=True` can always be given: without an unfinished export it changes nothing."""
    assert (await export(server.list(), tmp_path / "x.jsonl", resume=True)).records == 250
    with pytest.raises(ConfigurationError, match=r"x\.jsonl exists already: pass overwrite=True"):
        await export(server.list(), tmp_path / "x.jsonl", resume=True)


async def test_cancellation_keeps_what_was_fetched_and_leaves_no_work_behind(
    tmp_path: Path, undisturbed: Path, server: Server
) -> None:
    """Cancelled before any page: going on gives the undisturbed file, and no task or thread works on meanwhile."""
    await export(server.list(), undisturbed / "x.jsonl")
    for number in (0, 8, 9, 24):
        to = tmp_path / f"{number}.jsonl"

        async def run(to: Path = to, last: int = number + 1) -> None:
            this = asyncio.current_task()
            assert this is not None

            def progress(report: Report) -> None:
                if report.pages == last:
                    this.cancel()

            await export(server.list(), to, progress=progress)

        assert await fails(asyncio.ensure_future(run()), asyncio.CancelledError)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        before = content(to.with_name(f"{to.name}.parts"))
        assert before["state.json"]
        await export(server.list(), to, resume=True)
        assert to.read_bytes() == (undisturbed / "x.jsonl").read_bytes()


async def test_cancelling_waits_for_the_disk(
    tmp_path: Path, undisturbed: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while the file is put together, even twice: that ends first, and nothing has the final name."""
    began, loop = asyncio.Event(), asyncio.get_running_loop()
    go = threading.Event()
    original = Path.open

    def slow(path: Path, mode: str = "r") -> IO[Any]:
        if path.name == "whole":
            loop.call_soon_threadsafe(began.set)
            go.wait()
        return original(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", slow)
        running = asyncio.ensure_future(export(server.list(), tmp_path / "x.jsonl"))
        await began.wait()
        for _ in range(2):
            running.cancel()
            await asyncio.sleep(0)
        assert not running.done()
        go.set()
        assert await fails(running, asyncio.CancelledError)
    assert list(content(tmp_path)) == []
    asked = len(server.asked)
    await export(server.list(), tmp_path / "x.jsonl", resume=True)
    assert len(server.asked) == asked == 25
    await export(server.list(), undisturbed / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_bytes() == (undisturbed / "x.jsonl").read_bytes()


async def test_an_error_in_progress_loses_nothing(tmp_path: Path, server: Server) -> None:
    """Whatever `progress` raises ends the export, and it can be gone on with."""

    def progress(report: Report) -> None:
        if report.pages == 7:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await export(server.list(), tmp_path / "x.jsonl", progress=progress)
    assert (await export(server.list(), tmp_path / "x.jsonl", resume=True)).records == 250


async def test_a_record_that_cannot_be_written_is_not_passed_over(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a page is only half taken in, going on reads the whole page again."""

    def broken(columns: tuple[Column, ...], record: Thing) -> bytes:
        if record.id == "thing_123":
            raise ZeroDivisionError
        return line(columns, record)

    with monkeypatch.context() as patch:
        patch.setattr("envoy_async.export._listing.line", broken)
        assert await fails(export(server.list(), tmp_path / "x.jsonl"), ZeroDivisionError)
    await export(server.list(), tmp_path / "x.jsonl", resume=True)
    ids = [json.loads(each)["id"] for each in (tmp_path / "x.jsonl").read_bytes().splitlines()]
    assert ids == [f"thing_{number}" for number in reversed(range(250))]


async def test_kill_9_then_resume_gives_the_undisturbed_file(
    tmp_path: Path, undisturbed: Path, sandbox: Sandbox
) -> None:
    """A process killed by the kernel in the middle of an export: the next one goes on, and the files are equal."""
    to = tmp_path / "calls.jsonl"

    async def run(killed_at: str) -> int:
        arguments = (sandbox.api_key, sandbox.base_url, killed_at, str(to))
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, *arguments)
        return await process.wait()

    assert await run("14") == -signal.SIGKILL
    assert not to.exists()
    parts = content(tmp_path / "calls.jsonl.parts")
    assert "part-000000.jsonl" in parts
    assert await run("0") == 0
    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
        await export(envoy.calls.list(page_size=10), undisturbed / "calls.jsonl")
    assert to.read_bytes() == (undisturbed / "calls.jsonl").read_bytes()


async def test_full_disk_is_told_with_the_file(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own error passes, names the file, and leaves the earlier parts and nothing else."""

    def full(_: int) -> None:
        if (tmp_path / "x.jsonl.parts" / "part-000001.jsonl.new").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            await export(server.list(), tmp_path / "x.jsonl")

    assert caught.value.errno == errno.ENOSPC
    assert Path(caught.value.filename).name == "part-000001.jsonl.new"
    assert list(content(tmp_path)) == []
    assert (await export(server.list(), tmp_path / "x.jsonl", resume=True)).records == 250
    assert len(server.asked) == 20 + 16


async def test_missing_folder_is_named_before_anything_is_sent(tmp_path: Path, server: Server) -> None:
    """A folder that does not exist is an error of the system that names it."""
    with pytest.raises(FileNotFoundError, match="does not exist") as caught:
        await export(server.list(), tmp_path / "nowhere" / "x.jsonl")
    assert (caught.value.filename, server.asked) == (str(tmp_path / "nowhere"), [])


async def test_existing_file_is_left_alone(tmp_path: Path, server: Server) -> None:
    """Without `overwrite`, a file that exists is neither read nor replaced, and nothing is sent."""
    to = tmp_path / "x.parquet"
    to.write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match="exists already: pass overwrite=True to replace it"):
        await export(server.list(), to)
    assert (content(tmp_path), server.asked) == ({"x.parquet": b"mine"}, [])

    manifest = await export(server.list(), to, overwrite=True)
    assert to.stat().st_size == manifest.bytes > 4


async def test_a_folder_of_that_name_cannot_be_replaced(tmp_path: Path, server: Server) -> None:
    """Where a folder has the final name, nothing is sent."""
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        await export(server.list(), tmp_path / "x.jsonl", overwrite=True)
    assert (caught.value.filename, server.asked) == (str(tmp_path / "x.jsonl"), [])


async def test_unfinished_export_is_not_dropped_by_accident(tmp_path: Path, server: Server) -> None:
    """Without `resume`, hours of fetched pages are not thrown away; with `overwrite` they are, as asked for."""
    to = tmp_path / "x.jsonl"
    server.refuse = lambda asked: ServerError("down") if asked == 16 else None
    assert await fails(export(server.list(), to), ServerError)
    with pytest.raises(ConfigurationError, match="holds an unfinished export: go on with resume=True, or remove it"):
        await export(server.list(), to)
    assert len(server.asked) == 16

    assert (await export(server.list(), to, overwrite=True)).records == 250
    assert len(server.asked) == 16 + 25


async def test_an_export_that_got_nothing_needs_no_resume(tmp_path: Path, server: Server) -> None:
    """When not one page came, the next run begins anew by itself."""
    server.refuse = lambda asked: ServerError("down") if asked == 1 else None
    assert await fails(export(server.list(), tmp_path / "x.jsonl"), ServerError)
    assert (await export(server.list(), tmp_path / "x.jsonl")).records == 250


async def test_resuming_an_overwrite_replaces_the_file(tmp_path: Path, server: Server) -> None:
    """The old file stands until the new one is whole, however often the export is interrupted."""
    to = tmp_path / "x.jsonl"
    to.write_bytes(b"old")
    server.refuse = lambda asked: ServerError("down") if asked == 16 else None
    assert await fails(export(server.list(), to, overwrite=True), ServerError)
    assert to.read_bytes() == b"old"
    assert (await export(server.list(), to, resume=True)).records == 250
    assert len(to.read_bytes().splitlines()) == 250


async def test_a_file_that_appeared_meanwhile_is_left_alone(tmp_path: Path, server: Server) -> None:
    """An interrupted export does not replace what somebody else has put in its place."""
    to = tmp_path / "x.jsonl"
    server.refuse = lambda asked: ServerError("down") if asked == 16 else None
    assert await fails(export(server.list(), to), ServerError)
    to.write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match="exists already"):
        await export(server.list(), to, resume=True)
    assert to.read_bytes() == b"mine"
    assert (await export(server.list(), to, resume=True, overwrite=True)).records == 250


async def test_unfinished_export_of_another_listing_is_refused(tmp_path: Path, server: Server) -> None:
    """Another filter, or another operation, cannot go on with it; it is still there afterwards."""
    to = tmp_path / "x.jsonl"
    server.refuse = lambda asked: ServerError("down") if asked == 16 else None
    assert await fails(export(server.list(), to), ServerError)
    kept = content(tmp_path / "x.jsonl.parts")
    for other in (server.list(colour="red"), server.list_as(Thing, path="/others")):
        with pytest.raises(CheckpointMismatchError):
            await export(other, to, resume=True)
    with pytest.raises(ConfigurationError, match=r"holds an unfinished export: go on with export\(resume=True\)"):
        await update(server.list, to, resume=True)
    assert (content(tmp_path / "x.jsonl.parts"), len(server.asked)) == (kept, 16)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("state.json", b""),
        ("state.json", b"{}"),
        ("state.json", b"\xff"),
        ("state.json", None),
        ("part-000000.jsonl", b"{}"),
        ("part-000000.jsonl", None),
    ],
)
async def test_damaged_work_folder_names_the_file(
    tmp_path: Path, server: Server, name: str, damage: bytes | None
) -> None:
    """A state of another version, a broken one, or a part that is not as it was: refused, with the file's name."""
    to = tmp_path / "x.jsonl"
    server.refuse = lambda asked: ServerError("down") if asked == 16 else None
    assert await fails(export(server.list(), to), ServerError)
    file = tmp_path / "x.jsonl.parts" / name
    if damage is not None:
        file.write_bytes(damage)
    elif name == "state.json":
        file.write_bytes(file.read_bytes().replace(b'"layout":1', b'"layout":2'))
    else:
        file.unlink()
    with pytest.raises(ConfigurationError, match=rf"{re.escape(str(file))} is damaged: remove x\.jsonl\.parts"):
        await export(server.list(), to, resume=True)
    assert (await export(server.list(), to, overwrite=True)).records == 250


async def test_two_exports_to_one_file_at_once(tmp_path: Path, server: Server) -> None:
    """The second is refused while the first runs, and does it no harm."""
    refused: list[EnvoyError] = []

    def progress(report: Report) -> None:
        if report.pages == 3:
            with pytest.raises(
                ConfigurationError, match=r"another export to x\.jsonl is running: one at a time"
            ) as caught:
                Folder(tmp_path / "x.jsonl").__enter__()
            refused.append(caught.value)

    assert (await export(server.list(), tmp_path / "x.jsonl", progress=progress)).records == 250
    assert len(refused) == 1


def test_a_lock_that_was_removed_meanwhile_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another export ends, and removes its folder, between the opening of its lock and the taking of it."""
    original, lock = fcntl.flock, tmp_path / "x.jsonl.parts" / "lock"
    left: list[Callable[[], None]] = [lambda: None, lock.touch]

    def late(file: Any, how: int) -> None:
        if left:
            lock.unlink()
            left.pop(0)()
        original(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Folder(tmp_path / "x.jsonl") as folder:
        assert lock.exists()
        assert (left, folder.path.stat().st_mode & 0o777) == ([], 0o700)
    assert list(tmp_path.iterdir()) == []


def refused(*_: object) -> None:
    """Refuse an operation on files."""
    raise OSError(errno.EPERM, "refused")


@pytest.mark.parametrize("python", [True, False])
def test_without_locks_of_the_kernel_exports_still_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: bool
) -> None:
    """Python on Windows has no flock, nor has every file system: two exports are not told apart, and one works."""
    if python:
        monkeypatch.setattr(fcntl, "flock", refused)
    else:
        monkeypatch.setitem(sys.modules, "fcntl", None)
    with Folder(tmp_path / "x.jsonl"), Folder(tmp_path / "x.jsonl") as folder:
        assert folder.path.is_dir()


async def test_killed_while_cleaning_up_is_finished(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last instants of an export may leave behind is removed, and its manifest returned, for it alone."""
    left = tmp_path / "x.jsonl.parts"
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "clear", refused)
        manifest = await export(server.list(), tmp_path / "x.jsonl")
    assert names(left) == ["lock", "state.json"]
    with pytest.raises(ConfigurationError, match="exists already"):
        await export(server.list(colour="red"), tmp_path / "x.jsonl", resume=True)
    assert await export(server.list(), tmp_path / "x.jsonl", resume=True) == manifest
    assert (left.exists(), len(server.asked)) == (False, 25)


async def test_a_folder_that_stays_is_no_export(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system keeps the work folder, the next night's export is not taken for done."""
    monkeypatch.setattr(Path, "rmdir", refused)
    await export(server.list(), tmp_path / "x.jsonl")
    with pytest.raises(ConfigurationError, match="exists already"):
        await export(server.list(), tmp_path / "x.jsonl", resume=True)
