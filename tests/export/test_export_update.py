"""Updates: what is new or changed joins the file, nothing is there twice, and nothing else is asked for."""

from __future__ import annotations

import csv
import errno
import gzip
import importlib
import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from envoy_async.errors import CheckpointMismatchError, ConfigurationError, ServerError
from envoy_async.export import Manifest, export, update
from envoy_async.export._manifest import id_digest
from envoy_async.models import Timestamp, WebhookEventType
from tests.export.conftest import Plain, Row, Server, breaking, content, fails, manifest_of, names, row

FORMATS = ["x.jsonl", "x.jsonl.zst", "x.csv", "x.csv.gz", "x.parquet"]
FOUR_HOURS = 240


def every_four_hours(numbers: range) -> list[Row]:
    """Give things of several days; none is changed after it was made."""
    return [row(number * FOUR_HOURS, updated_at=None) for number in numbers]


def read(file: Path) -> list[tuple[str, str]]:
    """Read ids and names from a file of any format."""
    rows: Any
    if file.suffix == ".parquet":
        rows = importlib.import_module("pyarrow.parquet").read_table(file).to_pylist()
    elif ".csv" in file.name:
        text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        rows = csv.DictReader(io.StringIO(text.decode(), newline=""), strict=True)
    else:
        with importlib.import_module("pyarrow").input_stream(str(file), compression="detect") as stream:
            rows = [json.loads(line) for line in stream.read().splitlines()]
    return [(found["id"], found["name"]) for found in rows]


@pytest.fixture
def month() -> Server:
    """Give a server of 60 things, one every four hours from the first of November on."""
    return Server(every_four_hours(range(60)))


def grow(server: Server) -> None:
    """Let ten days and one record pass: 3 new things, and one changed within the overlap."""
    server.rows += every_four_hours(range(60, 63))
    server.rows[55]["name"] = "changed"


@pytest.mark.parametrize("name", FORMATS)
async def test_new_and_changed_records_join_the_file(tmp_path: Path, month: Server, name: str) -> None:
    """Rows that stay come first, in their order; those that came anew follow, once each, and the manifest tells it."""
    first = await update(month.list, tmp_path / name)
    assert (first.since, first.records, first.window_end) == (None, 60, datetime(2025, 11, 10, 20, 0, 0, 5, UTC))
    grow(month)
    asked = len(month.asked)
    second = await update(month.list, tmp_path / name)

    fresh = [f"thing_{number * FOUR_HOURS}" for number in reversed(range(42, 63))]
    stay = [f"thing_{number * FOUR_HOURS}" for number in reversed(range(42))]
    found = read(tmp_path / name)
    assert [each for each, _ in found] == stay + fresh
    assert dict(found)[f"thing_{55 * FOUR_HOURS}"] == "changed"
    assert len(month.asked) == asked + 3
    assert (second.since, second.records) == (date(2025, 11, 8), 63)
    assert (second.window_start, second.window_end) == (first.window_start, datetime(2025, 11, 11, 8, 0, 0, 5, UTC))
    assert second.id_digest == id_digest(each for each, _ in found)
    assert second.filters == first.filters == {}
    assert Manifest.beside(tmp_path / name) == second


