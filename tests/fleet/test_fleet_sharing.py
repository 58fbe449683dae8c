"""What a fleet may send, whatever its processes ask for: the two buckets and the part of a process on its own."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from random import Random
from typing import TypeVar, cast

import attrs
import pytest
from hypothesis import given, strategies as st

from envoy_async.fleet._buckets import Bucket, cut
from envoy_async.fleet._desk import Charge, Known, Look
from envoy_async.fleet._sharing import Sharing
from envoy_async.quota import Lease, Standing

T = TypeVar("T")
WINDOW = 60.0
ASKS = st.lists(st.tuples(st.floats(0.0, 20.0), st.booleans()), max_size=150)


@attrs.define
class Desk:
    """The numbers in this process, by a clock that is set by hand; it can be out of reach."""

    now: float = 0.0
    down: Exception | None = None
    known: Known | None = None
    paused_until: float = 0.0
    era: bytes = b"1"
    processes: tuple[int, int] = (1, 1)
    full_at: dict[str, float] = attrs.field(factory=dict[str, float])

    async def look(self, line: str, window: float) -> Look:
        """Tell what is known."""
        if self.down is not None:
            raise self.down
        return Look(self.now, self.known, max(0.0, self.paused_until - self.now), self.era)

    async def charge(self, line: str, bucket: Bucket, cost: int) -> Charge:
        """Take from a bucket, as GCRA does."""
        ahead = max(0.0, self.full_at.get(bucket.name, 0.0) - self.now)
        free = bucket.usable - ahead / bucket.interval
        if free < cost - 1e-9:
            return Charge(granted=False, remaining=int(free), retry_after=(cost - free) * bucket.interval)
        self.full_at[bucket.name] = self.now + ahead + cost * bucket.interval
        return Charge(granted=True, remaining=int(free - cost), retry_after=0.0)

    async def learn(self, line: str, known: Known, *, first: bool) -> None:
        """Note a quota."""
        assert first is (self.known is None)
        self.known = known

    async def pause(self, line: str, seconds: float) -> None:
        """Note a pause."""
        if self.down is not None:
            raise self.down
        self.paused_until = max(self.paused_until, self.now + seconds)

    async def attend(self, line: str, now: float, until: float) -> tuple[int, int]:
        """Tell how many there are."""
        return self.processes


def sharing(desk: Desk, processes: int = 1) -> Sharing:
    """Make the share of a process, on the desk's clock."""
    return Sharing(desk, lambda: desk.now, Random(7), processes)


async def lease(of: Sharing, count: int = 1, *, limit: int | None = 100, patient: bool = False) -> Lease:
    """Ask for a lease under the documented window."""
    return await of.lease("line", count, limit=limit, window=WINDOW, patient=patient)


async def all_of(of: Sharing, *, patient: bool = False) -> int:
    """Ask until nothing is granted, and count."""
    granted = 0
    while (await lease(of, patient=patient)).granted:
        granted += 1
    return granted


def drive(asked: Coroutine[object, object, T]) -> T:
    """Run what never really waits."""
    try:
        asked.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("it waits")


@given(limit=st.integers(1, 600), asks=ASKS)
def test_no_window_ever_holds_more_than_the_quota(limit: int, asks: list[tuple[float, bool]]) -> None:
    """Whatever is asked for and when, a trailing window holds at most the quota, and one request for the rounding."""
    desk, parts, sent = Desk(), cut(limit, WINDOW), list[float]()
    process = sharing(desk)
    for gap, patient in asks:
        desk.now += gap
        for _ in range(limit):
            if not drive(process._take("line", parts, 1, patient=patient)).granted:
                break
            sent.append(desk.now)
    assert max((sum(at - WINDOW < other <= at for other in sent) for at in sent), default=0) <= limit + 1


