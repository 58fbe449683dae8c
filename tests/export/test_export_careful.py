"""What an export and an update are careful about: gaps, files that were changed meanwhile, links, and full pipes."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from envoy_async import Pages
from envoy_async._columns import Column, columns_of
from envoy_async.errors import ConfigurationError, ServerError
from envoy_async.export import Manifest, export, update
from envoy_async.export._folder import naming
from envoy_async.export._stdout import _ready
from tests.export.conftest import Server, Thing, fails, names, row

FAR = "2099-01-01T00:00:00Z"


@pytest.fixture
def days() -> Server:
    """Give a server of a thing every four hours, ten days long; the oldest one says it changed far in the future."""
    rows = [row(number * 240, updated_at=None) for number in range(60)]
    rows[0]["updated_at"] = FAR
    return Server(rows)


def ids(file: Path) -> list[str]:
    """Read the ids of a file."""
    return [json.loads(line)["id"] for line in file.read_bytes().splitlines()]


async def test_what_changed_late_leaves_no_gap(tmp_path: Path, days: Server) -> None:
    """An update begins at the newest record that was made, whatever has changed since; days are never proven."""
    file = tmp_path / "x.jsonl"
    assert (await export(days.list(), file)).proven
    days.rows += [row(number * 240) for number in range(60, 90)]
    manifest = await update(days.list, file)
    assert (manifest.since, len(ids(file))) == (date(2025, 11, 8), 90)
    assert (manifest.proven, len(manifest.doubts)) == (False, 1)
    assert "which is not documented" in manifest.doubts[0]


async def test_an_update_that_begins_too_late_is_refused(tmp_path: Path, days: Server) -> None:
    """A listing that begins after the day to begin with would leave a gap: nothing is sent."""
    file = tmp_path / "x.jsonl"
    await export(days.list(), file)
    asked = len(days.asked)
    with pytest.raises(ConfigurationError, match="begins on 2025-11-20, and the update has to begin on 2025-11-08"):
        await update(lambda _: days.list(date(2025, 11, 20)), file)
    with pytest.raises(ConfigurationError, match="reaches beyond the calendar"):
        await update(days.list, file, overlap=timedelta(days=10**6))
    assert (len(days.asked), names(tmp_path)) == (asked, ["x.jsonl", "x.jsonl.manifest.json"])


async def test_days_of_an_updated_file(tmp_path: Path, days: Server) -> None:
    """It never begins before the first day it was made for, and no longer ends with the last one."""
    file = tmp_path / "x.jsonl"
    await export(days.list(date(2025, 11, 9), end_date="2025-11-10"), file)
    manifest = await update(lambda since: days.list(since, end_date="2025-12-31"), file)
    assert (manifest.since, manifest.filters) == (date(2025, 11, 9), {"start_date": "2025-11-09"})


async def test_a_filter_made_of_the_first_day_may_change(tmp_path: Path, days: Server) -> None:
    """Another filter that is made from the first day differs with every update, and the listing is the same."""

    def listing(since: date | None) -> Pages[Thing]:
        return days.list(after=str(since or "2020-01-01"))

    await update(listing, tmp_path / "x.jsonl")
    assert (await update(listing, tmp_path / "x.jsonl")).records == 60


async def interrupted(server: Server, file: Path) -> None:
    """Let an update end with its second page."""
    last = len(server.asked) + 2
    server.refuse = lambda asked: ServerError("down") if asked == last else None
    assert await fails(update(server.list, file), ServerError)


@pytest.mark.parametrize("what", ["removed", "another", "appeared"])
async def test_a_file_that_changed_under_an_update_is_refused(tmp_path: Path, days: Server, what: str) -> None:
    """Gone, replaced, or put there meanwhile: what was fetched is not taken for the whole, and nothing is sent."""
    file = tmp_path / "x.jsonl"
    if what != "appeared":
        await export(days.list(), file)
    await interrupted(days, file)
    if what == "removed":
        file.unlink()
    else:
        await export(days.list(date(2025, 11, 9)), tmp_path / "y.jsonl")
        for end in ("", ".manifest.json"):
            (tmp_path / f"y.jsonl{end}").rename(tmp_path / f"x.jsonl{end}")
    asked = len(days.asked)
    with pytest.raises(ConfigurationError, match=r"x\.jsonl is no longer the file that this update began with"):
        await update(days.list, file, resume=True)
    assert len(days.asked) == asked


async def test_rows_that_were_edited_are_noticed(tmp_path: Path, days: Server) -> None:
    """A row that stands there twice, in place of another, is an error that names the file, and no row is changed."""
    file = tmp_path / "x.jsonl"
    await export(days.list(), file)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:-1], lines[-2]]))
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match=r"x\.jsonl has 60 rows, .* with other ids: export again") as caught:
        await update(days.list, file)
    assert (file.read_bytes(), getattr(caught.value, "__notes__", [])) == (before, [])


async def test_parts_of_another_version_are_refused(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the model has other fields than at the start, cells would get into wrong columns: nothing is sent."""
    server.refuse = lambda asked: ServerError("down") if asked == 3 else None
    assert await fails(export(server.list(), tmp_path / "x.csv"), ServerError)

    def others(item: type[object]) -> tuple[Column, ...]:
        return columns_of(item)[1:]

    monkeypatch.setattr("envoy_async.export._formats.columns_of", others)
    with pytest.raises(ConfigurationError, match="was begun by another version"):
        await export(server.list(), tmp_path / "x.csv", resume=True)
    assert len(server.asked) == 3


