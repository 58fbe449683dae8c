"""Forwards from page 1: newest first with the count guard, or in an order nobody knows, swept until it holds still.

The rule for an order that is newest first: new rows push old ones to higher numbers, which only repeats some; a row
deleted before the reader pulls unread ones to lower numbers, which would lose them. That shift is at least the fall
of `total_count`, so the frontier (how many rows from the top are covered) goes back by the fall. A page that starts
behind the frontier is left. Once rows were seen to move, the next pages overlap by as much, which is cheaper than
reading one in vain.

The rule for any other order: nothing can be told from a page that moved, so the listing is swept again, until one
sweep finds the count unchanged and as many records as it says; strictly, until two such sweeps agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import Generic, TypeVar

from ..errors import DriftError
from ..models import Page
from ._route import LARGEST_PAGE, Ask, State, made, number, number_or_none
from ._seen import Record, Seen

T = TypeVar("T", bound=Record)
_SWEEPS = 4
_OTHER = 3  # records fewer per page in every second sweep: rows of one moment, sorted anew, fall into other pages
_PROBED = 2  # pages of a listing of unknown order that are looked through for its order


class Forward(Generic[T]):
    """Forwards, page by page.

    Args:
        page: page to begin with.
        size: records per page.
        paged: whether there are pages; else one answer is all.
        ordered: whether the order is known to be newest first; `None` to look.
        strict: whether two sweeps have to agree.
    """

    partial = False

    def __init__(self, *, page: int, size: int, paged: bool, ordered: bool | None, strict: bool = False) -> None:
        self.sweeps, self.moved = 1, 0
        self.found = self.ended = False
        self.doubts: dict[str, None] = {}
        self._first, self._size, self._paged = page, size, paged
        self._ordered, self._strict = ordered, strict
        self._probed = 0 if ordered is None else _PROBED
        self._frontier = (page - 1) * size
        self._total: int | None = None
        self._furthest = 0
        self._margin = 0
        self._fixed = False  # whether the server heeds no other page size
        self._failure = ""
        self._less = 0  # by how much the pages of this sweep are smaller
        self._changed = False  # of this sweep: whether the count has changed, …
        self._still, self._rows = True, 0  # … whether nothing repeated, and records found
        self._excused = 0  # records of the next page that were handed out before a checkpoint
        self._here: set[str] | None = None  # ids of this sweep, from the second on
        self._before: frozenset[str] = frozenset()  # ids of the sweep before
        if page > 1:
            self._doubt("it was begun at a later page")

    @property
    def name(self) -> str:
        """The strategy, which follows the order that was found."""
        return "count-guard" if self._ordered and not self._strict else "reconcile"

    def ask(self) -> Ask:
        """Give the page that holds the frontier; raises `DriftError` when the sweeps came to nothing."""
        if self._failure:
            raise DriftError(self._failure)
        return self._at(self._frontier)

    def after(self, ask: Ask) -> Ask | None:
        """Give the page behind *ask*, if the count says that there is one, and nothing is to be read again."""
        behind, unsure = ask.number * ask.size, self._margin or self._excused
        return None if unsure or self._total is None or behind >= self._total else self._at(behind)

    def _at(self, frontier: int) -> Ask:
        """Choose the page that covers the frontier, with the margin before it unless that costs half a page."""
        if not self._paged or self._fixed or (self._margin == 0 and frontier % self._size == 0):
            return Ask(frontier // self._size + 1, self._size)
        careful = self._widest(max(0, frontier - self._margin))
        return careful if careful.number * careful.size >= frontier + self._size // 2 else self._widest(frontier)

    def _widest(self, start: int) -> Ask:
        """Choose the page that holds row *start* and most of what follows, of this size or down to half of it."""
        sizes = range(self._size, self._size // 2, -1)
        best = max(sizes, key=lambda size: (start // size + 1) * size)
        return Ask(start // best + 1, best)

    def advance(self, ask: Ask, page: Page[T], last: datetime | None, seen: Seen) -> bool:
        """Take in a page of fresh records if it is whole, stands where it is due, and nothing else is to be done."""
        items, size, frontier = page.items, self._size, self._frontier
        due = (
            self._ordered is True
            and self._probed == _PROBED
            and self._here is None
            and not (self._margin or self._excused or frontier % size)
            and page.total_count == self._total
            and page.number == ask.number == frontier // size + 1
            and page.size == ask.size == size == len(items)
            and page.has_next
            and frontier + size < (self._total or 0)
        )
        if not due or last is None:
            return False
        first = made(items[0])
        if first is None or first >= last or not _falls(first, made(items[-1])) or not seen.take(items):
            return False
        self._frontier = frontier + size
        self._rows += size
        return True

    def steady(self, ask: Ask, page: Page[T], fresh: tuple[T, ...], last: datetime | None) -> bool:
        """Whether the count stands still, nothing repeats, and nothing came in where older records are due."""
        as_asked = (page.number, page.size) == (ask.number, ask.size) and self._total in {None, page.total_count}
        repeats = len(fresh) < len(page.items) if self._here is None else any(i.id in self._here for i in page.items)
        first = made(fresh[0]) if fresh and self._ordered else None
        came_in = first is not None and last is not None and first > last
        return as_asked and not repeats and not came_in

    def missing(self, ask: Ask) -> bool:
        """Go back a page when one past the end is refused: rows were deleted, and the count there tells."""
        self._frontier = min(self._frontier, max(0, ask.number - 2) * ask.size)
        return ask.number > self._first

    def take(self, ask: Ask, page: Page[T], fresh: tuple[T, ...], seen: Seen) -> tuple[T, ...] | None:
        """Take a page in: follow the count, move the frontier, and look whether this is the end."""
        size = min(page.size, LARGEST_PAGE)
        if page.size != ask.size:
            self._size, self._fixed = size, True  # the server clamps it, or has one size only
        fallen = self._follow_count(page, seen)
        self._margin = min(fallen, self._size // 2) or self._margin * 3 // 4
        start, count = (page.number - 1) * size, len(page.items) + len(page.invalid)
        if start > self._frontier:  # rows may have moved up between the pages: go back first
            self.found = False
            return None
        if count < size and page.has_next:
            self._doubt("a page held fewer records than its size, and more followed")
        self._probe(page.items if self._probed < _PROBED else page.items[:: max(1, len(page.items) - 1)])
        if not self._paged:  # one answer may hold more than a checkpoint remembers: go by places
            handed = {item.id for item in page.items[: self._excused]}
            fresh = tuple(item for item in fresh if item.id not in handed)
        self.found = self._count(page, fresh)
        covered = start + (size if page.has_next else count)
        behind, self._frontier = self._frontier, max(self._frontier, covered)
        more = self._paged and page.total_count is not None and self._frontier < page.total_count
        if more and not page.has_next:
            self._doubt("the server says that nothing follows, and counts more records than it gave")
        if not (page.has_next or (more and self._frontier > behind and count == size)):
            self._end_sweep(seen, fresh)
        return fresh

    def _follow_count(self, page: Page[T], seen: Seen) -> int:
        """Take the frontier back by as many rows as `total_count` has fallen; returns how many."""
        total, before = page.total_count, self._total
        if total is None:
            self._doubt("the server left its count out")
            return 0
        self._total = total
        if before is None or before == total:
            return 0
        self._changed = True
        self.moved += abs(before - total)
        fallen = max(0, before - total)
        self._furthest = max(self._furthest, self._frontier)
        self._frontier = max(0, self._frontier - fallen)
        if not seen.whole and self._furthest - self._frontier > len(seen):
            self._doubt("more records vanished than are remembered, so that some may have come again")
        return fallen

    def _probe(self, items: tuple[T, ...]) -> None:
        """Look whether the order is newest first: at all records of the first pages, then at the ends of each."""
        moments = [made(item) for item in items]
        if self._probed < _PROBED:
            self._probed += 1
            self._ordered = self._ordered is not False and all(_falls(*pair) for pair in pairwise(moments))
        elif self._ordered and moments and moments[0] and not _falls(moments[0], moments[-1]):
            self._ordered = False
            self._doubt("the server did not sort newest first")

    def _count(self, page: Page[T], fresh: tuple[T, ...]) -> bool:
        """Count the records of this sweep, each once; says whether there were any."""
        new = len(fresh)
        if self._here is not None:
            ids = {item.id for item in page.items} - self._here
            self._here |= ids
            new = len(ids)
        self._rows += new + len(page.invalid)
        self._still = self._still and new + self._excused >= len(page.items)
        self._excused = 0
        return new > 0

    def _end_sweep(self, seen: Seen, fresh: tuple[T, ...]) -> None:
        """Decide at the end of a sweep whether to sweep again."""
        ids = self._ids(seen, fresh)
        agreed = self.sweeps > 1 and ids == self._before and self._still and not self._changed
        if self._strict:
            settled = agreed and self._whole
        else:  # the count guard sees to rows that moved, but not to ties that are sorted anew each time
            settled = self._whole or (self._ordered is True and (self._changed or self._rows >= (self._total or 0)))
        if settled or self._first > 1 or self._one_answer:
            self.ended = True
        elif self.sweeps < (_SWEEPS if seen.whole else 1) and not agreed:
            seen.keep()  # what a sweep forgot, the next would deliver again
            self._sweep_again(ids)
        elif self._strict and seen.whole:
            self._failure = f"the listing does not hold still: {self._told}, and no two agree"
        else:
            self.ended = True
            self._doubt(f"rows moved, or the count is wrong: {self._told}")

    @property
    def _whole(self) -> bool:
        return self._still and not self._changed and self._total in {None, self._rows}

    @property
    def _one_answer(self) -> bool:
        return not self._paged or (self.sweeps == 1 and self._frontier <= self._size)

    def _ids(self, seen: Seen, fresh: tuple[T, ...]) -> frozenset[str]:
        here = seen.ids() if self._here is None else frozenset(self._here)
        return here | {item.id for item in fresh}

    def _sweep_again(self, ids: frozenset[str]) -> None:
        self.sweeps += 1
        self._before, self._here = ids, set()
        self._frontier, self._margin, self._rows, self._still, self._changed = 0, 0, 0, True, False
        if self.sweeps % 2:
            self._size += self._less
        else:
            self._less = min(_OTHER, self._size // 4)
            self._size -= self._less

    @property
    def _told(self) -> str:
        return f"{self._rows} records of {self._total} were found in {self.sweeps} sweeps"

    def _doubt(self, text: str) -> None:
        self.doubts[text] = None

    def state(self) -> State:
        """Give what `restore` needs; a later sweep is begun anew."""
        first = self.sweeps == 1
        return {
            "frontier": self._frontier if first else 0,
            "total": self._total,
            "margin": self._margin,
            "moved": self.moved,
            "rows": self._rows - self._excused if first else 0,
            "taken": self._excused,
            "sweep": self.sweeps,
            "still": self._still or not first,
            "changed": self._changed and first,
            "ordered": self._ordered,
            "probed": self._probed,
        }

    def restore(self, state: Mapping[str, object], seen: Seen) -> None:
        """Go on where `state` was asked for; a sweep after one too long for a checkpoint's memory is left out."""
        self._frontier, self._margin = number(state, "frontier"), number(state, "margin")
        self._total, self._rows = number_or_none(state, "total"), number(state, "rows")
        self.moved, self.sweeps, self._probed = (number(state, name) for name in ("moved", "sweep", "probed"))
        self._still, self._changed = state["still"] is True, state["changed"] is True
        self._furthest = self._frontier
        self._excused = number(state, "taken") if self.sweeps == 1 else 0
        self._rows += self._excused
        self._ordered = None if state["ordered"] is None else state["ordered"] is True
        if self.sweeps > 1:
            self._here = set()
            self.ended = not seen.whole
            self._doubt("it was resumed in a later sweep")


def _falls(first: datetime | None, second: datetime | None) -> bool:
    """Whether a record made at *first* may stand before one made at *second*, newest first."""
    return first is not None and second is not None and first >= second
