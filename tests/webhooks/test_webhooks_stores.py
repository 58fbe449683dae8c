"""Replay stores, in memory and in Redis: the same promises, whoever keeps them; and `run_once`, which rests on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import TypeVar
from uuid import uuid4

import attrs
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from envoy_async.errors import ConfigurationError, DuplicateDeliveryError
from envoy_async.webhooks import Claim, Event, MemoryReplayStore, RedisReplayStore, ReplayStore, run_once
from tests._redis_server import connect
from tests.webhooks.conftest import delivery, verifier

T = TypeVar("T")
KINDS = ("memory", "redis", "redis that gives text")


@attrs.define
class Kept:
    """A store, and how to let time go by for it; `unit` is a short while in its seconds."""

    store: ReplayStore
    unit: float
    sleep: Callable[[float], Awaitable[object]]

    async def later(self) -> None:
        """Let a little more than a unit go by."""
        await self.sleep(self.unit * 1.2)


@pytest.fixture(params=KINDS)
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    """Give an empty store of each kind."""
    if request.param == "memory":
        now = [0.0]

        async def sleep(seconds: float) -> None:
            now[0] += seconds

        yield Kept(MemoryReplayStore(clock=partial(now.__getitem__, 0)), 60.0, sleep)
        return
    redis_server: str = request.getfixturevalue("redis_server")
    async with connect(redis_server, text=request.param != "redis") as client:
        yield Kept(RedisReplayStore(client, prefix=f"{uuid4()}:"), 0.05, asyncio.sleep)


def read(id: str = "msg_1") -> Event:
    """Make an event."""
    return verifier().verify(*delivery(id))


async def test_an_id_is_claimed_once(kept: Kept) -> None:
    """The first to claim an id gets it, others hear that it is busy; another id is free."""
    assert await kept.store.claim("a") == "new"
    assert await kept.store.claim("a") == "busy"
    assert await kept.store.claim("a", reprocess=True) == "busy"
    assert await kept.store.claim("b") == "new"


async def test_of_many_one_gets_it(kept: Kept) -> None:
    """When 50 claim an id at once, one gets it."""
    claims = await asyncio.gather(*(kept.store.claim("a") for _ in range(50)))
    assert sorted(claims) == ["busy"] * 49 + ["new"]


async def test_what_is_done_stays_done(kept: Kept) -> None:
    """An id that was processed is done, also when the lease of its claim would have ended."""
    await kept.store.claim("a", lease=kept.unit)
    await kept.store.done("a")
    await kept.later()
    assert await kept.store.claim("a") == "done"
    await kept.store.release("a")
    assert await kept.store.claim("a") == "done"


async def test_done_is_forgotten_in_time(kept: Kept) -> None:
    """An id that was processed is forgotten when its time is over, and not before."""
    await kept.store.done("a", ttl=kept.unit)
    await kept.store.done("b")
    await kept.later()
    assert await kept.store.claim("a") == "new"
    assert await kept.store.claim("b") == "done"


async def test_a_lease_ends(kept: Kept) -> None:
    """An id whose lease has ended is nobody's, and not before."""
    await kept.store.claim("a", lease=kept.unit)
    await kept.store.claim("b", lease=kept.unit * 1000)
    await kept.later()
    assert await kept.store.claim("a") == "new"
    assert await kept.store.claim("b") == "busy"


async def test_what_is_given_back_is_free(kept: Kept) -> None:
    """An id that is given back can be claimed at once; giving it back twice, or one never claimed, does nothing."""
    await kept.store.claim("a")
    await kept.store.release("a")
    assert await kept.store.claim("a") == "new"
    await kept.store.release("b")
    await kept.store.release("a")
    await kept.store.release("a")
    assert await kept.store.claim("a") == "new"


