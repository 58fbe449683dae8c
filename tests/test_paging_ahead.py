"""Prefetch: fetching ahead of the reader changes nothing but the time it takes, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import aclosing, suppress
from random import Random
from typing import Literal

import attrs
import pytest

from envoy_async import EnvoyClient
from envoy_async._paging import Pages, Strategy, _ahead
from envoy_async._wire import Request, Response, build
from envoy_async.errors import ConnectionLostError, InvalidRequestError, PaginationError
from envoy_async.sandbox import Sandbox
from tests.test_paging import Listing, rows
from tests.test_paging_strategies import SPAN, Dated, Plain, Server, delete, into, listing, once_at, read
from tests.transport.test_transport_quota import SkippingLoop

every_strategy = pytest.mark.parametrize("strategy", ["count-guard", "backward", "windows", "reconcile"])


@attrs.define(eq=False)
class Slow(Server):
    """A server whose requests travel, so that several are under way and may be answered in any order."""

    way: Callable[[], float] = lambda: 0.02
    """Seconds there, and seconds back."""
    flying: int = 0
    most: int = 0

    async def send(self, request: Request) -> Response:
        """Answer one page, after a while."""
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            await asyncio.sleep(self.way())
            response = await Server.send(self, request)
            await asyncio.sleep(self.way())
        finally:
            self.flying -= 1
        return response


def slow(count: int, seed: int | None = None) -> Slow:
    """Make a server of so many rows; with a seed each way takes another time."""
    rng = Random(seed)
    return Slow(rows(count)) if seed is None else Slow(rows(count), way=rng.random)


async def quiet(server: Slow) -> None:
    """Check that nothing is under way and nothing is sent any more, however long one waits."""
    for _ in range(10):  # turns of the loop, in which no time passes
        await asyncio.sleep(0)
    assert server.flying == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    asked = len(server.asked)
    await asyncio.sleep(100)
    assert len(server.asked) == asked


@pytest.mark.looptime
@every_strategy
@pytest.mark.parametrize("ahead", [1, 2, 64])
async def test_prefetching_gives_the_same_records_in_the_same_order(strategy: Strategy, ahead: int) -> None:
    """Whatever the latencies: the same records, the same order, the same report, and as many requests."""
    server, plain = slow(95, seed=ahead), Server(rows(95))
    pages, one = listing(server, strategy, days=SPAN).prefetch(ahead), listing(plain, strategy, days=SPAN)
    assert await read(pages) == await read(one) == rows(95)
    assert len(server.asked) == len(plain.asked)
    assert pages.report == one.report
    assert (server.most > 1) is (ahead > 1)
    assert server.most <= ahead
    await quiet(server)


@pytest.mark.looptime
@pytest.mark.parametrize("strategy", ["count-guard", "backward"])
async def test_prefetching_is_faster(strategy: Strategy) -> None:
    """Eight pages ahead of a reader that is faster than the server take less than a sixth of the time."""
    loop, seconds = asyncio.get_running_loop(), dict[int, float]()
    for ahead in (1, 8):
        began = loop.time()
        await read(listing(slow(200), strategy, size=2).prefetch(ahead))
        seconds[ahead] = loop.time() - began
    assert abs(seconds[1] - 100 * 0.04) < 0.01
    assert seconds[8] < seconds[1] / 6


@pytest.mark.looptime
@every_strategy
@pytest.mark.parametrize("ahead", [1, 5])
async def test_prefetching_is_bounded_in_pages(strategy: Strategy, ahead: int) -> None:
    """However slow the reader: at most so many pages are on their way or waiting for it."""
    server = slow(150)
    pages, taken = listing(server, strategy, days=SPAN).prefetch(ahead), 0
    async with aclosing(pages.by_page()) as steps:
        async for _ in steps:
            taken += 1
            await asyncio.sleep(1)
            assert len(server.asked) <= taken + ahead
            if taken == 12:
                break
    assert server.most <= ahead


@pytest.mark.looptime
async def test_prefetching_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that wait, and those on their way taken for as large as the largest so far, keep within the bytes."""
    server = slow(200, seed=1)
    assert await read(listing(server).prefetch(8)) == rows(200)
    assert server.most == 8
    page = len((await server.send(build("GET", "/rows", query={"page": 1, "page_size": 10}))).body)
    monkeypatch.setattr(_ahead, "_BYTES", 3 * page)
    server = slow(200, seed=1)
    assert await read(listing(server).prefetch(8)) == rows(200)
    assert server.most == 3