@pytest.mark.parametrize("name", FORMATS)
async def test_an_update_without_news_changes_no_row(tmp_path: Path, month: Server, name: str) -> None:
    """Records that come again as they were are there once; a listing of none leaves the file as it is."""
    await export(month.list(), tmp_path / name)
    before = read(tmp_path / name)
    await update(month.list, tmp_path / name)
    assert sorted(read(tmp_path / name)) == sorted(before)

    bytes_before = (tmp_path / name).read_bytes()
    month.rows = []
    manifest = await update(month.list, tmp_path / name)
    assert (tmp_path / name).read_bytes() == bytes_before
    assert (manifest.records, manifest.window_end) == (60, datetime(2025, 11, 10, 20, 0, 0, 5, UTC))


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
async def test_going_on_with_an_update_gives_the_undisturbed_file(
    tmp_path: Path, undisturbed: Path, month: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever operation on files fails from then on: the file is the old or the new one, and then the new one."""
    monkeypatch.setattr("envoy_async.export._listing._PAGES", 2)
    monkeypatch.setattr(os, "fsync", str)
    await update(month.list, undisturbed / name)
    old = content(undisturbed)
    grow(month)
    await update(month.list, undisturbed / name)
    new, told = (undisturbed / name).read_bytes(), manifest_of(undisturbed, name)
    at = 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        for file, text in old.items():
            (folder / file).write_bytes(text)
        with breaking(monkeypatch, at, OSError(errno.EIO, "broken")) as count:
            failed = await fails(update(month.list, folder / name, resume=True), OSError)
        assert content(folder)[name] in {old[name], new}
        if failed:
            await update(month.list, folder / name, resume=True)
        assert (content(folder)[name], manifest_of(folder, name)) == (new, told)
        if count[0] < at:
            break
    assert at > 10


async def test_a_first_update_killed_before_its_manifest_goes_on(
    tmp_path: Path, month: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is there and its manifest is not: going on writes it, and asks the server for nothing."""
    file = tmp_path / "x.jsonl"
    original = Path.replace

    def broken(path: Path, to: Path) -> Path:
        if to.name.endswith("manifest.json"):
            raise OSError
        return original(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", broken)
        assert await fails(update(month.list, file), OSError)
    assert len(read(file)) == 60
    asked = len(month.asked)
    assert (await update(month.list, file, resume=True)).records == 60
    assert (len(month.asked), len(read(file))) == (asked, 60)


async def test_a_run_that_got_nothing_stands_in_nobodys_way(tmp_path: Path, month: Server) -> None:
    """What an update left that was refused its first page does not keep an export from beginning, nor the reverse."""
    month.refuse = lambda asked: ServerError("down") if asked in {1, 2} else None
    assert await fails(update(month.list, tmp_path / "x.jsonl"), ServerError)
    assert await fails(export(month.list(), tmp_path / "x.jsonl", resume=True), ServerError)
    assert (await update(month.list, tmp_path / "x.jsonl", resume=True)).records == 60


async def test_a_resumed_update_asks_for_the_same_days(tmp_path: Path, month: Server) -> None:
    """The first day of an interrupted update stays, and without `resume` it is not dropped by accident."""
    file = tmp_path / "x.jsonl"
    await update(month.list, file)
    grow(month)
    month.refuse = lambda asked: ServerError("down") if asked == 8 else None
    assert await fails(update(month.list, file), ServerError)
    with pytest.raises(ConfigurationError, match="holds an unfinished update"):
        await update(month.list, file)
    with pytest.raises(ConfigurationError, match=r"go on with update\(resume=True\)"):
        await export(month.list(), file, resume=True)
    manifest = await update(month.list, file, overlap=timedelta(days=5), resume=True)
    assert (manifest.since, manifest.records) == (date(2025, 11, 8), 63)


@pytest.mark.parametrize(
    ("overlap", "since"),
    [(timedelta(0), "2025-11-10"), (timedelta(hours=1), "2025-11-09"), (timedelta(days=2), "2025-11-08")],
)
async def test_overlap_is_counted_from_the_newest_record(
    tmp_path: Path, month: Server, overlap: timedelta, since: str
) -> None:
    """The first day asked for is that of the newest time in the file, less the overlap in whole days."""
    await update(month.list, tmp_path / "x.jsonl")
    manifest = await update(month.list, tmp_path / "x.jsonl", overlap=overlap)
    assert str(manifest.since) == since
    assert {value for name, value in month.asked[-1].query if name == "start_date"} == {since}


@attrs.frozen(kw_only=True)
class Timeless:
    """A record that tells no time."""

    id: str
    name: str
    tags: tuple[str, ...] = ()
    seen: Timestamp | None = None


async def test_records_without_times_are_listed_whole(tmp_path: Path, month: Server) -> None:
    """Where no record tells a time, there is no first day, and the rows are replaced by id all the same."""
    await update(lambda since: month.list_as(Timeless, since), tmp_path / "x.jsonl")
    grow(month)
    manifest = await update(lambda since: month.list_as(Timeless, since), tmp_path / "x.jsonl")
    assert (manifest.since, manifest.records, manifest.window_end) == (None, 63, None)
    assert len(dict(read(tmp_path / "x.jsonl"))) == 63


async def test_a_row_that_lost_its_line_end_is_mended(tmp_path: Path, month: Server) -> None:
    """An editor that cut the last line end does not join two rows into one."""
    file = tmp_path / "x.jsonl"
    await update(month.list, file)
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    assert (await update(month.list, file)).records == len(read(file)) == 60


async def test_doubts_of_earlier_runs_stay(tmp_path: Path, month: Server) -> None:
    """The file is proven only while every listing that went into it was."""
    file = tmp_path / "x.jsonl"
    assert (await update(month.list, file)).proven
    manifest_file = tmp_path / "x.jsonl.manifest.json"
    told = json.loads(manifest_file.read_bytes())
    manifest_file.write_text(json.dumps({**told, "proven": False, "doubts": ["why"]}), encoding="utf-8")
    manifest = await update(month.list, file)
    days = "an update rests on what the server's days mean, which is not documented"
    assert (manifest.proven, manifest.doubts) == (False, ("why", days))


async def test_a_file_of_another_listing_is_refused(tmp_path: Path, month: Server) -> None:
    """Another operation or filter is not mixed into the file; days may differ, and nothing is sent."""
    file = tmp_path / "x.jsonl"
    await update(month.list, file)
    asked, before = len(month.asked), content(tmp_path)
    for other in ({"path": "/others"}, {"colour": "red"}):
        with pytest.raises(CheckpointMismatchError, match=r"x\.jsonl is of another listing \(GET /things\)"):
            await update(lambda since, other=other: month.list_as(Plain, since, **other), file)  # type: ignore[misc]
    assert (len(month.asked), content(tmp_path)) == (asked, before)
    await update(lambda since: month.list(since, end_date="2025-12-31", from_day=str(since)), file)


async def test_a_file_without_manifest_is_refused(tmp_path: Path, month: Server) -> None:
    """What is in it is not known, so nothing is sent, and it is left as it is."""
    (tmp_path / "x.jsonl").write_bytes(b"mine\n")
    with pytest.raises(ConfigurationError, match=r"x\.jsonl has no manifest to go on from: export it again"):
        await update(month.list, tmp_path / "x.jsonl")
    assert (content(tmp_path), month.asked) == ({"x.jsonl": b"mine\n"}, [])


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"operation": 1}'])
async def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, month: Server, damage: bytes) -> None:
    """A manifest that is none, or of another version, is named, and nothing is sent."""
    (tmp_path / "x.jsonl").write_bytes(b"")
    (tmp_path / "x.jsonl.manifest.json").write_bytes(damage)
    with pytest.raises(ConfigurationError, match=r"x\.jsonl\.manifest\.json is no manifest of this version"):
        await update(month.list, tmp_path / "x.jsonl")
    assert month.asked == []


