"""JSON to models and back, through one private cattrs converter.

The rule: an answer's bytes go once through one cached msgspec decoder that builds the models. Only when
that fails does the slow way run (stdlib JSON, then cattrs with strict hooks), which either reads what
msgspec is too strict for or says where and why the answer is wrong. A wrong type never passes silently,
an unknown field or enum value never fails, and no value of the answer enters an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, partial
from types import GenericAlias
from typing import Any, Generic, NoReturn, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.cols import (
    list_structure_factory,
    mapping_structure_factory,  # pyright: ignore[reportUnknownVariableType] - a default without a type
)
from cattrs.v import format_exception

from ..errors import InvalidResponseError
from ..models import Page, Timestamp
from ._writing import encode, unstructure

__all__ = ["encode", "readable", "structure", "unstructure"]

T = TypeVar("T")
_JSON = "a type of JSON"
_TEXT, _NUMBER, _ARRAY, _OBJECT, _INSTANT = "string", "number", "array", "object", "datetime with a time zone"
_FINITE_BITS = 1024  # a whole number of more bits is no finite float
_BEFORE = b"\xef\xbb\xbf \t\r\n"  # what may stand before a JSON value
_UNLIKE_JSON = (bytes, bytearray, memoryview, set, frozenset)
_DOUBTS = 3  # how many places of a wrong answer the error names


@attrs.frozen(kw_only=True)
class _Pagination:
    page: int
    page_size: int
    total_count: int | None = None
    total_pages: int | None = None
    has_next: bool | None = None


@attrs.frozen(kw_only=True)
class _Envelope(Generic[T]):
    data: tuple[T, ...]
    pagination: _Pagination


class _Json(Generic[T]):
    """The type of bytes that hold a `T`."""


def structure(body: bytes, type_: type[T]) -> T:
    """Read an answer's bytes as *type_*: a model, `Page[model]`, `tuple[model, ...]`, or a mapping.

    Raises:
        InvalidResponseError: with the JSON path of what is wrong.
    """
    whole = type_ if Page in (type_, get_origin(type_)) else _Json[type_]  # type: ignore[valid-type]
    return cast("T", _converter().structure(body, whole))


def readable(type_: object) -> bool:
    """Whether answers can be read as *type_*."""
    if _unlike(type_):
        return False
    try:
        _converter().get_structure_hook(_Json[type_])  # type: ignore[valid-type]
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
    converter.register_structure_hook(str, _string)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook_func(lambda t: t is Timestamp, _timestamp)
    converter.register_structure_hook_func(lambda t: t is object, lambda value, _: value)
    converter.register_structure_hook_factory(attrs.has, partial(_object, converter))
    for unlike in _UNLIKE_JSON:
        converter.register_structure_hook_func(_made_from(unlike), _unlike_json)
    arrays = ((origin, _array) for origin in (Sequence, tuple, list))
    for origin, reader in (*arrays, (dict, _mapping), (_Json, _whole), (Page, _page)):
        converter.register_structure_hook_factory(_made_from(origin), partial(reader, converter))
    return converter


class _ExpectedError(TypeError):
    """What stood in the way of a wrong value: the expectation, never the value."""


def _strictly(leaf: type) -> Callable[[object, object], object]:
    def hook(value: object, _: object) -> object:
        if type(value) is not leaf:
            raise _ExpectedError(leaf.__name__)
        return value

    return hook


def _string(value: object, type_: type[str]) -> str:
    if not isinstance(value, str):
        raise _ExpectedError(_TEXT)
    return value if type_ is str else type_(value)  # cattrs sends the string enums here as well


def _float(value: object, _: object) -> float:
    if type(value) is int and value.bit_length() < _FINITE_BITS:
        return float(value)
    if type(value) is not float:
        raise _ExpectedError(_NUMBER)
    return value


def _timestamp(value: object, _: object) -> datetime:
    try:
        return msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        raise _ExpectedError(_INSTANT) from None


def _unlike_json(_: object, __: object) -> NoReturn:
    raise _ExpectedError(_JSON)


def _made_from(origin: object) -> Callable[[object], bool]:
    return lambda type_: type_ is origin or get_origin(type_) is origin


def _object(converter: cattrs.Converter, type_: type) -> Callable[[object, object], object]:
    """Read a JSON object as a model; cattrs alone would name a missing field for anything else."""
    read = cast("Callable[[object, object], object]", converter.gen_structure_attrs_fromdict(type_))

    def hook(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise _ExpectedError(_OBJECT)
        return read(cast("object", value), type_)

    return hook


def _mapping(converter: cattrs.Converter, type_: type) -> Callable[[object, object], object]:
    """Read a JSON object of any keys; cattrs alone would name a missing method for anything else."""
    whole = cast("type", GenericAlias(dict, get_args(type_) or (str, object)))
    read = cast("Callable[[object, object], object]", mapping_structure_factory(whole, converter))

    def hook(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise _ExpectedError(_OBJECT)
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
            raise _ExpectedError(_ARRAY)
        return build(read(cast("list[object]", value), items))

    return hook


def _places(converter: cattrs.Converter, types: tuple[type, ...]) -> Callable[[object, object], object]:
    """Read a JSON array whose items are each of a type of their own."""

    def hook(value: object, _: object) -> tuple[object, ...]:
        if not isinstance(value, list) or len(cast("list[object]", value)) != len(types):
            raise _ExpectedError(f"{_ARRAY} of {len(types)}")
        pairs = zip(cast("list[object]", value), types, strict=True)
        return tuple(cast("object", converter.structure(item, type_)) for item, type_ in pairs)

    return hook


def _whole(converter: cattrs.Converter, type_: object) -> Callable[[bytes, object], object]:
    """Read bytes as the type inside `_Json`: fast, and on any doubt slowly."""
    target = get_args(type_)[0]
    decode = msgspec.json.Decoder(target).decode

    def hook(body: bytes, _: object) -> object:
        try:
            return decode(body)
        except Exception:  # noqa: BLE001 - the type may be the caller's own, and raise what it likes
            doubtful = body
        return _slowly(converter, doubtful, target)

    return hook


def _page(converter: cattrs.Converter, type_: object) -> Callable[[bytes, object], Page[Any]]:
    """Read bytes as one page: the documented envelope, or a bare array as one last page."""
    item = (get_args(type_) or (object,))[0]
    envelope = converter.get_structure_hook(_Json[_Envelope[item]])  # type: ignore[valid-type]
    array = converter.get_structure_hook(_Json[tuple[item, ...]])  # type: ignore[valid-type]

    def hook(body: bytes, _: object) -> Page[Any]:
        if body.lstrip(_BEFORE)[:1] == b"[":
            items = array(body, None)
            n = len(items)
            return Page(items=items, number=1, size=n, total_count=n, total_pages=1, has_next=False, raw=body)
        return _from_envelope(envelope(body, None), body)

    return hook


def _from_envelope(envelope: _Envelope[Any], body: bytes) -> Page[Any]:
    told = envelope.pagination
    if told.page < 1 or told.page_size < 1:
        _invalid("page and page_size must be positive @ $.pagination")
    has_next = told.has_next
    if has_next is None:
        if told.total_pages is None:
            _invalid("neither has_next nor total_pages @ $.pagination")
        has_next = told.page < told.total_pages
    return Page(
        items=envelope.data,
        number=told.page,
        size=told.page_size,
        total_count=told.total_count,
        total_pages=told.total_pages,
        has_next=has_next,
        raw=body,
    )


def _slowly(converter: cattrs.Converter, body: bytes, target: Any) -> object:
    """Read bytes with the standard library and cattrs, or raise with every place that is wrong."""
    value = _parsed(body)
    try:
        return converter.structure(value, target)
    except (cattrs.BaseValidationError, _ExpectedError) as error:
        doubts = "; ".join(cattrs.transform_error(error, format_exception=_reason)[:_DOUBTS])
    except Exception:  # noqa: BLE001 - the same
        doubts = "JSON cannot be read as the type asked for"
    raise InvalidResponseError(doubts)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        doubt = "JSON nested too deeply"
    except ValueError:  # JSON, Unicode, and numbers too long alike; their texts quote the body, so they are dropped
        doubt = "HTML, not JSON" if body.lstrip(_BEFORE)[:1] == b"<" else f"not JSON ({len(body)} bytes)"
    raise InvalidResponseError(doubt)


def _invalid(message: str) -> NoReturn:
    raise InvalidResponseError(message)


def _reason(error: BaseException, type_: type | None) -> str:
    """Say what was expected and never what was found: values may be personal data."""
    if isinstance(error, _ExpectedError):
        return f"expected {error}"
    known = isinstance(error, KeyError | ValueError)  # what cattrs says of the others may quote the value
    return format_exception(error, type_) if known else "not what was expected"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