@given(limit=st.integers(1, 300), patient=st.booleans())
def test_a_fleet_that_always_asks_uses_the_quota(limit: int, *, patient: bool) -> None:
    """After the first window, who asks when it is told to is granted 97 % of the quota, but for the rounding."""
    desk, parts, sent = Desk(), cut(limit, WINDOW), 0
    process = sharing(desk)
    while desk.now < 3 * WINDOW:
        charge = drive(process._take("line", parts, 1, patient=patient))
        sent += charge.granted and desk.now >= WINDOW
        desk.now += charge.retry_after
    assert sent >= 0.96 * 2 * limit - 2


async def test_an_idle_fleet_bursts_and_a_busy_one_keeps_an_even_pace() -> None:
    """70 of 100 go at once, to any process; then what the burst left, a little at a time; after a window, 97 %."""
    desk = Desk()
    first, second = sharing(desk), sharing(desk)
    assert (await lease(first)).granted == 1
    assert await all_of(second) == 69
    assert 0.0 < (await lease(first)).retry_after <= 2.5
    sent = list[float]()
    for _ in range(int(3 * WINDOW / 0.2)):
        desk.now += 0.2
        sent += [desk.now] * await all_of(second)
    assert sum(at <= 0.9 * WINDOW for at in sent) in {22, 23}
    for began in WINDOW + 1.0, 2 * WINDOW + 1.0:
        assert sum(began <= at < began + WINDOW for at in sent) in {96, 97}
    assert max(sent.count(at) for at in sent if at > WINDOW + 1.0) <= 2


async def test_patient_tasks_leave_a_little() -> None:
    """An interactive call finds room beside patient tasks that take all they get."""
    desk = Desk()
    process = sharing(desk)
    assert await all_of(process, patient=True) == 69
    assert await all_of(process) == 1
    desk.now = 3 * WINDOW
    for _ in range(200):
        desk.now += 0.2
        await all_of(process, patient=True)
    assert (await lease(process)).granted == 1


async def test_a_small_quota_is_one_bucket() -> None:
    """Ten per minute are spaced evenly: halves of a request would add up to more than the quota."""
    desk = Desk()
    process = sharing(desk)
    assert (await lease(process, limit=10)).granted == 1
    refused = await lease(process, limit=10)
    assert refused.granted == 0
    assert refused.retry_after == pytest.approx(60 / 9.7)
    desk.era = b"2"
    desk.now = 7.0
    assert (await lease(process, limit=10)).granted == 1


async def test_what_went_out_before_the_quota_was_known_is_counted() -> None:
    """The request that asks how large the quota is counts as soon as that is known."""
    desk = Desk()
    process = sharing(desk)
    assert await lease(process, limit=None) == Lease(1)
    assert await process.peek("line") == Standing()
    assert await all_of(process) == 69


async def test_the_shorter_window_was_measured() -> None:
    """A window below the documented one is kept, whoever tells only the documented one; another limit is taken over."""
    desk = Desk()
    process = sharing(desk)
    await process.lease("line", 1, limit=100, window=6.0, patient=False)
    told = await lease(process)
    assert told.standing == Standing(100, 6.0, 0.0)
    assert (await lease(process, limit=50)).standing == Standing(50, 6.0, 0.0)
    await process.lease("line", 1, limit=50, window=7.0, patient=False)
    assert desk.known == Known(50, 7.0)
    assert await process.peek("line") == Standing(50, 7.0, 0.0)


async def test_another_window_begins_with_what_was_taken_before() -> None:
    """When a window turns out to be shorter, a burst that had begun is not begun again; a small quota starts anew."""
    desk = Desk()
    process = sharing(desk)
    assert [(await lease(process)).granted for _ in range(30)] == [1] * 30
    granted = 0
    while (await process.lease("line", 1, limit=100, window=6.0, patient=False)).granted:
        granted += 1
    assert granted == 70 - 31
    desk.now = 3.0
    assert await all_of(process) == 12
    desk.now, desk.era = 100.0, b"2"
    assert (await lease(process, limit=10)).granted == 1
    assert (await process.lease("line", 1, limit=10, window=7.0, patient=False)).granted == 1


async def test_a_pause_holds_for_all() -> None:
    """While one process is to wait, nobody is granted anything, and everybody is told for how long."""
    desk = Desk()
    first, second = sharing(desk), sharing(desk)
    await first.pause("line", 9.0)
    desk.now = 2.0
    assert await lease(second) == Lease(0, 7.0, Standing(100, WINDOW, 7.0))
    assert (await second.peek("line")).pause == 7.0


