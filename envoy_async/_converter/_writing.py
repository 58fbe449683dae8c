"""Models and plain values to JSON, for request bodies and for output.

The rule: what JSON cannot hold is refused with its path, never rounded, replaced, or half sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import cast

import attrs

from .._credentials import Secret
from .._wire import BadInput, instant
from ..models import UNSET

_FINITE_BITS = 1024  # longer whole numbers are no finite float either


def unstructure(value: object) -> object:
    """Turn a model into JSON-ready values: datetimes as ISO 8601 text, `UNSET` fields left out.

    Raises:
        BadInput: a value JSON cannot hold, such as NaN or a naive datetime, with its path.
    """
    try:
        return _plain(value, "$")
    except RecursionError:
        msg = "the body is nested too deeply, or contains itself"
    raise BadInput(msg)


def encode(value: object) -> bytes:
    """Turn a request body into JSON bytes; raises `BadInput` as `unstructure` does."""
    return json.dumps(unstructure(value), ensure_ascii=False).encode()


def _plain(value: object, path: str) -> object:
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {_key(key, path): _plain(item, f"{path}.{key}") for key, item in pairs if item is not UNSET}
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
        return _unicode(key, path)
    raise _refused(path, "has a key that is not a string")


def _leaf(value: object, path: str) -> object:
    if isinstance(value, Enum) and value is not UNSET:
        return _leaf(value.value, path)
    if isinstance(value, str):
        return _unicode(value, path)
    if value is None or (isinstance(value, int) and value.bit_length() < _FINITE_BITS):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):
        return instant(path.removeprefix("$."), value)
    if isinstance(value, date | Secret):
        return value.isoformat() if isinstance(value, date) else _unicode(value.reveal(), path)
    raise _refused(path, f"cannot be sent as JSON: {type(value).__name__}")


def _unicode(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(path, "holds text that is not valid Unicode") from None
    return text


def _refused(path: str, why: str) -> BadInput:
    return BadInput(f"{path} {why}", path.removeprefix("$."))
