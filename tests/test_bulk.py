"""`bulk.map`: every key gets its outcome, the bounds hold, and no way of ending leaves a task behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import uuid
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import Literal, assert_type, cast

import attrs
import pytest
from hypothesis import example, given, strategies as st

from envoy_async import EnvoyClient, bulk, errors
from envoy_async.models import Call
from envoy_async.sandbox import Sandbox
from tests.faults._modelled import ModelledServer, make_modelled
from tests.transport.conftest import no_task_left, settled

__all__ = ["no_task_left"]

NOBODY = "call_00000000-0000-4000-8000-000000000000"


@attrs.define
class Work:
    """A function that takes turns of the loop, fails for some keys, and counts."""

    turns: Callable[[int], int] = lambda _: 1
    fails: frozenset[int] = frozenset()
    begun: list[int] = attrs.field(factory=list[int])
    running: int = 0
    most: int = 0

    async def __call__(self, key: int) -> str:
        """Take some turns and return the key as text."""
        self.begun.append(key)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(self.turns(key)):
                await asyncio.sleep(0)
            if key in self.fails:
                raise LookupError(key)
            return str(key)
        finally:
            self.running -= 1


async def forever(_: object) -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


async def each(keys: Iterable[int], *, pause: bool = True) -> AsyncIterator[int]:
    """Give keys with a turn of the loop before each."""
    for key in keys:
        if pause:
            await asyncio.sleep(0)
        yield key


def breaking(count: int) -> Iterator[int]:
    """Give this many keys, then fail."""
    yield from range(count)
    raise ConnectionError("no more keys")


async def read_into(found: list[int], outcomes: bulk.Outcomes[int, str]) -> None:
    """Keep the keys of outcomes, also when the loop over them fails."""
    async for outcome in outcomes:
        found.append(outcome.key)  # noqa: PERF401 - see above


def others() -> set[asyncio.Task[object]]:
    """Return the tasks beside the one that asks."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


@example(
    turns=[0], failing=frozenset(), concurrency=1, ordered=False, streamed=True, count=1, ends_badly=True, pauses=[0]
)
@given(
    turns=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    failing=st.frozensets(st.integers(0, 30), max_size=10),
    concurrency=st.integers(1, 6),
    ordered=st.booleans(),
    streamed=st.booleans(),
    count=st.integers(0, 30),
    ends_badly=st.booleans(),
    pauses=st.lists(st.integers(0, 4), min_size=1, max_size=8),
)
async def test_every_key_gets_its_outcome_within_the_bounds(
    *,
    turns: list[int],
    failing: frozenset[int],
    concurrency: int,
    ordered: bool,
    streamed: bool,
    count: int,
    ends_badly: bool,
    pauses: list[int],
) -> None:
    """Whatever takes long, fails, or runs out: one outcome per key, and never more under way than allowed."""
    work = Work(lambda key: turns[key % len(turns)], failing)
    found: list[bulk.Outcome[int, str]] = []
    taken: list[int] = []

    def keys() -> Iterator[int]:
        for key in breaking(count) if ends_badly else range(count):
            taken.append(key)
            assert len(taken) - len(found) <= 2 * concurrency
            yield key

    source = each(keys()) if streamed else keys()
    with suppress(ConnectionError) if not ends_badly else pytest.raises(ConnectionError):
        async for outcome in bulk.map(work, source, concurrency=concurrency, ordered=ordered):
            found.append(outcome)
            for _ in range(pauses[len(found) % len(pauses)]):
                await asyncio.sleep(0)
    done = [outcome.key for outcome in found]
    assert sorted(done) == work.begun == list(range(count))
    assert done == sorted(done) or not ordered
    assert {outcome.key for outcome in found if outcome.error} == {key for key in failing if key < count}
    assert {outcome.value for outcome in found if not outcome.error} == {str(key) for key in {*done} - failing}
    assert work.most <= concurrency
    assert others() == set()


