"""Many records in few requests: how they are cut, when an error is raised, and how the results come together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from envoy_async.errors import (
    ConnectError,
    EnvoyError,
    InvalidRequestError,
    InvalidResponseError,
    OutcomeUnknownError,
)
from envoy_async.models import CarrierBatchItem, CarrierBatchResult, LoadBatchItem, LoadBatchResult
from envoy_async.resources._batch import LARGEST, in_batches, matched

NOON = datetime(2025, 11, 21, 12, tzinfo=UTC)


class Numbers:
    """Items that come asynchronously; notes how many were read, and whether the generator was closed."""

    def __init__(self, items: Iterable[str], *, fails: BaseException | None = None) -> None:
        self.items = items
        self.fails = fails
        self.read = 0
        self.closed = False

    async def each(self) -> AsyncGenerator[str, None]:
        """Give the items one by one, and at last raise what there is to raise."""
        try:
            for item in self.items:
                self.read += 1
                yield item
            if self.fails is not None:
                raise self.fails
        finally:
            await asyncio.sleep(0)
            self.closed = True

    def __aiter__(self) -> AsyncIterator[str]:
        return self.each()


SHAPES: dict[str, Callable[[Iterable[str]], Any]] = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "keys": dict.fromkeys,
    "generator": lambda items: (item for item in items),
    "async generator": lambda items: Numbers(items).each(),
    "async iterable": Numbers,
}


class Service:
    """A server in small: answers each batch, and fails those it is told to fail."""

    def __init__(self, **failures: EnvoyError) -> None:
        self.failures = {int(number.removeprefix("at_")): error for number, error in failures.items()}
        self.batches: list[list[str]] = []

    async def send(self, batch: Sequence[str]) -> LoadBatchResult:
        """Take a batch and answer it in another order."""
        number = len(self.batches)
        self.batches.append(list(batch))
        await asyncio.sleep(0)
        if number in self.failures:
            raise self.failures[number]
        answer = result(list(reversed(batch)))
        return matched(answer, answer.total_loads, batch, [item.load_identifier for item in answer.results])


def result(names: Sequence[str], *, success: bool = True, why: str | None = None) -> LoadBatchResult:
    """Make the result of a batch that went through or failed as a whole; every item is a new load."""
    good = len(names) if success else 0
    return LoadBatchResult(
        success=success,
        total_loads=len(names),
        successful=good,
        failed=len(names) - good,
        created=good,
        updated=0,
        results=tuple(LoadBatchItem(load_identifier=name, success=success, error=why) for name in names),
        processed_at=NOON,
    )


def lost(batch: Sequence[str], why: str, before: LoadBatchResult) -> LoadBatchResult:
    """Make the result of a batch that was not answered."""
    return attrs.evolve(result(batch, success=False, why=why), processed_at=before.processed_at)


def names(count: int) -> list[str]:
    """Name so many loads, in an order that is not the alphabet's."""
    return [f"LD{number}" for number in range(count)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (999, [999]), (1_000, [1_000]), (1_001, [1_000, 1]), (2_500, [1_000, 1_000, 500])]
)
async def test_any_number_of_items_goes_out_in_thousands(shape: str, count: int, sizes: list[int]) -> None:
    """Whatever the items come in: at most 1,000 in a request, all of them, once, in order, and so are the results."""
    service = Service()
    whole = await in_batches("loads", SHAPES[shape](names(count)), service.send, lost)
    assert [len(batch) for batch in service.batches] == sizes
    assert [*chain.from_iterable(service.batches)] == names(count)
    assert [item.load_identifier for item in whole.results] == names(count)
    assert (whole.total_loads, whole.successful, whole.created) == (count, count, count)
    assert (whole.success, whole.failed, whole.updated, whole.processed_at) == (True, 0, 0, NOON)


async def test_a_set_is_sent_in_the_order_it_gives() -> None:
    """The results stand beside the items as a loop over the same set gives them."""
    items, service = set(names(1_200)), Service()
    whole = await in_batches("loads", items, service.send, lost)
    assert [item.load_identifier for item in whole.results] == list(items)


