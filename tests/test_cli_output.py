"""Answers as text: four formats that hold the same records, and files that appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from pathlib import Path

import pytest

from envoy_async._paging import Report
from envoy_async.cli.output import Format, Record, chosen, sheet, write
from envoy_async.cli.progress import Meter
from envoy_async.cli.tables import write_fields
from envoy_async.cli.target import opened
from envoy_async.models import EndCallResult

RECORDS: list[Record] = [
    {"id": "call_1", "status": "ÉTÉ", "tags": ["a"], "at": "2025-11-21T16:05:09.5+01:00", "miles": 3, "none": None},
    {"id": "call_2", "status": "\x1b[2Jx", "tags": None, "at": None, "miles": None, "none": None},
]
FIELDS = ("at", "tags", "status", "miles", "none", "id")


def written(format: Format, *pages: list[Record], fields: tuple[str, ...] = FIELDS) -> str:
    """Write pages of records in a format."""
    file = io.StringIO()
    paper = sheet(format, file, fields)
    for page in pages:
        paper.add(page)
    paper.end()
    return file.getvalue()


def test_json_is_one_array_however_many_pages() -> None:
    """Pages are joined; no page gives an empty array."""
    assert json.loads(written("json", RECORDS[:1], [], RECORDS[1:])) == RECORDS
    assert json.loads(written("json")) == []


def test_jsonl_is_one_object_per_line() -> None:
    """Each line stands for itself, and letters stay letters."""
    lines = written("jsonl", RECORDS[:1], RECORDS[1:]).splitlines()
    assert [json.loads(line) for line in lines] == RECORDS
    assert "ÉTÉ" in lines[0]


def test_csv_has_a_header_also_without_records() -> None:
    """Nested values are JSON text and null is empty."""
    rows = list(csv.DictReader(io.StringIO(written("csv", RECORDS))))
    assert rows[0] == {**dict.fromkeys(FIELDS, ""), **RECORDS[0], "tags": '["a"]', "miles": "3", "none": ""}
    assert written("csv") == "at,tags,status,miles,none,id\n"


def test_a_table_shows_telling_columns_first() -> None:
    """The id leads, moments are short, empty columns are gone, and nothing steers the terminal."""
    drawn = written("table", RECORDS)
    assert drawn.splitlines()[0].split() == ["id", "status", "at", "tags", "miles"]
    assert "2025-11-21 15:05Z" in drawn
    assert "\x1b" not in drawn
    assert "\N{REPLACEMENT CHARACTER}[2Jx" in drawn
    assert drawn.splitlines()[-1] == "2 records"


def test_a_table_drops_what_does_not_fit() -> None:
    """Columns that do not fit 100 characters are counted; long cells are cut, ids never."""
    record: Record = {"id": "i" * 90, "long": "x" * 50, "load_id": "y" * 90}
    drawn = written("table", [record], fields=tuple(record))
    assert drawn.splitlines()[-1] == "1 record · 2 more fields with --output json, jsonl, or csv"
    assert "i" * 90 in drawn
    cut = written("table", [{"id": "1", "long": "x" * 50}], fields=("id", "long"))
    assert "x" * 27 + "…" in cut


def test_an_empty_table_says_so() -> None:
    """No record, no header."""
    assert written("table") == "no records\n"


def test_one_record_is_drawn_field_by_field() -> None:
    """All fields are there, nested ones over several lines, null as null."""
    file = io.StringIO()
    write_fields({"id": "1", "stops": [{"city": "Gary\x07"}], "rate": None, "posted": True}, file)
    lines = [line.split(maxsplit=1) for line in file.getvalue().splitlines()]
    assert ["id", "1"] in [[part.strip() for part in line] for line in lines]
    assert '"city": "Gary\\u0007"' in file.getvalue()
    assert "null" in file.getvalue()
    assert "true" in file.getvalue()


@pytest.mark.parametrize(
    ("answer", "format", "text"),
    [
        (EndCallResult(success=True, message="m", call_id="c"), "jsonl", '{"success": true, "message": "m", '),
        (
            EndCallResult(success=True, message="m", call_id="c"),
            "csv",
            "success,message,call_id,previous_status\ntrue,",
        ),
        ({"a": 1}, "json", '{\n  "a": 1\n}\n'),
        (("x", "y"), "csv", "value\nx\ny\n"),
        (("x", "y"), "table", "value\n"),
        (None, "json", ""),
    ],
)
def test_single_answers_of_every_kind(answer: object, format: Format, text: str) -> None:
    """Models, mappings, arrays, and nothing can be answers."""
    file = io.StringIO()
    write(answer, format, file)
    assert "\n".join(line.rstrip() for line in file.getvalue().split("\n")).startswith(text)


def test_the_format_follows_where_it_goes(tmp_path: Path) -> None:
    """Programs get lines for listings and JSON for single answers; what is wanted wins."""
    file = io.StringIO()
    assert chosen(None, file, None, listing=True) == "jsonl"
    assert chosen(None, file, tmp_path, listing=False) == "json"
    assert chosen("csv", file, None, listing=True) == "csv"


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """Nothing stands under the name, old or new, before the end; then the content does."""
    path = tmp_path / "x.jsonl"
    path.write_text("old")
    with opened(path) as file:
        file.write("new\n")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_leaves_no_file(tmp_path: Path, error: type[BaseException]) -> None:
    """An error or Ctrl-C leaves nothing behind."""

    def fail() -> None:
        with opened(tmp_path / "x.jsonl") as file:
            file.write("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    """The error names the file that was asked for, not the one in between."""
    path = tmp_path / "missing" / "x.jsonl"
    with pytest.raises(FileNotFoundError) as refused, opened(path):
        pass
    assert refused.value.filename == str(path)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Writing through a symbolic link replaces the file behind it."""
    link, path = tmp_path / "link", tmp_path / "file"
    link.symlink_to(path)
    with opened(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert path.read_text() == "new"


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    """Devices and pipes are not replaced by a file."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(path.read_text()))
    reader.start()
    with opened(path) as file:
        file.write("new")
    reader.join(timeout=10)
    assert found == ["new"]
    assert path.is_fifo()


def test_no_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs and pipes stay free of progress bars."""
    with Meter("calls") as meter:
        meter.show(Report(records=1, total_at_start=2))
        meter.show(Report(records=2, finished=True, rate_limited=1, waited=2.0))
    assert capsys.readouterr() == ("", "")
