"""What a strategy is: it names the page to ask for, and takes in what came."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar, cast

import attrs

from ..models import Page
from ._seen import Record, Seen

T = TypeVar("T", bound=Record)
State: TypeAlias = dict[str, int | str | bool | None]
LARGEST_PAGE = 100  # pagination guide (seen)


@attrs.frozen
class Ask:
    """One page to ask for; `query` replaces what the listing's own query says."""

    number: int
    size: int
    query: tuple[tuple[str, str], ...] = ()


class Route(Protocol[T]):
    """A strategy at work, and how far it got. Pure; one for each listing."""

    @property
    def name(self) -> str:
        """The strategy, as users call it."""
        ...

    @property
    def sweeps(self) -> int:
        """How often the listing was begun."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing is left to ask for."""
        ...

    @property
    def found(self) -> bool:
        """Whether the latest page brought something new, or is excused by rows that moved."""
        ...

    @property
    def moved(self) -> int:
        """By how many rows `total_count` has changed between pages, up and down."""
        ...

    @property
    def partial(self) -> bool:
        """Whether pages but the first count a part of the listing only."""
        ...

    @property
    def doubts(self) -> dict[str, None]:
        """What could not be proven, in the order it came up."""
        ...

    def ask(self) -> Ask:
        """Give the page to ask for next; not at the end."""
        ...

    def after(self, ask: Ask) -> Ask | None:
        """Give the page that follows *ask* when nothing moves; `None` when that is not known yet."""
        ...

    def advance(self, ask: Ask, page: Page[T], last: datetime | None, seen: Seen, /) -> bool:
        """Take in a page, and what is in it as seen, if it is the very next and nothing moved; says whether it was.

        Nearly all pages are such. For any other, nothing is done. *last* is when the record before was made.
        """
        ...

    def steady(self, ask: Ask, page: Page[T], fresh: tuple[T, ...], last: datetime | None, /) -> bool:
        """Whether nothing in *page* shows that rows moved since the page before it, whose last was made at *last*."""
        ...

    def take(self, ask: Ask, page: Page[T], fresh: tuple[T, ...], seen: Seen, /) -> tuple[T, ...] | None:
        """Take a page in; returns what of *fresh* is to be delivered, in order, or `None` for a page read in vain."""
        ...

    def missing(self, ask: Ask) -> bool:
        """Hear that the server has no such page; says whether to go on all the same."""
        ...

    def state(self) -> State:
        """Give what `restore` needs, ready for JSON."""
        ...

    def restore(self, state: Mapping[str, object], seen: Seen, /) -> None:
        """Go on where `state` was asked for; raises `ValueError`, `KeyError`, or `TypeError` for what is none."""
        ...


def number(state: Mapping[str, object], name: str) -> int:
    """Read a whole number of at least 0."""
    value = state[name]
    if type(value) is not int or value < 0:
        raise ValueError(name)
    return value


def number_or_none(state: Mapping[str, object], name: str) -> int | None:
    """Read a whole number of at least 0, or `None`."""
    return None if state[name] is None else number(state, name)


def moment_or_none(state: Mapping[str, object], name: str) -> datetime | None:
    """Read a time, or `None`."""
    return None if state[name] is None else datetime.fromisoformat(str(state[name]))


def written(moment: datetime | None) -> str | None:
    """Write a time, or `None`, for `moment_or_none`."""
    return None if moment is None else moment.isoformat()


def made(item: Record) -> datetime | None:
    """Tell when a record was made, if it says so."""
    return cast("datetime | None", getattr(item, "created_at", None))
