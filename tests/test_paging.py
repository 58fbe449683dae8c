"""Listings: what is delivered while rows come and go, and how a listing survives errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import cast

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from envoy_async._converter import structure
from envoy_async._paging import Order, Pages, Position, begin
from envoy_async._paging._seen import Seen
from envoy_async._wire import Attempt, Request, Response, build
from envoy_async.errors import ConnectionLostError, InvalidRequestError, InvalidResponseError, PaginationError
from envoy_async.models import Page


@attrs.frozen(kw_only=True)
class Row:
    """The smallest record a listing can hold."""

    id: str


@attrs.define
class Listing:
    """A server's listing, newest first, that drifts before each answer and may misbehave."""

    rows: list[int]
    drift: Callable[[Listing], None] = lambda _: None
    fail_on: frozenset[int] = frozenset()
    largest: int = 100
    asked: list[dict[str, str]] = attrs.field(factory=list[dict[str, str]])
    born: int = 0
    deleted: set[int] = attrs.field(factory=set[int])
    answer: Callable[[dict[str, object]], dict[str, object]] = lambda body: body

    def insert(self) -> None:
        """Add a row that is newer than all others."""
        self.born += 1
        self.rows.insert(0, -self.born)

    def delete(self, index: int) -> None:
        """Delete the row at this place."""
        self.deleted.add(self.rows.pop(index))

    async def send(self, request: Request) -> Response:
        """Answer one page."""
        query = dict(request.query)
        self.asked.append(query)
        if len(self.asked) in self.fail_on:
            raise ConnectionLostError("dropped")
        self.drift(self)
        number, size = int(query["page"]), min(int(query["page_size"]), self.largest)
        start, total = (number - 1) * size, len(self.rows)
        body: dict[str, object] = {
            "data": [{"id": str(row)} for row in self.rows[start : start + size]],
            "pagination": {
                "page": number,
                "page_size": size,
                "total_count": total,
                "total_pages": -(-total // size),
                "has_next": start + size < total,
            },
        }
        return Response(200, {}, json.dumps(self.answer(body)).encode(), (Attempt(0.0, 0.25, 200),))


def pages_of(
    listing: Listing, *, page: int = 1, size: int = 10, limit: int | None = None, immutable: bool = True
) -> Pages[Row]:
    """List it with our code."""
    order = Order(doubt=None, newest_first=True) if immutable else Order()
    position: Position[Row] = begin(None, page=page, size=size, limit=limit, order=order)
    request = build("GET", "/rows", query={"search": "a b"}, patient=True)
    return Pages(listing.send, request, lambda response: structure(response.body, Page[Row]), position, item=Row)


def rows(count: int) -> list[int]:
    """Make the rows that exist at the start."""
    return list(range(count))


def drifting(changes: list[list[tuple[bool, int]]]) -> Callable[[Listing], None]:
    """Make a drift that inserts, or deletes at a place, as written down for each answer; later answers bring none."""
    script = iter(changes)

    def drift(listing: Listing) -> None:
        for inserting, place in next(script, list[tuple[bool, int]]()):
            if inserting:
                listing.insert()
            elif listing.rows:
                listing.delete(place % len(listing.rows))

    return drift


async def read_into(found: list[int], pages: Pages[Row]) -> None:
    """Read a listing; what came before an error is kept."""
    async for row in pages:
        found.append(int(row.id))  # noqa: PERF401 - a comprehension would lose it


async def ids(pages: Pages[Row]) -> list[int]:
    """Read a listing to its end."""
    return [int(row.id) async for row in pages]


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 60),
    size=st.integers(6, 12),
    changes=st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 10**6)), max_size=5), max_size=40),
)
async def test_nothing_is_lost_and_nothing_comes_twice(
    count: int, size: int, changes: list[list[tuple[bool, int]]]
) -> None:
    """Under any inserts and deletes between pages, survivors of the start come exactly once, others at most once."""
    listing = Listing(rows(count), drifting(changes))
    pages = pages_of(listing, size=size)
    found = await ids(pages)
    assert len(found) == len(set(found))
    assert set(rows(count)) - listing.deleted <= set(found)
    assert pages.report.proven


