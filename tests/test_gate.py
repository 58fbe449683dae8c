"""The quota gate: arithmetic by hand, and whole runs against modelled servers in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections import Counter, deque
from email.utils import formatdate

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from envoy_async._gate import CATEGORIES, Ending, Gate, Window, category
from envoy_async.errors import ClientClosedError

EPOCH = 1_700_000_000.0


def headers(limit: int, remaining: int, reset: float, now: float) -> dict[str, str]:
    """Quota headers as the vendor sends them: whole seconds, on the server's clock."""
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(int(EPOCH + reset)),
        "Date": formatdate(int(EPOCH + now), usegmt=True),
    }


class Server:
    """A server that counts requests per window: `fixed` (aligned), `sliding`, or `bucket` (tokens)."""

    def __init__(self, algorithm: str, quota: int, length: float, offset: float = 0.0) -> None:
        self.algorithm, self.quota, self.length, self.offset = algorithm, quota, length, offset
        self.accepted: deque[float] = deque()
        self.refused = 0
        self._tokens = float(quota)
        self._at = 0.0

    def hit(self, now: float, count: int = 1) -> tuple[dict[str, str], bool]:
        """Take `count` requests of one sender at once; says whether the last was accepted."""
        now += self.offset
        taken = False
        for _ in range(count):
            taken = self._room(now) >= 1
            if taken:
                self._tokens -= 1
                self.accepted.append(now)
        self.refused += not taken
        remaining = max(0, int(self._room(now)))
        return headers(self.quota, remaining, self._reset(now), now), taken

    def _room(self, now: float) -> float:
        if self.algorithm == "bucket":
            self._tokens = min(self.quota, self._tokens + (now - self._at) * self.quota / self.length)
            self._at = now
            return self._tokens
        since = now - now % self.length if self.algorithm == "fixed" else now - self.length
        return self.quota - sum(at >= since if self.algorithm == "fixed" else at > since for at in self.accepted)

    def _reset(self, now: float) -> float:
        if self.algorithm == "fixed":
            return now - now % self.length + self.length
        inside = [at for at in self.accepted if at > now - self.length]
        return (inside[0] if inside and self.algorithm == "sliding" else now) + self.length


def narrow(size: float = 1.0) -> Window:
    """Make a window that lets so many be under way at once."""
    window = Window(random.Random(1))
    window._cap.size = size
    return window


async def one_request(gate: Gate, server: Server, rng: random.Random) -> None:
    """Pass the gate and the network until the server accepts."""
    accepted, loop = False, asyncio.get_running_loop()
    while not accepted:
        if not gate.enter(loop.time()):
            await gate.wait()
        await asyncio.sleep(rng.uniform(0.002, 0.15))
        told, accepted = server.hit(loop.time())
        await asyncio.sleep(rng.uniform(0.002, 0.15))
        gate.leave(loop.time(), told, Ending.ANSWERED if accepted else Ending.REFUSED, 0.0 if accepted else 1.0)


async def run(server: Server, requests: int, workers: int, seed: int) -> float:
    """Send the requests from so many tasks; returns the seconds it took."""
    loop = asyncio.get_running_loop()
    began, rng = loop.time(), random.Random(seed)
    gate = Gate(Window(random.Random(1)), loop.time)
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            await one_request(gate, server, rng)

    await asyncio.gather(*(worker() for _ in range(workers)))
    return loop.time() - began


@pytest.mark.looptime
@pytest.mark.parametrize("algorithm", ["fixed", "sliding", "bucket"])
@pytest.mark.parametrize(("workers", "offset"), [(1, 0.0), (8, 17.3), (400, 58.9)])
async def test_alone_on_the_key_nothing_is_refused(algorithm: str, workers: int, offset: float) -> None:
    """Whatever the server counts and wherever in its window we begin: no 429, and 95 % of the quota is used."""
    server = Server(algorithm, 100, 60.0, offset)
    seconds = await run(server, 250, workers, seed=workers)
    assert server.refused == 0
    # two windows without spacing, and the rest at 97 per minute
    assert seconds <= 60.0 + (250 - 97) / 97 * 60.0 * 1.02 + 250 * 0.16 / min(workers, 32) + 3.0