def damages() -> Iterator[tuple[str, bytes, str]]:
    """Give files that are not what an export wrote, and what is told of each."""
    yield "x.jsonl", b'{"id":"a"}\n{"id":', "row 2"
    yield "x.jsonl", b'{"name":"a"}\n', "row 1"
    yield "x.jsonl", b"[]\n", "row 1"
    yield "x.jsonl.gz", gzip.compress(b""), "x.jsonl.gz has 0 rows, and its manifest tells of 60"
    yield "x.jsonl", b'{"id":"a"}\n', "x.jsonl has 1 rows, and its manifest tells of 60"
    yield "x.jsonl.gz", gzip.compress(b'{"id":"a"}\n')[:-9], "row 1"
    yield "x.csv", b"id,name\na,b\n", "row 1"
    yield "x.csv", b"", "row 1"
    header = ",".join(row(1)).encode() + b"\n"
    yield "x.csv", header + b'"a', "row 1"
    yield "x.csv", header + b"a\n\n", "row 2"
    yield "x.csv", header + b"\xff\n", "row 1"
    yield "x.parquet", b"PAR1", "cannot be read as an export"


@pytest.mark.parametrize(("name", "damage", "told"), list(damages()))
async def test_a_damaged_file_is_left_as_it_is(
    tmp_path: Path, month: Server, name: str, damage: bytes, told: str
) -> None:
    """A row that cannot be read is named, what was fetched is kept, and the file is not touched."""
    file = tmp_path / name
    await update(month.list, file)
    file.write_bytes(damage)
    with pytest.raises(ConfigurationError, match=f"{told}.*export again with overwrite=True"):
        await update(month.list, file)
    assert file.read_bytes() == damage
    assert (await export(month.list(), file, overwrite=True)).records == 60


async def test_a_parquet_file_with_other_columns_is_refused(tmp_path: Path, month: Server) -> None:
    """Columns of another model are not forced into those of this one."""
    file = tmp_path / "x.parquet"
    await update(lambda since: month.list_as(Plain, since), file)
    with pytest.raises(ConfigurationError, match="cannot be read as an export of this version"):
        await update(month.list, file)


async def test_what_cannot_be_updated_is_refused(tmp_path: Path, month: Server) -> None:
    """Standard output, a negative overlap, and records without an id of their own: nothing is sent."""
    with pytest.raises(ConfigurationError, match="an update needs a file"):
        await update(month.list, "-")
    with pytest.raises(ConfigurationError, match="an overlap that is not negative"):
        await update(month.list, tmp_path / "x.jsonl", overlap=-timedelta(days=1))
    with pytest.raises(ConfigurationError, match="WebhookEventType records have no field id"):
        await update(lambda since: month.list_as(WebhookEventType, since), tmp_path / "x.jsonl")
    assert (month.asked, names(tmp_path)) == ([], [])
