"""Pages: the envelope with its numbers, and records that cannot be read beside those that can.

The rule: a wrong envelope is an error whatever was asked for, since nothing after it can be trusted. A wrong record
is one too, unless the caller wants to go on: then each record is read alone, with the same two readers, and
what neither can read becomes an `InvalidItem`. Its bytes are those of the answer. Only where the answer holds what
msgspec cannot split (NaN and its like, half a surrogate pair) are they written anew from what was parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Generic, Literal, NoReturn, TypeVar, cast

import attrs
import msgspec

from ..errors import InvalidResponseError
from ..models import InvalidItem, Page
from ._slow import BEFORE, loosely, slowly, strictly, whole_value

T = TypeVar("T")
OnInvalid = Literal["raise", "skip", "collect"]
_MARK = b"\xef\xbb\xbf"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Pagination:
    """What an envelope says of its page."""

    page: int
    page_size: int
    total_count: int | None = None
    total_pages: int | None = None
    has_next: bool | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class _Envelope(Generic[T]):
    data: tuple[T, ...]
    pagination: Pagination


@cache
def whole_page(item: Any) -> Callable[[bytes], Page[Any]]:
    """Make what reads bytes as one page: the documented envelope, or a bare array as one last page."""
    parse = loosely if item is msgspec.Raw else strictly  # what stays raw is judged later
    envelope = cast("Callable[[bytes], _Envelope[Any]]", whole_value(_Envelope[item], parse=parse))
    array = cast("Callable[[bytes], tuple[Any, ...]]", whole_value(tuple[item, ...], parse=parse))

    def read_page(body: bytes) -> Page[Any]:
        if _is_array(body):
            items = array(body)
            n = len(items)
            return Page(items=items, number=1, size=n, total_count=n, total_pages=1, has_next=False, raw=body)
        return _from_envelope(envelope(body), body)

    return read_page


@cache
def sifted_page(item: Any) -> Callable[[bytes], Page[Any]]:
    """Make what reads bytes as one page: whole if all of it is good, else record by record."""
    decode = msgspec.json.Decoder(_Envelope[item]).decode
    split, read = whole_page(msgspec.Raw), _one(item)

    def read_page(body: bytes) -> Page[Any]:
        with suppress(Exception):  # any doubt; the type may be the caller's own, and raise what it likes
            return _from_envelope(decode(body), body)
        page = split(body.removeprefix(_MARK))
        place = "$" if _is_array(body) else "$.data"
        found = [read(raw, page.number, index, place) for index, raw in enumerate(map(bytes, page.items))]
        good = tuple(item for item in found if not isinstance(item, InvalidItem))
        bad = tuple(item for item in found if isinstance(item, InvalidItem))
        return attrs.evolve(page, items=good, invalid=bad, raw=body)

    return read_page


def _one(item: Any) -> Callable[[bytes, int, int, str], object]:
    """Read one record of a page, or say what is wrong with it."""
    decode = msgspec.json.Decoder(item).decode

    def read(raw: bytes, page: int, index: int, place: str) -> object:
        with suppress(Exception):
            return decode(raw)
        try:
            return slowly(raw, item, place=f"{place}[{index}]")
        except InvalidResponseError as error:
            return InvalidItem(page=page, index=index, path=error.message, raw=raw)

    return read


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
