"""Where a listing stands: its strategy, what was delivered, and what that proves.

The rule: a position is pure and outlives everything else. A failed or timed-out step is taken again from it, and a
checkpoint is nothing but a position written down.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from itertools import islice
from typing import Any, Generic, TypeVar, cast

from .._headers import whole
from .._wire import Attempt, Response
from ..errors import EnvoyError, LoopError, PaginationError, StatusError
from ..models import InvalidItem, Page
from ._checkpoint import Saved
from ._report import Report, Tally
from ._route import LARGEST_PAGE, Ask, Route, State, made, moment_or_none, number, written
from ._seen import DIGEST, REMEMBERED, Record, Seen, digest

T = TypeVar("T", bound=Record)
_BARREN = 3  # pages in a row without anything new: the server is turning in circles
_EXCUSED = 0.25  # of such a page, where the count has changed
_PATIENCE = 5  # times as many pages as there were at the start, and ten more each: the rows outrun the reader
_TOO_MANY = 429
_DIGITS = 15  # of a count in a header
_GONE = (404, 422)  # what servers say of a page past the end; which of them this one says is not known
_COUNTS = ("pages", "records", "repeated", "stepped_back", "skipped", "requests", "rate_limited")


class Position(Generic[T]):
    """Where a listing stands.

    Args:
        route: the strategy.
        limit: most records to deliver; `None` for all.
        doubt: why the order of this listing proves nothing; `None` where it is known not to change.
        seen: the memory of what was delivered.
        collect: whether the report keeps records that could not be read.
    """

    def __init__(
        self, route: Route[T], *, limit: int | None, doubt: str | None, seen: Seen, collect: bool = False
    ) -> None:
        self.route = route
        self.tally = Tally(route.name)
        self.seen = seen
        self.calm = True
        self._limit = limit
        self._doubt = doubt
        self._barren: float = 0  # pages in a row that brought nothing new
        self._gone = 0  # pages in a row that the server had not, though it said so
        self._warned_at = 0
        self._last: datetime | None = None  # when the last record taken was made, …
        self._last_id: str | bytes = b""  # … and its id, or that one's digest
        self._collect = collect
        self._unread: OrderedDict[bytes, None] = OrderedDict()  # digests of records that could not be read

    @property
    def report(self) -> Report:
        """What was fetched and what is proven so far."""
        return self.tally.report()

    def ask(self) -> Ask | None:
        """Give the page to ask for next; `None` at the end.

        Raises:
            PaginationError: the listing turns in circles, or rows come in faster than they are read; once each time:
                a listing that is stepped again goes on.
        """
        tally = self.tally
        if tally.finished:
            return None
        ask = self.route.ask()
        if self._barren >= _BARREN + self.route.moved // ask.size:  # rows that moved explain some
            self._barren = 0
            raise LoopError(f"{_BARREN} pages in a row or more brought nothing new, and the server says more follow")
        at_start = tally.total_at_start
        patience = _PATIENCE * ((at_start or 0) // ask.size + 10)
        if at_start is not None and tally.pages - self._warned_at >= patience:
            self._warned_at = tally.pages
            msg = f"{tally.pages} pages read of a listing of {at_start} records, and no end in sight"
            raise PaginationError(msg)
        return ask

    def accept(self, ask: Ask, page: Page[T], *, alone: bool = True) -> tuple[T, ...]:
        """Take a fetched page in.

        Args:
            ask: what it is the answer to.
            page: the page.
            alone: whether it was asked for after the page before had come.

        Returns:
            Its records that are to be delivered, in order; none when the page was read in vain. `calm` tells whether
            what was asked for beyond it can be used.
        """
        items = page.items
        if self._advance(ask, page):
            return items
        fresh = self.seen.fresh(items)
        self.calm = not page.invalid and self.route.steady(ask, page, fresh, self._last)
        if not (alone or self.calm):
            self._barren = max(-_BARREN, self._barren - 1)  # rows did move
            self._note(page, vain=True)
            return ()
        taken = self.route.take(ask, page, fresh, self.seen)
        unread = () if taken is None or not page.invalid else self._left_out(page)
        if (taken is not None and self.route.found) or unread:
            self._barren = self._gone = 0
        else:  # rows that moved, or that cannot be read, explain some more
            before = self.tally.total_at_end if self.tally.pages else page.total_count
            still = page.total_count in {None, before} and not page.invalid
            self._barren += 1 if still else _EXCUSED
        if taken is None:
            self.calm = False
            self._note(page, vain=True)
            return ()
        self._look_at_border(items, taken)
        repeated = len(items) - len(taken)
        if self._limit is not None:
            taken = taken[: self.left]
        self.seen.add(taken)
        self._note(page, len(taken), repeated, *unread)
        return taken

    def _advance(self, ask: Ask, page: Page[T]) -> bool:
        """Take in a page that is the very next, the short way, for nearly all of them; says whether it was."""
        if self._limit is not None or page.invalid or not self.route.advance(ask, page, self._last, self.seen):
            return False
        items, tally = page.items, self.tally
        last = items[-1]
        self.calm, self._barren, self._gone = True, 0, 0
        self._last, self._last_id = made(last), last.id
        tally.pages += 1
        tally.records += len(items)
        tally.total_at_end = page.total_count  # that of a page read in vain may stand there
        return True

    def _look_at_border(self, items: tuple[T, ...], taken: tuple[T, ...]) -> None:
        """Notice records of one moment on two pages: a server may sort them differently for each."""
        if items and self._last is not None and self._last in (made(items[0]), made(items[-1])):
            last = _digest(self._last_id)
            if any(digest(item.id) != last for item in items if made(item) == self._last):
                self.route.doubts["records made at one moment stand on two pages, where they may be mixed up"] = None
        if taken:
            self._last, self._last_id = made(taken[-1]), taken[-1].id

    @property
    def left(self) -> int | None:
        """Records to be delivered until the limit; `None` without one."""
        return None if self._limit is None else self._limit - self.tally.records

    def missing(self, ask: Ask, error: EnvoyError) -> bool:
        """Hear that a page could not be had; says whether that is no more than rows deleted at the end."""
        self._gone += 1
        gone = isinstance(error, StatusError) and error.status in _GONE and self._gone < _BARREN
        return gone and self.route.missing(ask)

    def _note(self, page: Page[T], taken: int = 0, repeated: int = 0, *unread: InvalidItem, vain: bool = False) -> None:
        tally, route = self.tally, self.route
        records = tally.records + taken
        limited = records == self._limit
        ended = route.ended and not limited
        if route.sweeps > tally.sweeps:
            self._warned_at = tally.pages
        doubts = self._doubts(ended, records + tally.skipped + len(unread))
        if tally.pages == 0:
            tally.total_at_start = page.total_count
        if page.total_count is not None and not (route.partial and tally.pages > 0):
            tally.total_at_end = page.total_count
        tally.strategy, tally.sweeps, tally.records = route.name, route.sweeps, records
        tally.pages += 1
        tally.repeated += repeated
        tally.stepped_back += vain
        tally.skipped += len(unread)
        tally.invalid += unread if self._collect else ()
        tally.finished, tally.proven = ended or limited, ended and not doubts
        tally.doubts = (*doubts, "it ended at its limit") if limited else doubts

    def _doubts(self, ended: bool, came: int) -> tuple[str, ...]:  # noqa: FBT001
        """Give what speaks against a proof, after so many records."""
        tally, route = self.tally, self.route
        if ended and route.moved == 0 and came < (tally.total_at_start or 0):
            route.doubts["fewer records came than the server counts"] = None
        alone = tally.pages == 0 and ended  # one answer is its own proof
        return (*route.doubts, *([] if self._doubt is None or alone else [self._doubt]))

    def _left_out(self, page: Page[T]) -> tuple[InvalidItem, ...]:
        """Give the records that could not be read, without those left out before."""
        self.route.doubts["records that could not be read were left out"] = None
        told = [(digest(item.raw), item) for item in page.invalid]
        new = [(one, item) for one, item in told if one not in self._unread]
        self._unread.update(dict.fromkeys(one for one, _ in new))
        while len(self._unread) > REMEMBERED:
            self._unread.popitem(last=False)
        return tuple(item for _, item in new)

    def spend(self, attempts: tuple[Attempt, ...], answer: Response | None = None) -> None:
        """Add what a request cost to the report, and what its answer said of the quota."""
        tally = self.tally
        tally.requests += len(attempts)
        for row in attempts:
            tally.waited += row.waited
            tally.rate_limited += row.status == _TOO_MANY
        if answer is not None:
            tally.quota_limit = _count(answer.headers.get("X-RateLimit-Limit"), tally.quota_limit)
            tally.quota_left = _count(answer.headers.get("X-RateLimit-Remaining"), tally.quota_left)

    def counts(self) -> State:
        """Give the figures of the report that a checkpoint keeps."""
        tally = self.tally
        told: State = {name: getattr(tally, name) for name in _COUNTS}
        waited = round(tally.waited * 1000)  # milliseconds
        last: State = {"last": written(self._last), "last_id": _digest(self._last_id).hex()}
        last["unread"] = b"".join(islice(reversed(self._unread), LARGEST_PAGE)).hex()  # those of the page in hand
        last["doubts"] = "\n".join(self.route.doubts)
        return {**told, "total_at_start": tally.total_at_start, "waited": waited, **last}

    def restore(self, saved: Saved) -> None:
        """Go on after a checkpoint; raises `ValueError`, `KeyError`, or `TypeError` for what is none."""
        counts = saved.counts
        figures = {name: number(counts, name) for name in _COUNTS}
        at_start = None if counts["total_at_start"] is None else number(counts, "total_at_start")
        self.seen.restore(saved.digests, whole=saved.whole)
        self.route.restore(saved.route, self.seen)
        self._warned_at = figures["pages"]
        again = number(saved.route, "taken") + LARGEST_PAGE  # rows, which may be pages of another size now
        self._barren = -(again // self.route.ask().size)
        unread = bytes.fromhex(str(counts["unread"]))
        self._unread.update(dict.fromkeys(unread[at : at + DIGEST] for at in range(0, len(unread), DIGEST)))
        self.route.doubts.update(dict.fromkeys(filter(None, str(counts["doubts"]).split("\n"))))
        self._last, self._last_id = moment_or_none(counts, "last"), bytes.fromhex(str(counts["last_id"]))
        self.tally = Tally(
            self.route.name,
            **cast("dict[str, Any]", figures),
            total_at_start=at_start,
            waited=number(counts, "waited") / 1000,
            finished=self.route.ended or figures["records"] == self._limit,
        )


def _digest(id: str | bytes) -> bytes:
    """Give the digest of a last id, of which a checkpoint knows no more."""
    return digest(id) if isinstance(id, str) else id


def _count(text: str | None, otherwise: int | None) -> int | None:
    """Read a count from a header, or keep the one before."""
    found = whole(text, _DIGITS)
    return otherwise if found is None else found