async def test_those_who_wait_come_one_after_the_other() -> None:
    """The more processes wait, the later each asks again."""
    waits = list[float]()
    for waiting in 1, 1_000:
        desk = Desk(processes=(waiting, waiting))
        process = sharing(desk)
        await all_of(process)
        waits.append((await lease(process)).retry_after)
    assert waits[0] == pytest.approx(2.4)
    assert 2.4 + 2.0 < waits[1] <= 2.4 + 18.0


async def test_a_desk_that_forgot_everything_gives_no_burst(caplog: pytest.LogCaptureFixture) -> None:
    """After a flush only the even pace is left, for every process that had asked within a window."""
    desk = Desk()
    first, second = sharing(desk), sharing(desk)
    assert await all_of(first) + await all_of(second) == 70
    desk.full_at, desk.known, desk.era = {}, None, b"2"
    assert await all_of(first) + await all_of(second) <= 3
    desk.era, desk.full_at["burst:60"] = b"3", desk.now + 10 * 2.4  # others took a few meanwhile
    assert await all_of(first) == 0
    desk.now, desk.era = 10 * WINDOW, b"4"
    assert await all_of(first) == 70
    assert caplog.records == []


@pytest.mark.parametrize("error", [ConnectionError("pass-word"), TimeoutError(), RuntimeError("pass-word")], ids=repr)
async def test_out_of_reach_each_process_keeps_to_its_part(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """One of eight gets an eighth of 90 %, counted with what it sent before; one warning, which quotes no error."""
    caplog.set_level(logging.WARNING, "envoy_async")
    desk = Desk(processes=(8, 8))
    process = sharing(desk)
    assert [(await lease(process)).granted for _ in range(4)] == [1, 1, 1, 1]
    desk.down = error
    assert await all_of(process) == 11 - 4
    assert (await lease(process)).retry_after == pytest.approx(60.5)
    assert process.trouble == type(error).__name__
    await process.pause("line", 100.0)
    assert (await process.peek("line")).pause == 100.0
    assert (await lease(process)).retry_after == 100.0
    desk.now = 101.0
    assert await all_of(process) == 11
    assert len(caplog.records) == 1
    assert "pass-word" not in caplog.text


async def test_back_in_reach_there_is_no_burst() -> None:
    """What went out without the desk is unknown to it, so it begins with the even pace."""
    desk = Desk(down=ConnectionError())
    process = sharing(desk, 4)
    assert await all_of(process) == 22
    desk.down = None
    assert (await lease(process)).granted == 0  # it is asked again after two seconds
    desk.now = 3.0
    assert await all_of(process) <= 4
    assert process.trouble is None


async def test_a_part_of_less_than_one_request() -> None:
    """With more processes than requests, each waits until its turn would have come."""
    desk = Desk(down=ConnectionError())
    process = sharing(desk, 900)
    assert await all_of(process) == 1
    assert (await lease(process)).retry_after == pytest.approx(600.5)
    desk.now = 599.0
    assert (await lease(process)).granted == 0
    desk.now = 601.0
    assert (await lease(process)).granted == 1


async def test_out_of_reach_before_the_quota_is_known() -> None:
    """Nothing is held back on a guess: the gate itself sends one request and waits for its answer."""
    desk = Desk(down=ConnectionError())
    process = sharing(desk)
    assert await lease(process, limit=None) == Lease(1)
    assert await process.peek("line") == Standing()


async def test_what_is_remembered_does_not_grow() -> None:
    """A process that asks for days remembers about a window of its own requests."""
    desk = Desk()
    process = sharing(desk)
    for _ in range(2_000):
        desk.now += 1.0
        await lease(process)
    assert len(process._lines["line"].sent) <= 62
    for number in range(1_500):
        await process.lease(f"line {number}", 1, limit=100, window=WINDOW, patient=False)
    assert len(process._lines) == 1_000
    assert "line 1499" in process._lines