@pytest.mark.looptime
@every_strategy
@pytest.mark.parametrize("leave", ["break", "error", "aclose", "pages", "pages left"])
async def test_a_loop_that_is_left_leaves_nothing_behind(strategy: Strategy, leave: str) -> None:
    """After `break`, an error in the body, `aclose`, or the end of `by_page`: no task is left, and nothing is sent.

    The listing goes on with the next record all the same.
    """
    server = slow(95, seed=5)
    pages, found = listing(server, strategy, days=SPAN).prefetch(8), list[int]()
    if leave in {"break", "error"}:
        await _leave(pages, found, leave)
    elif leave.startswith("pages"):
        steps = pages.by_page()
        found += [int(item.id) for _ in range(3) for item in (await anext(steps)).items]
        await steps.aclose() if leave == "pages" else None
        del steps
        gc.collect()
    else:
        found += [int((await anext(pages)).id) for _ in range(25)]
        await pages.aclose()
        assert server.flying == 0  # at once
        await pages.aclose()
    await quiet(server)
    assert found + await read(pages) == rows(95)
    await quiet(server)


@pytest.mark.looptime
@every_strategy
async def test_a_listing_that_is_let_go_leaves_nothing_behind(strategy: Strategy) -> None:
    """Nobody needs to close a listing: once it is collected, no task is left, and nothing is sent."""
    server = slow(95, seed=5)
    held = [listing(server, strategy, days=SPAN).prefetch(8)]
    for _ in range(25):
        await anext(held[0])
    held.clear()
    gc.collect()
    await quiet(server)


async def _leave(pages: Pages[Dated | Plain], found: list[int], how: str) -> None:
    """Read 25 records in a loop, and leave it."""
    with suppress(LookupError):
        async for item in pages:
            found.append(int(item.id))
            if len(found) == 25 and how == "error":
                raise LookupError
            if len(found) == 25:
                break


@pytest.mark.looptime
@every_strategy
@pytest.mark.parametrize("after", [0.03, 0.09, 0.2])
async def test_a_cancelled_reader_leaves_nothing_behind(strategy: Strategy, after: float) -> None:
    """Cancelled at any moment: no task is left, nothing is sent, and the listing goes on where it was."""
    server = slow(95)
    pages, found = listing(server, strategy, days=SPAN).prefetch(4), list[int]()
    task = asyncio.ensure_future(into(found, pages))
    await asyncio.sleep(after)
    task.cancel()
    await asyncio.wait({task})
    del task
    await quiet(server)
    assert found + await read(pages) == rows(95)


@pytest.mark.looptime
@every_strategy
async def test_a_step_that_times_out_is_taken_again(strategy: Strategy) -> None:
    """A timeout around each step loses nothing and gives nothing twice, and what is on its way is let go."""
    server = slow(95)
    pages, found, late = listing(server, strategy, days=SPAN).prefetch(4), list[int](), 0
    while True:
        try:
            found.append(int((await asyncio.wait_for(anext(pages), 0.05 if late % 2 else 0.03)).id))
        except TimeoutError:
            late += 1
            await quiet(server)
        except StopAsyncIteration:
            break
    assert late > 0
    assert found == rows(95)


@pytest.mark.looptime
@every_strategy
@pytest.mark.parametrize("broken", [1, 3, 5])
async def test_a_page_that_fails_among_others_fails_at_its_place(strategy: Strategy, broken: int) -> None:
    """What lies before it is delivered first, then its error comes; a further step goes on, and nothing is lost."""
    server = slow(95, seed=broken)
    server.fail_on = frozenset({broken})
    pages, found = listing(server, strategy, days=SPAN).prefetch(4), list[int]()
    with pytest.raises(ConnectionLostError) as caught:
        await into(found, pages)
    assert caught.value.checkpoint is not None
    await quiet(server)
    await into(found, pages)
    assert found == rows(95)
    assert pages.report.finished


@pytest.mark.looptime
async def test_a_failure_nobody_waits_for_is_no_noise() -> None:
    """A page that fails behind the one where the reader stopped is not reported by the event loop."""
    noise = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    server = slow(95)
    server.fail_on = frozenset({5})
    pages = listing(server).prefetch(4)
    found = [int((await anext(pages)).id) for _ in range(31)]
    await asyncio.sleep(1)
    assert len(server.asked) > 5
    await pages.aclose()
    gc.collect()
    assert found + await read(pages) == rows(95)
    assert noise == []


@pytest.mark.looptime
@every_strategy
@pytest.mark.parametrize("seed", range(3))
async def test_prefetching_loses_nothing_while_rows_come_and_go(strategy: Strategy, seed: int) -> None:
    """Answers out of order, rows moving between them: survivors come once, others at most once."""
    rng = Random(seed)

    def drift(server: Listing) -> None:
        for _ in range(rng.randrange(3) if rng.random() < 0.3 else 0):
            server.insert() if rng.random() < 0.5 else server.delete(rng.randrange(len(server.rows)))

    count = 50 if strategy == "reconcile" else 120
    server = Slow(rows(count), drift, way=rng.random)
    pages, found = listing(server, strategy, days=SPAN).prefetch(8), list[int]()
    with suppress(PaginationError):  # reconcile may find no two sweeps that agree
        await into(found, pages)
    assert len(found) == len(set(found))
    assert set(rows(count)) - server.deleted <= set(found)
    assert pages.report.finished or strategy == "reconcile"
    await pages.aclose()
    await quiet(server)


