"""Newest first, read from an ascending listing's end to its start; whole, or in spans of days.

The rule: in an ascending listing new rows come in behind all others, and a row deleted moves those behind it one
place to the front. So the rows still to be read can only move further into the pages still to be read, whatever
comes and goes: none is lost, and nothing is read again. The first page is asked for newest first; it tells how many
rows there are, so that the ascending listing is entered where that page ends.

Rows made at one moment may be sorted differently up and down. Where such rows stand on both sides of that border,
the ascending listing is read from its very end.

Spans overlap by a day, since whether the server counts a last day in is known of neither end, nor its time zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Generic, Protocol, TypeVar, cast

from ..errors import DriftError, LoopError, PaginationError
from ..models import Page
from ._route import LARGEST_PAGE, Ask, State, moment_or_none, number, number_or_none, written
from ._seen import Record, Seen

T = TypeVar("T", bound=Record)
_DOWN = (("order_by", "created_at"), ("order_desc", "true"))
_UP = (("order_by", "created_at"), ("order_desc", "false"))
_PAGES = 40  # of one span, at least: what the overlap costs is little beside them
_DAYS = 28  # of one span, at least: the same
_DAY = timedelta(days=1)


class _Dated(Record, Protocol):
    @property
    def created_at(self) -> datetime: ...


class Backward(Generic[T]):
    """Newest first, over the pages of the ascending listing.

    Args:
        size: records per page.
        days: what the query says of days, in place of the listing's own.
    """

    name, partial = "backward", False

    def __init__(self, size: int, days: tuple[tuple[str, str], ...] = ()) -> None:
        self.sweeps, self.moved = 1, 0
        self.found = self.ended = False
        self.doubts: dict[str, None] = {}
        self._size, self._days = size, days
        self._left: int | None = None  # rows not read yet are among so many oldest; None before the first page
        self._total = 0
        self._newest: datetime | None = None
        self._border: datetime | None = None  # the oldest of the first page, until its border is known to be sound
        self._asking = False  # page 1 of the ascending listing, for its count alone

    def ask(self) -> Ask:
        """Give the newest page of the ascending listing that holds rows not read yet."""
        if self._left is None:
            return Ask(1, self._size, self._days + _DOWN)
        return Ask(1 if self._asking else -(-self._left // self._size), self._size, self._days + _UP)

    def after(self, ask: Ask) -> Ask | None:
        """Give the page before *ask*, once the ascending listing was entered."""
        return None if self._border or ask.number == 1 else Ask(ask.number - 1, ask.size, ask.query)

    def advance(self, *_: object) -> bool:
        """Leave every page to `take`."""
        return False

    def steady(self, ask: Ask, page: Page[T], fresh: tuple[T, ...], _: datetime | None) -> bool:
        """Whether nothing repeats, and nothing came in where older records are due; the count tells nothing here."""
        came_in = any(self._newest is None or item.created_at > self._newest for item in _dated(page.items[-1:]))
        as_asked = (page.number, page.size) == (ask.number, ask.size)
        return as_asked and len(fresh) == len(page.items) and not came_in

    def missing(self, ask: Ask) -> bool:
        """Ask for the count when a page past the end is refused: rows were deleted."""
        self._asking = ask.number > 1
        return self._asking

    def take(self, ask: Ask, page: Page[T], fresh: tuple[T, ...], _: Seen) -> tuple[T, ...] | None:
        """Take a page in, the first or an ascending one."""
        size = min(page.size, LARGEST_PAGE)
        if page.size != ask.size:
            self._size = size  # the server clamps it
        if page.total_count is None:
            raise PaginationError(f"the server does not count its records, which {self.name} needs: use count-guard")
        self._asking = False
        before, self._total = self._total, page.total_count
        if page.has_next != (page.number * size < self._total):
            self.doubts["the server's count does not fit what it says of further pages"] = None
        self.found = bool(fresh)
        if self._left is None:
            return self._take_first(page, fresh, size)
        self.moved += abs(self._total - before)
        left = min(self._left, self._total)
        low, high = (page.number - 1) * size, page.number * size
        self.ended = left == 0
        if low < left <= high:
            return self._take_ascending(page, fresh, low, left)
        self._left = left
        return None

    def _take_first(self, page: Page[T], fresh: tuple[T, ...], size: int) -> tuple[T, ...] | None:
        if page.number != 1:
            raise LoopError(f"page 1 was asked for, and page {page.number} came")
        count = len(page.items) + len(page.invalid)
        self._left = max(0, self._total - count)
        if page.has_next and count < size:
            self.doubts["a page held fewer records than its size, and more followed"] = None
        items = _dated(page.items)
        if items:
            self._newest, self._border = items[0].created_at, items[-1].created_at
            _need(self._newest >= self._border)
        self.ended = self._left == 0
        return fresh

    def _take_ascending(self, page: Page[T], fresh: tuple[T, ...], low: int, left: int) -> tuple[T, ...] | None:
        items = _dated(page.items)
        _need(not items or items[0].created_at <= items[-1].created_at)
        border, self._border = self._border, None
        if any(item.created_at == border for item in items[: left - low]):  # one moment on both sides of the border
            self._left = self._total
            return None
        self._left = low
        self.ended = low == 0
        came_in = {item.id for item in _dated(fresh) if self._newest is not None and item.created_at > self._newest}
        return tuple(item for item in reversed(fresh) if item.id not in came_in)

    def state(self) -> State:
        """Give what `restore` needs."""
        return {
            "left": self._left,
            "total": self._total,
            "moved": self.moved,
            "newest": written(self._newest),
            "border": written(self._border),
        }

    def restore(self, state: Mapping[str, object], _: Seen) -> None:
        """Go on where `state` was asked for."""
        self._left, self._total = number_or_none(state, "left"), number(state, "total")
        self.moved = number(state, "moved")
        self._newest, self._border = moment_or_none(state, "newest"), moment_or_none(state, "border")


class Windows(Generic[T]):
    """Newest first, in spans of days, each read backward.

    Args:
        size: records per page.
        first: first day.
        last: last day.
    """

    name = "windows"

    def __init__(self, size: int, first: date, last: date) -> None:
        self._size, self._first, self._until = size, first, last
        self._days: int | None = None  # of one span; None until the first page tells how much there is
        self._span = Backward[T](size, _days(first, last))
        self._moved = 0  # in the spans before
        self._oldest: datetime | None = None  # record of this span so far, …
        self._floor: datetime | None = None  # … and of the one before, which shares a day with it
        self.found = False

    # What the span says, the whole says.
    sweeps, partial = 1, True

    @property
    def ended(self) -> bool:
        """Whether the last span has ended."""
        return self._span.ended and self._since == self._first

    @property
    def moved(self) -> int:
        """By how many rows the counts have changed."""
        return self._moved + self._span.moved

    @property
    def doubts(self) -> dict[str, None]:
        """What could not be proven."""
        return self._span.doubts

    @property
    def _since(self) -> date:
        whole = self._days is None or (self._until - self._first).days < self._days
        return self._first if whole else self._until - ((self._days or 1) - 1) * _DAY

    def ask(self) -> Ask:
        """Give the next page of the span."""
        return self._span.ask()

    def after(self, ask: Ask) -> Ask | None:
        """Give the page before *ask* in the span."""
        return self._span.after(ask)

    def advance(self, *_: object) -> bool:
        """Leave every page to `take`."""
        return False

    def steady(self, ask: Ask, page: Page[T], fresh: tuple[T, ...], last: datetime | None) -> bool:
        """Whether nothing in the span shows that rows moved."""
        return self._span.steady(ask, page, fresh, last)

    def missing(self, ask: Ask) -> bool:
        """Go on with the page before."""
        return self._span.missing(ask)

    def take(self, ask: Ask, page: Page[T], fresh: tuple[T, ...], seen: Seen) -> tuple[T, ...] | None:
        """Take a page in; the first one tells how many spans are worth it, the last of a span begins the next."""
        taken = self._span.take(ask, page, fresh, seen)
        oldest = min((item.created_at for item in _dated(page.items)), default=None)
        shared = oldest is not None and self._floor is not None and oldest >= self._floor  # with the span before
        self.found = shared or self._span.found
        self._oldest = min(filter(None, (self._oldest, oldest)), default=None)
        if self._days is None:
            self._cut(page.total_count or 0)
        elif self._span.ended and not self.ended:
            self._begin(self._since)
        return taken

    def _cut(self, total: int) -> None:
        whole = (self._until - self._first).days + 1
        spans = min(total // (_PAGES * self._size), whole // _DAYS)
        self._days = -(-(whole - 1) // max(1, spans)) + 1
        if spans > 1:
            self._begin(self._until)

    def _begin(self, until: date) -> None:
        self._floor, self._oldest = self._oldest, None
        self._moved += self._span.moved
        doubts, self._until = self._span.doubts, until
        self._span = Backward[T](self._size, _days(self._since, until))
        self._span.doubts = doubts

    def state(self) -> State:
        """Give what `restore` needs."""
        told: State = {"days": self._days, "until": self._until.isoformat(), "moved": self.moved}
        return {**self._span.state(), **told, "oldest": written(self._oldest), "floor": written(self._floor)}

    def restore(self, state: Mapping[str, object], seen: Seen) -> None:
        """Go on where `state` was asked for."""
        self._days, self._until = number_or_none(state, "days"), date.fromisoformat(str(state["until"]))
        self._span = Backward[T](self._size, _days(self._since, self._until))
        self._span.restore(state, seen)
        self._oldest, self._floor = moment_or_none(state, "oldest"), moment_or_none(state, "floor")
        if not seen.whole and self._since != self._first:
            self.doubts["it was resumed after more records than a checkpoint remembers, and a day may repeat"] = None


def _days(first: date, last: date) -> tuple[tuple[str, str], ...]:
    return ("start_date", first.isoformat()), ("end_date", last.isoformat())


def _dated(items: tuple[Record, ...]) -> tuple[_Dated, ...]:
    return cast("tuple[_Dated, ...]", items)


def _need(sorted_as_asked: bool) -> None:  # noqa: FBT001
    if not sorted_as_asked:
        raise DriftError("the server did not sort as it was asked to: use the strategy count-guard")
