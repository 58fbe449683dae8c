"""Pages: the envelope with its numbers, and records that cannot be read beside those that can.

The rule: a wrong envelope is an error whatever was asked for, since nothing after it can be trusted. A wrong record
is one too, unless the caller wants to go on: then each record is read alone, with the same two readers, and
what neither can read becomes an `InvalidItem`. Its bytes are those of the answer. Only where the answer holds what
msgspec cannot split (NaN and its like, half a surrogate pair) are they written anew from what was parsed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, Literal, NoReturn, TypeVar, get_args

import attrs
import cattrs
import msgspec

from ..errors import InvalidResponseError
from ..models import InvalidItem, Page
from ._slow import BEFORE, Json, Loose, slowly

T = TypeVar("T")
OnInvalid = Literal["raise", "skip", "collect"]
_MARK = b"\xef\xbb\xbf"


@attrs.frozen(kw_only=True)
class Pagination:
    """What an envelope says of its page."""

    page: int
    page_size: int
    total_count: int | None = None
    total_pages: int | None = None
    has_next: bool | None = None


@attrs.frozen(kw_only=True)
class _Envelope(Generic[T]):
    data: tuple[T, ...]
    pagination: Pagination


class Sifted(Generic[T]):
    """The type of bytes that hold a page of `T`, of which some may be broken."""


def whole_page(converter: cattrs.Converter, type_: object) -> Callable[[bytes, object], Page[Any]]:
    """Read bytes as one page: the documented envelope, or a bare array as one last page."""
    item = (get_args(type_) or (object,))[0]
    form: Any = Loose if item is msgspec.Raw else Json  # what stays raw is judged later
    envelope = converter.get_structure_hook(form[_Envelope[item]])  # type: ignore[valid-type]
    array = converter.get_structure_hook(form[tuple[item, ...]])  # type: ignore[valid-type]

    def hook(body: bytes, _: object) -> Page[Any]:
        if _is_array(body):
            items = array(body, None)
            n = len(items)
            return Page(items=items, number=1, size=n, total_count=n, total_pages=1, has_next=False, raw=body)
        return _from_envelope(envelope(body, None), body)

    return hook


def sifted_page(converter: cattrs.Converter, type_: object) -> Callable[[bytes, object], Page[Any]]:
    """Read bytes as one page: whole if all of it is good, else record by record."""
    item = get_args(type_)[0]
    decode = msgspec.json.Decoder(_Envelope[item]).decode  # type: ignore[valid-type]
    split = converter.get_structure_hook(Page[msgspec.Raw])
    read = _one(converter, item)

    def hook(body: bytes, _: object) -> Page[Any]:
        with suppress(Exception):  # any doubt; the type may be the caller's own, and raise what it likes
            return _from_envelope(decode(body), body)
        page = split(body.removeprefix(_MARK), None)
        place = "$" if _is_array(body) else "$.data"
        found = [read(raw, page.number, index, place) for index, raw in enumerate(map(bytes, page.items))]
        good = tuple(item for item in found if not isinstance(item, InvalidItem))
        bad = tuple(item for item in found if isinstance(item, InvalidItem))
        return attrs.evolve(page, items=good, invalid=bad, raw=body)

    return hook


def _one(converter: cattrs.Converter, item: Any) -> Callable[[bytes, int, int, str], object]:
    """Read one record of a page, or say what is wrong with it."""
    decode = msgspec.json.Decoder(item).decode

    def read(raw: bytes, page: int, index: int, place: str) -> object:
        with suppress(Exception):
            return decode(raw)
        try:
            return slowly(converter, raw, item, place=f"{place}[{index}]")
        except InvalidResponseError as error:
            return InvalidItem(page=page, index=index, path=error.message, raw=raw)

    return read


def written(value: object, _: object) -> msgspec.Raw:
    """Write a parsed value anew, where its own bytes cannot be told from those around it."""
    return msgspec.Raw(json.dumps(value).encode())


def _is_array(body: bytes) -> bool:
    return body.lstrip(BEFORE)[:1] == b"["


def _from_envelope(envelope: _Envelope[Any], body: bytes) -> Page[Any]:
    told = envelope.pagination
    if told.page < 1 or told.page_size < 1:
        _invalid("page and page_size must be positive @ $.pagination")
    if min(told.total_count or 0, told.total_pages or 0) < 0:
        _invalid("total_count and total_pages must not be negative @ $.pagination")
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


def _invalid(message: str) -> NoReturn:
    raise InvalidResponseError(message)