async def test_records_left_out_earlier_stay_counted(tmp_path: Path, days: Server) -> None:
    """An update of some days keeps what was told of the others; one that reads all tells it anew."""
    file = tmp_path / "x.jsonl"
    days.rows[5]["count"] = "none"
    await export(days.list(on_invalid="collect"), file)
    manifest = await update(lambda since: days.list(since, on_invalid="collect"), file)
    assert (manifest.skipped, len(manifest.invalid), manifest.records) == (1, 1, 59)


async def test_nothing_kept_is_not_promised(tmp_path: Path, server: Server) -> None:
    """When not one record came, the error does not say that any was kept."""
    server.refuse = lambda _: ServerError("down")
    with pytest.raises(ServerError) as caught:
        await export(server.list(), tmp_path / "x.jsonl")
    assert getattr(caught.value, "__notes__", []) == []


async def test_a_link_is_written_through(tmp_path: Path, server: Server) -> None:
    """Behind a symbolic link lies the file that is made and updated; its mode stays as it is."""
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "2025.jsonl", tmp_path / "x.jsonl"
    link.symlink_to(real)
    await export(server.list(), link)
    real.chmod(0o600)
    server.rows.append(row(250))
    await update(server.list, link)
    assert (link.is_symlink(), len(ids(real)), real.stat().st_mode & 0o777) == (True, 251, 0o600)
    assert Manifest.beside(link) == Manifest.beside(real)


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
async def test_a_disk_that_cannot_be_read_is_no_damage(
    tmp_path: Path, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own error passes while the old file is read; damage that only a library notices is named."""
    file = tmp_path / name
    await export(server.list(), file)
    error = OSError(errno.EIO, "broken")

    def broken(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("envoy_async.export._formats._jsonl_rows", broken)
        patch.setattr("pyarrow.parquet.ParquetFile", broken)
        with pytest.raises(OSError, match="broken"):
            await update(server.list, file)
        error = OSError("checksum differs")
        with pytest.raises(ConfigurationError, match=name):
            await update(server.list, file, resume=True)


def test_a_message_without_number_is_kept() -> None:
    """An error of a library keeps its words, and the file is told beside them."""
    with pytest.raises(OSError, match="checksum differs") as caught, naming(Path("x.gz")):
        raise OSError("checksum differs")
    assert (str(caught.value), caught.value.__notes__) == ("checksum differs", ["while writing x.gz"])
    with pytest.raises(OSError, match="broken") as caught, naming(Path("x.gz")):
        raise OSError(errno.EIO, "broken", "y.gz")
    assert caught.value.filename == "y.gz"


async def test_a_full_pipe_does_not_keep_a_cancelled_export(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads what goes out: the export can be cancelled all the same, and what was read is whole lines so far."""
    read, write = os.pipe()
    monkeypatch.setattr("envoy_async.export._stdout._MOMENT", 0.001)
    with os.fdopen(read, "rb") as source, os.fdopen(write, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        small = await export(Server([row(1)]).list(), "-")
        assert len(source.read(small.bytes)) == small.bytes
        server.rows[249]["note"] = "x" * 2**20
        running = asyncio.ensure_future(export(server.list(), "-"))
        while not running.done() and _ready(write):  # noqa: ASYNC110 - no event tells that a pipe is full
            await asyncio.sleep(0)
        running.cancel()
        assert await fails(running, asyncio.CancelledError)
        assert source.read(6) == b'{"id":'
    assert _ready(-1)


async def test_a_standard_output_without_bytes_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only text can be printed, nothing is sent."""
    monkeypatch.setattr("sys.stdout", io.StringIO())
    with pytest.raises(ConfigurationError, match="standard output takes no bytes here"):
        await export(server.list(), "-")
    assert server.asked == []
