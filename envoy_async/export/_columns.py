"""What columns a model has, and how its values are written.

The rule: columns come from the model alone, never from the data, so that two exports of one listing always agree,
and an empty one has them all. What has no fixed shape, such as a custom field, is one column of JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import Enum, auto
from types import NoneType, UnionType
from typing import Annotated, Union, cast, get_args, get_origin, get_type_hints

import attrs
import msgspec


class Kind(Enum):
    """What a column holds."""

    TEXT = auto()
    CHOICE = auto()  # of an enum
    TRUTH = auto()
    WHOLE = auto()
    NUMBER = auto()
    INSTANT = auto()
    DAY = auto()
    ARRAY = auto()
    OBJECT = auto()
    JSON = auto()


_LEAVES = {
    str: Kind.TEXT,
    bool: Kind.TRUTH,
    int: Kind.WHOLE,
    float: Kind.NUMBER,
    datetime: Kind.INSTANT,
    date: Kind.DAY,
}
_ARRAYS = {tuple, list, Sequence}


@attrs.frozen
class Column:
    """One field of a model: name, kind, and for a nested one what is inside."""

    name: str
    kind: Kind
    nullable: bool
    inside: tuple[Column, ...] = ()
    """The fields of an object, or the one item of an array."""


def columns_of(model: type) -> tuple[Column, ...]:
    """Derive the columns of a model, in the order of its fields."""
    hints = cast("Mapping[str, object]", get_type_hints(model, include_extras=True))
    return tuple(_column(field.name, hints[field.name]) for field in attrs.fields(model))


def _column(name: str, hint: object) -> Column:
    members = set(get_args(hint)) if get_origin(hint) in {UnionType, Union} else {hint}
    nullable = bool(members & {None, NoneType})
    left = members - {None, NoneType}
    if len(left) != 1:
        return Column(name, Kind.JSON, nullable=True)
    (bare,) = left
    bare = get_args(bare)[0] if get_origin(bare) is Annotated else bare
    if get_origin(bare) in _ARRAYS:
        return Column(name, Kind.ARRAY, nullable, (_column("item", get_args(bare)[0]),))
    return _of_class(name, bare, nullable=nullable)


def _of_class(name: str, bare: object, *, nullable: bool) -> Column:
    if isinstance(bare, type) and attrs.has(bare):
        return Column(name, Kind.OBJECT, nullable, columns_of(bare))
    if isinstance(bare, type) and issubclass(bare, Enum):
        return Column(name, Kind.CHOICE, nullable)
    kind = _LEAVES.get(cast("type", bare), Kind.JSON)
    return Column(name, kind, nullable or kind is Kind.JSON)


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
