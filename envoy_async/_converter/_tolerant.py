"""Parsed JSON to models through one private cattrs converter: what msgspec is too strict for, and what is wrong.

The rule: a wrong type never passes, an unknown field or enum value never fails, and no value of the answer enters an
error. Few answers come by here, so this module, and cattrs with it, loads when the first does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, partial
from types import GenericAlias
from typing import Any, NoReturn, cast, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.cols import (
    list_structure_factory,
    mapping_structure_factory,  # pyright: ignore[reportUnknownVariableType] - a default without a type
)
from cattrs.v import format_exception

from ..errors import InvalidResponseError
from ..models import Timestamp
from ._slow import UNLIKE_JSON

_Reader = Callable[..., Callable[..., object]]
_JSON = "a type of JSON"
_TEXT, _NUMBER, _ARRAY, _OBJECT, _INSTANT = "string", "number", "array", "object", "datetime with a time zone"
_FINITE_BITS = 1024  # a whole number of more bits is no finite float
_DOUBTS = 3  # how many places of a wrong answer the error names


class ExpectedError(TypeError):
    """What stood in the way of a wrong value: the expectation, never the value."""


def tolerantly(value: object, target: Any, place: str, part: str) -> object:
    """Read parsed JSON as a type, or raise with every place that is wrong; *part* says where it stands, if anywhere."""
    try:
        return _converter().structure(value, target)
    except (cattrs.BaseValidationError, ExpectedError) as error:
        doubts = "; ".join(cattrs.transform_error(error, place, format_exception=_reason)[:_DOUBTS])
    except Exception:  # noqa: BLE001 - the type may be the caller's own, and raise what it likes
        doubts = f"JSON cannot be read as the type asked for{part}"
    raise InvalidResponseError(doubts)


def _reason(error: BaseException, type_: type | None) -> str:
    """Say what was expected and never what was found: values may be personal data."""
    if isinstance(error, ExpectedError):
        return f"expected {error}"
    known = isinstance(error, KeyError | ValueError)  # what cattrs says of the others may quote the value
    return format_exception(error, type_) if known else "not what was expected"


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    for leaf in (int, bool):
        converter.register_structure_hook(leaf, _strictly(leaf))
    converter.register_structure_hook(bytes, _unlike_json)  # cattrs has one of its own, which makes 5 of them from 5
    converter.register_structure_hook(msgspec.Raw, _written)
    converter.register_structure_hook(str, _string)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook_func(lambda t: t is Timestamp, _timestamp)
    converter.register_structure_hook_func(lambda t: t is object, lambda value, _: value)
    converter.register_structure_hook_factory(attrs.has, partial(_object, converter))
    for unlike in UNLIKE_JSON:
        converter.register_structure_hook_func(_made_from(unlike), _unlike_json)
    readers: list[tuple[object, _Reader]] = [(origin, _array) for origin in (Sequence, tuple, list)]
    for origin, reader in (*readers, (dict, _mapping)):
        converter.register_structure_hook_factory(_made_from(origin), partial(reader, converter))
    return converter


def _strictly(leaf: type) -> Callable[[object, object], object]:
    def hook(value: object, _: object) -> object:
        if type(value) is not leaf:
            raise ExpectedError(leaf.__name__)
        return value

    return hook


def _string(value: object, type_: type[str]) -> str:
    if not isinstance(value, str):
        raise ExpectedError(_TEXT)
    return value if type_ is str else type_(value)  # cattrs sends the string enums here as well


def _float(value: object, _: object) -> float:
    if type(value) is int and value.bit_length() < _FINITE_BITS:
        return float(value)
    if type(value) is not float:
        raise ExpectedError(_NUMBER)
    return value


def _timestamp(value: object, _: object) -> datetime:
    try:
        return msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        raise ExpectedError(_INSTANT) from None


def _written(value: object, _: object) -> msgspec.Raw:
    """Write a parsed value anew, where its own bytes cannot be told from those around it."""
    return msgspec.Raw(json.dumps(value).encode())


def _unlike_json(_: object, __: object) -> NoReturn:
    raise ExpectedError(_JSON)


def _made_from(origin: object) -> Callable[[object], bool]:
    return lambda type_: type_ is origin or get_origin(type_) is origin


def _object(converter: cattrs.Converter, type_: type) -> Callable[[object, object], object]:
    """Read a JSON object as a model; cattrs alone would name a missing field for anything else."""
    read = cast("Callable[[object, object], object]", converter.gen_structure_attrs_fromdict(type_))

    def hook(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise ExpectedError(_OBJECT)
        return read(cast("object", value), type_)

    return hook


def _mapping(converter: cattrs.Converter, type_: type) -> Callable[[object, object], object]:
    """Read a JSON object of any keys; cattrs alone would name a missing method for anything else."""
    whole = cast("type", GenericAlias(dict, get_args(type_) or (str, object)))
    read = cast("Callable[[object, object], object]", mapping_structure_factory(whole, converter))

    def hook(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise ExpectedError(_OBJECT)
        return read(cast("object", value), whole)

    return hook


def _array(converter: cattrs.Converter, type_: type) -> Callable[[object, object], object]:
    """Read a JSON array; cattrs alone would take any iterable, a string among them."""
    if get_origin(type_) is tuple and ... not in get_args(type_):
        return _places(converter, get_args(type_))
    items = cast("type", GenericAlias(list, get_args(type_)[:1] or (object,)))
    origin = get_origin(type_) or type_
    build = cast("Callable[[object], object]", list if origin is Sequence else origin)
    read = list_structure_factory(items, converter)

    def hook(value: object, _: object) -> object:
        if not isinstance(value, list):
            raise ExpectedError(_ARRAY)
        return build(read(cast("list[object]", value), items))

    return hook


def _places(converter: cattrs.Converter, types: tuple[type, ...]) -> Callable[[object, object], object]:
    """Read a JSON array whose items are each of a type of their own."""

    def hook(value: object, _: object) -> tuple[object, ...]:
        if not isinstance(value, list) or len(cast("list[object]", value)) != len(types):
            raise ExpectedError(f"{_ARRAY} of {len(types)}")
        pairs = zip(cast("list[object]", value), types, strict=True)
        return tuple(cast("object", converter.structure(item, type_)) for item, type_ in pairs)

    return hook