@pytest.mark.parametrize("seed", range(20))
async def test_long_runs_of_drift_lose_nothing(seed: int) -> None:
    """A thousand rows with several changes before each page: 0 lost, 0 twice."""
    rng = random.Random(seed)

    def drift(listing: Listing) -> None:
        for _ in range(rng.randrange(6)):
            listing.insert() if rng.random() < 0.5 else listing.delete(rng.randrange(len(listing.rows)))

    listing = Listing(rows(1000), drift)
    found = await ids(pages_of(listing, size=25))
    assert len(found) == len(set(found))
    assert set(rows(1000)) - listing.deleted <= set(found)


async def test_without_drift_each_page_is_asked_for_once() -> None:
    """No extra request when nothing changes, and the query goes along with each."""
    listing = Listing(rows(95))
    pages = pages_of(listing)
    assert await ids(pages) == rows(95)
    assert [query["page"] for query in listing.asked] == [str(n) for n in range(1, 11)]
    assert {query["search"] for query in listing.asked} == {"a%20b"}
    report = pages.report
    assert (report.pages, report.requests, report.records, report.repeated, report.stepped_back) == (10, 10, 95, 0, 0)
    assert (report.total_at_start, report.total_at_end, report.waited, report.rate_limited) == (95, 95, 2.5, 0)
    assert report.finished
    assert report.proven


@pytest.mark.parametrize("broken", [1, 2, 5, 10])
async def test_an_error_keeps_the_position(broken: int) -> None:
    """After a failed step, the same listing goes on with the same record: nothing lost, nothing twice."""
    listing = Listing(rows(95), fail_on=frozenset({broken}))
    pages, found = pages_of(listing), list[int]()
    with pytest.raises(ConnectionLostError):
        await read_into(found, pages)
    await read_into(found, pages)
    assert found == rows(95)