async def test_outcomes_come_as_they_are_done() -> None:
    """A slow job holds nobody up, unless outcomes are wanted in the order of the keys."""
    slow_first = Work(lambda key: 20 if key == 0 else 1)
    assert [outcome.key async for outcome in bulk.map(slow_first, range(5))][-1] == 0
    assert [outcome.key async for outcome in bulk.map(slow_first, range(5), ordered=True)] == [0, 1, 2, 3, 4]


async def test_jobs_run_while_the_loop_is_busy_with_an_outcome() -> None:
    """While you work on one outcome, others become ready: up to twice the concurrency, that one included."""
    work = Work()
    outcomes = bulk.map(work, itertools.count(), concurrency=3)
    await anext(outcomes)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(work.begun) == 6
    assert work.running == 0
    await outcomes.aclose()


async def test_keys_are_taken_as_needed() -> None:
    """Nothing begins before the first step; endless keys are fine, and a loop over them ends by `break`."""
    work = Work()
    for keys in (itertools.count(), each(itertools.count()), each(itertools.count(), pause=False)):
        outcomes = bulk.map(work, keys, concurrency=2)
        for _ in range(5):
            await asyncio.sleep(0)
        assert work.begun == []
        async for outcome in outcomes:
            if outcome.key >= 100:
                break
        assert len(work.begun) <= 105
        work.begun.clear()


async def test_no_keys() -> None:
    """Without keys there are no outcomes, however often one asks."""
    keys: list[int] = []
    outcomes = bulk.map(Work(), keys)
    assert [outcome async for outcome in outcomes] == []
    assert [outcome async for outcome in outcomes] == []
    assert await anext(outcomes, None) is None


async def test_keys_that_fail_are_told_after_what_they_gave() -> None:
    """What was under way comes to its end first; then the keys' own error is raised, and the map is over."""
    outcomes = bulk.map(Work(lambda _: 9), breaking(3))
    found: list[int] = []
    with pytest.raises(ConnectionError, match="no more keys"):
        await read_into(found, outcomes)
    assert found == [0, 1, 2]
    with pytest.raises(RuntimeError, match="ended early"):
        await anext(outcomes)


async def test_an_outcome_gives_its_value_or_raises() -> None:
    """`result()` is for those who want no `if`."""
    good, bad = [outcome async for outcome in bulk.map(Work(fails=frozenset({1})), range(2), ordered=True)]
    assert (good.key, good.value, good.error, good.result()) == (0, "0", None, "0")
    assert (bad.key, bad.value) == (1, None)
    with pytest.raises(LookupError, match="1"):
        bad.result()


async def test_the_first_failure_is_raised() -> None:
    """With `raise`, the others are cancelled and have ended when the error arrives; it names the key."""
    work = Work(lambda key: 3 if key == 4 else 50, frozenset({4, 5}))
    outcomes = bulk.map(work, range(100), concurrency=8, on_error="raise")
    with pytest.raises(LookupError) as caught:
        await anext(outcomes)
    assert work.running == 0
    assert others() == set()
    assert caught.value.__notes__ == ["bulk: this is of the key 4"]
    with pytest.raises(RuntimeError, match="ended early"):
        await anext(outcomes)


async def test_the_first_failure_in_order_is_raised() -> None:
    """With `ordered` too, what comes before the failure is handed out first."""
    work = Work(lambda key: 50 if key == 0 else 1, frozenset({3, 7}))
    found: list[int] = []
    with pytest.raises(LookupError, match="3"):
        await read_into(found, bulk.map(work, range(100), ordered=True, on_error="raise"))
    assert found == [0, 1, 2]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("call_1", "bulk: this is of the key 'call_1'"),
        ("+1 415 555 0137", "bulk: this is of the key '***0137'"),
        (14155550137, "bulk: this is of the key ***0137"),
        ({"name": "Dana"}, "bulk: this is of the key of type dict"),
        ("x" * 1_000, "bulk: this is of the key '" + "x" * 199),
    ],
    ids=["id", "phone", "number", "record", "long"],
)
async def test_a_note_names_the_key_and_tells_nothing_else(key: object, told: str) -> None:
    """Ids are told, phone numbers but for four digits; of a record its type alone."""

    async def fail(_: object) -> None:
        raise LookupError

    with pytest.raises(LookupError) as caught:
        await anext(bulk.map(fail, [key], on_error="raise"))
    assert caught.value.__notes__ == [told]


