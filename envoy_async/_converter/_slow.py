"""Bytes to a value: fast, and on any doubt slowly, with the place and the reason when that fails too.

The rule: only what is JSON gets through, no number that is none, and no value of the answer enters an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar, cast, get_args

import cattrs
import msgspec
from cattrs.v import format_exception

from ..errors import InvalidResponseError

T = TypeVar("T")
BEFORE = b"\xef\xbb\xbf \t\r\n"  # what may stand before a JSON value
_DOUBTS = 3  # how many places of a wrong answer the error names


class Json(Generic[T]):
    """The type of bytes that hold a `T`."""


class Loose(Generic[T]):
    """The type of bytes that hold a `T` in which numbers may be none, such as NaN: its parts are judged later."""


class ExpectedError(TypeError):
    """What stood in the way of a wrong value: the expectation, never the value."""


def strictly(body: bytes) -> object:
    """Parse JSON; what only stands for a number is a `ValueError`."""
    text = body.decode("utf-8-sig")
    return cast("object", json.loads(text, parse_constant=_refuse_constant, parse_float=_finite))


def loosely(body: bytes) -> object:
    """Parse JSON, and with it the words that some writers put in the place of a number."""
    return cast("object", json.loads(body.decode("utf-8-sig")))


def whole_value(
    converter: cattrs.Converter, type_: object, *, parse: Callable[[bytes], object] = strictly
) -> Callable[[bytes, object], object]:
    """Read bytes as the type inside `Json` or `Loose`: fast, and on any doubt slowly."""
    target = get_args(type_)[0]
    decode = msgspec.json.Decoder(target).decode

    def hook(body: bytes, _: object) -> object:
        try:
            return decode(body)
        except Exception:  # noqa: BLE001 - the type may be the caller's own, and raise what it likes
            doubtful = body
        return slowly(converter, doubtful, target, parse=parse)

    return hook


def slowly(
    converter: cattrs.Converter,
    body: bytes,
    target: Any,
    *,
    place: str = "$",
    parse: Callable[[bytes], object] = strictly,
) -> object:
    """Read bytes with the standard library and cattrs, or raise with every place that is wrong.

    *place* says where in the answer the bytes stand when they are only a part of it.
    """
    part = "" if place == "$" else f" @ {place}"
    value = _parsed(body, parse, part)
    try:
        return converter.structure(value, target)
    except (cattrs.BaseValidationError, ExpectedError) as error:
        doubts = "; ".join(cattrs.transform_error(error, place, format_exception=_reason)[:_DOUBTS])
    except Exception:  # noqa: BLE001 - the same
        doubts = f"JSON cannot be read as the type asked for{part}"
    raise InvalidResponseError(doubts)


def _parsed(body: bytes, parse: Callable[[bytes], object], part: str) -> object:
    try:
        return parse(body)
    except RecursionError:
        doubt = "JSON nested too deeply"
    except ValueError:  # JSON, Unicode, and numbers too long alike; their texts quote the body, so they are dropped
        doubt = "HTML, not JSON" if body.lstrip(BEFORE)[:1] == b"<" else f"not JSON ({len(body)} bytes)"
    raise InvalidResponseError(doubt + part)


def _reason(error: BaseException, type_: type | None) -> str:
    """Say what was expected and never what was found: values may be personal data."""
    if isinstance(error, ExpectedError):
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
