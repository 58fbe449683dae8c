"""Many records in few requests: how they are cut, when an error is raised, and how the results come together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from envoy_async._wire import BadInput
from envoy_async.errors import (
    ConnectError,
    EnvoyError,
    InvalidRequestError,
    InvalidResponseError,
    OutcomeUnknownError,
)
from envoy_async.models import CarrierBatchItem, CarrierBatchResult, LoadBatchItem, LoadBatchResult
from envoy_async.resources import _batch
from envoy_async.resources._batch import LARGEST, Body, in_batches, matched

ROUTE = "/loads/batch"
HELD = "weight must be a number, at least 0"
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
    "keys": lambda items: dict.fromkeys(items).keys(),
    "generator": lambda items: (item for item in items),
    "async generator": lambda items: Numbers(items).each(),
    "async iterable": Numbers,
}


class Service:
    """A server in small: answers each batch, and fails those it is told to fail."""

    def __init__(self, **failures: EnvoyError) -> None:
        self.failures = {int(number.removeprefix("at_")): error for number, error in failures.items()}
        self.batches: list[list[str]] = []

    async def send(self, batch: Sequence[Body]) -> LoadBatchResult:
        """Take a batch and answer it in another order."""
        number, sent = len(self.batches), named(batch)
        self.batches.append(sent)
        await asyncio.sleep(0)
        if number in self.failures:
            raise self.failures[number]
        answer = result(list(reversed(sent)))
        return matched(answer, ROUTE, answer.total_loads, sent, [item.load_identifier for item in answer.results])


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


def ready(name: str) -> Body:
    """Make a name ready to be sent; one that begins with a bang breaks a rule of one of its fields."""
    if name.startswith("!"):
        raise BadInput(HELD, "weight")
    return {"load_number": name}


def failed(name: str, why: str) -> LoadBatchItem:
    """Make the result of an item that did not go through."""
    return LoadBatchItem(load_identifier=name, success=False, error=why)


def named(batch: Sequence[Body]) -> list[str]:
    """Give the names back that `ready` put into a batch."""
    return [str(body["load_number"]) for body in batch]


async def sent(name: str, items: Any, send: Callable[[Sequence[Body]], Awaitable[LoadBatchResult]]) -> LoadBatchResult:
    """Send the items batch by batch."""
    return await in_batches(name, items, ready=ready, send=send, fail=failed)


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
    whole = await sent("loads", SHAPES[shape](names(count)), service.send)
    assert [len(batch) for batch in service.batches] == sizes
    assert [*chain.from_iterable(service.batches)] == names(count)
    assert [item.load_identifier for item in whole.results] == names(count)
    assert (whole.total_loads, whole.successful, whole.created) == (count, count, count)
    assert (whole.success, whole.failed, whole.updated, whole.processed_at) == (True, 0, 0, NOON)


async def test_a_set_is_sent_in_the_order_it_gives() -> None:
    """The results stand beside the items as a loop over the same set gives them."""
    items, service = set(names(1_200)), Service()
    whole = await sent("loads", items, service.send)
    assert [item.load_identifier for item in whole.results] == list(items)


async def test_carriers_are_added_up_as_loads_are() -> None:
    """All counts are those of the whole input, whatever the total is called."""

    async def send(batch: Sequence[Body]) -> CarrierBatchResult:
        items = tuple(CarrierBatchItem(identifier=name, success=name != "LD0") for name in named(batch))
        count, bad = len(items), sum(not item.success for item in items)
        return CarrierBatchResult(
            success=True,
            total=count,
            successful=count - bad,
            failed=bad,
            created=1,
            updated=count - bad - 1,
            results=items,
            processed_at=NOON,
        )

    def fail(name: str, why: str) -> CarrierBatchItem:
        return CarrierBatchItem(identifier=name, success=False, error=why)

    items = [*names(1_500), "!a", *names(2_100)[1_500:]]
    whole = await in_batches("carriers", items, ready=ready, send=send, fail=fail)
    counts = (whole.total, whole.successful, whole.failed, whole.created, whole.updated)
    assert counts == (2_101, 2_099, 2, 3, 2_096)
    assert [item.identifier for item in whole.results if not item.success] == ["LD0", "!a"]


async def test_an_error_of_the_first_request_is_raised() -> None:
    """Nothing went through that could be lost with it, so the error comes as it is and nothing else is sent."""
    error = ConnectError("refused")
    service, source = Service(at_0=error), Numbers(names(2_500))
    with pytest.raises(ConnectError) as caught:
        await sent("loads", source.each(), service.send)
    assert caught.value is error
    assert (len(service.batches), source.read, source.closed) == (1, 1_000, True)


async def test_an_error_of_a_later_request_is_told_in_its_items() -> None:
    """The other requests are still sent; the items of the failed one carry the error's class and text."""
    service = Service(at_1=OutcomeUnknownError("it may have run"), at_3=ConnectError("refused"))
    whole = await sent("loads", names(3_500), service.send)
    assert len(service.batches) == 4
    assert [item.load_identifier for item in whole.results] == names(3_500)
    errors = [item.error for item in whole.results]
    assert set(errors[:1_000]) == set(errors[2_000:3_000]) == {None}
    assert set(errors[1_000:2_000]) == {"OutcomeUnknownError: it may have run"}
    assert set(errors[3_000:]) == {"ConnectError: refused"}
    assert (whole.success, whole.total_loads, whole.successful, whole.failed) == (True, 3_500, 2_000, 1_500)


