"""How the values of a record are written: a line of JSON, or the text of one cell.

The rule: a line has the fields of the columns in their order, and loses nothing; a cell holds what UTF-8 can hold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

import msgspec

from .._columns import Column, Kind


def line(columns: tuple[Column, ...], record: object) -> bytes:
    """Write a record as one line of JSON, in the order of the columns; text is not escaped."""
    fields = _fields(columns, record)
    try:
        return msgspec.json.encode(fields) + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold as an escape
        return json.dumps(msgspec.to_builtins(fields), separators=(",", ":")).encode() + b"\n"


def _fields(columns: tuple[Column, ...], record: object) -> dict[str, object]:
    return {column.name: _plain(column, getattr(record, column.name)) for column in columns}


def _plain(column: Column, value: object) -> object:
    if value is None:
        return None
    if column.kind is Kind.OBJECT:
        return _fields(column.inside, value)
    if column.kind is Kind.ARRAY:
        return [_plain(column.inside[0], item) for item in cast("Sequence[object]", value)]
    return value


def json_text(value: object) -> str:
    """Write a nested value as JSON text for one cell."""
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))


def whole_text(text: str) -> str:
    """Put a question mark in place of half a surrogate pair, which no UTF-8 file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