def test_an_outcome_shows_no_phone_number() -> None:
    """What is printed of an outcome has its phone numbers masked."""
    outcome = bulk.Outcome("+14155550137", {"phone": "+14155550138"})
    assert repr(outcome) == "Outcome(key='***0137', value={'phone': '***0138'}, error=None)"


async def test_a_job_cannot_end_the_loop_by_accident() -> None:
    """A `StopAsyncIteration` out of a job does not look like the end of the outcomes."""

    async def stop(_: int) -> None:
        raise StopAsyncIteration

    assert isinstance((await anext(bulk.map(stop, [1]))).error, StopAsyncIteration)
    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        await anext(bulk.map(stop, [1], on_error="raise"))


@pytest.mark.parametrize("concurrency", [0, -1, True, 2.0, "3", None])
def test_concurrency_is_a_whole_number_of_at_least_one(concurrency: int) -> None:
    """Anything else is refused at once."""
    with pytest.raises(ValueError, match="concurrency must be a whole number of at least 1"):
        bulk.map(forever, [1], concurrency=concurrency)


def test_other_arguments_that_are_none() -> None:
    """A misspelt `on_error` and keys that are one text, or no iterable, are refused at once."""
    with pytest.raises(ValueError, match="on_error must be 'collect' or 'raise'"):
        bulk.map(forever, [1], on_error=cast("Literal['raise']", "ignore"))
    with pytest.raises(TypeError, match="keys is one text"):
        bulk.map(forever, "call_1")
    with pytest.raises(TypeError, match="not iterable"):
        bulk.map(forever, cast("list[int]", 7))


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("on_error", ["collect", "raise"])
async def test_cancelled_at_any_await(ordered: bool, on_error: Literal["collect", "raise"]) -> None:
    """Whenever the reader is cancelled: it ends as cancelled, every job has ended by then, and no task is left."""
    cancelled = 0
    for turns in range(60):
        work = Work(lambda key: key % 5)

        async def read(work: Work) -> None:
            keys = each(range(12))
            async for _ in bulk.map(work, keys, concurrency=3, ordered=ordered, on_error=on_error):
                await asyncio.sleep(0)

        reader = asyncio.create_task(read(work))
        for _ in range(turns):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait({reader})
        cancelled += reader.cancelled()
        await settled(lambda: not others())
        assert work.running == 0
    assert 20 < cancelled <= 60


