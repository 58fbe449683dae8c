"""Tables for people: as many columns as fit, the telling ones first; one record as a list of its fields.

The rule: nothing that came from a server reaches the terminal as a control character or as markup.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from .output import Record, to_json

_WIDTH = 100  # where nobody says how wide the screen is
_WIDEST = 28  # cells of a listing, except ids, which are there to be copied
_NAMES = ("id", "load_number", "name", "status")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d)")
_GAP = 2


class Table:
    """A listing as a table, drawn at the end."""

    def __init__(self, file: TextIO, fields: Sequence[str]) -> None:
        self._file = file
        self._fields = fields
        self._records: list[Record] = []

    def add(self, records: Sequence[Record]) -> None:
        """Keep the records."""
        self._records.extend(records)

    def end(self) -> None:
        """Draw the table, and say what it leaves out."""
        screen = console(self._file)
        columns = {name: [_short(name, record.get(name)) for record in self._records] for name in self._fields}
        filled = {name: cells for name, cells in columns.items() if any(cells)}
        shown = _fitting(filled, screen.width)
        if shown:
            screen.print(_drawn(shown, self._records))
        hidden = [name for name in filled if name not in shown]
        screen.print(Text(_summary(len(self._records), hidden), style="dim"))


def write_fields(record: Record, file: TextIO) -> None:
    """Draw one record, a field per line."""
    table = RichTable.grid(padding=(0, _GAP))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in record.items():
        table.add_row(printable(name), Text("null", style="dim") if value is None else Text(_whole(value)))
    console(file).print(table)


def console(file: TextIO) -> Console:
    """Make a console on *file*, as wide as the terminal."""
    width = None if file.isatty() else shutil.get_terminal_size((_WIDTH, 25)).columns
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """Replace what could steer a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def counted(count: int, noun: str) -> str:
    """Write a number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _drawn(shown: Mapping[str, Sequence[str]], records: Sequence[Record]) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in shown:
        numbers = all(isinstance(record.get(name), int | float | None) for record in records)
        table.add_column(Text(_title(name)), justify="right" if numbers else "left", no_wrap=True)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _fitting(columns: Mapping[str, Sequence[str]], width: int) -> dict[str, Sequence[str]]:
    """Choose the columns that fit the width, in order of rank; the first one in any case."""
    shown: dict[str, Sequence[str]] = {}
    left = width
    for name in sorted(columns, key=_rank):
        needed = max(cell_len(text) for text in (_title(name), *columns[name]))
        if needed <= left or not shown:
            shown[name] = columns[name]
            left -= needed + _GAP + 1
    return shown


def _rank(name: str) -> int:
    """Rank a field: what it is called, what it is like, and last what points elsewhere or keeps the books."""
    if name in _NAMES:
        return _NAMES.index(name)
    books = name.endswith("_id") or name in {"created_at", "updated_at"}
    return len(_NAMES) + books


def _title(name: str) -> str:
    return printable(name.replace("_", " "))


def _summary(count: int, hidden: Sequence[str]) -> str:
    records = counted(count, "record") if count else "no records"
    return f"{records} · {counted(len(hidden), 'more field')} with --output json, jsonl, or csv" if hidden else records


def _short(name: str, value: object) -> str:
    """Write a cell of a listing."""
    if value is None:
        return ""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
    text = printable(value if isinstance(value, str) else to_json(value))
    return text if name.endswith("id") or len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _whole(value: object) -> str:
    """Write a field of a single record."""
    text = value if isinstance(value, str) else to_json(value, indent=2)
    return "\n".join(map(printable, text.splitlines()))