async def test_carriers_are_added_up_as_loads_are() -> None:
    """All counts are those of the whole input, whatever the total is called."""

    async def send(batch: Sequence[str]) -> CarrierBatchResult:
        count = len(batch)
        items = tuple(CarrierBatchItem(identifier=name, success=name != "LD0") for name in batch)
        failed = int("LD0" in batch)
        return CarrierBatchResult(
            success=True,
            total=count,
            successful=count - failed,
            failed=failed,
            created=1,
            updated=count - failed - 1,
            results=items,
            processed_at=NOON,
        )

    def never(_: Sequence[str], why: str, __: CarrierBatchResult) -> CarrierBatchResult:
        raise AssertionError(why)

    whole = await in_batches("carriers", names(2_100), send, never)
    counts = (whole.total, whole.successful, whole.failed, whole.created, whole.updated)
    assert counts == (2_100, 2_099, 1, 3, 2_096)
    assert [item.identifier for item in whole.results if not item.success] == ["LD0"]


async def test_an_error_of_the_first_request_is_raised() -> None:
    """Nothing went through that could be lost with it, so the error comes as it is and nothing else is sent."""
    error = ConnectError("refused")
    service, source = Service(at_0=error), Numbers(names(2_500))
    with pytest.raises(ConnectError) as caught:
        await in_batches("loads", source.each(), service.send, lost)
    assert caught.value is error
    assert (len(service.batches), source.read, source.closed) == (1, 1_000, True)


async def test_an_error_of_a_later_request_is_told_in_its_items() -> None:
    """The other requests are still sent; the items of the failed one carry the error's class and text."""
    service = Service(at_1=OutcomeUnknownError("it may have run"), at_3=ConnectError("refused"))
    whole = await in_batches("loads", names(3_500), service.send, lost)
    assert len(service.batches) == 4
    assert [item.load_identifier for item in whole.results] == names(3_500)
    errors = [item.error for item in whole.results]
    assert set(errors[:1_000]) == set(errors[2_000:3_000]) == {None}
    assert set(errors[1_000:2_000]) == {"OutcomeUnknownError: it may have run"}
    assert set(errors[3_000:]) == {"ConnectError: refused"}
    assert (whole.success, whole.total_loads, whole.successful, whole.failed) == (True, 3_500, 2_000, 1_500)


async def test_nothing_is_a_success_when_nothing_went_through() -> None:
    """A server that takes a request and refuses each item in it is no success."""

    async def send(batch: Sequence[str]) -> LoadBatchResult:
        return result(batch, success=False, why="refused")

    whole = await in_batches("loads", names(1_001), send, lost)
    assert (whole.success, whole.successful, whole.failed) == (False, 0, 1_001)


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_empty_input_is_refused(shape: str) -> None:
    """A request without items would be refused by the server; the caller learns it at once, by the field's name."""
    service = Service()
    with pytest.raises(InvalidRequestError, match=r"^loads is empty: there is nothing to send$") as caught:
        await in_batches("loads", SHAPES[shape]([]), service.send, lost)
    assert (caught.value.param, service.batches) == ("loads", [])


@pytest.mark.parametrize("items", [None, 5, 1.5, object(), len], ids=["none", "int", "float", "object", "function"])
async def test_what_cannot_be_run_through_is_refused(items: Any) -> None:
    """The refusal names the field, and no error of Python's own stands behind it."""
    service = Service()
    with pytest.raises(InvalidRequestError, match=r"^carriers must be an iterable or async iterable$") as caught:
        await in_batches("carriers", items, service.send, lost)
    assert (caught.value.param, caught.value.__context__, service.batches) == ("carriers", None, [])


async def test_a_cancellation_passes_and_closes_the_generator() -> None:
    """A cancelled call ends at once; the caller's generator has run its own `finally` by then."""
    source, under_way = Numbers(names(2_500)), asyncio.Event()

    async def send(batch: Sequence[str]) -> LoadBatchResult:
        under_way.set()
        await asyncio.Event().wait()
        return result(batch)

    generator = source.each()
    task = asyncio.ensure_future(in_batches("loads", generator, send, lost))
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed
    assert source.read == 1_000


class OwnError(Exception):
    """What the caller's own code raises."""