@pytest.mark.looptime
@pytest.mark.parametrize("algorithm", ["fixed", "sliding"])
@pytest.mark.parametrize("before", [1, 40, 90])
@pytest.mark.parametrize("workers", [1, 40])
async def test_somebody_used_the_key_before(algorithm: str, before: int, workers: int) -> None:
    """Requests of the last minute, by an earlier run or somebody else, cost next to no 429: the quota is theirs too."""
    server = Server(algorithm, 100, 60.0, 60.0)
    for second in range(before):
        server.hit(-55.0 + second * 55.0 / before)
    await run(server, 300, workers, seed=before)
    assert server.refused <= 3


@pytest.mark.looptime
async def test_a_short_job_is_never_slowed() -> None:
    """25 requests under 100 per minute take network time and not a second more."""
    server = Server("fixed", 100, 60.0)
    assert await run(server, 25, 25, seed=1) < 1.0


@settings(max_examples=25)
@given(st.data())
def test_no_trailing_window_exceeds_the_quota(data: st.DataObject) -> None:
    """Once the quota is known, for any mix of times and latencies, no trailing window of the server's holds more."""
    quota = data.draw(st.integers(1, 30))
    length = float(data.draw(st.integers(1, 60)))
    window, now, seen = Window(random.Random(1)), 0.0, list[float]()
    under_way: list[tuple[float, float]] = []
    for _ in range(120):
        now += data.draw(st.floats(0, length / 4))
        for arrived, answered in [row for row in under_way if row[1] <= now]:
            under_way.remove((arrived, answered))
            used = sum(at > arrived - length for at in seen if at <= arrived)
            oldest = min((at for at in seen if arrived - length < at <= arrived), default=arrived)
            window.done(answered, headers(quota, max(0, quota - used), oldest + length, arrived), Ending.ANSWERED)
        if window.delay(now) == 0.0:
            window.sent(now)
            slowest = 0.0 if window.quota.limit is None else length / 5
            arrived = now + data.draw(st.floats(0, slowest))
            seen.append(arrived)
            under_way.append((arrived, arrived + data.draw(st.floats(0, slowest))))
    seen.sort()
    for at in seen:
        assert sum(at - length + 1e-9 < other <= at for other in seen) <= quota  # a float is no exact time


def test_one_request_asks_first() -> None:
    """Until the first answer tells the quota, one request goes out every five seconds; then the others go."""
    window = Window(random.Random(1))
    assert window.delay(0.0) == 0.0
    window.sent(0.0)
    assert window.delay(0.0) == 5.0
    window.done(0.1, headers(100, 99, 60.0, 0.1), Ending.ANSWERED)
    assert (window.quota.limit, window.quota.length, window.delay(0.1)) == (100, 60.0, 0.0)


def test_any_answer_ends_the_asking() -> None:
    """Also one that tells nothing: the others go then, without a wait."""
    window = Window(random.Random(1))
    window.sent(0.0)
    window.done(0.1, {}, Ending.ANSWERED)
    for _ in range(3):
        assert window.delay(0.1) == 0.0
        window.sent(0.1)


def test_a_quota_told_late_is_learned_at_once() -> None:
    """Of a server that says nothing, few answers are looked at closely; the first that tells a limit is one of them."""
    window = Window(random.Random(1))
    for _ in range(5):
        window.sent(0.0)
        window.done(0.0, {}, Ending.ANSWERED)
    assert window.enter(0.0, patient=False)
    window.done(0.1, headers(100, 94, 60.0, 0.1), Ending.ANSWERED)
    assert (window.quota.limit, window.quota.foreign) == (100, 0)


def test_without_headers_only_refusals_slow_us() -> None:
    """A server that sends no quota headers is not throttled on a guess, and its pauses hold."""
    window = Window(random.Random(1))
    for _ in range(500):
        window.sent(0.0)
        window.done(0.0, {}, Ending.ANSWERED)
    assert window.delay(0.0) == 0.0
    window.pause(0.0, 7.0)
    window.pause(0.0, 3.0)
    assert window.delay(0.0) == 7.0


