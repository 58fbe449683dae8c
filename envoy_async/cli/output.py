"""Answers as text: a table to look at, or JSON, JSON lines, and CSV to work with.

The rule: records go out as they come, page by page; only a table waits for all of them, to fit its columns.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol, TextIO, TypeAlias, cast

import attrs

from .._converter import unstructure

Format: TypeAlias = Literal["table", "json", "jsonl", "csv"]
Record: TypeAlias = Mapping[str, object]


class Sheet(Protocol):
    """Something records are written on."""

    def add(self, records: Sequence[Record]) -> None:
        """Write these records next."""
        ...

    def end(self) -> None:
        """Write what comes after the last record."""
        ...


@attrs.define
class Lines:
    """JSON lines: one object per line."""

    file: TextIO

    def add(self, records: Sequence[Record]) -> None:
        """Write each record on its line."""
        self.file.write("".join(f"{to_json(record)}\n" for record in records))

    def end(self) -> None:
        """Write nothing: the last line is complete."""


@attrs.define
class Array:
    """One JSON array, a record per line."""

    file: TextIO
    _before: str = "["

    def add(self, records: Sequence[Record]) -> None:
        """Write the next elements."""
        for record in records:
            self.file.write(f"{self._before}\n{to_json(record)}")
            self._before = ","

    def end(self) -> None:
        """Close the array."""
        self.file.write("[]\n" if self._before == "[" else "\n]\n")


class Columns:
    """CSV with a header; nested values as JSON text, null as an empty cell."""

    def __init__(self, file: TextIO, fields: Sequence[str]) -> None:
        self._rows = csv.writer(file, lineterminator="\n")
        self._fields = fields
        self._rows.writerow(fields)

    def add(self, records: Sequence[Record]) -> None:
        """Write each record as a row."""
        self._rows.writerows([_cell(record.get(field)) for field in self._fields] for record in records)

    def end(self) -> None:
        """Write nothing: the last row is complete."""


def chosen(wanted: Format | None, file: TextIO, to: Path | None, *, listing: bool) -> Format:
    """Choose the format: what is wanted, else a table for people and JSON for programs."""
    if wanted is not None:
        return wanted
    if to is None and file.isatty():
        return "table"
    return "jsonl" if listing else "json"


def sheet(format: Format, file: TextIO, fields: Sequence[str]) -> Sheet:
    """Make what many records of these *fields* are written on."""
    if format == "table":
        from .tables import Table

        return Table(file, fields)
    if format == "csv":
        return Columns(file, fields)
    return Array(file) if format == "json" else Lines(file)


def write(answer: object, format: Format, file: TextIO) -> None:
    """Write one answer, which is mostly a record; nothing for an answer without content."""
    plain = unstructure(answer)
    if plain is None:
        return
    if format == "json":
        file.write(f"{to_json(plain, indent=2)}\n")
        return
    several = isinstance(plain, list)
    records = [_record(item) for item in (cast("list[object]", plain) if several else [plain])]
    if format == "table" and not several:
        from .tables import write_fields

        write_fields(records[0], file)
        return
    fields = tuple(dict.fromkeys(name for record in records for name in record))
    page = sheet(format, file, fields)
    page.add(records)
    page.end()


def records_of(items: Sequence[object]) -> list[Record]:
    """Turn models into JSON-ready records."""
    return [_record(unstructure(item)) for item in items]


def to_json(value: object, indent: int | None = None) -> str:
    """Write JSON text that people can read."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _record(plain: object) -> Record:
    return cast("Record", plain) if isinstance(plain, dict) else {"value": plain}


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value)
