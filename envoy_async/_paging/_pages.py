"""What users iterate."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from operator import length_hint
from types import MappingProxyType
from typing import Generic, Self, TypeVar
from urllib.parse import unquote

import attrs

from .._wire import Request, Response, Send
from ..errors import EnvoyError, PaginationError, refused
from ..models import Page
from ._ahead import MOST_AHEAD, Ahead
from ._checkpoint import Binding, damaged
from ._position import Position
from ._report import Report
from ._route import Ask, State
from ._seen import Record

T = TypeVar("T", bound=Record)


class Pages(Generic[T]):
    """A listing: iterate it by record, or `by_page()`. Nothing is sent before the first step.

    Every record that exists when the listing starts and is not deleted before it ends is delivered exactly once; no
    id comes twice; later records come at most once. That needs an order that does not change, which the API promises
    for calls only, and a server that keeps to it: `report.proven` says whether it holds, and `report.doubts` why not.

    It is one pass: a loop after `break`, an error, or a timeout goes on where the last one stopped. Errors raised
    here carry a `checkpoint`.
    """

    def __init__(
        self,
        send: Send,
        request: Request,
        read: Callable[[Response], Page[T]],
        position: Position[T],
        *,
        item: type[T],
        binding: Binding | None = None,
    ) -> None:
        self.item = item
        """The model of its records."""
        self._request, self._read = request, read
        self._position = position
        self._binding = binding or Binding.of(request)
        self._ahead: Ahead[T] = Ahead(send, request, position)
        self._waiting = False
        self._page: Page[T] | None = None
        self._items: tuple[T, ...] = ()
        self._rest: Iterator[T] = iter(self._items)  # of these, what was not handed out yet: it knows how many
        self._before: State = position.route.state()  # where the latest page came from, …
        self._start = 0  # … and which item in hand is its first
        self._put_back: tuple[str, int] | None = None  # by `collect`: the checkpoint before it, and how many records

    @property
    def operation(self) -> str:
        """Method and path template, such as `GET /calls`."""
        return self._request.operation

    @property
    def filters(self) -> Mapping[str, str]:
        """The query as sent, without page and page size."""
        pairs = ((name, unquote(value)) for name, value in self._request.query)
        return MappingProxyType({name: value for name, value in pairs if name not in {"page", "page_size"}})

    @property
    def report(self) -> Report:
        """What was fetched, what drifted, and what is proven, so far; of the records, those handed out."""
        report, left = self._position.report, length_hint(self._rest)
        if not left:
            return report
        return attrs.evolve(report, records=report.records - left, finished=False, proven=False)

    def prefetch(self, pages: int) -> Self:
        """Fetch ahead of the reader, in the background; returns this listing. Order and guarantee stay the same.

        Pages on their way are given up when a loop ends before the listing does, and after `aclose`.

        Args:
            pages: most pages on their way or waiting, 1 to 64; while 64 MiB wait, no more are asked for. 1: none ahead.

        Raises:
            InvalidRequestError: not such a number.
        """
        if type(pages) is not int or not 1 <= pages <= MOST_AHEAD:
            raise refused("pages", f"pages must be a whole number from 1 to {MOST_AHEAD}")
        self._ahead.most = pages
        return self

    def checkpoint(self) -> str:
        """Return where the listing stands, as JSON text of at most 64 KiB: valid for the last record handed out.

        It holds no record and no secret. Store it together with what was handed out.
        """
        held = length_hint(self._rest)
        taken = len(self._items) - held
        if self._put_back is not None and taken < self._put_back[1]:
            return self._put_back[0]
        seen, report = self._position.seen, self._position.counts()
        report["records"] = self._position.tally.records - held
        route: State = {**self._before, "taken": _excused(self._before) + taken - self._start}
        return self._binding.write(route, report, seen.digests(held), whole=seen.fits)

    def resume(self, checkpoint: str) -> Self:
        """Go on where a listing like this one stood; returns this listing, which must not have been stepped.

        One page is read again, and what was handed out of it is left out. `limit` counts what was handed out before.

        Args:
            checkpoint: what `checkpoint` gave, in this process or another.

        Raises:
            CheckpointMismatchError: it is of another operation, strategy, set of filters, organization, or version.
        """
        if self._position.tally.pages or self._waiting:
            raise PaginationError("resume() comes before the first step of a listing")
        saved = self._binding.read(checkpoint)
        try:
            self._position.restore(saved)
        except (ValueError, KeyError, TypeError, OverflowError):
            raise damaged() from None
        self._before = self._position.route.state()
        return self

    def __aiter__(self) -> AsyncIterator[T]:
        return self if self._ahead.most == 1 else _Loop(self.__anext__, self._ahead)

    async def __anext__(self) -> T:
        while True:
            for item in self._rest:  # without a count for each record: the iterator keeps it
                return item
            page = await self._next()
            if page is None:
                raise StopAsyncIteration
            self._hold(page.items)

    def _hold(self, items: tuple[T, ...]) -> None:
        self._items, self._rest = items, iter(items)

    async def _next(self) -> Page[T] | None:
        """Fetch the page that follows; `None` at the end. What fails is taken again from where the position stands."""
        self._refuse_two()
        position, ahead = self._position, self._ahead
        before, self._waiting = position.route.state(), True
        try:
            while (ask := position.ask()) is not None:
                try:
                    once = ahead.idle  # without a frame in between
                    response, alone = (await ahead.send(ahead.asking(ask)), True) if once else await ahead.fetch(ask)
                except EnvoyError as error:
                    self._missed(ask, error)
                    continue
                position.spend(response.attempts, response)
                page = self._read(response)
                taken = position.accept(ask, page, alone=alone)
                if not position.calm:
                    ahead.drop()
                if taken or page.invalid:
                    self._page = page if taken is page.items else attrs.evolve(page, items=taken)
                    self._before, self._start, self._put_back = before, 0, None
                    return self._page
        except BaseException as error:
            ahead.drop()
            if isinstance(error, EnvoyError):
                error.checkpoint = self.checkpoint()
            raise
        finally:
            self._waiting = False
        return None

    def _missed(self, ask: Ask, error: EnvoyError) -> None:
        """Hear that a page could not be had; raises unless that is no more than rows deleted at the end."""
        self._position.spend(error.attempts)
        if not self._position.missing(ask, error):
            raise error
        self._ahead.drop()

    def _refuse_two(self) -> None:
        if self._waiting:
            msg = "two tasks take from the same listing; give each its own"
            raise PaginationError(msg)

    async def by_page(self) -> AsyncGenerator[Page[T], None]:
        """Iterate over the pages that follow, the rest of a page begun first, without records delivered before."""
        rest = tuple(self._rest)
        try:
            if self._page is not None and rest:
                yield attrs.evolve(self._page, items=rest)
            while (page := await self._next()) is not None:
                self._items, self._rest = page.items, iter(())
                yield page
        finally:
            self._ahead.drop()

    async def collect(self, limit: int | None = None) -> list[T]:
        """Return the records that follow, at most *limit* of them, in the listing's order.

        When a step fails, what was taken until then is put back, so that the next `collect` returns it too. Until all
        of it was handed out again, `checkpoint` gives the place where this `collect` began.
        """
        if limit is not None and (type(limit) is not int or limit < 1):
            raise refused("limit", "limit must be a whole number of at least 1")
        found: list[T] = []
        began = self.checkpoint()
        try:
            async for item in self:
                found.append(item)
                if len(found) == limit:
                    break
        except BaseException as error:
            left = tuple(self._rest)
            self._start += len(found) + len(left) - len(self._items)
            self._hold((*found, *left))
            self._put_back = (began, len(found))
            if isinstance(error, EnvoyError):
                error.checkpoint = began
            raise
        return found

    async def first(self) -> T | None:
        """Return the next record, or `None` when there is none."""
        return await anext(self, None)

    async def aclose(self) -> None:
        """End the listing's background steps, if any. Needed by nobody who lets the listing go."""
        self._refuse_two()
        await self._ahead.end()


class _Loop(Generic[T]):
    """One loop over a listing that fetches ahead: what is on its way is given up when the loop is left."""

    def __init__(self, step: Callable[[], Awaitable[T]], ahead: Ahead[T]) -> None:
        self._step, self._ahead = step, ahead

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[T]:
        return self._step()

    def __del__(self) -> None:
        self._ahead.drop()


def _excused(state: State) -> int:
    return int(state.get("taken") or 0)
