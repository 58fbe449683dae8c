"""Reads what callers send, and refuses it the way the vendor does: one parameter, named, per answer.

``param`` is written with dots and bracketed indexes. Which limits exist is read in the documentation where there are
limits; that unknown equipment names and unknown extra fields are accepted on loads is an assumption.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn, TypeGuard

import attrs

from .answers import ApiError, Record, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
MOST_LOADS = 1_000
FEWEST_STOPS = 2


@attrs.frozen(kw_only=True)
class Limits:
    """What one optional (nullable) field of a load may be."""

    kind: type[str | int | float]
    length: int | None = None
    least: float | None = None
    most: float | None = None


LOAD_FIELDS: Mapping[str, Limits] = {
    "equipment_type_raw": Limits(kind=str),
    "tms_load_id": Limits(kind=str, length=18),
    "tms_status": Limits(kind=str),
    "weight": Limits(kind=float, least=0),
    "distance": Limits(kind=float, least=0),
    "commodity": Limits(kind=str),
    "posted_rate": Limits(kind=int),
    "max_buy_rate": Limits(kind=int),
    "suggested_market_rate": Limits(kind=int),
    "length_feet": Limits(kind=int, least=0),
    "temperature_setting_minimum": Limits(kind=int),
    "temperature_setting_maximum": Limits(kind=int),
    "temperature_run_type": Limits(kind=str),
    "last_reported_state": Limits(kind=str),
    "last_reported_city": Limits(kind=str),
    "last_reported_long": Limits(kind=float, least=-180, most=180),
    "last_reported_lat": Limits(kind=float, least=-90, most=90),
    "tms_carrier_id": Limits(kind=str),
    "carrier_name": Limits(kind=str),
    "customer_name": Limits(kind=str),
}


def is_record(value: object) -> TypeGuard[Record]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Tell whether a JSON value is an array."""
    return isinstance(value, list)


def parse_body(raw: bytes) -> object:
    """Read a JSON body strictly (no NaN); no body at all is None."""
    if not raw:
        return None
    try:
        parsed: object = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise invalid(None, "malformed JSON body") from None
    return parsed


def need_record(value: object, param: str | None = None) -> Record:
    """Insist on an object."""
    if not is_record(value):
        raise invalid(param, "a JSON object is required")
    return value


def need_list(record: Record, key: str) -> list[object]:
    """Insist on an array under `key`."""
    value = need(record, key)
    if not is_list(value):
        raise invalid(key, "must be a list")
    return value


def need(record: Record, key: str, prefix: str = "") -> object:
    """Insist on a field being there."""
    if key not in record:
        raise invalid(prefix + key, "field required")
    return record[key]


def need_text(record: Record, key: str, prefix: str = "") -> str:
    """Insist on a text under `key`."""
    value = need(record, key, prefix)
    if not isinstance(value, str):
        raise invalid(prefix + key, "must be a string")
    return value


def read_id(text: object, prefix: str, param: str) -> str:
    """Read an id, with its prefix or as the bare uuid; everything else is the vendor's 400."""
    if isinstance(text, str):
        if UUID.fullmatch(text):
            return prefix + text
        if text.startswith(prefix) and UUID.fullmatch(text.removeprefix(prefix)):
            return text
    raise ApiError(400, "invalid_id_format", f"Invalid ID format. Expected {prefix}<uuid>.", param)


def read_phone(body: Record, key: str) -> str | None:
    """Read an optional E.164 number."""
    value = body.get(key)
    if value is None or (isinstance(value, str) and E164.fullmatch(value)):
        return value
    raise invalid(key, "must be an E.164 phone number")


def check_load(load: Record) -> None:
    """Refuse a load that breaks a rule of ``LoadCreate``."""
    need_text(load, "load_number")
    need_text(load, "equipment_type")
    stops = need_list(load, "stops")
    if len(stops) < FEWEST_STOPS:
        raise invalid("stops", f"must have at least {FEWEST_STOPS} items")
    for index, stop in enumerate(stops):
        _check_stop(stop, f"stops[{index}]")
    for key, limits in LOAD_FIELDS.items():
        if load.get(key) is not None:
            _check_field(key, load[key], limits)
    numbers = load.get("po_numbers")
    if numbers is not None:
        for index, number in enumerate(need_list(load, "po_numbers")):
            if not isinstance(number, str):
                raise invalid(f"po_numbers[{index}]", "must be a string")


def _check_stop(stop: object, param: str) -> None:
    """Refuse a stop without a city and a state."""
    location = need_record(need(need_record(stop, param), "location", f"{param}."), f"{param}.location")
    need_text(location, "city", f"{param}.location.")
    need_text(location, "state", f"{param}.location.")


def _check_field(key: str, value: object, limits: Limits) -> None:
    """Refuse a value of the wrong type, length, or size."""
    if limits.kind is str:
        if not isinstance(value, str):
            raise invalid(key, "must be a string")
        if limits.length is not None and len(value) != limits.length:
            raise invalid(key, f"must be exactly {limits.length} characters")
        return
    accepted = int if limits.kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise invalid(key, "must be an integer" if limits.kind is int else "must be a number")
    if limits.least is not None and value < limits.least:
        raise invalid(key, f"must be at least {limits.least:g}")
    if limits.most is not None and value > limits.most:
        raise invalid(key, f"must be at most {limits.most:g}")


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which JSON does not have."""
    raise ValueError(name)
