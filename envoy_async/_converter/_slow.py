"""Bytes to a value: fast, and on any doubt slowly, with the place and the reason when that fails too.

The rule: only what is JSON gets through, no number that is none, and no value of the answer enters an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, cast

import msgspec

from ..errors import InvalidResponseError

BEFORE = b"\xef\xbb\xbf \t\r\n"  # what may stand before a JSON value
UNLIKE_JSON = (bytes, bytearray, memoryview, set, frozenset)
"""What JSON cannot be read as, though msgspec would."""


def strictly(body: bytes) -> object:
    """Parse JSON; what only stands for a number is a `ValueError`."""
    text = body.decode("utf-8-sig")
    return cast("object", json.loads(text, parse_constant=_refuse_constant, parse_float=_finite))


def loosely(body: bytes) -> object:
    """Parse JSON, and with it the words that some writers put in the place of a number."""
    return cast("object", json.loads(body.decode("utf-8-sig")))


@cache
def whole_value(target: Any, *, parse: Callable[[bytes], object] = strictly) -> Callable[[bytes], object]:
    """Make what reads bytes as a type: fast, and on any doubt slowly."""
    decode = msgspec.json.Decoder(target).decode

    def read(body: bytes) -> object:
        try:
            return decode(body)
        except Exception:  # noqa: BLE001 - the type may be the caller's own, and raise what it likes
            doubtful = body
        return slowly(doubtful, target, parse=parse)

    return read


def slowly(body: bytes, target: Any, *, place: str = "$", parse: Callable[[bytes], object] = strictly) -> object:
    """Read bytes with the standard library and cattrs, or raise with every place that is wrong.

    *place* says where in the answer the bytes stand when they are only a part of it.
    """
    from ._tolerant import tolerantly

    part = "" if place == "$" else f" @ {place}"
    return tolerantly(_parsed(body, parse, part), target, place, part)


def _parsed(body: bytes, parse: Callable[[bytes], object], part: str) -> object:
    try:
        return parse(body)
    except RecursionError:
        doubt = "JSON nested too deeply"
    except ValueError:  # JSON, Unicode, and numbers too long alike; their texts quote the body, so they are dropped
        doubt = "HTML, not JSON" if body.lstrip(BEFORE)[:1] == b"<" else f"not JSON ({len(body)} bytes)"
    raise InvalidResponseError(doubt + part)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