async def test_nothing_is_a_success_when_nothing_went_through() -> None:
    """A server that takes a request and refuses each item in it is no success."""

    async def send(batch: Sequence[Body]) -> LoadBatchResult:
        return result(named(batch), success=False, why="refused")

    whole = await sent("loads", names(1_001), send)
    assert (whole.success, whole.successful, whole.failed) == (False, 0, 1_001)


# Items that cannot be sent


async def test_an_item_that_cannot_be_sent_is_held_back() -> None:
    """Its neighbours go without it; its result stands at its place, and names it by its place in the whole input."""
    service, items = Service(), names(1_005)
    items[3] = items[999] = items[1_002] = "!a"
    whole = await sent("loads", items, service.send)
    assert [len(batch) for batch in service.batches] == [998, 4]
    assert [item.load_identifier for item in whole.results] == items
    assert [item.error for item in whole.results if not item.success] == [
        f"InvalidRequestError: loads[{place}]: {HELD}" for place in (3, 999, 1_002)
    ]
    assert [item.success for item in whole.results] == [name != "!a" for name in items]
    assert (whole.success, whole.total_loads, whole.successful, whole.failed) == (True, 1_005, 1_002, 3)
    assert (whole.created, whole.updated, whole.processed_at) == (1_002, 0, NOON)


@pytest.mark.parametrize("later", [0, 1, 1_500], ids=str)
async def test_a_first_batch_of_which_nothing_can_be_sent_is_raised(later: int) -> None:
    """The first item's refusal, with its place in the parameter; nothing is sent, also not of what comes after."""
    service, items = Service(), ["!a", "!b"] if not later else [*["!a"] * LARGEST, *names(later)]
    with pytest.raises(InvalidRequestError) as caught:
        await sent("loads", items, service.send)
    assert (caught.value.param, str(caught.value)) == ("loads[0].weight", f"loads[0]: {HELD}")
    assert (caught.value.__context__, service.batches) == (None, [])


async def test_a_later_batch_of_which_nothing_can_be_sent_is_told_in_its_items() -> None:
    """No request is made for it, and the rest is still sent."""
    service, items = Service(), [*names(1_000), *["!a"] * 1_000, "LD-last"]
    whole = await sent("loads", items, service.send)
    assert [len(batch) for batch in service.batches] == [1_000, 1]
    assert [item.load_identifier for item in whole.results] == items
    assert [item.error for item in whole.results[1_000:2_000]] == [
        f"InvalidRequestError: loads[{place}]: {HELD}" for place in range(1_000, 2_000)
    ]
    assert (whole.success, whole.total_loads, whole.successful, whole.failed) == (True, 2_001, 1_001, 1_000)


async def test_an_error_of_the_first_request_is_raised_beside_an_item_held_back() -> None:
    """The request that failed is what the caller has to know, since nothing went through."""
    error = ConnectError("refused")
    with pytest.raises(ConnectError) as caught:
        await sent("loads", ["!a", "b"], Service(at_0=error).send)
    assert caught.value is error


async def test_an_item_held_back_keeps_its_own_reason_when_its_request_fails() -> None:
    """Sending it again would not help it, as it may help its neighbours."""
    whole = await sent("loads", [*names(1_000), "!a", "b"], Service(at_1=OutcomeUnknownError("lost")).send)
    assert [item.error for item in whole.results[1_000:]] == [
        f"InvalidRequestError: loads[1000]: {HELD}",
        "OutcomeUnknownError: lost",
    ]