def test_a_pause_lasts_an_hour_at_most() -> None:
    """One absurd `Retry-After` does not end the client's life."""
    window = Window(random.Random(1))
    window.pause(0.0, 1e10)
    assert window.delay(0.0) == 3600.0


def test_the_probe_may_fail() -> None:
    """A first request that was cancelled leaves the asking to the next; one that got no answer lets the others go."""
    window = narrow(2.0)
    window.sent(0.0)
    window.done(1.0, None, Ending.ABANDONED)
    assert window.delay(1.0) == 0.0
    window.sent(1.0)
    assert window.delay(1.0) == 5.0
    window.done(1.0, None, Ending.FAILED)
    for _ in range(2):
        assert window.delay(1.0) == 0.0
        window.sent(1.0)
    assert window.full
    assert window.delay(1.0) == math.inf


def test_one_asks_after_a_pause_whoever_is_under_way() -> None:
    """Without a known quota: neither a slow request from before holds the asking back, nor an old answer ends it."""
    window = Window(random.Random(1))
    for _ in range(4):
        window.sent(0.0)
        window.done(0.0, {}, Ending.ANSWERED)
    for _ in range(4):
        window.sent(0.1)
    window.done(0.2, {}, Ending.REFUSED, 1.0)
    window.done(0.3, {}, Ending.ANSWERED)
    window.done(0.3, {}, Ending.REFUSED, 1.0)
    assert window.delay(1.4) == 0.0
    window.sent(1.4)
    assert window.delay(1.4) == 5.0
    window.done(1.5, {}, Ending.REFUSED, 1.0)
    assert window.delay(2.5) == 0.0
    window.sent(2.5)
    window.done(2.6, {}, Ending.ANSWERED)
    assert window.delay(2.6) < 1.0, "spaced, not asked"


def test_answers_that_went_unread_are_own_ones_whatever_ends_between() -> None:
    """Of a large quota few answers are read; a request that got none does not turn the others into somebody else's."""
    window, now, seen = Window(random.Random(1)), 0.0, Counter[int]()
    for number in range(12_000):
        now += 1 / 60
        border = now // 60 * 60
        lost, failed = number % 200 == 199, number % 150 == 149
        window.sent(now)
        seen[int(border)] += not lost
        told = headers(6_000, 6_000 - seen[int(border)], border + 60, now)
        if lost:
            window.done(now, None, Ending.ABANDONED)
        else:
            window.done(now, {} if failed else told, Ending.FAILED if failed else Ending.ANSWERED)
    assert window.quota.borders.others == 0.0


def test_answers_that_went_unread_count_for_the_breaker_when_they_came() -> None:
    """Ten failures beside forty answers of the same second open nothing, nor do old answers keep a breaker closed."""
    for idle, count, opened in (11.0, 40, False), (0.0, 40, False), (0.0, 0, True):
        window = Window(random.Random(1))
        window.sent(0.0)
        window.done(0.0, {}, Ending.ANSWERED)
        for number in range(count):
            window.sent(idle + number / 100)
            window.done(idle + number / 100, {}, Ending.ANSWERED)
        for _ in range(10):
            window.sent(idle + 0.5)
            window.done(idle + 0.5, None, Ending.FAILED)
        assert window._breaker.open is opened
    window = Window(random.Random(1))
    for number in range(46):
        window.sent(number / 100)
        window.done(number / 100, {}, Ending.ANSWERED)
    for number in range(12):
        window.sent(10.5 + number / 5)
        window.done(10.5 + number / 5, None, Ending.FAILED)
    assert window._breaker.open


def test_the_trailing_window_counts_from_the_answer() -> None:
    """A place becomes free one window after the answer, since the server may have counted that late."""
    window = Window(random.Random(1))
    for second in range(10):
        window.sent(0.0)
        window.done(float(second), headers(10, 9 - second, 60.0, float(second)), Ending.ANSWERED)
    assert window.delay(9.0) == 51.0
    assert window.delay(60.0) == 0.0


