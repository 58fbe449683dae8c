"""Listings: follow `has_next` page by page, and lose nothing while rows come and go.

The rule: `Position` decides, `follow` fetches, `Pages` hands out. `Position` is pure and outlives everything
else: a failed or timed-out step is taken again from it. `follow` is an async generator that holds nothing open
while it is suspended. A short or empty page proves nothing; only `has_next` does.

Page numbers drift. In a listing that is newest first, new rows push old ones to higher numbers, which only
repeats some; a row deleted before the reader pulls unread ones to lower numbers, which would lose them. The
shift is at least the change of `total_count`. So when that fell by d, `Position` takes its frontier (how many
rows from the top are covered) back by d; a page that starts behind the frontier is left and read again later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Protocol, Self, TypeVar

import attrs

from ._wire import Attempt, Request, Response, Send
from .errors import EnvoyError, InvalidRequestError, PaginationError
from .models import Page


class Record(Protocol):
    """Anything a listing can hold: it has an id."""

    @property
    def id(self) -> str:
        """The record's id, unique within the listing."""
        ...


T = TypeVar("T", bound=Record)
LARGEST_PAGE = 100  # pagination guide (seen)
_REMEMBERED = 10_000  # ids of the latest records, to drop those that come again
_BARREN = 3  # pages in a row without anything new: the server is turning in circles
_PATIENCE = 5  # times as many pages as there were at the start, and ten more each: the rows outrun the reader
_TOO_MANY = 429


@attrs.frozen(kw_only=True)
class Report:
    """What a listing did so far, and what is proven about it."""

    pages: int = 0
    """Pages fetched, those read again included."""
    records: int = 0
    """Records delivered."""
    repeated: int = 0
    """Records that came again and were left out."""
    stepped_back: int = 0
    """Times the listing went back because `total_count` had fallen."""
    requests: int = 0
    """Requests sent, retries included."""
    rate_limited: int = 0
    """Requests the server refused for quota (429)."""
    waited: float = 0.0
    """Seconds spent waiting for quota and back-offs."""
    total_at_start: int | None = None
    total_at_end: int | None = None
    finished: bool = False
    """Whether the last page was reached."""
    proven: bool = False
    """Whether every record that existed at the start and was not deleted meanwhile has been delivered.

    Provable only for a listing with an immutable order: newest first by `created_at`, without filters on
    fields that change, or a listing that came as one answer.
    """


