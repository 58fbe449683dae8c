"""What is refused before anything is sent, because the API's document says so.

The rule: one row per field name, wherever that field stands: in a body, in `extra`, in an item of a batch. What is
absent or null passes; whether that may be is for the types to say. `envoy.request` does not come by here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from types import MappingProxyType
from typing import cast

from .._wire import BadInput, check_ids

_URL = r"(?a:(?i:https?)://([\w.~!$&'()*+,;=:%-]+@)?(\[[0-9A-Fa-f:.]+\]|[\w.~%-]+)(:[0-9]{1,5})?([/?#]([\w.~:/?#@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?)"
_E164 = r"\+[1-9][0-9]{6,14}"


def check(body: object) -> None:
    """Refuse a JSON-ready body that breaks the rule of one of its fields; raises `BadInput` naming the field."""
    if not isinstance(body, dict):
        msg = "the body must be an object: a model, or a mapping of field names to values"
        raise BadInput(msg)
    fields = cast("dict[str, object]", body)
    check_ids(fields)
    for name, value in fields.items():
        if name in _RULES and value is not None:
            _RULES[name](name, value)


def _phone(name: str, value: object) -> None:
    if not isinstance(value, str) or not re.fullmatch(_E164, value):
        raise BadInput(f"{name} must be a phone number in E.164, such as +14155552671", name)


def _length(name: str, value: object, *, least: int, most: int) -> None:
    if not isinstance(value, str) or not least <= len(value) <= most:
        bounds = f"exactly {most}" if least == most else f"{least} to {most}"
        raise BadInput(f"{name} must be text of {bounds} characters", name)


def _address(name: str, value: object) -> None:
    _length(name, value, least=1, most=2083)  # webhook endpoint page (seen)
    if not isinstance(value, str) or not re.fullmatch(_URL, value):
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
