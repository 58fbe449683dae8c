"""Input that is more than a word: JSON text, `@file`, or `-` for stdin, built into what the method takes.

The rule: a wrong type or an unknown field is refused with its JSON path, before anything is sent.
"""

from __future__ import annotations

import collections.abc
import json
import math
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from functools import cache, partial
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import NoReturn, Union, cast, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn

from ..models import Timestamp, Unset

Hook = Callable[[object, object], object]
_ARRAYS: set[object] = {list, tuple, collections.abc.Collection, collections.abc.Iterable, collections.abc.Sequence}
_OBJECTS: set[object] = {dict, collections.abc.Mapping}
_DAYS = (date, datetime, Timestamp)


class InputError(Exception):
    """What was given cannot be used; nothing was sent."""


class _ExpectedError(ValueError):
    """What should have stood in the place of a wrong value."""


def read(text: str, type_: object, option: str) -> object:
    """Build the value of *option* from JSON text, `@file`, or `-`.

    Raises:
        InputError: it cannot be read, is not JSON, or is not what *type_* holds.
    """
    try:
        value = json.loads(_source(text), parse_constant=_no_number, parse_float=_finite)
        return cast("object", _converter().structure(value, cast("type", type_)))
    except OSError as error:
        problem = f"cannot read {error.filename}: {error.strerror}"
    except UnicodeDecodeError:
        problem = "not UTF-8 text"
    except (json.JSONDecodeError, RecursionError) as error:
        problem = f"not JSON: {error}"
    except (cattrs.BaseValidationError, cattrs.StructureHandlerNotFoundError, ValueError) as error:
        problem = "; ".join(cattrs.transform_error(error, format_exception=_reason))
    raise InputError(f"{option}: {problem}")


def _source(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    return Path(text[1:]).read_text(encoding="utf-8-sig") if text.startswith("@") else text


def _no_number(name: str) -> NoReturn:
    raise _ExpectedError(f"a number, not {name}")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _no_number(text)


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    for leaves, name in (((str,), "a string"), ((bool,), "true or false"), ((int,), "a whole number")):
        converter.register_structure_hook(leaves[0], _exactly(leaves, name))
    converter.register_structure_hook(float, _exactly((int, float), "a number"))
    converter.register_structure_hook_func(lambda t: t in _DAYS, _day)
    converter.register_structure_hook_factory(attrs.has, partial(_model, converter))
    converter.register_structure_hook_factory(lambda t: get_origin(t) in _ARRAYS, partial(_array, converter))
    converter.register_structure_hook_factory(lambda t: get_origin(t) in _OBJECTS, partial(_object, converter))
    converter.register_structure_hook_factory(
        lambda t: get_origin(t) in {Union, UnionType}, partial(_either, converter)
    )
    return converter


def _exactly(types: tuple[type, ...], name: str) -> Hook:
    def hook(value: object, type_: object) -> object:
        if type(value) not in types:
            raise _ExpectedError(name)
        exact = cast("Callable[[object], object]", type_)
        return value if exact in types else exact(value)  # such as a string enum

    return hook


def _day(value: object, type_: object) -> object:
    try:
        return msgspec.convert(value, cast("type[object]", type_))
    except msgspec.ValidationError:
        raise _ExpectedError("a date, or a moment with its time zone, in ISO 8601") from None


def _model(converter: cattrs.Converter, type_: type[attrs.AttrsInstance]) -> Hook:
    build = make_dict_structure_fn(type_, converter, _cattrs_forbid_extra_keys=True)

    def hook(value: object, _: object) -> object:
        return build(_checked(value), type_)

    return hook


def _object(_: cattrs.Converter, __: object) -> Hook:
    return lambda value, _: _checked(value)


def _checked(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _ExpectedError("a JSON object")
    return cast("dict[str, object]", value)


def _array(converter: cattrs.Converter, type_: object) -> Hook:
    items = GenericAlias(list, get_args(type_)[:1])
    build = list_structure_factory(cast("type", items), converter)

    def hook(value: object, _: object) -> object:
        if not isinstance(value, list):
            raise _ExpectedError("a JSON array")
        return build(cast("list[object]", value), items)

    return hook


def _either(converter: cattrs.Converter, type_: object) -> Hook:
    """Read a value as one of several types, the earlier ones first."""
    members = [member for member in get_args(type_) if member not in {NoneType, Unset} and not _is_async(member)]
    nullable = NoneType in get_args(type_)

    def hook(value: object, _: object) -> object:
        if value is None and nullable:
            return None
        for member in members[:-1]:
            with suppress(cattrs.BaseValidationError, _ExpectedError):
                return cast("object", converter.structure(value, member))
        return cast("object", converter.structure(value, members[-1]))

    return hook


def _is_async(member: object) -> bool:
    return get_origin(member) is collections.abc.AsyncIterable


def _reason(error: BaseException, type_: type | None) -> str:
    match error:
        case _ExpectedError():
            return f"expected {error}"
        case cattrs.ForbiddenExtraKeysError():
            return f"unknown field {', '.join(sorted(error.extra_fields))}"
        case KeyError():
            return f"required field {error.args[0]} missing"
        case _:
            return f"not a value of {getattr(type_, '__name__', 'this kind')}"