async def test_cancelled_twice() -> None:
    """Jobs that take their time to end are waited for, although the reader is cancelled again."""
    ended: list[int] = []

    async def stubborn(key: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            ended.append(key)

    reader = asyncio.ensure_future(anext(bulk.map(stubborn, range(3))))
    for _ in range(5):
        await asyncio.sleep(0)
    for _ in range(3):
        reader.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({reader})
    assert reader.cancelled()
    assert sorted(ended) == [0, 1, 2]
    assert others() == set()


@pytest.mark.looptime
async def test_a_step_that_timed_out_is_not_the_end() -> None:
    """A timeout of your own ends the map; a further step says so, and never that all is done."""
    outcomes = bulk.map(forever, range(5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await anext(outcomes)
    assert others() == set()
    with pytest.raises(RuntimeError, match="ended early"):
        await anext(outcomes)


async def leave_by_break(outcomes: bulk.Outcomes[int, str]) -> None:
    """Leave the loop after one outcome."""
    async for _ in outcomes:
        break


async def leave_by_error(outcomes: bulk.Outcomes[int, str]) -> None:
    """Let the loop's body fail."""
    async for outcome in outcomes:
        raise ZeroDivisionError(outcome.key)


Leave = Callable[[bulk.Outcomes[int, str]], Awaitable[None]]


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error])
async def test_a_loop_that_is_left_leaves_no_task(leave: Leave) -> None:
    """`break` and an error in the body cancel what is under way, also while the outcomes have a name."""
    work = Work(lambda key: 0 if key == 0 else 10**6)
    outcomes = bulk.map(work, itertools.count(), concurrency=4)
    kept = await asyncio.gather(leave(outcomes), return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)
    assert others() == set()
    assert work.running == 0
    with pytest.raises(RuntimeError, match="ended early"):
        await anext(outcomes)
    assert len(kept) == 1  # the error was held all the while, as a debugger would


async def test_outcomes_that_are_dropped_leave_no_task() -> None:
    """Stepped through by hand and forgotten, also in a cycle, or collected in another thread: all is cancelled."""
    for collect in (gc.collect, lambda: threading.Thread(target=gc.collect).run()):
        outcomes = bulk.map(Work(lambda key: 10**6 if key else 0), range(9))
        assert (await anext(outcomes)).key == 0
        cycle: list[object] = [outcomes]
        cycle.append(cycle)
        del outcomes, cycle
        collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert others() == set()


async def test_closing_waits_for_the_end() -> None:
    """`aclose()` returns when all has ended; it may come first, last, and twice."""
    work = Work(lambda key: 10**6 if key else 0)
    async with aclosing(bulk.map(work, range(9))) as outcomes:
        async for _ in outcomes:
            break
    assert (work.running, others()) == (0, set())
    await outcomes.aclose()
    unused = bulk.map(work, range(9))
    await unused.aclose()
    with pytest.raises(RuntimeError, match="ended early"):
        await anext(unused)
    finished = bulk.map(Work(), range(2))
    assert len([outcome async for outcome in finished]) == 2
    await finished.aclose()
    assert await anext(finished, None) is None


class Endless:
    """Keys without end, which a weak reference can follow."""

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> int:
        return 0


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_error, bulk.Outcomes[int, str].aclose])
async def test_a_map_that_ends_lets_go_of_its_keys(leave: Leave) -> None:
    """However it ends, and while it has a name: what the keys hold, such as pages fetched ahead, can be given up."""
    keys = Endless()
    held = weakref.ref(keys)
    outcomes = bulk.map(Work(), keys, concurrency=2)
    await anext(outcomes)
    del keys
    assert held() is not None
    with suppress(ZeroDivisionError):
        await leave(outcomes)
    await settled(lambda: others() == set())
    assert held() is None
    await outcomes.aclose()


async def test_keys_that_the_caller_keeps_stay_open() -> None:
    """A generator with a name is not closed: it goes on where the map left it."""
    keys = each(range(100))
    async with aclosing(bulk.map(Work(), keys, concurrency=1)) as outcomes:
        await anext(outcomes)
    assert await anext(keys) < 10


async def test_a_job_may_close_its_own_map() -> None:
    """It is cancelled like the others, and nothing hangs."""
    ended: list[int] = []

    async def close(key: int) -> None:
        try:
            await (outcomes.aclose() if key == 2 else forever(key))
        finally:
            ended.append(key)

    outcomes = bulk.map(close, range(4))
    with pytest.raises(RuntimeError, match="ended early"):
        await anext(outcomes)
    await settled(lambda: not others())
    assert {0, 1, 2} <= {*ended}


async def test_a_job_that_is_cancelled_from_outside() -> None:
    """It hangs nobody: the others are cancelled, and the reader gets the `CancelledError`."""
    work = Work(lambda _: 10**6)
    reader = asyncio.ensure_future(anext(bulk.map(work, range(4))))
    before = others()
    await settled(lambda: work.running == 4)
    victim = next(task for task in others() - before if "_call" in repr(task))
    victim.cancel()
    await asyncio.wait({reader})
    assert reader.cancelled()
    assert (work.running, others()) == (0, set())


@pytest.mark.parametrize("ordered", [False, True])
async def test_what_is_no_exception_passes_at_once(ordered: bool) -> None:
    """An error that is no `Exception` is nobody's outcome: it is raised, and the rest is cancelled."""

    class Stop(BaseException):
        pass

    async def stop(key: int) -> None:
        if key == 2:
            raise Stop
        await forever(key)

    with pytest.raises(Stop):
        await anext(bulk.map(stop, range(4), ordered=ordered))
    assert others() == set()


