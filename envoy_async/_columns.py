"""What columns a model has.

The rule: columns come from the model alone, never from the data, so that two exports of one listing always agree,
and an empty one has them all. What has no fixed shape, such as a custom field, is one column of JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import Enum, auto
from types import NoneType, UnionType
from typing import Annotated, Union, cast, get_args, get_origin, get_type_hints

import attrs


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