@pytest.mark.looptime
@pytest.mark.parametrize("first", [3, 4, 5])
@pytest.mark.parametrize("change", ["insert", "delete", "both"])
async def test_a_page_answered_before_the_one_in_front_of_it_is_not_believed(first: int, change: str) -> None:
    """A later page comes from before a change and the one in front of it from after: it is asked for again."""
    server = slow(95)
    order = {first: 0.01}

    async def send(request: Request) -> Response:
        number = int(dict(request.query)["page"])
        await asyncio.sleep(order.get(number, 0.02))
        return await Server.send(server, request)

    def move(server: Listing) -> None:
        server.insert() if change != "delete" else None
        server.delete(40) if change != "insert" else None

    server.drift = once_at(3, move)
    pages = listing(server).prefetch(8)
    pages._ahead.send = send
    found = await read(pages)
    assert set(rows(95)) - server.deleted <= set(found)
    assert len(found) == len(set(found))


def test_a_listing_survives_its_event_loop_with_pages_on_their_way() -> None:
    """Half in one `asyncio.run`, half in another, and let go after both: complete, and nothing complains."""
    rng = Random(2)
    server = Slow(rows(95), way=lambda: rng.random() / 500)
    pages = listing(server).prefetch(8)

    async def some(count: int) -> list[int]:
        return [int((await anext(pages)).id) for _ in range(count)]

    found = asyncio.run(some(15)) + asyncio.run(some(15)) + asyncio.run(read(pages))
    assert found == rows(95)
    again = listing(Slow(rows(95), way=lambda: rng.random() / 500)).prefetch(8)
    asyncio.run(some_of(again))
    del again
    gc.collect()


async def some_of(pages: Pages[Dated | Plain]) -> None:
    """Take some records, so that pages are on their way."""
    for _ in range(31):
        await anext(pages)


@pytest.mark.looptime
async def test_a_loop_collected_late_does_not_disturb_the_next() -> None:
    """A first loop object that is let go while a later loop waits for a page costs a request, and no record."""
    server = slow(95, seed=3)
    pages = listing(server).prefetch(4)
    old = [aiter(pages)]
    found = [int((await anext(aiter(old[0]))).id) for _ in range(11)]
    task = asyncio.ensure_future(read(pages))
    await asyncio.sleep(0.05)
    assert server.flying > 0
    old.clear()
    gc.collect()
    assert found + await task == rows(95)
    await quiet(server)


@pytest.mark.looptime
async def test_a_lone_page_fetches_nothing_ahead() -> None:
    """`prefetch(1)` is the plain way: a request is sent when the page before was read, by the reader's own task."""
    server = slow(95)
    async for _ in listing(server).prefetch(8).prefetch(1):
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert server.most == 1


@pytest.mark.looptime
async def test_prefetching_may_be_turned_off_in_the_middle() -> None:
    """What is on its way by then is used; no more is asked for ahead."""
    server = slow(95)
    pages = listing(server).prefetch(4)
    found = [int((await anext(pages)).id) for _ in range(11)]
    asked = len(server.asked) + server.flying
    pages.prefetch(1)
    assert found + await read(pages) == rows(95)
    assert asked <= len(server.asked) == 10


@pytest.mark.parametrize("wrong", [0, -1, 65, 10**9, 1.0, 2.5, "8", None, True], ids=repr)
def test_wrong_numbers_are_refused(wrong: object) -> None:
    """Anything but a whole number from 1 to 64 is an `InvalidRequestError` about `pages`."""
    with pytest.raises(InvalidRequestError, match="from 1 to 64") as caught:
        listing(slow(5)).prefetch(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert caught.value.param == "pages"


@pytest.mark.looptime
async def test_a_mass_deletion_while_pages_are_on_their_way() -> None:
    """Pages past the new end, asked for before it was known, are not the end of the listing."""
    for past_end in (200, 404, 422):
        server = slow(95)
        server.past_end, server.drift = past_end, once_at(4, delete(*range(60, 5, -1)))
        found = await read(listing(server).prefetch(8))
        assert set(rows(95)) - server.deleted <= set(found)
        assert len(found) == len(set(found))


@pytest.mark.parametrize("algorithm", ["fixed", "sliding"])
def test_prefetching_obeys_the_quota(algorithm: Literal["fixed", "sliding"]) -> None:
    """Pages ahead wait in line like any request: 40 pages through a quota of 10 per second, all delivered."""

    async def run() -> tuple[int, int, float]:
        time = asyncio.get_running_loop().time
        clock = lambda: 1_763_740_800.0 + time()  # noqa: E731
        async with Sandbox(calls=200, loads=1, quota=10, window=1.0, algorithm=algorithm, clock=clock) as sandbox:
            async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
                pages = envoy.calls.list(page_size=5).prefetch(16)
                found = [call.id async for call in pages]
            log = sandbox.requests
            return len(set(found)), sum(row.status == 429 for row in log), log[-1].at - log[0].at

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        delivered, refused, seconds = runner.run(run())
    assert delivered == 200
    assert refused <= 4
    assert 2.5 <= seconds <= 8