async def test_two_readers_share_the_outcomes() -> None:
    """Two tasks that take from the same outcomes get each of them once; both come to the end."""
    work = Work(lambda key: key % 3)
    outcomes = bulk.map(work, range(40), concurrency=3)

    async def read() -> list[int]:
        return [outcome.key async for outcome in outcomes]

    one, two = await asyncio.gather(read(), read())
    assert sorted(one + two) == list(range(40))


def test_a_map_belongs_to_its_event_loop() -> None:
    """Begun in one `asyncio.run`, it does not go on in another, nor when it is collected after its loop."""
    outcomes = bulk.map(forever, range(3))

    async def step() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await anext(outcomes)

    asyncio.run(step())
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(step())
    loop = asyncio.new_event_loop()
    waiting = bulk.map(Work(), itertools.count(), concurrency=1)
    loop.run_until_complete(anext(waiting))
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(leave_by_break(waiting))
    tasks = asyncio.all_tasks(loop)
    loop.run_until_complete(waiting.aclose())
    assert all(task.cancelled() for task in tasks)
    loop.close()


def test_collected_after_its_loop() -> None:
    """Outcomes that outlive their loop are let go in silence, although nobody ended the tasks."""
    loop = asyncio.new_event_loop()
    outcomes = bulk.map(Work(lambda key: 10**6 if key else 0), range(3))
    loop.run_until_complete(anext(outcomes))
    tasks = asyncio.all_tasks(loop)
    loop.close()
    del outcomes
    assert len(tasks) == 2
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        cast("Coroutine[None, None, None]", task.get_coro()).close()


async def test_a_job_is_patient() -> None:
    """A job of a map knows that it is one, so that its calls can let interactive ones go first."""

    async def ask(_: int) -> bool:
        return bulk.patient.get()

    assert [outcome.value async for outcome in bulk.map(ask, range(3))] == [True] * 3
    assert bulk.patient.get() is False


async def test_over_a_listing(envoy: EnvoyClient) -> None:
    """Keys may come from a listing while it is read, and each record is fetched once."""
    pages = envoy.calls.list(page_size=50)
    found = [outcome.result() async for outcome in bulk.map(envoy.calls.get, (call.id async for call in pages))]
    assert_type(found, list[Call])
    assert len({call.id for call in found}) == len(found) == 250
    assert pages.report.finished


async def test_five_hundred_calls() -> None:
    """Of 500 ids one is nobody's: it fails alone, with 404, and each of the others gets its own record."""
    async with Sandbox(calls=499, loads=1, quota=None) as sandbox:
        ids = [str(call["id"]) for call in sandbox.store.calls.values()]
        ids.insert(250, NOBODY)
        async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
            found = {outcome.key: outcome async for outcome in bulk.map(envoy.calls.get, ids, concurrency=16)}
        assert len(sandbox.requests) == 500
    assert isinstance(found.pop(NOBODY).error, errors.NotFoundError)
    assert {key: outcome.result().id for key, outcome in found.items()} == {key: key for key in ids if key != NOBODY}


@pytest.mark.looptime
async def test_five_hundred_calls_through_a_quota() -> None:
    """100 per minute let 500 calls through in six minutes at most, and the server refuses none."""
    server = ModelledServer(100)
    async with make_modelled(server) as envoy:
        ids = [str(uuid.UUID(int=number)) for number in range(500)]
        outcomes = bulk.map(envoy.calls.get, ids, concurrency=16)
        assert [outcome.key async for outcome in outcomes if outcome.error] == []
    assert (len(server.accepted), server.refused) == (500, 0)
    assert server.most_within(60.0) <= 100
    assert asyncio.get_running_loop().time() <= 6 * 60


@pytest.mark.looptime
async def test_a_job_waits_for_quota_as_long_as_it_takes() -> None:
    """However many at once: each call of a map waits for quota beyond its deadline, and none fails for it."""
    server = ModelledServer(100)
    async with make_modelled(server, deadline=30.0) as envoy:
        ids = [str(uuid.UUID(int=number)) for number in range(400)]
        found = [outcome.error async for outcome in bulk.map(envoy.calls.get, ids, concurrency=400)]
    assert found == [None] * 400
    assert server.refused == 0
