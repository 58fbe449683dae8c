"""Strategies: which pages each asks for, what it delivers while rows come and go, and what it dares to claim."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import cast

import attrs
import pytest
from hypothesis import example, given, settings, strategies as st

from envoy_async._converter import OnInvalid
from envoy_async._paging import Order, Pages, Position, Strategy, _backward, _position, _strategies, begin
from envoy_async._wire import Attempt, Request, Response
from envoy_async.errors import (
    ConnectionLostError,
    DriftError,
    InvalidRequestError,
    InvalidResponseError,
    LoopError,
    NotFoundError,
    PaginationError,
    ValidationError,
)
from envoy_async.models import Page, Timestamp
from envoy_async.resources._base import Resource
from envoy_async.resources.calls import Calls
from tests.simulations._calls import EPOCH_DAY, CallsServer
from tests.test_paging import Listing, drifting, rows

NEWEST = datetime(2025, 11, 21, 12, tzinfo=UTC)
SPAN = (date(2025, 9, 20), date(2025, 11, 22))  # 64 days
Body = dict[str, object]


@attrs.frozen(kw_only=True)
class Dated:
    """A record that says when it was made."""

    id: str
    created_at: Timestamp


@attrs.frozen(kw_only=True)
class Plain:
    """A record that does not."""

    id: str


@lru_cache(4_000)
def _made(number: int, apart: timedelta) -> datetime:
    return NEWEST - number * apart


@attrs.define
class Server(Listing):
    """Rows that were made one after the other, sorted and cut to days as asked; row 0 is the newest at the start."""

    apart: timedelta = timedelta(minutes=1)
    tied: int = 1
    """So many rows each were made at one moment."""
    steady_ties: bool = True
    """Whether rows of one moment keep their order when all others are turned round."""
    whole_last_day: bool = True
    """Whether `end_date` itself belongs to the span."""
    past_end: int = 200
    """What is answered to a page behind the last one."""
    deaf: bool | None = None
    """The way it sorts whatever is asked, `True` downwards; `None` as asked."""
    broken: frozenset[int] = frozenset()
    """Rows that come without their id."""

    def made(self, row: int) -> datetime:
        """Tell when a row was made."""
        return _made(row // self.tied, self.apart)

    def day(self, row: int) -> date:
        """Tell on which day a row was made."""
        return _made(row // self.tied, self.apart).date()

    def chosen(self, query: dict[str, str]) -> list[int]:
        """Give the rows asked for, in the order asked for."""
        found = list(self.rows)
        if "start_date" in query:
            begin, last = date.fromisoformat(query["start_date"]), date.fromisoformat(query["end_date"])
            end = last + timedelta(days=self.whole_last_day)
            found = [row for row in found if begin <= self.day(row) < end]
        down = query.get("order_desc", "true") == "true" if self.deaf is None else self.deaf
        if not down:
            found.reverse()
            if self.steady_ties and self.tied > 1:
                places = {row: place for place, row in enumerate(self.rows)}
                found.sort(key=lambda row: (self.made(row), places[row]))
        return found

    async def send(self, request: Request) -> Response:
        """Answer one page."""
        query = dict(request.query)
        self.asked.append(query)
        if len(self.asked) in self.fail_on:
            raise ConnectionLostError("dropped")
        self.drift(self)
        found = self.chosen(query)
        number, size = int(query["page"]), min(int(query["page_size"]), self.largest)
        start, total = (number - 1) * size, len(found)
        if self.past_end != 200 and number > 1 and start >= total:
            error = ValidationError("no such page") if self.past_end == 422 else NotFoundError("no such page")
            error.status = self.past_end
            raise error
        told = {
            "page": number,
            "page_size": size,
            "total_count": total,
            "total_pages": -(-total // size),
            "has_next": start + size < total,
        }
        data = [self.tell(row) for row in found[start : start + size]]
        body = self.answer({"data": data, "pagination": told})
        return Response(200, {}, json.dumps(body).encode(), (Attempt(0.0, 0.25, 200),))

    def tell(self, row: int) -> Body:
        """Write a row."""
        whole = {"id": str(row), "created_at": self.made(row).isoformat()}
        return {"created_at": whole["created_at"]} if row in self.broken else dict(whole)

    @property
    def pages(self) -> list[tuple[str, str]]:
        """What was asked for: page, and `-` for downwards or `+` for upwards."""
        signs = {"true": "-", "false": "+"}
        return [(query["page"], signs[query.get("order_desc", "true")]) for query in self.asked]


def listing(
    server: Server,
    strategy: Strategy | None = None,
    *,
    item: type[Dated | Plain] = Dated,
    size: int = 10,
    limit: int | None = None,
    page: int = 1,
    newest_first: bool = True,
    days: tuple[date, date] | None = None,
    on_invalid: OnInvalid = "raise",
) -> Pages[Dated | Plain]:
    """List it with our code; nothing is said against its order."""
    return Resource(server.send, scope="org")._pages(
        item,
        "/rows",
        query={} if days is None else {"start_date": days[0], "end_date": days[1]},
        page=page,
        page_size=size,
        limit=limit,
        order=Order(doubt=None, newest_first=newest_first, days=days),
        strategy=strategy,
        on_invalid=on_invalid,
    )


async def read(pages: Pages[Dated | Plain]) -> list[int]:
    """Read a listing to its end."""
    return [int(item.id) async for item in pages]


async def into(found: list[int], pages: Pages[Dated | Plain]) -> None:
    """Read a listing; what came before an error is kept."""
    async for item in pages:
        found.append(int(item.id))  # noqa: PERF401 - a comprehension would lose it


def told(**changes: object) -> Callable[[Body], Body]:
    """Make a server say something else of each page."""
    return lambda body: {**body, "pagination": {**pagination(body), **changes}}


def pagination(body: Body) -> Body:
    """Give what an answer says of its page."""
    return cast("Body", body["pagination"])


def once_at(request: int, change: Callable[[Listing], None]) -> Callable[[Listing], None]:
    """Change rows right before this request is answered."""
    return lambda server: change(server) if len(server.asked) == request else None


def delete(*places: int) -> Callable[[Listing], None]:
    """Delete the rows at these places, from the highest."""

    def change(server: Listing) -> None:
        for place in places:
            server.delete(place)

    return change


# --- backward ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 95, 100])
async def test_backward_gives_the_order_of_the_default_at_its_price(count: int) -> None:
    """Without drift: the same records, newest first, one request per page, and as much is proven."""
    default, backward = Server(rows(count)), Server(rows(count))
    pages = listing(backward, "backward")
    assert await read(pages) == await read(listing(default)) == rows(count)
    assert len(backward.asked) == len(default.asked) == max(1, -(-count // 10))
    assert pages.report.strategy == "backward"
    assert pages.report.proven
    assert pages.report.stepped_back == 0


async def test_backward_enters_the_ascending_listing_where_its_first_page_ends() -> None:
    """One page is asked for newest first, then the ascending listing from there to its page 1."""
    server = Server(rows(45))
    await read(listing(server, "backward"))
    assert server.pages == [("1", "-"), ("4", "+"), ("3", "+"), ("2", "+"), ("1", "+")]


@settings(max_examples=50)
@given(
    past_end=st.sampled_from([200, 404, 422]),
    count=st.integers(0, 60),
    tied=st.integers(1, 9),
    steady=st.booleans(),
    largest=st.sampled_from([4, 100]),
    changes=st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 10**6)), max_size=8), max_size=40),
)
async def test_backward_loses_nothing(
    *, past_end: int, count: int, tied: int, steady: bool, largest: int, changes: list[list[tuple[bool, int]]]
) -> None:
    """Under inserts, deletes, equal times, smaller pages, and refused pages: survivors come once, others at most once.

    Rows that come in are newer than all others, as the API's order promises.
    """
    server = Server(rows(count), drifting(changes), tied=tied, steady_ties=steady, past_end=past_end, largest=largest)
    pages = listing(server, "backward", size=6)
    found = await read(pages)
    assert len(found) == len(set(found))
    assert set(rows(count)) - server.deleted <= set(found)
    assert pages.report.finished


async def test_backward_reads_the_whole_ascending_listing_when_times_are_equal_at_its_border() -> None:
    """Rows of one moment on both sides of the border may be mixed up there, so all are read, and nothing is claimed."""
    server = Server(rows(30), tied=4)
    pages = listing(server, "backward")
    assert sorted(await read(pages)) == rows(30)
    assert server.pages == [("1", "-"), ("2", "+"), ("3", "+"), ("2", "+"), ("1", "+")]
    assert pages.report.stepped_back == 1
    assert not pages.report.proven
    assert any("one moment" in doubt for doubt in pages.report.doubts)


@pytest.mark.parametrize("largest", [1, 3, 7, 9])
async def test_backward_takes_up_a_clamped_page_size(largest: int) -> None:
    """A server that gives fewer rows per page than asked for loses us none, at one more request at most."""
    server = Server(rows(40), largest=largest)
    assert await read(listing(server, "backward")) == rows(40)
    assert len(server.asked) <= -(-40 // largest) + 1


@pytest.mark.parametrize("strategy", ["backward", "windows"])
@pytest.mark.parametrize("past_end", [200, 404, 422])
async def test_reading_backward_goes_on_when_its_page_has_vanished(past_end: int, strategy: Strategy) -> None:
    """When so many rows are deleted that the page to read is past the end, the ones before it are read."""
    server = Server(rows(60), past_end=past_end)
    server.drift = once_at(2, delete(*range(59, 14, -1)))
    pages = listing(server, strategy, days=SPAN)
    assert await read(pages) == rows(15)
    assert pages.report.finished


@pytest.mark.parametrize("past_end", [200, 404, 422])
async def test_backward_ends_when_all_rows_are_deleted(past_end: int) -> None:
    """A listing that is emptied while it is read ends, with what was there before delivered."""
    server = Server(rows(60), past_end=past_end)
    server.drift = once_at(2, lambda it: it.rows.clear())
    pages = listing(server, "backward")
    assert await read(pages) == rows(10)
    assert pages.report.finished


@pytest.mark.parametrize("strategy", ["count-guard", "backward", "reconcile"])
async def test_a_refusal_of_the_first_page_is_an_error(strategy: Strategy) -> None:
    """422 on page 1 is no end of a listing: the request is wrong, and that is raised each time it is tried."""
    error = ValidationError("no")
    error.status = 422

    async def send(_: Request) -> Response:
        raise error

    pages = listing(Server([]), strategy)
    pages._ahead.send = send
    for _ in range(2):
        with pytest.raises(ValidationError):
            await read(pages)


async def test_backward_needs_a_server_that_counts() -> None:
    """Without `total_count` the end of the ascending listing is not known: an error that names what to do instead."""
    with pytest.raises(PaginationError, match="use count-guard"):
        await read(listing(Server(rows(30), answer=told(total_count=None)), "backward"))


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("strategy", ["backward", "windows"])
async def test_a_server_that_does_not_sort_as_asked_is_told(strategy: Strategy, down: bool) -> None:
    """A server that ignores `order_desc` ends in a `DriftError`, not in records lost or in the wrong order."""
    with pytest.raises(DriftError, match="did not sort"):
        await read(listing(Server(rows(30), deaf=down), strategy, days=SPAN))


async def test_backward_is_not_misled_by_another_page_than_asked_for() -> None:
    """A first page that says it is another, and answers that never are the page asked for, end in a `LoopError`."""
    with pytest.raises(LoopError, match="page 1 was asked for, and page 2 came"):
        await read(listing(Server(rows(30), answer=told(page=2)), "backward"))
    server = Server(rows(90), answer=told(page=1))
    with pytest.raises(LoopError, match="nothing new"):
        await read(listing(server, "backward"))
    assert len(server.asked) == 4


async def test_backward_tells_of_a_first_page_that_is_too_short() -> None:
    """Where the first page is short although more follow, all is delivered, and the doubt is in the report."""

    def short(body: Body) -> Body:
        return {**body, "data": cast("list[Body]", body["data"])[:4]} if len(server.asked) == 1 else body

    server = Server(rows(30), answer=short)
    pages = listing(server, "backward")
    assert await read(pages) == rows(30)
    assert any("fewer records than its size" in doubt for doubt in pages.report.doubts)
    assert not pages.report.proven


@pytest.mark.parametrize("strategy", ["count-guard", "backward", "windows", "reconcile"])
@pytest.mark.parametrize("broken", [range(10), range(5, 25), [29], range(30)], ids=["first", "some", "last", "all"])
async def test_records_that_cannot_be_read_cost_no_other(strategy: Strategy, broken: range | list[int]) -> None:
    """With `on_invalid`, each strategy gives all records that can be read, and tells of each of the others once."""
    server = Server(rows(30), broken=frozenset(broken))
    pages = listing(server, strategy, days=SPAN, on_invalid="collect")
    assert await read(pages) == [row for row in rows(30) if row not in broken]
    assert len(pages.report.invalid) == pages.report.skipped == len(broken)
    assert not pages.report.proven
    with pytest.raises(InvalidResponseError):
        await read(listing(server, strategy, days=SPAN))


async def test_the_memory_of_records_that_cannot_be_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long listing of broken records keeps the latest of them apart, not all."""
    monkeypatch.setattr(_position, "REMEMBERED", 4)
    pages = listing(Server(rows(30), broken=frozenset(range(30))), on_invalid="skip")
    assert await read(pages) == []
    assert pages.report.skipped == 30
    assert len(pages._position._unread) == 4


