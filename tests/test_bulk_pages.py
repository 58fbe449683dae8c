"""`bulk.gather_pages`: many listings merged, each whole and in its order, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Literal

import attrs
import pytest
from hypothesis import given, strategies as st

from envoy_async import EnvoyClient, bulk, errors
from envoy_async.sandbox import Fault, Sandbox
from tests.transport.conftest import no_task_left, settled

__all__ = ["no_task_left"]


@attrs.define
class Shelf:
    """A listing of numbered pages that counts what is read and closed, and may fail behind its last page."""

    name: str
    pages: int
    turns: int = 1
    fails: bool = False
    read: int = 0
    closed: int = 0

    async def by_page(self) -> AsyncGenerator[str, None]:
        """Give the pages, each after some turns of the loop."""
        try:
            for number in range(self.pages):
                await self._turn()
                self.read += 1
                yield f"{self.name}{number}"
            await self._turn()
            if self.fails:
                raise LookupError(self.name)
        finally:
            self.closed += 1

    async def _turn(self) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)

    @property
    def all(self) -> list[str]:
        """The pages there are."""
        return [f"{self.name}{number}" for number in range(self.pages)]


class Plain:
    """A listing whose iterator is no generator."""

    def by_page(self) -> AsyncIterator[str]:
        """Give the iterator."""
        return self._Pages()

    class _Pages:
        left = 2

        def __aiter__(self) -> AsyncIterator[str]:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return f"plain{self.left}"


def others() -> set[asyncio.Task[object]]:
    """Return the tasks beside the one that asks."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


@given(
    shelves=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.booleans()), max_size=10),
    concurrency=st.integers(1, 4),
    pauses=st.lists(st.integers(0, 4), min_size=1, max_size=8),
)
async def test_every_listing_is_whole_and_in_order(
    shelves: list[tuple[int, int, bool]], concurrency: int, pauses: list[int]
) -> None:
    """Each gives all its pages in order, and its error last if it has one; no more are read at once than allowed."""
    listings = [Shelf(f"{name}/", *shelf) for name, shelf in enumerate(shelves)]
    found: dict[str, list[bulk.Outcome[str, str]]] = {listing.name: [] for listing in listings}
    taken: list[Shelf] = []

    def pairs() -> Iterator[tuple[str, Shelf]]:
        for listing in listings:
            assert sum(not one.closed for one in taken) < concurrency
            taken.append(listing)
            yield listing.name, listing

    count = 0
    async for outcome in bulk.gather_pages(pairs(), concurrency=concurrency):
        found[outcome.key].append(outcome)
        count += 1
        for _ in range(pauses[count % len(pauses)]):
            await asyncio.sleep(0)
        for listing in listings:
            assert listing.read <= len(found[listing.name]) + 1
        assert found[outcome.key][-1].error or taken[int(outcome.key[:-1])].read == len(found[outcome.key])
    for listing in listings:
        values = [outcome.value for outcome in found[listing.name] if not outcome.error]
        assert values == listing.all
        assert [bool(outcome.error) for outcome in found[listing.name]][listing.pages :] == [True] * listing.fails
        assert listing.closed == 1
    assert others() == set()


async def test_listings_take_turns() -> None:
    """Where all have a page ready, each gives one in turn; a short listing leaves its place to the next."""
    shelves = {name: Shelf(name, pages) for name, pages in (("a", 3), ("b", 1), ("c", 3))}
    found = [outcome.result() async for outcome in bulk.gather_pages(shelves, concurrency=2)]
    assert found[:2] == ["a0", "b0"]
    assert sorted(found) == sorted([*shelves["a"].all, *shelves["b"].all, *shelves["c"].all])
    shelves = {name: Shelf(name, 3, turns=0) for name in "abc"}
    found = [outcome.result() async for outcome in bulk.gather_pages(shelves)]
    assert found == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


async def test_a_slow_listing_holds_nobody_up() -> None:
    """Those that have a page go first."""
    shelves = {"slow": Shelf("slow", 1, turns=500), "fast": Shelf("fast", 9)}
    found = [outcome.value async for outcome in bulk.gather_pages(shelves)]
    assert found == [*shelves["fast"].all, "slow0"]


async def test_pairs_may_come_from_anywhere() -> None:
    """A mapping, pairs, or an async iterable of pairs; pages may come from any iterator."""

    async def pairs() -> AsyncIterator[tuple[int, Shelf]]:
        for number in range(3):
            yield number, Shelf(str(number), 1)

    assert {outcome.key async for outcome in bulk.gather_pages(pairs())} == {0, 1, 2}
    assert [outcome.value async for outcome in bulk.gather_pages([("key", Plain())])] == ["plain1", "plain0"]
    nothing: dict[str, Shelf] = {}
    assert [outcome async for outcome in bulk.gather_pages(nothing)] == []


async def test_a_failure_is_raised() -> None:
    """With `raise`, the error names its listing, and the others are closed by then."""
    shelves = {"bad": Shelf("bad", 1, fails=True), "good": Shelf("good", 100)}
    found: list[str | None] = []

    async def read() -> None:
        async for outcome in bulk.gather_pages(shelves, on_error="raise"):
            found.append(outcome.value)  # noqa: PERF401 - kept although the loop fails

    with pytest.raises(LookupError) as caught:
        await read()
    assert caught.value.__notes__ == ["bulk: this is of the key 'bad'"]
    assert found[0] == "bad0"
    assert [shelf.closed for shelf in shelves.values()] == [1, 1]
    assert others() == set()