@pytest.mark.parametrize(
    ("inner", "param"), [("weight", "loads[0].weight"), (None, "loads[0]"), ("$", "loads[0]")], ids=repr
)
async def test_a_refusal_leads_to_the_field_or_to_the_item(inner: str | None, param: str) -> None:
    """What is wrong with an item as a whole is said of the item."""

    def never_ready(_: str) -> Body:
        raise BadInput("wrong", inner)

    with pytest.raises(InvalidRequestError) as caught:
        await in_batches("loads", ["a"], ready=never_ready, send=Service().send, fail=failed)
    assert (caught.value.param, str(caught.value)) == (param, "loads[0]: wrong")


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.sets(st.integers(1, 8)))
async def test_no_item_is_lost_whatever_fails(sendable: list[bool], broken: set[int]) -> None:
    """Once a request went through: one result for each item, at its place, true to what became of it."""
    items = [f"{'' if good else '!'}LD{place}" for place, good in enumerate(sendable)]
    service = Service(**{f"at_{number}": ConnectError("refused") for number in broken})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_batch, "LARGEST", 3)
        if not any(sendable[:3]):
            with pytest.raises(InvalidRequestError):
                await sent("loads", items, service.send)
            assert service.batches == []
            return
        whole = await sent("loads", items, service.send)
    gone = {name for number, batch in enumerate(service.batches) if number in broken for name in batch}
    for place, (name, item) in enumerate(zip(items, whole.results, strict=True)):
        held = f"InvalidRequestError: loads[{place}]: {HELD}" if name.startswith("!") else None
        assert (item.load_identifier, item.error) == (name, "ConnectError: refused" if name in gone else held)
        assert item.success is (item.error is None)
    assert [*chain.from_iterable(service.batches)] == [name for name in items if name[0] != "!"]
    good = sum(item.success for item in whole.results)
    assert (whole.total_loads, whole.successful, whole.failed) == (len(items), good, len(items) - good)
    assert (whole.created, whole.updated, whole.success) == (good, 0, True)


# Input that is none


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_empty_input_is_refused(shape: str) -> None:
    """A request without items would be refused by the server; the caller learns it at once, by the field's name."""
    service = Service()
    with pytest.raises(InvalidRequestError, match=r"^loads is empty: there is nothing to send$") as caught:
        await sent("loads", SHAPES[shape]([]), service.send)
    assert (caught.value.param, service.batches) == ("loads", [])


NO_ITEMS: dict[str, Any] = {
    "none": None,
    "int": 5,
    "float": 1.5,
    "object": object(),
    "function": len,
    "text": "LD-1",
    "bytes": b"LD-1",
    "one mapping": {"load_number": "LD-1"},
}


@pytest.mark.parametrize("items", NO_ITEMS.values(), ids=NO_ITEMS)
async def test_what_cannot_be_run_through_is_refused(items: Any) -> None:
    """The refusal names the field, and no error of Python's own stands behind it."""
    service = Service()
    with pytest.raises(
        InvalidRequestError, match=r"^carriers must be an iterable or async iterable of carriers, not \w+$"
    ) as caught:
        await sent("carriers", items, service.send)
    assert (caught.value.param, caught.value.__context__, service.batches) == ("carriers", None, [])


async def test_a_cancellation_passes_and_closes_the_generator() -> None:
    """A cancelled call ends at once; the caller's generator has run its own `finally` by then."""
    source, under_way = Numbers(names(2_500)), asyncio.Event()

    async def send(batch: Sequence[Body]) -> LoadBatchResult:
        under_way.set()
        await asyncio.Event().wait()
        return result(named(batch))

    generator = source.each()
    task = asyncio.ensure_future(sent("loads", generator, send))
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
        await sent("loads", source, service.send)
    assert caught.value is error
    assert (source.closed, len(service.batches)) == (True, count // 1_000)

    def plain() -> Generator[str, None, None]:
        yield from names(count)
        raise error

    with pytest.raises(type(error)) as again:
        await sent("loads", plain(), service.send)
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

    async def send(batch: Sequence[Body]) -> LoadBatchResult:
        seen.append(len(read))
        return result(named(batch))

    await sent("loads", Numbers(counted()) if asynchronous else counted(), send)
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
    await sent("loads", Queue(), service.send)
    assert service.batches == [names(3)]


ENDED = ["ended"]


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8, unique=True), st.data())
def test_results_stand_in_the_order_sent(sent: list[str], data: st.DataObject) -> None:
    """However the server orders them: each result stands where its item stood."""
    told = data.draw(st.permutations(sent))
    found = matched(result(told), ROUTE, len(sent), sent, told)
    assert [item.load_identifier for item in found.results] == sent


@pytest.mark.parametrize(
    ("sent", "told"),
    [(["a", "b"], ["b", "x"]), (["a", "b"], ["", ""]), (["a", "a", "b"], ["b", "a", "a"]), (["a", "b"], ["a", "b"])],
)
def test_results_that_go_by_other_names_stay_as_they_came(sent: list[str], told: list[str]) -> None:
    """Names the caller did not give, or gave twice, match nothing for certain; the documented order counts."""
    answer = result(told)
    assert matched(answer, ROUTE, len(sent), sent, told) is answer


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
    with pytest.raises(InvalidResponseError, match=rf"^POST {ROUTE}: the counts do not match: 3 sent, ") as caught:
        matched(answer, ROUTE, answer.total_loads, ["a", "b", "c"], told)
    assert f"has {len(told)} results" in str(caught.value)
    assert (caught.value.method, caught.value.route) == ("POST", ROUTE)
    assert f"{answer.successful} went through, and {answer.failed} failed" in str(caught.value)


def test_the_largest_batch_is_the_documented_one() -> None:
    """The batch pages name the number."""
    assert LARGEST == 1_000