def test_requests_under_way_hold_their_place() -> None:
    """With the whole quota under way there is nothing to wait for but an answer."""
    window = Window(random.Random(1))
    window.sent(0.0)
    window.done(0.0, headers(2, 1, 60.0, 0.0), Ending.ANSWERED)
    window.sent(0.0)
    assert window.delay(0.0) == 60.0
    window.sent(0.0)
    window.done(61.0, headers(2, 0, 121.0, 61.0), Ending.ANSWERED)
    assert window.delay(122.0) == 0.0
    window.sent(0.0)
    assert window.delay(200.0) == math.inf
    window.unsent()
    assert window.delay(200.0) == 0.0


def test_foreign_traffic_takes_its_share() -> None:
    """What others used of the quota is not used again until the server's window is over."""
    window = Window(random.Random(1))
    window.sent(0.0)
    window.done(0.0, headers(10, 0, 30.0, 0.0), Ending.ANSWERED)
    assert window.delay(0.0) == 31.0
    assert window.delay(31.0) == 0.0
    window.sent(0.0)
    assert window.delay(31.0) > 0.0
    window.done(31.5, headers(10, 9, 91.0, 31.0), Ending.ANSWERED)
    assert window.delay(31.5) == 0.0


@pytest.mark.parametrize(
    ("told", "limit", "length"),
    [
        ({"X-RateLimit-Limit": "100"}, 100, 60.0),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Reset": "soon", "Date": formatdate(0, usegmt=True)}, 100, 60.0),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Reset": "1", "Date": "yesterday"}, 100, 60.0),
        ({"X-RateLimit-Limit": "-5", "X-RateLimit-Remaining": "3"}, None, 60.0),
        ({"X-RateLimit-Limit": "٣"}, None, 60.0),
        ({"X-RateLimit-Limit": "0"}, None, 60.0),
        (headers(100, 99, 62.0, 0.0), 100, 60.0),
        (headers(100, 99, 86_400.0, 0.0), 100, 60.0),
        (headers(100, 99, -10.0, 0.0), 100, 1.0),
    ],
)
def test_odd_headers_are_read_or_ignored(told: dict[str, str], limit: int | None, length: float) -> None:
    """Garbage is ignored, rounding is taken off the documented minute, a far `Reset` is not believed."""
    window = Window(random.Random(1))
    window.sent(0.0)
    window.done(0.0, told, Ending.ANSWERED)
    assert (window.quota.limit, window.quota.length) == (limit, length)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/auth/login", "auth"),
        ("/auth", "auth"),
        ("/api-keys", "api-keys"),
        ("/api-keys/key_1", "api-keys"),
        ("/api-keysmith", "general"),
        ("/authors/login", "general"),
        ("/calls", "general"),
        ("/calls/auth/api-keys", "general"),
        ("/general", "general"),
        ("/api_keys", "general"),
    ],
)
def test_the_first_part_of_the_path_names_the_quota(path: str, expected: str) -> None:
    """Logins and API keys are counted apart from everything else."""
    assert category(path) == expected
    assert expected in CATEGORIES


@pytest.mark.looptime
async def test_the_line_is_first_come_first_served() -> None:
    """Tasks leave the line in the order they came, and nobody overtakes by asking again."""
    loop = asyncio.get_running_loop()
    gate, order = Gate(narrow(), loop.time), list[int]()
    assert gate.enter(loop.time())

    async def one(number: int) -> None:
        await gate.wait()
        order.append(number)
        gate.leave(loop.time(), None, Ending.ABANDONED)

    tasks = [loop.create_task(one(number)) for number in range(20)]
    await asyncio.sleep(0)
    assert not gate.enter(loop.time())
    gate.leave(loop.time(), None, Ending.ABANDONED)
    await asyncio.gather(*tasks)
    assert order == list(range(20))