async def test_listings_that_cannot_be_taken() -> None:
    """When the pairs fail, what was taken is read to its end, and then that error is raised."""
    shelf = Shelf("a", 3)

    def pairs() -> Iterator[tuple[str, Shelf]]:
        yield "a", shelf
        raise ConnectionError

    found: list[str | None] = []

    async def read() -> None:
        async for outcome in bulk.gather_pages(pairs()):
            found.append(outcome.value)  # noqa: PERF401 - kept although the loop fails

    with pytest.raises(ConnectionError):
        await read()
    assert found == shelf.all


async def leave_by_break(outcomes: bulk.Outcomes[str, str]) -> None:
    """Leave the loop after one page."""
    async for _ in outcomes:
        break


async def leave_by_error(outcomes: bulk.Outcomes[str, str]) -> None:
    """Let the loop's body fail."""
    async for _ in outcomes:
        raise ZeroDivisionError


async def leave_by_closing(outcomes: bulk.Outcomes[str, str]) -> None:
    """Take one page by hand and close."""
    await anext(outcomes)
    await outcomes.aclose()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error, leave_by_closing])
async def test_leaving_closes_every_listing(leave: Callable[[bulk.Outcomes[str, str]], Awaitable[None]]) -> None:
    """No task and no generator stays behind."""
    shelves = {name: Shelf(name, 100) for name in "abc"}
    await asyncio.gather(leave(bulk.gather_pages(shelves)), return_exceptions=True)
    await settled(lambda: not others())
    assert [shelf.closed for shelf in shelves.values()] == [1, 1, 1]


@pytest.mark.parametrize("on_error", ["collect", "raise"])
async def test_cancelled_at_any_await(on_error: Literal["collect", "raise"]) -> None:
    """Whenever the reader is cancelled: it ends as cancelled, and every listing that was begun is closed."""
    for turns in range(30):
        shelves = {str(name): Shelf(str(name), name % 4, turns=name % 3) for name in range(8)}

        async def read(shelves: dict[str, Shelf]) -> None:
            async for _ in bulk.gather_pages(shelves, concurrency=3, on_error=on_error):
                await asyncio.sleep(0)

        reader = asyncio.create_task(read(shelves))
        for _ in range(turns):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait({reader})
        assert reader.cancelled()
        await settled(lambda: not others())
        assert [shelf for shelf in shelves.values() if shelf.read and not shelf.closed] == []


async def test_listings_of_two_organizations(sandbox: Sandbox) -> None:
    """Each view of the client lists its own calls: every one comes once, under its own key."""
    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
        listings = {
            "calls": envoy.calls.list(page_size=50),
            "again": envoy.with_options(deadline=30).calls.list(page_size=100),
        }
        ids: dict[str, list[str]] = {name: [] for name in listings}
        async for outcome in bulk.gather_pages(listings):
            ids[outcome.key] += [call.id for call in outcome.result().items]
    assert len(ids["calls"]) == len({*ids["calls"]}) == 250
    assert ids["calls"] == ids["again"]


async def test_a_listing_that_failed_goes_on_where_it_stopped() -> None:
    """One listing fails in its middle and the others are whole; the same object then gives the rest."""
    broken = Fault(path="/calls", nth=5, status=400)
    async with (
        Sandbox(calls=250, quota=None, faults=[broken]) as sandbox,
        EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy,
    ):
        listings = {size: envoy.calls.list(page_size=size) for size in (50, 25, 100)}
        ids: dict[int, list[str]] = {size: [] for size in listings}
        failed: list[int] = []
        async for outcome in bulk.gather_pages(listings):
            if outcome.error is not None:
                assert isinstance(outcome.error, errors.ValidationError)
                failed.append(outcome.key)
            else:
                ids[outcome.key] += [call.id for call in outcome.result().items]
        assert len(failed) == 1
        assert len(ids[failed[0]]) < 250
        ids[failed[0]] += [call.id async for call in listings[failed[0]]]
    assert [len(found) for found in ids.values()] == [len({*found}) for found in ids.values()] == [250] * 3


async def test_checkpoints_know_what_was_handed_out(envoy: EnvoyClient) -> None:
    """A checkpoint taken with each page is right for it, although other listings have pages that wait."""
    listings = {size: envoy.calls.list(page_size=size) for size in (20, 30, 50)}
    ids: dict[int, list[str]] = {size: [] for size in listings}
    state: dict[int, str] = {}
    count = 0
    async for outcome in bulk.gather_pages(listings):
        ids[outcome.key] += [call.id for call in outcome.result().items]
        state[outcome.key] = listings[outcome.key].checkpoint()
        count += 1
        if count == 8:
            break
    for size, checkpoint in state.items():
        ids[size] += [call.id async for call in envoy.calls.list(page_size=size).resume(checkpoint)]
    assert [len(found) for found in ids.values()] == [len({*found}) for found in ids.values()] == [250] * 3
