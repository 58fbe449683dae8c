"""JSON to models and back, through one private cattrs converter.

The rule: an answer's bytes go once through one cached msgspec decoder that builds the models. Only when
that fails does the slow way run (stdlib JSON, then cattrs with strict hooks), which either reads what
msgspec is too strict for or says where and why the answer is wrong. A wrong type never passes silently,
an unknown field or enum value never fails, and no value of the answer enters an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, Generic, NoReturn, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_unstructure_fn, override

from ._wire import BadInput, instant
from .errors import InvalidResponseError
from .models import UNSET, Page, Timestamp

T = TypeVar("T")
_TEXT, _NUMBER, _ARRAY, _INSTANT = "string", "number", "array", "datetime with a time zone"
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
    whole = type_ if get_origin(type_) is Page else _Json[type_]  # type: ignore[valid-type]
    return cast("T", _converter().structure(body, whole))


def unstructure(value: object) -> object:
    """Turn a model into JSON-ready values: datetimes as ISO 8601 text, `UNSET` fields left out.

    Raises:
        BadInput: a value JSON cannot hold, such as NaN or a naive datetime, with its path.
    """
    return _plain(_converter().unstructure(value), "$")


def encode(value: object) -> bytes:
    """Turn a request body into JSON bytes; raises `BadInput` as `unstructure` does."""
    try:
        return json.dumps(unstructure(value), allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        msg = "the body holds text that is not valid Unicode"
        raise BadInput(msg) from None


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    for leaf in (int, bool):
        converter.register_structure_hook(leaf, _strictly(leaf))
    converter.register_structure_hook(str, _string)
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook_func(lambda t: t is datetime or t is Timestamp, _timestamp)
    converter.register_structure_hook_func(lambda t: t is object, lambda value, _: value)
    converter.register_structure_hook_factory(_is_tuple, lambda t: _array(converter, t))
    converter.register_structure_hook_factory(lambda t: get_origin(t) is _Json, lambda t: _whole(converter, t))
    converter.register_structure_hook_factory(lambda t: get_origin(t) is Page, lambda t: _page(converter, t))
    converter.register_unstructure_hook_factory(attrs.has, lambda t: _without_unset(converter, t))
    return converter


class _Expected(TypeError):
    """What stood in the way of a wrong value: the expectation, never the value."""


def _strictly(leaf: type) -> Callable[[object, object], object]:
    def hook(value: object, _: object) -> object:
        if type(value) is not leaf:
            raise _Expected(leaf.__name__)
        return value

    return hook


def _string(value: object, type_: type[str]) -> str:
    if not isinstance(value, str):
        raise _Expected(_TEXT)
    return value if type_ is str else type_(value)  # cattrs sends the string enums here as well


def _float(value: object, _: object) -> float:
    if type(value) not in {int, float}:
        raise _Expected(_NUMBER)
    return float(cast("float", value))


def _timestamp(value: object, _: object) -> datetime:
    try:
        return cast("datetime", msgspec.convert(value, Timestamp))
    except msgspec.ValidationError:
        raise _Expected(_INSTANT) from None


def _is_tuple(type_: object) -> bool:
    return get_origin(type_) is tuple


def _array(converter: cattrs.Converter, type_: object) -> Callable[[object, object], tuple[object, ...]]:
    """Read a JSON array; cattrs alone would take any iterable, a string among them."""
    items = list[get_args(type_)[0]]  # type: ignore[misc]

    def hook(value: object, _: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _Expected(_ARRAY)
        return tuple(converter.structure(value, items))

    return hook


def _whole(converter: cattrs.Converter, type_: object) -> Callable[[bytes, object], object]:
    """Read bytes as the type inside `_Json`: fast, and on any doubt slowly."""
    target = get_args(type_)[0]
    decode = msgspec.json.Decoder(target).decode

    def hook(body: bytes, _: object) -> object:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _slowly(converter, body, target)

    return hook


def _page(converter: cattrs.Converter, type_: object) -> Callable[[bytes, object], Page[Any]]:
    """Read bytes as one page: the documented envelope, or a bare array as one last page."""
    item = get_args(type_)[0]
    envelope = converter.get_structure_hook(_Json[_Envelope[item]])  # type: ignore[valid-type]
    array = converter.get_structure_hook(_Json[tuple[item, ...]])  # type: ignore[valid-type]

    def hook(body: bytes, _: object) -> Page[Any]:
        if body.lstrip()[:1] == b"[":
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
    try:
        value = json.loads(
            body.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite, parse_int=_short_int
        )
    except RecursionError:
        _invalid("JSON nested too deeply")
    except ValueError:  # JSON and Unicode errors alike; their texts quote the body, so they are dropped
        _invalid(f"not JSON ({len(body)} bytes)")
    try:
        return converter.structure(value, target)
    except (cattrs.BaseValidationError, ValueError, TypeError, AttributeError) as error:
        doubts = cattrs.transform_error(error, format_exception=_reason)
    _invalid("; ".join(doubts[:_DOUBTS]))


def _invalid(message: str) -> NoReturn:
    raise InvalidResponseError(message)


def _reason(error: BaseException, type_: type | None) -> str:
    """Say what was expected and never what was found: values may be personal data."""
    if isinstance(error, _Expected):
        return f"expected {error}"
    return "required field missing" if isinstance(error, KeyError) else f"expected {getattr(type_, '__name__', 'object')}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _short_int(text: str) -> int:
    return int(text)  # raises ValueError beyond Python's own limit of digits


def _without_unset(converter: cattrs.Converter, type_: type) -> Callable[[object], object]:
    left_out = {field.name: override(omit_if_default=True) for field in attrs.fields(type_) if field.default is UNSET}
    return make_dict_unstructure_fn(type_, converter, **left_out)


def _plain(value: object, path: str) -> object:
    match value:
        case None | bool() | int():
            return value
        case Enum():
            return value.value
        case str():
            return value
        case float():
            if math.isfinite(value):
                return value
        case datetime():
            return instant(path, value)
        case date():
            return value.isoformat()
        case Mapping():
            return {_key(key, path): _plain(item, f"{path}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
        case _ if attrs.has(type(value)):
            return _plain(_converter().unstructure(value), path)
        case _:
            pass
    msg = f"{path} cannot be sent as JSON: {type(value).__name__}"
    raise BadInput(msg, path.removeprefix("$."))


def _key(key: object, path: str) -> str:
    if isinstance(key, str):
        return str(key)
    msg = f"{path} has a key that is not a string"
    raise BadInput(msg, path.removeprefix("$."))
