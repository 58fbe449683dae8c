"""JSON to models and back.

The rule: an answer's bytes go once through one cached msgspec decoder that builds the models. Only when
that fails does the slow way run (stdlib JSON, then cattrs with strict hooks), which either reads what
msgspec is too strict for or says where and why the answer is wrong. A wrong type never passes silently,
an unknown field or enum value never fails, and no value of the answer enters an error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar, cast, get_args, get_origin

from ..models import Page
from ._pages import OnInvalid, sifted_page, whole_page
from ._slow import UNLIKE_JSON, whole_value
from ._writing import encode, unstructure

__all__ = ["OnInvalid", "encode", "readable", "structure", "structure_page", "unstructure"]

T = TypeVar("T")


def structure(body: bytes, type_: type[T]) -> T:
    """Read an answer's bytes as *type_*: a model, `Page[model]`, `tuple[model, ...]`, or a mapping.

    Raises:
        InvalidResponseError: with the JSON path of what is wrong.
    """
    form: object = type_
    return cast("T", _whole(form)(body))


@cache
def _whole(form: object) -> Callable[[bytes], object]:
    return whole_page(*(get_args(form) or (object,))) if Page in (form, get_origin(form)) else whole_value(form)


def structure_page(body: bytes, item: type[T], on_invalid: OnInvalid) -> Page[T]:
    """Read an answer's bytes as a page of *item*; records that cannot be read are left out unless told to raise.

    They are in `Page.invalid`, for `skip` as for `collect`.

    Raises:
        InvalidResponseError: with the JSON path of what is wrong; for any *on_invalid* when that is no record.
    """
    form: object = item
    return whole_page(form)(body) if on_invalid == "raise" else sifted_page(form)(body)


def readable(type_: object) -> bool:
    """Whether answers can be read as *type_*."""
    if _unlike(type_):
        return False
    try:
        whole_value(type_)
    except Exception:  # noqa: BLE001 - it may be anything
        return False
    return True


def _unlike(type_: object) -> bool:
    return (get_origin(type_) or type_) in UNLIKE_JSON or any(map(_unlike, get_args(type_)))