async def test_processed_again_on_demand(kept: Kept) -> None:
    """An id that is done can be claimed with `reprocess`, by one at a time; given back, it is free, not done."""
    await kept.store.done("a")
    claims = await asyncio.gather(*(kept.store.claim("a", reprocess=True) for _ in range(20)))
    assert sorted(claims) == ["busy"] * 19 + ["new"]
    await kept.store.done("a")
    assert await kept.store.claim("a") == "done"
    assert await kept.store.claim("a", reprocess=True, lease=kept.unit) == "new"
    await kept.store.release("a")
    assert await kept.store.claim("a", reprocess=True) == "new"


async def test_a_late_note_counts(kept: Kept) -> None:
    """What was processed is done, also when its lease had ended and somebody else has claimed it since."""
    await kept.store.claim("a", lease=kept.unit)
    await kept.later()
    assert await kept.store.claim("a") == "new"
    await kept.store.done("a")
    await kept.store.release("a")
    assert await kept.store.claim("a") == "done"


async def test_memory_is_bounded() -> None:
    """Memory keeps the newest ids up to the limit; one that is done again counts as new."""
    store = MemoryReplayStore(3)
    for id in "abcad":
        await store.done(id)
    assert [await store.claim(id) for id in "bcad"] == ["new", "done", "done", "done"]


@pytest.mark.parametrize("limit", [0, -1])
def test_memory_for_nothing_is_refused(limit: int) -> None:
    """A store that could remember nothing would let everything run twice."""
    with pytest.raises(ConfigurationError, match="limit"):
        MemoryReplayStore(limit)


async def test_claims_of_who_never_came_back_do_not_pile_up() -> None:
    """Memory lets go of a claim some time after its lease, also when nobody asks for its id again."""
    now = 0.0
    store = MemoryReplayStore(clock=lambda: now)
    for number in range(1_000):
        now = float(number)
        assert await store.claim(f"msg_{number}", lease=5) == "new"
        assert len(store._busy) <= 6


async def test_run_once_runs_once(kept: Kept) -> None:
    """A handler runs for an event once; whoever comes too late is told whether it was finished."""
    ran: list[str] = []

    async def handle(event: Event) -> None:
        ran.append(event.message_id)
        with pytest.raises(DuplicateDeliveryError, match="being processed") as busy:
            await run_once(kept.store, event, handle)
        assert not busy.value.finished

    await run_once(kept.store, read(), handle)
    with pytest.raises(DuplicateDeliveryError, match="processed before") as done:
        await run_once(kept.store, read(), handle)
    assert done.value.finished
    assert ran == ["msg_1"]
    await run_once(kept.store, read(), handle, reprocess=True)
    await run_once(kept.store, read("msg_2"), handle)
    assert ran == ["msg_1", "msg_1", "msg_2"]


@pytest.mark.looptime
@pytest.mark.parametrize("times", [1, 9])
async def test_run_once_notes_what_was_processed(times: int, caplog: pytest.LogCaptureFixture) -> None:
    """A store that is down for a moment is told a moment later; one that stays down is logged, and nothing raised."""

    class Down(MemoryReplayStore):
        left = times

        async def done(self, id: str, *, ttl: float = 60.0) -> None:
            self.left -= 1
            if self.left >= 0:
                raise OSError("store down")
            await super().done(id, ttl=ttl)

    async def handle(_: Event) -> None:
        """Have nothing to do."""

    store = Down(clock=lambda: asyncio.get_running_loop().time())
    await run_once(store, read(), handle)
    assert await store.claim("msg_1") == ("done" if times == 1 else "busy")
    assert ("could not be noted" in caplog.text) == (times == 9)


@pytest.mark.parametrize("error", [ValueError("crash"), asyncio.CancelledError()], ids=["crash", "cancelled"])
async def test_run_once_gives_back(kept: Kept, error: BaseException) -> None:
    """A handler that fails, or is cancelled, leaves its event free, and its error is raised."""

    async def fail(_: Event) -> None:
        raise error

    with pytest.raises(type(error)):
        await run_once(kept.store, read(), fail)
    assert await kept.store.claim("msg_1") == "new"


