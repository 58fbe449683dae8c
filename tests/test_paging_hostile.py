"""Listings of servers that count, number, or refuse pages in ways of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import cast

import pytest

from envoy_async._paging import Strategy
from envoy_async._wire import Request, Response
from envoy_async.errors import LoopError, NotFoundError, StatusError
from tests.test_paging import Listing, rows
from tests.test_paging_strategies import Plain, Server, listing, read

Body = dict[str, object]


def told(body: Body) -> Body:
    """Give what an answer says of its pages."""
    return cast("Body", body["pagination"])


def refusing(server: Server, refuses: Callable[[dict[str, str]], bool]) -> Callable[[Request], object]:
    """Answer 404 to some requests."""

    async def send(request: Request) -> Response:
        query = dict(request.query)
        if refuses(query):
            server.asked.append(query)
            error = NotFoundError("no such page")
            error.status = 404
            raise error
        return await server.send(request)

    return send


@pytest.mark.parametrize("strategy", ["count-guard", "backward", "reconcile"])
async def test_a_refused_first_page_ends_nothing(strategy: Strategy) -> None:
    """A listing whose first request is refused can be stepped again, and is read whole."""
    server = Server(rows(95))
    pages = listing(server, strategy)
    pages._ahead.send = refusing(server, lambda _: not server.asked)  # type: ignore[assignment]
    with pytest.raises(NotFoundError):
        await anext(pages)
    assert await read(pages) == rows(95)


@pytest.mark.parametrize("strategy", ["count-guard", "backward"])
async def test_a_page_that_is_refused_for_ever_says_why(strategy: Strategy) -> None:
    """A page that exists and is refused each time ends in the server's own error, and nothing is claimed."""
    server = Server(rows(95))
    pages = listing(server, strategy)
    pages._ahead.send = refusing(server, lambda query: query["page"] == "4")  # type: ignore[assignment]
    with pytest.raises(StatusError, match="no such page"):
        await read(pages)
    assert len(server.asked) < 20
    assert not pages.report.finished


async def test_rows_deleted_in_bulk_behind_the_reader_end_a_backward_listing() -> None:
    """Pages past the end that are refused are made up for by the count, not taken for read."""
    server = Server(rows(95))
    pages = listing(server, "backward")
    found = [int((await anext(pages)).id) for _ in range(10)]
    for _ in range(70):
        server.delete(10)
    pages._ahead.send = refusing(server, lambda query: int(query["page"]) > -(-len(server.rows) // 10))  # type: ignore[assignment]
    assert found + await read(pages) == sorted(set(rows(95)) - server.deleted)
    assert pages.report.proven


@pytest.mark.parametrize(("strategy", "cap"), [("count-guard", 50), ("count-guard", 10), ("backward", 10)])
async def test_a_count_that_is_capped_proves_nothing(strategy: Strategy, cap: int) -> None:
    """A server that counts fewer than it has, and says that more follow, is read whole or leaves a doubt."""
    server = Server(rows(95), answer=lambda body: {**body, "pagination": {**told(body), "total_count": cap}})
    pages = listing(server, strategy)
    found = await read(pages)
    assert (found == rows(95)) is (strategy == "count-guard")
    assert found == rows(95) or any("count does not fit" in doubt for doubt in pages.report.doubts)


@pytest.mark.parametrize(("asked", "served"), [(10, 7), (10, 20), (20, 10)])
@pytest.mark.parametrize("strategy", ["count-guard", "backward", "reconcile"])
async def test_a_server_with_one_page_size_is_read_whole(asked: int, served: int, strategy: Strategy) -> None:
    """Whatever size is asked for, the server's own is used, also when rows vanish meanwhile."""

    class Fixed(Server):
        async def send(self, request: Request) -> Response:
            return await super().send(request.at_page(int(dict(request.query)["page"]), served))

    server = Fixed(rows(95), fall if strategy != "reconcile" else lambda _: None)
    found = await read(listing(server, strategy, size=asked))
    assert found == [row for row in rows(95) if row in found]
    assert set(rows(95)) - server.deleted <= set(found)


def fall(server: Listing) -> None:
    """Delete the newest row at the third request."""
    if len(server.asked) == 3:
        server.delete(0)


async def test_windows_reach_back_to_the_first_of_all_days() -> None:
    """`date.min` means since ever."""
    server = Server(rows(30))
    assert await read(listing(server, "windows", days=(date.min, date(2026, 12, 31)))) == rows(30)


async def test_a_page_of_nothing_but_broken_records_is_handed_out() -> None:
    """`by_page` gives a page whose records could all not be read; each counts once, also two that look alike."""

    def broken(body: Body) -> Body:
        return {**body, "data": [None, None]} if told(body)["page"] == 2 else body

    pages = listing(Server(rows(12), answer=broken), "count-guard", on_invalid="collect")
    sizes = [(len(page.items), len(page.invalid)) async for page in pages.by_page()]
    assert sizes[:2] == [(10, 0), (0, 2)]
    assert pages.report.skipped == len(pages.report.invalid) == 2


async def test_one_broken_record_for_ever_is_no_progress() -> None:
    """The same page with a broken record, again and again and without a count, is a circle."""

    def again(body: Body) -> Body:
        data = cast("list[object]", body["data"])
        return {"data": [*data[:3], None], "pagination": {**told(body), "total_count": None, "has_next": True}}

    server = Server(rows(10), answer=again)
    with pytest.raises(LoopError):
        await read(listing(server, "count-guard", on_invalid="skip"))
    assert len(server.asked) < 20


async def test_a_count_that_flaps_excuses_little() -> None:
    """The same page for ever is told within a few pages, though the count changes each time."""

    def again(body: Body) -> Body:
        flapping = 10**6 + len(server.asked) % 2
        return {
            "data": [{"id": "1", "created_at": "2025-11-21T12:00:00Z"}],
            "pagination": {**told(body), "total_count": flapping, "has_next": True},
        }

    server = Server(rows(10), answer=again)
    with pytest.raises(LoopError):
        await read(listing(server, "count-guard"))
    assert len(server.asked) < 30


async def test_what_a_limit_cuts_off_did_not_come_again() -> None:
    """`repeated` counts what was delivered before, and a limit bounds what is fetched ahead."""
    server = Server(rows(95))
    pages = listing(server, "count-guard", limit=25).prefetch(16)
    assert await read(pages) == rows(25)
    assert pages.report.repeated == 0
    assert len(server.asked) == 3


async def test_a_count_that_is_wrong_costs_one_more_sweep() -> None:
    """When two sweeps find the same records and the count says one more, that is told, and no further sweep made."""
    server = Server(rows(95), answer=lambda body: {**body, "pagination": {**told(body), "total_count": 96}})
    pages = listing(server, "count-guard")
    assert await read(pages) == rows(95)
    assert pages.report.sweeps == 2
    assert any("count is wrong" in doubt for doubt in pages.report.doubts)


async def test_a_count_of_any_length_in_a_header_is_no_error() -> None:
    """What the headers say of the quota is taken when it is a count, and left when it cannot be one."""
    server = Server(rows(5))

    async def send(request: Request) -> Response:
        answer = await server.send(request)
        headers = {"X-RateLimit-Limit": "9" * 5_000, "X-RateLimit-Remaining": "7"}
        return Response(200, headers, answer.body, answer.attempts)

    pages = listing(server, item=Plain)
    pages._ahead.send = send
    assert await read(pages) == rows(5)
    assert (pages.report.quota_limit, pages.report.quota_left) == (None, 7)
