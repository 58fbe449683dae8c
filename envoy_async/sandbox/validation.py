"""Reads what callers send, and refuses it the way the vendor does: one parameter, named, per answer.

``param`` is written with dots and bracketed indexes. Which limits exist is read in the documentation where there are
limits. Assumptions of ours: unknown equipment names and unknown extra fields are accepted; the hexadecimal digits of
an id may be capitals; a body is UTF-8, nests at most 100 levels, and holds no number beyond a double and no half of
a surrogate pair, because an answer with one of these could not be read everywhere.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, NoReturn, TypeGuard

import attrs

from .answers import ApiError, Record, invalid, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping

UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
FEWEST_STOPS = 2
DEEPEST = 100
MOST_BITS = 1_023  # a longer integer is no double


@attrs.frozen(kw_only=True)
class Limits:
    """What one optional (nullable) field of a record may be."""

    kind: type[str | int | float | bool]
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
    """Read a JSON body strictly; no body at all is None."""
    if not raw:
        return None
    try:
        parsed: object = json.loads(raw.decode(), parse_constant=_refuse_constant, parse_float=_finite)
        _check_values(parsed)
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


def read_text(record: Record, key: str) -> str | None:
    """Read an optional text."""
    value = record.get(key)
    if value is None or isinstance(value, str):
        return value
    raise invalid(key, "must be a string")


def need_truth(record: Record, key: str) -> bool:
    """Insist on true or false under `key`."""
    value = need(record, key)
    if not isinstance(value, bool):
        raise invalid(key, "must be a boolean")
    return value


def read_id(text: object, prefix: str, param: str) -> str:
    """Read an id, with its prefix or as the bare uuid; everything else is the vendor's 400."""
    if isinstance(text, str) and UUID.fullmatch(text.removeprefix(prefix)):
        return prefix + text.removeprefix(prefix).lower()
    raise ApiError(400, "invalid_id_format", f"Invalid ID format. Expected {prefix}<uuid>.", param)


def find_row(rows: Mapping[str, Record], text: object, prefix: str, param: str) -> Record:
    """Get the row an id means, or answer 400 or 404."""
    row = rows.get(read_id(text, prefix, param))
    if row is None:
        raise not_found(_name_of(param))
    return row


def need_link(rows: Mapping[str, Record], record: Record, key: str, prefix: str) -> Record:
    """Get the row that the id under `key` means; 422 when there is none."""
    row = rows.get(read_id(need(record, key), prefix, key))
    if row is None:
        raise invalid(key, f"{_name_of(key)} not found")
    return row


def read_link(rows: Mapping[str, Record], record: Record, key: str, prefix: str) -> Record | None:
    """Get the row that an optional id under `key` means; 422 when there is none."""
    return None if record.get(key) is None else need_link(rows, record, key, prefix)


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
            check_field(key, load[key], limits)
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


def check_field(key: str, value: object, limits: Limits) -> None:
    """Refuse a value of the wrong type, length, or size."""
    if limits.kind is str:
        if not isinstance(value, str):
            raise invalid(key, "must be a string")
        if limits.length is not None and len(value) != limits.length:
            raise invalid(key, f"must be exactly {limits.length} characters")
    elif limits.kind is bool:
        if not isinstance(value, bool):
            raise invalid(key, "must be a boolean")
    else:
        _check_number(key, value, limits)


def _name_of(param: str) -> str:
    """Say what an id such as ``load_id`` stands for."""
    return param.removesuffix("_id").capitalize()


def _check_number(key: str, value: object, limits: Limits) -> None:
    """Refuse what is no number, or too small or too large a one; 5.0 is a whole number, as in JSON Schema."""
    if isinstance(value, bool) or not isinstance(value, int | float) or (limits.kind is int and value != int(value)):
        raise invalid(key, "must be an integer" if limits.kind is int else "must be a number")
    if limits.least is not None and value < limits.least:
        raise invalid(key, f"must be at least {limits.least:g}")
    if limits.most is not None and value > limits.most:
        raise invalid(key, f"must be at most {limits.most:g}")


def _check_values(parsed: object) -> None:
    """Refuse, level by level, what JSON can spell and not every reader of an answer could take."""
    level = [parsed]
    for _ in range(DEEPEST):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _parts(value: object) -> list[object]:
    """Check one value by itself and give what it holds."""
    if is_record(value):
        return [*value.keys(), *value.values()]
    if is_list(value):
        return value
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair cannot be: a ValueError
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise ValueError("beyond a double")
    return []


def _finite(text: str) -> float:
    """Read a number that a double can hold."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which JSON does not have."""
    raise ValueError(name)