async def test_run_once_ends_with_the_lease(kept: Kept) -> None:
    """A handler that outlives its lease is cancelled, and its event is free when the lease has ended."""
    ended: list[str] = []

    async def hang(_: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(TimeoutError):
        await run_once(kept.store, read(), hang, lease=0.05)
    assert ended == ["cancelled"]
    await kept.later()
    assert await kept.store.claim("msg_1") == "new"


async def test_a_late_failure_gives_nothing_back(kept: Kept) -> None:
    """A handler that goes on after its lease and then fails does not give back what somebody else has claimed."""

    async def cling(_: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await kept.later()
            assert await kept.store.claim("msg_1") == "new"

    with pytest.raises(TimeoutError):
        await run_once(kept.store, read(), cling, lease=0.05)
    assert await kept.store.claim("msg_1") == "busy"


class Down:
    """A store that takes claims and then fails, or hangs."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.tried: list[str] = []

    async def claim(self, id: str, *, lease: float = 0, reprocess: bool = False) -> Claim:
        """Grant it."""
        return "new"

    async def done(self, id: str, *, ttl: float = 0) -> None:
        """Fail."""
        await self.release(id)

    async def release(self, id: str) -> None:
        """Fail."""
        self.tried.append(id)
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()


@pytest.mark.looptime
@pytest.mark.parametrize("error", [OSError("down"), None], ids=["fails", "hangs"])
async def test_run_once_with_a_store_that_went_down(error: OSError | None, caplog: pytest.LogCaptureFixture) -> None:
    """When an event cannot be given back, the handler's error is still what is raised, and the log says it."""

    async def fail(_: Event) -> None:
        raise KeyError("first")

    store = Down(error)
    with pytest.raises(KeyError, match="first"):
        await run_once(store, read(), fail)
    assert store.tried == ["msg_1"]
    assert [record.getMessage() for record in caplog.records] == [
        "event msg_1 could not be given back; it is free when its lease ends"
    ]


def at_once(running: Coroutine[object, object, T]) -> T:
    """Run a coroutine that waits for nothing."""
    try:
        running.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("it waits")


IDS = st.sampled_from("abcde")
SECONDS = st.integers(0, 12)


class Remembering(RuleBasedStateMachine):
    """A store in memory, beside a list of all that was done with it, read anew for each question."""

    limit = 3

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.store = MemoryReplayStore(self.limit, clock=lambda: self.now)
        self.claims: dict[str, float] = {}
        self.notes: list[tuple[str, float]] = []

    @rule(seconds=SECONDS)
    def go_by(self, seconds: int) -> None:
        """Let time go by."""
        self.now += seconds

    @rule(id=IDS, seconds=SECONDS, again=st.booleans())
    def claim(self, id: str, seconds: int, *, again: bool) -> None:
        """Claim an id: the store says what the lists say."""
        done = any(noted == id and end > self.now for noted, end in self.notes)
        busy = self.claims.get(id, 0) > self.now
        expected = "done" if done and not again else "busy" if busy else "new"
        assert at_once(self.store.claim(id, lease=seconds, reprocess=again)) == expected
        if expected == "new":
            self.claims[id] = self.now + seconds
            self.notes = [note for note in self.notes if note[0] != id]

    @rule(id=IDS, seconds=SECONDS)
    def done(self, id: str, seconds: int) -> None:
        """Note that an id was processed; the oldest note makes room."""
        at_once(self.store.done(id, ttl=seconds))
        self.claims.pop(id, None)
        self.notes = [*(note for note in self.notes if note[0] != id), (id, self.now + seconds)][-self.limit :]

    @rule(id=IDS)
    def release(self, id: str) -> None:
        """Give back an id."""
        at_once(self.store.release(id))
        self.claims.pop(id, None)

    @invariant()
    def is_bounded(self) -> None:
        """No more is kept than the limit says."""
        assert len(self.store._done) <= self.limit


def test_the_store_remembers_as_a_list_would() -> None:
    """Whatever is claimed, noted, and given back in whatever order, memory says what a plain list of it says."""
    run_state_machine_as_test(Remembering, settings=settings(max_examples=100, stateful_step_count=30))
