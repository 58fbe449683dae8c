"""The formats: what a file holds, that other programs read it with the right types, and that its bytes are fixed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import attrs
import pytest

from envoy_async import EnvoyClient, models
from envoy_async.errors import ConfigurationError
from envoy_async.export import Manifest, export
from envoy_async.models import Call
from tests.export.conftest import Plain, Server, library, names, row

FIRST = row(249)
TYPES = {
    "id": "string",
    "name": "string",
    "created_at": "timestamp[us, tz=UTC]",
    "count": "int64",
    "share": "double",
    "good": "bool",
    "colour": "dictionary<values=string, indices=int32, ordered=0>",
    "updated_at": "timestamp[us, tz=UTC]",
    "day": "date32[day]",
    "note": "string",
    "box": "struct<size: int64 not null, colour: dictionary<values=string, indices=int32, ordered=0>>",
    "labels": "string",
    "custom": "string",
    "either": "string",
}
HALF = "half \ud83d pair"


def unpacked(path: Path) -> bytes:
    """Read a file, whatever it is packed with."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        with library("pyarrow").input_stream(str(path), compression="zstd") as stream:
            return bytes(stream.read())
    return path.read_bytes()


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "X.JSONL.GZ", "x.jsonl.zst"])
async def test_jsonl_holds_each_record_as_one_line(tmp_path: Path, server: Server, name: str) -> None:
    """A line is one record: fields in the model's order, times with a zone, text as it is, nothing left out."""
    manifest = await export(server.list(), tmp_path / name)

    content = unpacked(tmp_path / name.lower()) if name.islower() else gzip.decompress((tmp_path / name).read_bytes())
    lines = [json.loads(line) for line in content.splitlines()]
    expected = {**FIRST, "updated_at": "2025-11-01T04:09:00.000005+02:00"}
    assert list(lines[0]) == list(FIRST)
    assert lines[0] == expected
    assert "„Straße“".encode() in content
    assert [line["id"] for line in lines] == [f"thing_{number}" for number in reversed(range(250))]
    assert (manifest.format, manifest.records, manifest.bytes) == ("jsonl", 250, (tmp_path / name).stat().st_size)


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.csv.zst"])
async def test_csv_is_read_back_as_it_was(tmp_path: Path, server: Server, name: str) -> None:
    """A header, a row per record; quotes and line breaks are quoted, null is empty, and nested values are JSON."""
    server.rows.append(row(250, note=None, either="a", box=None, day=None))
    await export(server.list(), tmp_path / name)

    text = unpacked(tmp_path / name).decode()
    header, newest, second, *_ = csv.reader(io.StringIO(text, newline=""))
    assert header == list(FIRST)
    cells = dict(zip(header, second, strict=True))
    assert cells["name"] == FIRST["name"]
    assert (cells["count"], cells["share"], cells["good"]) == ("249", "62.25", "false")
    assert (cells["created_at"], cells["day"]) == ("2025-11-01T04:09:00.000005Z", "2025-11-21")
    assert json.loads(cells["labels"]) == FIRST["labels"]
    assert json.loads(cells["boxes"]) == FIRST["boxes"]
    assert json.loads(cells["custom"]) == FIRST["custom"]
    cells = dict(zip(header, newest, strict=True))
    assert (cells["note"], cells["either"], cells["box"], cells["day"]) == ("", "a", "", "")


async def test_csv_tells_null_from_an_empty_text(tmp_path: Path, server: Server) -> None:
    """Null is nothing between two commas, and an empty text is two quotes."""
    server.rows = [row(1, note=None, custom=None), row(2, note="", custom=None)]
    await export(server.list(), tmp_path / "x.csv")

    text = (tmp_path / "x.csv").read_text(encoding="utf-8")
    assert text.count('2025-11-21,,"[""blue"",""red""]"') == 1
    assert text.count('2025-11-21,"","[""blue"",""red""]"') == 1