async def test_backward_does_not_deliver_what_came_in_later_among_the_oldest() -> None:
    """Rows newer than all at the start that fill up a page to be read are left out, so that the order stays."""

    def turn(server: Listing) -> None:
        delete(*range(27, -1, -1))(server)
        for _ in range(28):
            server.insert()

    server = Server(rows(30))
    server.drift = once_at(2, turn)
    assert await read(listing(server, "backward")) == [*rows(10), 28, 29]


# --- windows ----------------------------------------------------------------------------------------------------------


def spans(server: Server) -> list[tuple[date, date]]:
    """Give the spans of days that were asked for, each once, in their order."""
    found = [(query["start_date"], query["end_date"]) for query in server.asked]
    return [(date.fromisoformat(first), date.fromisoformat(last)) for first, last in dict.fromkeys(found)]


@pytest.mark.parametrize("count", [0, 1, 6, 7, 95])
async def test_windows_of_few_rows_are_one_span(count: int) -> None:
    """Where cutting is not worth it, windows ask what backward asks: the span as it is, one request per page."""
    server = Server(rows(count))
    pages = listing(server, "windows", size=6, days=SPAN)
    assert await read(pages) == rows(count)
    assert spans(server) == [SPAN]
    assert len(server.asked) == max(1, -(-count // 6))
    assert pages.report.strategy == "windows"


@pytest.mark.parametrize("whole", [True, False], ids=["end_date included", "end_date excluded"])
async def test_windows_overlap_by_a_day_and_give_each_record_once(whole: bool) -> None:
    """Many rows are read span by span, newest first; a last day that the server leaves out is no hole between them."""
    server = Server(rows(600), apart=timedelta(hours=2), whole_last_day=whole)
    expected = server.chosen({"start_date": SPAN[0].isoformat(), "end_date": SPAN[1].isoformat()})
    pages = listing(server, "windows", size=6, days=SPAN)
    assert await read(pages) == expected
    first, *cut = spans(server)
    assert first == SPAN
    assert len(cut) > 1
    assert (cut[0][1], cut[-1][0]) == (SPAN[1], SPAN[0])
    assert all(newer[0] == older[1] for newer, older in pairwise(cut))
    assert len(server.asked) <= 1.1 * -(-600 // 6)


@pytest.mark.parametrize("seed", range(6))
async def test_windows_lose_nothing_while_rows_come_and_go(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under inserts and deletes in all spans, what survives comes once."""
    monkeypatch.setattr(_backward, "_PAGES", 4)
    monkeypatch.setattr(_backward, "_DAYS", 4)
    rng = Random(seed)

    def drift(server: Listing) -> None:
        for _ in range(rng.randrange(4)):
            server.insert() if rng.random() < 0.5 else server.delete(rng.randrange(len(server.rows)))

    server = Server(rows(120), drift, apart=timedelta(hours=10), whole_last_day=seed % 2 == 0)
    expected = server.chosen({"start_date": SPAN[0].isoformat(), "end_date": SPAN[1].isoformat()})
    pages = listing(server, "windows", size=6, days=SPAN)
    found = await read(pages)
    assert len(found) == len(set(found))
    assert set(expected) - server.deleted <= set(found)
    assert len(spans(server)) > 4


async def test_a_busy_day_that_two_spans_share_is_no_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages of it come again, also behind rows that came in meanwhile, the listing goes on to its end."""
    monkeypatch.setattr(_backward, "_PAGES", 4)
    monkeypatch.setattr(_backward, "_DAYS", 1)

    def drift(server: Listing) -> None:
        if server.asked[-1]["start_date"] == "2025-11-20" and not server.born:
            for _ in range(6):
                server.insert()

    server = Server(rows(600), drift, apart=timedelta(minutes=6))
    pages = listing(server, "windows", size=6, days=(date(2025, 11, 18), SPAN[1]))
    assert sorted(await read(pages)) == [*range(-6, 0), *rows(600)]
    assert spans(server)[1:3] == [(date(2025, 11, 21), SPAN[1]), (date(2025, 11, 20), date(2025, 11, 21))]


async def test_windows_of_calls_claim_no_proof() -> None:
    """Which field and which zone the API's days mean is not known, so a listing of days says that it proves nothing."""
    server = CallsServer(Random(1), longest_way=0.0)
    server.insert(40)
    days = (EPOCH_DAY - timedelta(days=9), EPOCH_DAY + timedelta(days=9))
    pages = Calls(server.send).list(start_date=days[0], end_date=days[1], page_size=10, strategy="windows")
    assert [call.id async for call in pages] == [row.id for row in reversed(server.rows)]
    assert pages.report.finished
    assert not pages.report.proven
    assert any("filter" in doubt for doubt in pages.report.doubts)


# --- any order --------------------------------------------------------------------------------------------------------


async def test_reconcile_reads_until_two_sweeps_agree() -> None:
    """Asked for by name, a listing that holds still is read twice, the second time in pages of another size."""
    server = Server(rows(35))
    pages = listing(server, "reconcile", newest_first=False)
    assert await read(pages) == rows(35)
    assert [query["page_size"] for query in server.asked] == ["10"] * 4 + ["8"] * 5
    assert (pages.report.strategy, pages.report.sweeps, pages.report.proven) == ("reconcile", 2, True)


async def test_reconcile_reads_one_page_once() -> None:
    """What came as one whole answer is complete: it is not read again."""
    server = Server(rows(10))
    assert await read(listing(server, "reconcile")) == rows(10)
    assert len(server.asked) == 1


async def test_reconcile_sweeps_again_after_rows_moved() -> None:
    """A row that slipped by while others were deleted is found by the next sweep; two more agree."""
    server = Server(rows(35))
    server.drift = once_at(2, delete(3))
    pages = listing(server, "reconcile", item=Plain, newest_first=False)
    assert sorted(await read(pages)) == rows(35)
    assert pages.report.sweeps == 3
    assert pages.report.proven


async def test_reconcile_gives_up_after_four_sweeps() -> None:
    """A listing that never holds still ends in a `DriftError`, again at each step; all found is delivered."""

    def churn(server: Listing) -> None:
        server.insert()
        server.delete(1)

    server = Server([-1, *rows(35)], churn, born=1)
    pages, found = listing(server, "reconcile", newest_first=False), list[int]()
    for _ in range(2):
        with pytest.raises(DriftError, match=r"does not hold still.*4 sweeps"):
            await into(found, pages)
    assert pages.report.sweeps == 4
    assert not pages.report.finished
    assert set(rows(35)) <= set(found)
    assert len(found) == len(set(found))


async def test_an_unknown_order_that_turns_out_newest_first_is_guarded() -> None:
    """An order that is not documented is looked at; newest first, it is read once, even when rows are deleted."""
    server = Server(rows(95))
    server.drift = once_at(4, delete(3, 2, 1))
    pages = listing(server, newest_first=False)
    assert pages.report.strategy == "reconcile"
    assert await read(pages) == rows(95)
    assert (pages.report.strategy, pages.report.sweeps) == ("count-guard", 1)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("item", [Dated, Plain])
async def test_an_unknown_order_is_swept_again_only_when_rows_moved(item: type[Dated | Plain], moved: bool) -> None:
    """In any other order one sweep is enough while the count stands still and all records came; else there are more."""
    server = Server(rows(35) if item is Plain else rows(35)[::-1])
    server.drift = once_at(2, delete(3)) if moved else server.drift
    pages = listing(server, item=item, newest_first=False)
    assert set(await read(pages)) >= set(rows(35)) - server.deleted
    assert (pages.report.strategy, pages.report.sweeps) == ("reconcile", 2 if moved else 1)
    assert pages.report.finished


async def test_an_order_that_breaks_late_is_no_proof() -> None:
    """A listing that is newest first for two pages and then is not says so."""
    server = Server([*rows(20), *rows(40)[:19:-1]])
    pages = listing(server, newest_first=False)
    assert sorted(await read(pages)) == rows(40)
    assert "the server did not sort newest first" in pages.report.doubts
    assert not pages.report.proven


@pytest.mark.parametrize("item", [Dated, Plain])
@pytest.mark.parametrize("seed", range(5))
async def test_rows_of_one_moment_sorted_anew_each_time_are_looked_for(seed: int, item: type[Dated | Plain]) -> None:
    """When nothing moved and records are missing, a sweep in pages of another size finds them, or the doubt is told."""
    rng = Random(seed)

    def shuffle(server: Listing) -> None:
        server.rows.sort(key=lambda row: (row // 7, rng.random()))

    server = Server(rows(40), shuffle, tied=7)
    pages = listing(server, item=item, newest_first=item is Dated)
    found = await read(pages)
    assert len(found) == len(set(found))
    assert pages.report.sweeps > 1
    assert len({query["page_size"] for query in server.asked}) > 1
    assert len(found) == 40 or not pages.report.proven


async def test_a_long_listing_that_moved_says_so_when_its_ids_were_not_all_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Past the ids in memory a second sweep would repeat records: there is none, and the report tells of the rows."""
    monkeypatch.setattr(_strategies, "REMEMBERED", 50)
    server = Server(rows(95))
    server.drift = once_at(5, delete(3))
    pages = listing(server, item=Plain, newest_first=False)
    found = await read(pages)
    assert len(found) == len(set(found))
    assert pages.report.sweeps == 1
    assert any("rows moved" in doubt for doubt in pages.report.doubts)


@pytest.mark.parametrize("grown", [0, 60])
@pytest.mark.parametrize("count", [95, 119, 120, 121, 130])
async def test_a_later_sweep_gives_no_record_twice_however_much_came(
    count: int, grown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that ends just where ids begin to be forgotten, or a listing that grows in the next, repeats none."""
    monkeypatch.setattr(_strategies, "REMEMBERED", 100)
    server = Server(rows(count))

    def grow(server: Listing) -> None:
        for _ in range(grown):
            server.insert()

    def drift(server: Listing) -> None:
        once_at(5, delete(3))(server)
        once_at(-(-count // 10) + 2, grow)(server)

    server.drift = drift
    found = await read(listing(server, item=Plain, newest_first=False))
    assert len(found) == len(set(found))
    assert set(rows(count)) - server.deleted <= set(found)


async def test_more_deletions_at_once_than_ids_are_kept_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes again after them cannot be told from what is new, and the report says so."""
    monkeypatch.setattr(_strategies, "REMEMBERED", 20)
    server = Server(rows(95))
    server.drift = once_at(8, delete(*range(44, -1, -1)))
    pages = listing(server)
    assert set(rows(95)) - server.deleted <= set(await read(pages))
    assert any("than are remembered" in doubt for doubt in pages.report.doubts)


def test_the_count_at_the_end_is_that_of_the_last_page() -> None:
    """A count that a page read in vain had told does not stay in the report."""
    position: Position[Dated] = begin(
        "count-guard", page=1, size=2, limit=None, order=Order(doubt=None, newest_first=True)
    )
    for number, total, alone in ((1, 10, True), (2, 10, True), (3, 12, False), (3, 10, True), (4, 10, True)):
        ask = position.ask()
        assert ask is not None
        items = tuple(Dated(id=f"{number}-{row}", created_at=NEWEST - timedelta(number, row)) for row in range(2))
        page = Page(items=items, number=number, size=2, total_count=total, total_pages=5, has_next=True)
        position.accept(ask, page, alone=alone)
    assert position.report.stepped_back == 1
    assert position.report.total_at_end == 10


async def test_the_count_guard_can_be_forced_on_any_order() -> None:
    """Who knows the order better may say so: it is read forwards, once, and steps back when rows vanish."""
    server = Server(rows(95))
    server.drift = once_at(4, delete(3, 2, 1))
    pages = listing(server, "count-guard", item=Plain, newest_first=False)
    assert await read(pages) == rows(95)
    assert (pages.report.strategy, pages.report.sweeps) == ("count-guard", 1)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"strategy": "fastest"},
        {"strategy": ""},
        {"strategy": 5},
        {"strategy": "Backward"},
        {"strategy": "backward", "page": 2},
        {"strategy": "backward", "order_by": "status"},
        {"strategy": "backward", "order_desc": False},
        {"strategy": "windows"},
        {"strategy": "windows", "page": 2, "start_date": SPAN[0], "end_date": SPAN[1]},
        {"strategy": "windows", "order_desc": False, "start_date": SPAN[0], "end_date": SPAN[1]},
    ],
    ids=str,
)
def test_a_strategy_that_does_not_fit_is_refused_before_anything_is_sent(how: dict[str, object]) -> None:
    """Wrong names and combinations are an `InvalidRequestError` about `strategy`, at the call itself."""
    server = CallsServer(Random(1))
    with pytest.raises(InvalidRequestError) as caught:
        Calls(server.send).list(**how)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert caught.value.param == "strategy"
    assert server.requests == 0


# --- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [30, 35])
async def test_has_next_that_says_no_too_early_loses_nothing(count: int) -> None:
    """While pages are full and the count says more, the listing goes on, and does not claim a proof."""
    pages = listing(Server(rows(count), answer=told(has_next=False)))
    assert await read(pages) == rows(count)
    assert not pages.report.proven
    assert any("nothing follows" in doubt for doubt in pages.report.doubts)


@pytest.mark.parametrize("count", [0, 30, 35])
async def test_has_next_that_says_yes_too_long_ends_in_an_error(count: int) -> None:
    """All is delivered, and then three pages without anything new are a `LoopError` instead of an endless loop."""
    server, found = Server(rows(count), answer=told(has_next=True)), list[int]()
    pages = listing(server)
    with pytest.raises(LoopError):
        await into(found, pages)
    assert found == rows(count)
    assert len(server.asked) == -(-count // 10) + 3


@pytest.mark.parametrize(
    "wrong", [{"total_count": -1}, {"total_pages": -3}, {"total_count": -1, "total_pages": -1}], ids=str
)
@pytest.mark.parametrize("strategy", [None, "backward", "reconcile"])
async def test_negative_counts_are_an_unreadable_answer(strategy: Strategy | None, wrong: Body) -> None:
    """A server that counts below zero is not believed in anything else it says."""
    with pytest.raises(InvalidResponseError, match="negative"):
        await read(listing(Server(rows(30), answer=told(**wrong)), strategy))


async def test_counts_that_are_missing_leave_has_next() -> None:
    """Without any count the listing follows `has_next`, delivers all, and claims nothing."""
    pages = listing(Server(rows(35), answer=told(total_count=None, total_pages=None)))
    assert await read(pages) == rows(35)
    assert pages.report.total_at_start is pages.report.total_at_end is None
    assert not pages.report.proven


async def test_without_has_next_the_number_of_pages_tells() -> None:
    """`has_next` stands in samples only: where it is missing, `total_pages` says whether more follow."""
    pages = listing(Server(rows(35), answer=told(has_next=None)))
    assert await read(pages) == rows(35)
    assert pages.report.proven


@pytest.mark.parametrize("value", ["4", "many", 4.5, True], ids=str)
@pytest.mark.parametrize("field", ["total_pages", "total_count", "page", "page_size"])
async def test_a_count_that_is_no_whole_number_is_an_unreadable_answer(field: str, value: object) -> None:
    """Text, fractions, and booleans are an `InvalidResponseError` that names the field; nothing is guessed."""
    with pytest.raises(InvalidResponseError, match=rf"\$\.pagination\.{field}$"):
        await read(listing(Server(rows(35), answer=told(**{field: value}))))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), newest_first=st.booleans(), strategy=st.sampled_from([None, "reconcile"]))
@example(seed=0, newest_first=False, strategy=None)
async def test_whatever_a_server_says_a_listing_ends(seed: int, newest_first: bool, strategy: Strategy | None) -> None:
    """Answers at random, right in form only: the listing ends or raises within bounds, and no id comes twice."""
    rng = Random(seed)

    def nonsense(body: Body) -> Body:
        names = [name for name in ("page", "total_count", "has_next", "page_size") if rng.random() < 0.2]
        wild: Body = {
            "page": rng.randrange(1, 9),
            "total_count": rng.choice([None, 0, rng.randrange(200)]),
            "has_next": rng.random() < 0.8,
            "page_size": rng.randrange(1, 200),
        }
        data = cast("list[Body]", body["data"])
        kept = data if rng.random() < 0.8 else rng.sample(data, rng.randrange(len(data) + 1))
        return {"data": kept, "pagination": {**pagination(body), **{name: wild[name] for name in names}}}

    server, found = Server(rows(60), answer=nonsense), list[int]()
    with suppress(PaginationError):
        await into(found, listing(server, strategy, newest_first=newest_first))
    assert len(found) == len(set(found))
    assert len(server.asked) <= 4 * 5 * (200 + 10)  # sweeps, of pages that may be said to hold one record each