async def test_a_timed_out_step_is_taken_again() -> None:
    """A user's timeout around one step neither ends the listing nor loses its page."""
    slow = asyncio.Event()
    listing = Listing(rows(30))

    async def send(request: Request) -> Response:
        if request.query[-2] == ("page", "2") and not slow.is_set():
            slow.set()
            await asyncio.sleep(3600)
        return await listing.send(request)

    pages = pages_of(listing)
    pages._ahead.send = send
    found = [int((await anext(pages)).id) for _ in range(10)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(pages)
    assert found + await ids(pages) == rows(30)


async def test_break_and_go_on() -> None:
    """A second loop goes on where the first was left, and the end stays the end."""
    pages = pages_of(Listing(rows(25)))
    found = list[int]()
    async for row in pages:
        found.append(int(row.id))
        if len(found) == 13:
            break
    assert pages.report.records == 13
    await pages.aclose()
    await pages.aclose()
    assert found + await ids(pages) == rows(25)
    assert await ids(pages) == []
    assert await pages.first() is None


def test_a_listing_survives_its_event_loop() -> None:
    """Half in one `asyncio.run`, half in another: complete."""
    pages = pages_of(Listing(rows(25)))

    async def some(count: int) -> list[int]:
        return [int((await anext(pages)).id) for _ in range(count)]

    assert asyncio.run(some(15)) + asyncio.run(ids(pages)) == rows(25)


async def test_pages_one_by_one() -> None:
    """`by_page` gives whole pages in order, and after an error goes on with the page that failed."""
    pages = pages_of(Listing(rows(25), fail_on=frozenset({3})))
    steps = pages.by_page()
    sizes = [len((await anext(steps)).items), len((await anext(steps)).items)]
    with pytest.raises(ConnectionLostError):
        await anext(steps)
    sizes += [len(page.items) async for page in pages.by_page()]
    assert sizes == [10, 10, 5]


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 30])
async def test_the_limit_counts_records(limit: int) -> None:
    """A limit ends the listing after so many records, and claims no proof about the rest."""
    listing = Listing(rows(25))
    pages = pages_of(listing, limit=limit)
    assert await ids(pages) == rows(25)[:limit]
    assert len(listing.asked) == min(3, -(-limit // 10))
    assert pages.report.proven is (limit > 25)


async def test_collect_and_first() -> None:
    """`collect` gives the rest or at most so many, `first` the next one."""
    pages = pages_of(Listing(rows(25)))
    assert await pages.first() == Row(id="0")
    assert [int(row.id) for row in await pages.collect(limit=3)] == [1, 2, 3]
    assert [int(row.id) for row in await pages.collect()] == rows(25)[4:]
    with pytest.raises(InvalidRequestError, match="limit"):
        await pages.collect(limit=0)


async def test_two_tasks_on_one_listing_are_told_so() -> None:
    """Two tasks that take from one listing at once get a clear error, and the first goes on."""
    listing = Listing(rows(25))
    blocked = asyncio.Event()

    async def send(request: Request) -> Response:
        await blocked.wait()
        return await listing.send(request)

    pages = pages_of(listing)
    pages._ahead.send = send
    first = asyncio.get_running_loop().create_task(ids(pages))
    await asyncio.sleep(0)
    with pytest.raises(PaginationError, match="two tasks"):
        await anext(pages)
    blocked.set()
    assert await first == rows(25)


def turn_in_circles(body: dict[str, object]) -> dict[str, object]:
    """Repeat the first page for ever."""
    return {"data": [{"id": "1"}], "pagination": {**_told(body), "page": 1, "has_next": True}}


def no_rows(body: dict[str, object]) -> dict[str, object]:
    """Send empty pages for ever."""
    return {"data": [], "pagination": {**_told(body), "has_next": True}}


def _told(body: dict[str, object]) -> dict[str, object]:
    return cast("dict[str, object]", body["pagination"])


async def test_rows_that_outrun_the_reader_are_told() -> None:
    """When a page's worth of rows comes in between two pages, the listing says so instead of reading for ever."""

    def flood(listing: Listing) -> None:
        for _ in range(20):
            listing.insert()

    listing = Listing(rows(100), flood)
    pages, found = pages_of(listing), list[int]()
    with pytest.raises(PaginationError, match="no end in sight"):
        await read_into(found, pages)
    listing.drift = lambda _: None
    while not pages.report.finished:
        with contextlib.suppress(PaginationError):
            await read_into(found, pages)
    assert len(found) == len(set(found))
    assert set(rows(100)) <= set(found)


@pytest.mark.parametrize("answer", [turn_in_circles, no_rows])
async def test_a_listing_that_never_ends_is_stopped(answer: Callable[[dict[str, object]], dict[str, object]]) -> None:
    """Three pages in a row without anything new end in an error instead of an endless loop."""
    listing = Listing(rows(25), answer=answer)
    with pytest.raises(PaginationError, match="nothing new"):
        await ids(pages_of(listing))
    assert len(listing.asked) <= 4


async def test_an_empty_page_is_not_the_end() -> None:
    """A page without rows proves nothing while `has_next` says that more follow; what it lacked is looked for again."""

    def hollow(body: dict[str, object]) -> dict[str, object]:
        return {**body, "data": []} if len(listing.asked) == 2 else body

    listing = Listing(rows(30), answer=hollow)
    pages = pages_of(listing)
    assert await ids(pages) == rows(10) + rows(30)[20:] + rows(20)[10:]
    assert pages.report.sweeps == 2
    assert not pages.report.proven


async def test_a_clamped_page_size_is_taken_up() -> None:
    """A server that gives fewer rows per page than asked for loses us nothing."""
    listing = Listing(rows(95), largest=7)
    assert await ids(pages_of(listing, size=10)) == rows(95)


@pytest.mark.parametrize("claimed", [101, 500, 10**9])
@pytest.mark.parametrize("given", [100, 250], ids=["as asked", "more than asked"])
async def test_a_page_size_beyond_the_bound_is_not_taken_up(claimed: int, given: int) -> None:
    """A server that claims larger pages than there may be is asked for 100 again; whatever it sends, all is read."""
    listing = Listing(rows(1_000))

    async def send(request: Request) -> Response:
        listing.asked.append(dict(request.query))
        number = int(listing.asked[-1]["page"])
        end = number * given
        told = {"page": number, "page_size": claimed, "total_count": 1_000, "has_next": end < 1_000}
        data = [{"id": str(row)} for row in listing.rows[end - given : end]]
        return Response(200, {}, json.dumps({"data": data, "pagination": told}).encode())

    pages = pages_of(listing, size=100)
    pages._ahead.send = send
    assert await ids(pages) == rows(1_000)
    assert [query["page_size"] for query in listing.asked] == ["100"] * (1_000 // given)
    assert pages.report.finished


async def test_begin_at_a_later_page() -> None:
    """`page` says where the listing begins, and nothing is claimed about what lies before."""
    pages = pages_of(Listing(rows(95)), page=4)
    assert await ids(pages) == rows(95)[30:]
    assert not pages.report.proven


@pytest.mark.parametrize(("immutable", "without", "proven"), [(True, True, False), (False, False, False)])
async def test_only_what_can_be_proven_is_claimed(immutable: bool, without: bool, proven: bool) -> None:
    """Without counts, or in an order that may change, the report does not claim completeness."""

    def uncounted(body: dict[str, object]) -> dict[str, object]:
        return {**body, "pagination": {**_told(body), "total_count": None}} if without else body

    pages = pages_of(Listing(rows(25), answer=uncounted), immutable=immutable)
    assert await ids(pages) == rows(25)
    assert pages.report.proven is proven


async def test_one_answer_is_its_own_proof() -> None:
    """A listing that came as one whole answer is complete, whatever its order."""
    pages = pages_of(Listing(rows(5)), immutable=False)
    assert await ids(pages) == rows(5)
    assert pages.report.proven


async def test_an_unreadable_page_can_be_asked_for_again() -> None:
    """A page that cannot be read raises, and the next step asks for the same page."""
    broken = iter([True])

    def once(body: dict[str, object]) -> dict[str, object]:
        return {"data": 5} if _told(body)["page"] == 2 and next(broken, False) else body

    pages = pages_of(Listing(rows(25), answer=once))
    found = list[int]()
    with pytest.raises(InvalidResponseError):
        await read_into(found, pages)
    assert found + await ids(pages) == rows(25)


def early_end(body: dict[str, object]) -> dict[str, object]:
    """Say that nothing follows although the count says otherwise."""
    return {**body, "pagination": {**_told(body), "has_next": False}}


def short_page(body: dict[str, object]) -> dict[str, object]:
    """Leave rows of the second page out."""
    rows = cast("list[object]", body["data"])
    return {**body, "data": rows[:4]} if _told(body)["page"] == 2 else body


def uncounted_once(body: dict[str, object]) -> dict[str, object]:
    """Leave the count out of one page in the middle."""
    return {**body, "pagination": {**_told(body), "total_count": None}} if _told(body)["page"] == 2 else body


@pytest.mark.parametrize("answer", [early_end, short_page, uncounted_once])
async def test_a_server_that_contradicts_itself_proves_nothing(
    answer: Callable[[dict[str, object]], dict[str, object]],
) -> None:
    """When count, pages, and `has_next` do not fit together on any page, completeness is not claimed."""
    pages = pages_of(Listing(rows(35), answer=answer))
    await ids(pages)
    assert pages.report.finished
    assert not pages.report.proven


async def test_a_mass_deletion_beyond_memory_proves_nothing() -> None:
    """When more rows vanish at once than ids are remembered, what comes again cannot be told, and is not claimed."""

    def purge(listing: Listing) -> None:
        if len(listing.asked) == 115:
            del listing.rows[11_500:]

    pages = pages_of(Listing(rows(22_000), purge), size=100)
    await ids(pages)
    assert not pages.report.proven


async def test_a_record_twice_on_one_page_comes_once() -> None:
    """The same id twice in one answer is delivered once."""

    def twice(body: dict[str, object]) -> dict[str, object]:
        return {**body, "data": cast("list[object]", body["data"]) * 2}

    assert await ids(pages_of(Listing(rows(5), answer=twice))) == rows(5)


async def test_the_report_speaks_of_what_was_handed_out() -> None:
    """A page that was fetched but not handed out yet is neither finished nor proven."""
    pages = pages_of(Listing(rows(10)))
    await pages.first()
    assert (pages.report.records, pages.report.finished, pages.report.proven) == (1, False, False)
    await pages.collect()
    assert (pages.report.records, pages.report.finished, pages.report.proven) == (10, True, True)


async def test_pages_after_records_begin_with_the_rest() -> None:
    """`by_page` after `first` gives the rest of the page begun, then the others."""
    pages = pages_of(Listing(rows(25)))
    await pages.first()
    assert [len(page.items) async for page in pages.by_page()] == [9, 10, 5]


async def test_collect_loses_nothing_to_an_error() -> None:
    """What `collect` took before a failed step comes again with the next `collect`."""
    pages = pages_of(Listing(rows(35), fail_on=frozenset({3})))
    with pytest.raises(ConnectionLostError):
        await pages.collect()
    assert [int(row.id) for row in await pages.collect()] == rows(35)


async def test_requests_of_a_failed_step_are_counted() -> None:
    """The report's requests are those the server saw, failed attempts included."""
    listing = Listing(rows(25))
    failing = iter([True])

    async def send(request: Request) -> Response:
        if next(failing, False):
            error = ConnectionLostError("dropped")
            error.attempts = (Attempt(0.0, 0.0), Attempt(1.0, 1.0))
            raise error
        return await listing.send(request)

    pages = pages_of(listing)
    pages._ahead.send = send
    with pytest.raises(ConnectionLostError):
        await pages.collect()
    await pages.collect()
    assert pages.report.requests == 5


async def test_rows_that_move_in_bulk_are_no_circle() -> None:
    """Pages full of rows seen before are read through when the count says that so many rows came in."""

    def burst(listing: Listing) -> None:
        if len(listing.asked) == 4:
            for _ in range(80):
                listing.insert()

    assert set(rows(60)) <= set(await ids(pages_of(Listing(rows(60), burst))))


async def test_a_server_that_numbers_pages_its_own_way_is_stopped() -> None:
    """Answers that always claim to be a later page, without a count, end in an error and not in an endless loop."""

    def wrong(body: dict[str, object]) -> dict[str, object]:
        return {**body, "pagination": {**_told(body), "page": 2, "total_count": None}}

    with pytest.raises(PaginationError, match="nothing new"):
        await ids(pages_of(Listing(rows(60), answer=wrong)))


async def test_closing_a_listing_in_the_middle_of_a_step_is_refused() -> None:
    """`aclose` while another task takes from the listing is a clear error."""

    async def never(_: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    pages = pages_of(Listing(rows(5)))
    pages._ahead.send = never
    task = asyncio.ensure_future(pages.first())
    await asyncio.sleep(0)
    with pytest.raises(PaginationError, match="two tasks"):
        await pages.aclose()
    task.cancel()
    await asyncio.wait({task})


async def test_memory_of_ids_is_bounded() -> None:
    """A long listing keeps the latest ids, not all of them."""
    pages = pages_of(Listing(rows(12_000)), size=100)
    assert len(await ids(pages)) == 12_000
    assert 7_500 <= len(pages._position.seen.ids()) <= 10_000


def test_memory_of_ids_stays_what_it_is_once_it_is_full() -> None:
    """After 10,000 records the memory of ids needs at most 256 KiB more, however many follow."""
    seen, held = Seen(), list[int]()
    tracemalloc.start()
    try:
        for page in range(1, 501):
            assert seen.take(tuple(Row(id=f"call_{page:08}-{row:027}") for row in range(100)))
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held[100:]) - held[99] <= 2**18


def _latest(ids: list[str], most: int | None) -> list[str]:
    return ids if most is None else ids[max(0, len(ids) - 3 * most // 4) :]


@given(st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=60), st.sampled_from([1, 7, 20, None]))
def test_the_latest_ids_come_once(pages: list[list[int]], most: int | None) -> None:
    """Of ids that come in pages of any size, none among three quarters of so many that came last comes again."""
    seen, came = Seen(most), list[str]()
    for page in pages:
        items = tuple(Row(id=str(number)) for number in page)
        seen.fresh((Row(id="7"), *items, Row(id="61")))  # what is asked about and not delivered is not remembered
        before, taken = seen.ids(), seen.fresh(items)
        at_once = seen.take(items)
        assert at_once == (taken == items)
        assert seen.ids() == before or at_once  # all of a page is remembered, or none
        fresh = [item.id for item in taken]
        latest = _latest(came, most)
        assert len(set(fresh)) == len(fresh)
        assert not {*fresh} & {*latest}
        assert {*fresh} | {*came} >= {str(number) for number in page}
        if not at_once:
            seen.add(taken)
        came += fresh
        assert (
            {*came} >= seen.ids() >= {*came[max(0, len(came) - 3 * (2 * len(came) if most is None else most) // 4) :]}
        )
        assert len(seen) == len(seen.ids())
        assert not seen.whole or len(seen) == len(came)


def test_pages_are_lazy() -> None:
    """Making a listing sends nothing and needs no event loop."""
    listing = Listing(rows(5))
    pages: AsyncIterator[Row] = pages_of(listing)
    assert listing.asked == []
    assert isinstance(pages, AsyncIterator)


def test_pages_one_by_one_survive_an_event_loop() -> None:
    """`by_page` in another `asyncio.run` goes on where records were taken in the first."""
    pages = pages_of(Listing(rows(25)))

    async def some() -> list[int]:
        return [int((await anext(pages)).id) for _ in range(15)]

    async def rest() -> list[int]:
        return [int(row.id) async for page in pages.by_page() for row in page.items]

    assert asyncio.run(some()) + asyncio.run(rest()) == rows(25)
