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
from functools import cache, partial
from types import GenericAlias
from typing import Any, Generic, NoReturn, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
import msgspec

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
    return _plain(value, "$")


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
    converter.register_structure_hook_func(lambda t: t is Timestamp, _timestamp)
    converter.register_structure_hook_func(lambda t: t is object, lambda value, _: value)
    for origin, reader in ((tuple, _array), (_Json, _whole), (Page, _page)):
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
    if type(value) not in {int, float}:
        raise _ExpectedError(_NUMBER)
    return float(cast("float", value))


def _timestamp(value: object, _: object) -> datetime:
    try:
        return msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        raise _ExpectedError(_INSTANT) from None


def _made_from(origin: object) -> Callable[[object], bool]:
    return lambda type_: get_origin(type_) is origin


def _array(converter: cattrs.Converter, type_: object) -> Callable[[object, object], tuple[object, ...]]:
    """Read a JSON array; cattrs alone would take any iterable, a string among them."""
    items = GenericAlias(list, get_args(type_)[:1])

    def hook(value: object, _: object) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise _ExpectedError(_ARRAY)
        return tuple(cast("list[object]", converter.structure(value, cast("type", items))))

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
        _invalid("HTML, not JSON" if body.lstrip()[:1] == b"<" else f"not JSON ({len(body)} bytes)")
    try:
        return converter.structure(value, target)
    except (cattrs.BaseValidationError, ValueError, TypeError, AttributeError) as error:
        doubts = "; ".join(cattrs.transform_error(error, format_exception=_reason)[:_DOUBTS])
    return _invalid(doubts)


def _invalid(message: str) -> NoReturn:
    raise InvalidResponseError(message)


def _reason(error: BaseException, type_: type | None) -> str:
    """Say what was expected and never what was found: values may be personal data."""
    if isinstance(error, _ExpectedError):
        return f"expected {error}"
    return (
        "required field missing" if isinstance(error, KeyError) else f"expected {getattr(type_, '__name__', 'object')}"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _short_int(text: str) -> int:
    return int(text)  # raises ValueError beyond Python's own limit of digits


def _plain(value: object, path: str) -> object:
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {_key(key, path): _plain(item, f"{path}.{key}") for key, item in pairs}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{i}]") for i, item in enumerate(cast("list[object]", value))]
    if attrs.has(type(value)):
        fields = {
            name: getattr(value, name) for name in attrs.fields_dict(cast("type[attrs.AttrsInstance]", type(value)))
        }
        return {name: _plain(item, f"{path}.{name}") for name, item in fields.items() if item is not UNSET}
    return _leaf(value, path)


def _key(key: object, path: str) -> str:
    if isinstance(key, str):
        return key
    msg = f"{path} has a key that is not a string"
    raise BadInput(msg, path.removeprefix("$."))


def _leaf(value: object, path: str) -> object:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, datetime):
        return instant(path.removeprefix("$."), value)
    if isinstance(value, date):
        return value.isoformat()
    msg = f"{path} cannot be sent as JSON: {type(value).__name__}"
    raise BadInput(msg, path.removeprefix("$."))
