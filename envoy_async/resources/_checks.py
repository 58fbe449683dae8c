"""What is refused before anything is sent, because the API's document says so.

The rule: one row per field name, wherever that field stands: in a body, in `extra`, in an item of a batch. What is
absent or null passes; whether that may be is for the types to say. `envoy.request` does not come by here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import inf
from types import MappingProxyType
from typing import TypeAlias, cast

from .._wire import BadInput, check_ids

Body: TypeAlias = Mapping[str, object]

_URL = re.compile(r"https?://([\w.~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def check(body: object) -> None:
    """Refuse a JSON-ready body that breaks the rule of one of its fields; raises `BadInput` naming the field."""
    for path, fields in _parts(body):
        try:
            check_ids(fields)
            for name, value in fields.items():
                if name in _RULES and value is not None:
                    _RULES[name](name, value)
        except BadInput as bad:
            raise BadInput(path + str(bad), path + (bad.param or "")) from None


def _parts(body: object) -> Iterator[tuple[str, Body]]:
    """Give the objects whose fields have rules, each with the path before its fields."""
    whole = _object("body", body)
    yield "", whole
    for key, inner in (("loads", ""), ("carriers", "carrier")):
        items = whole.get(key)
        for number, item in enumerate(cast("list[object]", items) if isinstance(items, list) else ()):
            path = f"{key}[{number}]"
            part = _object(path, item)
            if inner:
                path += "." + inner
                part = {} if part.get(inner) is None else _object(path, part[inner])
            yield path + ".", part


def _object(name: str, value: object) -> Body:
    if not isinstance(value, dict):
        raise BadInput(f"{name} must be an object", name)
    return cast("Body", value)


def _phone(name: str, value: object) -> None:
    if not isinstance(value, str) or not _E164.fullmatch(value):
        raise BadInput(f"{name} must be a phone number in E.164, such as +14155552671", name)


def _length(name: str, value: object, *, least: int, most: int) -> None:
    if not isinstance(value, str) or not least <= len(value) <= most:
        bounds = f"exactly {most}" if least == most else f"{least} to {most}"
        raise BadInput(f"{name} must be text of {bounds} characters", name)


def _address(name: str, value: object) -> None:
    _length(name, value, least=1, most=2083)  # webhook endpoint page (seen)
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise BadInput(f"{name} must be an address such as https://example.com/hooks", name)


def _within(name: str, value: object, *, least: float, most: float = inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        bounds = f"at least {least:g}" if most == inf else f"from {least:g} to {most:g}"
        raise BadInput(f"{name} must be a number, {bounds}", name)


def _count(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, list) or len(cast("list[object]", value)) < least:
        raise BadInput(f"{name} must be a list of at least {least}", name)


_RULES: Mapping[str, Callable[[str, object], None]] = MappingProxyType(
    {
        "phone": _phone,
        "dispatcher_phone": _phone,
        "phone_number": _phone,
        "to_number": _phone,
        "from_number": _phone,
        "tms_load_id": partial(_length, least=18, most=18),  # load page (seen), as the numbers and stops below
        "weight": partial(_within, least=0),
        "distance": partial(_within, least=0),
        "length_feet": partial(_within, least=0),
        "last_reported_long": partial(_within, least=-180, most=180),
        "last_reported_lat": partial(_within, least=-90, most=90),
        "stops": partial(_count, least=2),
        "url": _address,
        "event_types": partial(_count, least=1),  # webhook endpoint page (seen)
    }
)