@pytest.mark.looptime
@pytest.mark.parametrize("moment", ["waiting", "called"])
async def test_a_cancelled_waiter_passes_its_permit_on(moment: str) -> None:
    """Cancelled in line or just when its turn came: the next in line goes."""
    loop = asyncio.get_running_loop()
    gate = Gate(narrow(), loop.time)
    assert gate.enter(loop.time())
    first, second = loop.create_task(gate.wait()), loop.create_task(gate.wait())
    await asyncio.sleep(0)
    if moment == "called":
        gate.leave(loop.time(), None, Ending.ABANDONED)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    if moment == "waiting":
        gate.leave(loop.time(), None, Ending.ABANDONED)
    await asyncio.wait_for(second, 1)
    assert gate.full


@pytest.mark.looptime
async def test_a_pause_holds_for_everybody() -> None:
    """After a 429 nobody goes before the pause is over, those in line and newcomers alike."""
    loop = asyncio.get_running_loop()
    gate = Gate(Window(random.Random(1)), loop.time)
    gate._window.pause(loop.time(), 30.0)
    began = loop.time()
    assert not gate.enter(loop.time())
    waiters = [loop.create_task(gate.wait()) for _ in range(3)]
    await waiters[0]
    assert loop.time() - began >= 30.0
    gate.leave(loop.time(), None, Ending.ABANDONED)
    await asyncio.gather(*waiters[1:])