class Position(Generic[T]):
    """Where a listing stands: its frontier, its size of page, the ids of the latest records. Pure."""

    def __init__(self, *, page: int, size: int, limit: int | None, immutable_order: bool) -> None:
        self.size = size
        self.report = Report()
        self._limit = limit
        self._frontier = (page - 1) * size
        self._immutable_order = immutable_order
        self._provable = page == 1  # until something breaks the proof
        self._latest: OrderedDict[str, None] = OrderedDict()
        self._moved = 0
        self._barren = 0
        self._warned_at = 0

    @property
    def next_page(self) -> int:
        """The number of the page that holds the frontier."""
        return self._frontier // self.size + 1

    def accept(self, page: Page[T]) -> tuple[T, ...]:
        """Take a fetched page in; returns its records that are to be delivered, in the server's order."""
        self.size = min(page.size or self.size, LARGEST_PAGE)  # the server may have clamped it
        fallen = self._follow_count(page)
        start = (page.number - 1) * self.size
        if start > self._frontier:  # rows may have moved up between the pages: go back first
            self._note(page, (), stepped_back=True, barren=not fallen)
            return ()
        self._frontier = max(self._frontier, start + (self.size if page.has_next else len(page.items)))
        fresh = tuple({item.id: item for item in page.items if item.id not in self._latest}.values())
        if self._limit is not None:
            fresh = fresh[: self._limit - self.report.records]
        self._remember(fresh)
        self._note(page, fresh, stepped_back=False, barren=not fresh)
        return fresh

    def _follow_count(self, page: Page[T]) -> int:
        """Take the frontier back by as many rows as `total_count` has fallen; returns how many."""
        total, before = page.total_count, self.report.total_at_end
        if total is None or (page.has_next and len(page.items) < self.size):
            self._provable = False  # what is not counted, or left out of a page, is not proven
        if total is None or before is None:
            return 0
        fallen = max(0, before - total)
        self._moved += abs(before - total)
        self._frontier = max(0, self._frontier - fallen)
        self._provable = self._provable and fallen <= _REMEMBERED
        return fallen

    def _remember(self, fresh: tuple[T, ...]) -> None:
        for item in fresh:
            self._latest[item.id] = None
        while len(self._latest) > _REMEMBERED:
            self._latest.popitem(last=False)

    def _note(self, page: Page[T], fresh: tuple[T, ...], *, stepped_back: bool, barren: bool) -> None:
        seen = self.report
        records = seen.records + len(fresh)
        ended = not page.has_next and not stepped_back
        ordered = self._immutable_order or seen.pages == 0  # one answer is its own proof
        whole = page.total_count is not None and page.total_count <= self._frontier
        self._barren = self._barren + 1 if barren else 0
        self.report = attrs.evolve(
            seen,
            pages=seen.pages + 1,
            records=records,
            repeated=seen.repeated + (0 if stepped_back else len(page.items) - len(fresh)),
            stepped_back=seen.stepped_back + stepped_back,
            total_at_start=page.total_count if seen.pages == 0 else seen.total_at_start,
            total_at_end=seen.total_at_end if page.total_count is None else page.total_count,
            finished=ended or records == self._limit,
            proven=ended and self._provable and ordered and whole and records != self._limit,
        )

    def guard(self) -> None:
        """Stop before another page when the listing turns in circles, or rows come in faster than they are read.

        Raises:
            PaginationError: once each time; a listing that is stepped again goes on.
        """
        report = self.report
        if self._barren >= _BARREN + self._moved // self.size:  # rows that moved explain some
            self._barren = 0
            msg = f"{_BARREN} pages in a row or more brought nothing new, and the server says that more follow"
            raise PaginationError(msg)
        at_start = report.total_at_start
        if at_start is not None and report.pages - self._warned_at >= _PATIENCE * (at_start // self.size + 10):
            self._warned_at = report.pages
            msg = f"{report.pages} pages read of a listing of {at_start} records, and no end in sight"
            raise PaginationError(msg)

    def spend(self, attempts: tuple[Attempt, ...]) -> None:
        """Add what an answer cost to the report."""
        seen = self.report
        self.report = attrs.evolve(
            seen,
            requests=seen.requests + len(attempts),
            rate_limited=seen.rate_limited + sum(row.status == _TOO_MANY for row in attempts),
            waited=seen.waited + sum(row.waited for row in attempts),
        )


async def follow(
    send: Send, request: Request, read: Callable[[Response], Page[T]], position: Position[T]
) -> AsyncGenerator[Page[T], None]:
    """Fetch page after page while the server says that more follow; *position* says which."""
    while not position.report.finished:
        position.guard()
        try:
            response = await send(request.at_page(position.next_page, position.size))
        except EnvoyError as error:
            position.spend(error.attempts)
            raise
        position.spend(response.attempts)
        page = read(response)
        fresh = position.accept(page)
        if fresh:
            yield page if len(fresh) == len(page.items) else attrs.evolve(page, items=fresh)


class Pages(Generic[T]):
    """A listing: iterate it by record, or `by_page()`. Nothing is sent before the first step.

    Every record that exists when the listing starts and is not deleted before it ends is delivered exactly
    once where the order allows it (`report.proven`); no id comes twice; later records come at most once.
    It is one pass: a loop after `break`, an error, or a timeout goes on where the last one stopped.
    """

    def __init__(
        self,
        send: Send,
        request: Request,
        read: Callable[[Response], Page[T]],
        position: Position[T],
    ) -> None:
        self._send, self._request, self._read = send, request, read
        self._position = position
        self._steps: AsyncGenerator[Page[T], None] | None = None
        self._waiting = False
        self._page: Page[T] | None = None
        self._items: tuple[T, ...] = ()
        self._taken = 0

    @property
    def report(self) -> Report:
        """What was fetched, what drifted, and what is proven, so far; of the records, those handed out."""
        report, left = self._position.report, len(self._items) - self._taken
        if not left:
            return report
        return attrs.evolve(report, records=report.records - left, finished=False, proven=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while self._taken == len(self._items):
            self._refuse_two()
            steps = self._steps = self._steps or self._follow()
            self._waiting = True
            try:
                page = await anext(steps)
            except StopAsyncIteration:
                if self._position.report.finished:
                    raise
                self._steps = None  # it was closed with an earlier event loop
            except BaseException:
                self._steps = None  # a generator that raised is dead, but the position stands
                raise
            else:
                self._page, self._items, self._taken = page, page.items, 0
            finally:
                self._waiting = False
        self._taken += 1
        return self._items[self._taken - 1]

    def _refuse_two(self) -> None:
        if self._waiting:
            msg = "two tasks take from the same listing; give each its own"
            raise PaginationError(msg)

    def _follow(self) -> AsyncGenerator[Page[T], None]:
        return follow(self._send, self._request, self._read, self._position)

    async def by_page(self) -> AsyncGenerator[Page[T], None]:
        """Iterate over the pages that follow, the rest of a page begun first, without records delivered before."""
        rest, self._taken = self._items[self._taken :], len(self._items)
        if self._page is not None and rest:
            yield attrs.evolve(self._page, items=rest)
        async for page in self._follow():
            yield page

    async def collect(self, limit: int | None = None) -> list[T]:
        """Return the records that follow, at most *limit* of them, in the server's order.

        When a step fails, what was taken until then is put back, so that the next `collect` returns it too.
        """
        if limit is not None and (type(limit) is not int or limit < 1):
            refused = InvalidRequestError("limit must be a whole number of at least 1")
            refused.param = "limit"
            raise refused
        found: list[T] = []
        try:
            async for item in self:
                found.append(item)
                if len(found) == limit:
                    break
        except BaseException:
            self._items, self._taken = (*found, *self._items[self._taken :]), 0
            raise
        return found

    async def first(self) -> T | None:
        """Return the next record, or `None` when there is none."""
        return await anext(self, None)

    async def aclose(self) -> None:
        """End the listing's background step, if any. Needed by nobody who lets the listing go."""
        self._refuse_two()
        if self._steps is not None:
            await self._steps.aclose()
            self._steps = None
