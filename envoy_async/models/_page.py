"""One page of a listing, as the server sent it."""

from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class InvalidItem:
    """A record of a listing that could not be read, left out for `on_invalid="skip"` or `"collect"`."""

    page: int
    """Number of the page it is in, counted from 1."""
    index: int
    """Its place in the page, counted from 0."""
    path: str
    """What is wrong and where in the answer, such as `expected string @ $.data[3].id`; never a value."""
    raw: bytes = attrs.field(default=b"", repr=False)
    """The record's JSON as it came."""


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a listing.

    Source: pagination guide (seen); `has_next` and `has_prev` are in the reference samples only.
    """

    items: tuple[T, ...] = attrs.field(repr=False)
    """The records, in the server's order, without those a listing has delivered before."""
    number: int
    """Page number, counted from 1."""
    size: int
    """Records per page, as the server counted them."""
    total_count: int | None
    """Records in the whole listing when this page was made; `None` when the server did not say."""
    total_pages: int | None
    """Pages in the whole listing when this page was made; `None` when the server did not say."""
    has_next: bool
    """Whether another page follows."""
    raw: bytes = attrs.field(default=b"", repr=False, eq=False)
    """The body as it came, with fields this version does not know."""
    invalid: tuple[InvalidItem, ...] = attrs.field(default=(), repr=False)
    """The records that could not be read and are not in `items`; filled for `skip` and `collect` only."""