@pytest.mark.looptime
@pytest.mark.parametrize("closes_late", [True, False])
async def test_closing_sends_everybody_away(closes_late: bool) -> None:
    """A closed gate leaves nobody waiting: those in line get `ClientClosedError`, a cancelled one its own end."""
    loop = asyncio.get_running_loop()
    gate = Gate(narrow(), loop.time)
    assert gate.enter(loop.time())
    if closes_late:
        gate._window.pause(loop.time(), 60.0)
    tasks = [loop.create_task(gate.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    gate.close()
    tasks[2].cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(ends[0], ClientClosedError)
    assert isinstance(ends[1], asyncio.CancelledError)
    gate.leave(loop.time(), None, Ending.ABANDONED)
    assert not gate.full
    assert gate._window.in_flight == 0
    gate._window.sent(0.0)
    gate.give_back()  # nothing moves any more
    assert gate.waiting == 0


@pytest.mark.looptime
async def test_closing_in_the_moment_ones_turn_comes_sends_away_too() -> None:
    """A task that was just called and has not run yet does not go out through a closed gate; its place is free."""
    loop = asyncio.get_running_loop()
    window = narrow()
    gate = Gate(window, loop.time)
    assert gate.enter(loop.time())
    called = loop.create_task(gate.wait())
    await asyncio.sleep(0)
    gate.leave(loop.time(), None, Ending.ABANDONED)
    gate.close()
    with pytest.raises(ClientClosedError):
        await called
    assert window.in_flight == 0


@pytest.mark.looptime
async def test_a_closed_gate_lets_nobody_in() -> None:
    """Who comes after the close is sent away at once, with room or without, and nothing is counted."""
    loop = asyncio.get_running_loop()
    for busy in (0, 1):
        window = narrow()
        gate = Gate(window, loop.time)
        assert [gate.enter(loop.time()) for _ in range(busy)] == [True] * busy
        gate.close()
        for _ in range(2):
            with pytest.raises(ClientClosedError, match=r"^the client was closed$"):
                gate.enter(loop.time())
        assert window.in_flight == busy
        assert gate.full is bool(busy)


@pytest.mark.looptime
async def test_interactive_tasks_go_first_and_patient_ones_are_not_starved() -> None:
    """With both in line, nine interactive tasks go, then a patient one; a newcomer overtakes patient ones only."""
    loop = asyncio.get_running_loop()
    gate, order = Gate(narrow(), loop.time), list[str]()
    assert gate.enter(loop.time())

    async def one(name: str, *, patient: bool) -> None:
        await gate.wait(patient=patient)
        order.append(name)
        gate.leave(loop.time(), None, Ending.ABANDONED)

    tasks = [loop.create_task(one("patient", patient=True)) for _ in range(2)]
    tasks += [loop.create_task(one("interactive", patient=False)) for _ in range(20)]
    await asyncio.sleep(0)
    assert gate.waiting == 22
    assert not gate.enter(loop.time(), patient=True)
    assert not gate.enter(loop.time())
    gate.leave(loop.time(), None, Ending.ABANDONED)
    await asyncio.gather(*tasks)
    assert order == ["interactive"] * 9 + ["patient"] + ["interactive"] * 9 + ["patient"] + ["interactive"] * 2
    assert gate.waiting == 0


@pytest.mark.looptime
async def test_every_tenth_permit_is_a_patient_tasks_also_of_the_last_ones() -> None:
    """A patient task whose turn has come may use what is kept for interactive calls, which go right after it."""
    loop = asyncio.get_running_loop()
    gate = Gate(Window(random.Random(1)), loop.time)
    for number in range(97):
        assert gate.enter(loop.time(), patient=True)
        gate.leave(loop.time(), headers(100, 99 - number, 60.0, 0.0), Ending.ANSWERED)
    waiting = loop.create_task(gate.wait(patient=True))
    await asyncio.sleep(0)
    gate._passed = 9
    assert not gate.enter(loop.time())
    await asyncio.wait_for(gate.wait(), 0.1)
    await asyncio.wait_for(waiting, 0.1)
    assert gate._passed == 0


class Lines(RuleBasedStateMachine):
    """Tasks come, are cancelled, and finish in any order; what they are promised holds after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.window = narrow(3.0)
        self.window._asked = True
        self.gate = Gate(self.window, lambda: 0.0)
        self.tasks: list[tuple[int, bool, asyncio.Task[None]]] = []
        self.count, self.inside = 0, 0
        self.called: dict[bool, int] = {False: -1, True: -1}

    def turn(self) -> None:
        """Let everybody run who can."""
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.window.quota.limit = None

    @rule(patient=st.booleans())
    def come(self, patient: bool) -> None:
        """Somebody joins a line."""
        number = self.count = self.count + 1

        async def one() -> None:
            await self.gate.wait(patient=patient)
            assert number > self.called[patient], "first come, first served"
            self.called[patient] = number
            self.inside += 1

        self.tasks.append((number, patient, self.loop.create_task(one())))
        self.turn()

    @precondition(lambda self: self.inside)
    @rule(ending=st.sampled_from([Ending.ANSWERED, Ending.FAILED, Ending.ABANDONED]))
    def finish(self, ending: Ending) -> None:
        """Somebody is done."""
        self.inside -= 1
        self.loop.call_soon(self.gate.leave, 0.0, None, ending)
        self.turn()

    @precondition(lambda self: self.inside)
    @rule()
    def think_better_of_it(self) -> None:
        """Somebody hands an unused permit back."""
        self.inside -= 1
        self.loop.call_soon(self.gate.give_back)
        self.turn()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Somebody who waits gives up, perhaps in the moment its turn comes."""
        waiting = [task for _, _, task in self.tasks if not task.done()]
        if waiting:
            data.draw(st.sampled_from(waiting)).cancel()
            if self.inside and data.draw(st.booleans()):
                self.inside -= 1
                self.loop.call_soon(self.gate.leave, 0.0, None, Ending.ABANDONED)
            self.turn()

    @invariant()
    def no_permit_is_lost(self) -> None:
        """Who has a permit is counted, never more than the cap, and nobody waits while there is room."""
        assert self.window.in_flight == self.inside <= self.window._cap.size
        waiting = [task for _, _, task in self.tasks if not task.done()]
        assert self.gate.waiting == len(waiting)
        if waiting and not self.window._breaker.open:
            assert self.gate.full

    def teardown(self) -> None:
        """Close, and see that nobody is left."""
        self.gate.close()
        for _, _, task in self.tasks:
            with contextlib.suppress(ClientClosedError, asyncio.CancelledError):
                self.loop.run_until_complete(task)
        self.loop.close()


def test_two_lines_as_a_state_machine() -> None:
    """In any order of coming, cancelling, and finishing: first come, first served, and no permit is lost."""
    run_state_machine_as_test(Lines, settings=settings(max_examples=20, stateful_step_count=30))