@pytest.mark.parametrize("error", [OwnError("mine"), ConnectError("of the listing that is read")], ids=["own", "ours"])
@pytest.mark.parametrize("count", [0, 500, 1_000, 1_500])
async def test_an_error_of_the_callers_generator_is_theirs(count: int, error: Exception) -> None:
    """It passes as it is, also in a later batch and when it is one of ours; whole batches before it were sent."""
    source, service = Numbers(names(count), fails=error), Service()
    with pytest.raises(type(error)) as caught:
        await in_batches("loads", source, service.send, lost)
    assert caught.value is error
    assert (source.closed, len(service.batches)) == (True, count // 1_000)

    def plain() -> Generator[str, None, None]:
        yield from names(count)
        raise error

    with pytest.raises(type(error)) as again:
        await in_batches("loads", plain(), service.send, lost)
    assert again.value is error


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_the_input_is_read_while_it_is_sent(asynchronous: bool) -> None:
    """When a request goes out, no more than its own items and those before it were read."""
    read: list[int] = []
    seen: list[int] = []

    def counted() -> Generator[str, None, None]:
        for name in names(3_000):
            read.append(1)
            yield name

    async def send(batch: Sequence[str]) -> LoadBatchResult:
        seen.append(len(read))
        return result(batch)

    await in_batches("loads", Numbers(counted()) if asynchronous else counted(), send, lost)
    assert seen == [1_000, 2_000, 3_000]


async def test_a_source_at_its_end_is_not_asked_again() -> None:
    """An iterator that waits for more when it is asked once too often does not hang the call."""

    class Queue:
        def __init__(self) -> None:
            self.left = names(3)

        def __aiter__(self) -> Queue:
            return self

        async def __anext__(self) -> str:
            if self.left is ENDED:
                raise AssertionError
            if not self.left:
                self.left = ENDED
                raise StopAsyncIteration
            return self.left.pop(0)

    service = Service()
    await in_batches("loads", Queue(), service.send, lost)
    assert service.batches == [names(3)]


ENDED = ["ended"]


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8, unique=True), st.data())
def test_results_stand_in_the_order_sent(sent: list[str], data: st.DataObject) -> None:
    """However the server orders them: each result stands where its item stood."""
    told = data.draw(st.permutations(sent))
    found = matched(result(told), len(sent), sent, told)
    assert [item.load_identifier for item in found.results] == sent


@pytest.mark.parametrize(
    ("sent", "told"),
    [(["a", "b"], ["b", "x"]), (["a", "b"], ["", ""]), (["a", "a", "b"], ["b", "a", "a"]), (["a", "b"], ["a", "b"])],
)
def test_results_that_go_by_other_names_stay_as_they_came(sent: list[str], told: list[str]) -> None:
    """Names the caller did not give, or gave twice, match nothing for certain; the documented order counts."""
    answer = result(told)
    assert matched(answer, len(sent), sent, told) is answer


@pytest.mark.parametrize(
    "change",
    [
        {"results": result(["a", "b"]).results},
        {"results": result(["a", "b", "c", "d"]).results},
        {"results": (*result(["a", "b", "c"]).results, *result(["d"], success=False).results)},
        {"results": ()},
        {"total_loads": 2},
        {"total_loads": 4},
        {"successful": 2},
        {"successful": 4},
        {"failed": 1},
        {"failed": -1},
        {"successful": 2, "failed": 1},
        {"results": (*result(["a", "b"]).results, *result(["c"], success=False).results)},
    ],
    ids=str,
)
def test_counts_that_do_not_match_are_an_error(change: dict[str, Any]) -> None:
    """Too few results, too many, or counts that contradict them: never a result that could stand for another item."""
    answer: LoadBatchResult = attrs.evolve(result(["a", "b", "c"]), **change)
    told = [item.load_identifier for item in answer.results]
    with pytest.raises(InvalidResponseError, match=r"^the counts do not match: 3 sent, ") as caught:
        matched(answer, answer.total_loads, ["a", "b", "c"], told)
    assert f"has {len(told)} results" in str(caught.value)
    assert f"{answer.successful} went through, and {answer.failed} failed" in str(caught.value)


def test_the_largest_batch_is_the_documented_one() -> None:
    """The batch pages name the number."""
    assert LARGEST == 1_000