async def test_parquet_has_the_types_of_the_model(tmp_path: Path, server: Server) -> None:
    """Pyarrow reads times with zone, days, numbers, enums as dictionaries, and nested values as such."""
    await export(server.list(), tmp_path / "x.parquet")

    table = library("pyarrow.parquet").read_table(tmp_path / "x.parquet")
    found = {field.name: str(field.type) for field in table.schema}
    assert {name: found[name] for name in TYPES} == TYPES
    assert found["colours"].startswith("list<")
    assert found["boxes"].startswith("list<")
    assert [field.name for field in table.schema if not field.nullable] == [
        "id", "name", "created_at", "count", "share", "good", "colour", "boxes",
    ]  # fmt: skip
    first = table.slice(0, 1).to_pylist()[0]
    assert first["created_at"] == datetime(2025, 11, 1, 4, 9, 0, 5, UTC)
    assert first["updated_at"] == datetime(2025, 11, 1, 2, 9, 0, 5, UTC)
    assert first["day"] == date(2025, 11, 21)
    assert (first["box"], first["boxes"]) == (FIRST["box"], FIRST["boxes"])
    assert (first["colour"], first["colours"], first["note"]) == ("red", ["blue", "red"], "")
    assert (json.loads(first["labels"]), json.loads(first["custom"])) == (FIRST["labels"], FIRST["custom"])
    assert first["either"] == "249"
    assert table.num_rows == 250


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.csv.zst", "x.parquet"])
async def test_a_listing_without_records_gives_a_file_without_rows(tmp_path: Path, name: str) -> None:
    """The file is there and can be read, with all columns where the format has any."""
    manifest = await export(Server([]).list(), tmp_path / name)

    assert (manifest.records, manifest.window_start, manifest.window_end) == (0, None, None)
    assert manifest.id_digest == 32 * "0"
    if name.endswith("parquet"):
        assert library("pyarrow.parquet").read_table(tmp_path / name).column_names == list(FIRST)
    else:
        assert unpacked(tmp_path / name) == (b"" if "jsonl" in name else ",".join(FIRST).encode() + b"\n")


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst", "x.csv", "x.csv.gz", "x.parquet"])
async def test_the_bytes_depend_on_the_records_alone(
    tmp_path: Path, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two exports of the same records give the same file, however many records came with a page."""
    monkeypatch.setattr("envoy_async.export._arrow.ROWS", 60)
    (tmp_path / "other").mkdir()
    one = await export(server.list(), tmp_path / name)
    two = await export(server.list(size=7), tmp_path / "other" / name)

    assert (tmp_path / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    assert (one.sha256, one.id_digest, one.bytes) == (two.sha256, two.id_digest, two.bytes)
    if name == "x.parquet":
        assert library("pyarrow.parquet").ParquetFile(tmp_path / name).num_row_groups == 5


async def test_many_rows_are_not_python_objects_at_once(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows go to Parquet a few at a time, and none is lost where one lot ends."""
    monkeypatch.setattr("envoy_async.export._arrow._AT_ONCE", 50)
    await export(server.list(), tmp_path / "x.parquet")

    ids = library("pyarrow.parquet").read_table(tmp_path / "x.parquet").column("id").to_pylist()
    assert ids == [f"thing_{number}" for number in reversed(range(250))]


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
async def test_half_a_surrogate_pair_becomes_a_question_mark(tmp_path: Path, name: str) -> None:
    """Text that no UTF-8 file can hold is marked in CSV and Parquet, also within nested values; the rest is kept."""
    server = Server([row(1, name=HALF, custom={"a": HALF})])
    await export(server.list_as(Plain), tmp_path / name)

    if name == "x.csv":
        (cells,) = csv.DictReader(io.StringIO((tmp_path / name).read_text(encoding="utf-8"), newline=""))
    else:
        (cells,) = library("pyarrow.parquet").read_table(tmp_path / name).to_pylist()
    assert (cells["name"], json.loads(cells["custom"])) == ("half ? pair", {"a": "half ? pair"})


async def test_jsonl_keeps_half_a_surrogate_pair(tmp_path: Path) -> None:
    """JSON can hold it as an escape, so nothing is lost."""
    await export(Server([row(1, name=HALF, custom={"a": HALF})]).list_as(Plain), tmp_path / "x.jsonl")

    line = json.loads((tmp_path / "x.jsonl").read_bytes())
    assert (line["name"], line["custom"]) == (HALF, {"a": HALF})


async def test_numbers_parquet_cannot_hold_are_an_error(tmp_path: Path) -> None:
    """A number of more than 64 bits is whole in JSONL, and in Parquet an error that names the field."""
    server = Server([row(1, count=2**70)])
    await export(server.list(), tmp_path / "x.jsonl")
    assert json.loads((tmp_path / "x.jsonl").read_bytes())["count"] == 2**70

    with pytest.raises(ConfigurationError, match=r"count holds a number of more than 64 bits.*\.jsonl"):
        await export(server.list(), tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("name", ["x", "x.json", "x.gz", "x.txt.gz", "x.parquet.gz", "jsonl", "x.jsonl.gz.zst"])
async def test_unknown_ending_names_the_known_ones(tmp_path: Path, server: Server, name: str) -> None:
    """A name without a known format is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match=r"names no format: the known endings are \.jsonl, \.ndjson, \.csv"):
        await export(server.list(), tmp_path / name)
    assert (server.asked, names(tmp_path)) == ([], [])


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl.zst"])
async def test_missing_package_is_named(
    tmp_path: Path, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyarrow, Parquet and zstd are refused before anything is sent, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r'needs one more package: pip install "envoy-async\[parquet\]"'):
        await export(server.list(), tmp_path / name)
    assert (server.asked, names(tmp_path)) == ([], [])


async def test_gzip_and_plain_formats_need_no_pyarrow(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSONL and CSV, also with gzip, come with the package itself."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in ("x.jsonl", "x.jsonl.gz", "x.csv", "x.csv.gz"):
        assert (await export(server.list(), tmp_path / name)).records == 250


async def test_every_listing_of_the_client_can_be_exported(tmp_path: Path, envoy: EnvoyClient) -> None:
    """Loads, carriers, offers, and outreaches go to Parquet and come back with their nested values."""
    manifests = [
        await export(envoy.loads.list(), tmp_path / "loads.parquet"),
        await export(envoy.carriers.list(), tmp_path / "carriers.parquet"),
        await export(envoy.offers.list(), tmp_path / "offers.parquet"),
        await export(envoy.outreaches.list(), tmp_path / "outreaches.parquet"),
    ]
    for manifest in manifests:
        table = library("pyarrow.parquet").read_table(tmp_path / manifest.file)
        assert table.num_rows == manifest.records > 0
        assert table.column_names == [field.name for field in attrs.fields(getattr(models, manifest.item))]
    loads = library("pyarrow.parquet").read_table(tmp_path / "loads.parquet").to_pylist()
    assert {stop["location"]["state"] for load in loads for stop in load["stops"]}


async def test_calls_in_jsonl_equal_what_get_returns(tmp_path: Path, envoy: EnvoyClient) -> None:
    """A line of the file read as a model is the record the API gives."""
    await export(envoy.calls.list(limit=1), tmp_path / "x.jsonl")

    msgspec = library("msgspec")
    call = msgspec.json.decode((tmp_path / "x.jsonl").read_bytes(), type=Call)
    assert call == await envoy.calls.get(call.id)
    assert Manifest.beside(tmp_path / "x.jsonl") is not None
