"""JSON to models and back, through one private cattrs converter.

The rule: an answer's bytes go once through one cached msgspec decoder that builds the models. Only when
that fails does the slow way run (stdlib JSON, then cattrs with strict hooks), which either reads what
msgspec is too strict for or says where and why the answer is wrong. A wrong type never passes silently,
an unknown field or enum value never fails, and no value of the answer enters an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache, partial
from types import GenericAlias
from typing import NoReturn, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.cols import (
    list_structure_factory,
    mapping_structure_factory,  # pyright: ignore[reportUnknownVariableType] - a default without a type
)

from ..models import Page, Timestamp
from ._pages import OnInvalid, Sifted, sifted_page, whole_page, written
from ._slow import ExpectedError, Json, Loose, loosely, whole_value
from ._writing import encode, unstructure

__all__ = ["OnInvalid", "encode", "readable", "structure", "structure_page", "unstructure"]

T = TypeVar("T")
_Reader = Callable[..., Callable[..., object]]
_JSON = "a type of JSON"
_TEXT, _NUMBER, _ARRAY, _OBJECT, _INSTANT = "string", "number", "array", "object", "datetime with a time zone"
_FINITE_BITS = 1024  # a whole number of more bits is no finite float
_UNLIKE_JSON = (bytes, bytearray, memoryview, set, frozenset)


def structure(body: bytes, type_: type[T]) -> T:
    """Read an answer's bytes as *type_*: a model, `Page[model]`, `tuple[model, ...]`, or a mapping.

    Raises:
        InvalidResponseError: with the JSON path of what is wrong.
    """
    form = type_ if Page in (type_, get_origin(type_)) else Json[type_]  # type: ignore[valid-type]
    return cast("T", _converter().structure(body, form))


def structure_page(body: bytes, item: type[T], on_invalid: OnInvalid) -> Page[T]:
    """Read an answer's bytes as a page of *item*; records that cannot be read are left out unless told to raise.

    They are in `Page.invalid`, for `skip` as for `collect`.

    Raises:
        InvalidResponseError: with the JSON path of what is wrong; for any *on_invalid* when that is no record.
    """
    if on_invalid == "raise":
        return structure(body, Page[item])  # type: ignore[valid-type]
    return cast("Page[T]", _converter().structure(body, Sifted[item]))  # type: ignore[valid-type]


def readable(type_: object) -> bool:
    """Whether answers can be read as *type_*."""
    if _unlike(type_):
        return False
    try:
        _converter().get_structure_hook(Json[type_])  # type: ignore[valid-type]
    except Exception:  # noqa: BLE001 - it may be anything
        return False
    return True


def _unlike(type_: object) -> bool:
    return (get_origin(type_) or type_) in _UNLIKE_JSON or any(map(_unlike, get_args(type_)))


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    for leaf in (int, bool):
        converter.register_structure_hook(leaf, _strictly(leaf))
    converter.register_structure_hook(bytes, _unlike_json)  # cattrs has one of its own, which makes 5 of them from 5
    converter.register_structure_hook(msgspec.Raw, written)
    converter.register_structure_hook(str, _string)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook_func(lambda t: t is Timestamp, _timestamp)
    converter.register_structure_hook_func(lambda t: t is object, lambda value, _: value)
    converter.register_structure_hook_factory(attrs.has, partial(_object, converter))
    for unlike in _UNLIKE_JSON:
        converter.register_structure_hook_func(_made_from(unlike), _unlike_json)
    arrays: Iterator[tuple[object, _Reader]] = ((origin, _array) for origin in (Sequence, tuple, list))
    bodies: list[tuple[object, _Reader]] = [(Json, whole_value), (Loose, partial(whole_value, parse=loosely))]
    bodies += [(Page, whole_page), (Sifted, sifted_page)]
    for origin, reader in (*arrays, (dict, _mapping), *bodies):
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
