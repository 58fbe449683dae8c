"""Sharing a quota through a store: leases, pauses, and stores that are out of order."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from random import Random

import attrs
import pytest

from envoy_async._gate import Ending, Gate, Window, soon
from envoy_async.errors import ClientClosedError
from envoy_async.quota import Lease, LocalQuotaStore, Standing


@attrs.define
class ScriptedStore:
    """Answers as it is told to, and notes what it was asked."""

    leases: list[Lease | BaseException | float] = attrs.field(factory=list["Lease | BaseException | float"])
    standing: Standing = attrs.field(factory=Standing)
    asked: list[tuple[str, int, bool]] = attrs.field(factory=list[tuple[str, int, bool]])
    pauses: list[float] = attrs.field(factory=list[float])

    async def lease(self, line: str, count: int, *, limit: int | None, window: float, patient: bool) -> Lease:
        """Give the next answer; a number is a time that it takes, an error is raised."""
        self.asked.append((line, count, patient))
        answer = self.leases.pop(0) if self.leases else Lease(count)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Lease):
            return answer
        await asyncio.sleep(answer)
        return Lease(count)

    async def pause(self, line: str, seconds: float) -> None:
        """Note a pause."""
        self.pauses.append(seconds)

    async def peek(self, line: str) -> Standing:
        """Tell what it was made with."""
        return self.standing


def make_gate(store: ScriptedStore | LocalQuotaStore, line: str = "general") -> Gate:
    """Make a gate that asks a store."""
    return Gate(Window(Random(1)), asyncio.get_running_loop().time, store=store, line=line)


async def one(gate: Gate, *, limit: int = 100, patient: bool = False) -> float:
    """Pass the gate and have an answer; gives the seconds waited."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    if not gate.enter(loop.time(), patient=patient):
        await gate.wait(patient=patient)
    waited = loop.time() - began
    await asyncio.sleep(0.1)
    gate.leave(loop.time(), {"X-RateLimit-Limit": str(limit)}, Ending.ANSWERED)
    return waited


@pytest.mark.looptime
async def test_one_task_leases_for_everybody() -> None:
    """A hundred tasks in line cost far fewer questions than a hundred, one at a time, under the gate's own line."""
    store = ScriptedStore(standing=Standing(6_000, 60.0, 0.0))
    gate = make_gate(store)
    await asyncio.gather(*(one(gate, limit=6_000) for _ in range(90)))
    assert len(store.asked) <= 30
    assert {line for line, _, _ in store.asked} == {"general"}
    assert max(count for _, count, _ in store.asked) == 4  # 50 ms of 97 per second
    gate.close()
    await gate.ended()


@pytest.mark.looptime
async def test_what_others_know_is_taken_over_at_first_use() -> None:
    """A pause that another client met holds for this one before its first request."""
    gate = make_gate(ScriptedStore(standing=Standing(100, 60.0, 7.0)))
    assert await one(gate) == pytest.approx(7.0)
    assert gate._window.quota.limit == 100


@pytest.mark.looptime
async def test_a_refused_lease_is_asked_for_again() -> None:
    """The task waits as long as the store says, and twenty seconds at most before it asks again."""
    store = ScriptedStore([Lease(0, 0.4), Lease(0, 50.0)])
    waited = await one(make_gate(store))
    assert 20.4 <= waited <= 20.5
    assert len(store.asked) == 3


@pytest.mark.looptime
async def test_an_interactive_call_does_not_wait_for_a_patient_task() -> None:
    """The store is asked at once for the first interactive call, also while a patient task is to wait or is asking."""
    store = ScriptedStore([Lease(0, 5.0), Lease(0, 5.0)])
    gate = make_gate(store)
    patient = asyncio.create_task(one(gate, patient=True))
    await asyncio.sleep(1.0)
    assert await one(gate) == pytest.approx(5.0)
    assert [how for _, _, how in store.asked][:3] == [True, False, False]
    await patient
    slow = ScriptedStore([0.3, Lease(0, 5.0)])
    gate = make_gate(slow)
    patient = asyncio.create_task(one(gate, patient=True))
    await asyncio.sleep(0.1)
    assert await one(gate) <= 0.3
    await patient


@pytest.mark.looptime
async def test_a_pause_is_told_while_a_task_waits() -> None:
    """Others hear of a pause at once, also from a gate whose own tasks are to wait."""
    store = ScriptedStore([Lease(1), Lease(0, 8.0)])
    gate = make_gate(store)
    await gate.wait()
    waiting = asyncio.create_task(one(gate))
    await asyncio.sleep(1.0)
    gate.leave(1.0, None, Ending.REFUSED, 3.0)
    await asyncio.sleep(0.01)
    assert store.pauses == [3.0]
    await waiting


@pytest.mark.looptime
async def test_what_a_lease_tells_is_taken_over() -> None:
    """A gate whose own answers told no window yet counts by that which others measured."""
    store = ScriptedStore([Lease(1, 0.0, Standing(100, 6.0, 0.0))] * 2)
    gate = make_gate(store)
    await one(gate)
    await one(gate)
    assert gate._window.quota.length == 6.0


@pytest.mark.looptime
async def test_a_busy_loop_is_not_the_fault_of_the_store() -> None:
    """An answer that came while the loop was busy for longer than a store may take is taken."""
    loop = asyncio.get_running_loop()

    async def answer() -> str:
        await loop.run_in_executor(None, time.sleep, 0.001)
        return "here"

    asked = asyncio.create_task(soon(answer(), 0.4))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251 - to block the loop is the point
    assert await asked == "here"


@pytest.mark.looptime
async def test_a_pause_is_told_to_the_store() -> None:
    """After a 429 everybody who shares the store hears of the pause."""
    store = ScriptedStore()
    gate = make_gate(store)
    await gate.wait()
    gate.leave(0.0, None, Ending.REFUSED, 9.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store.pauses == [9.0]
    gate.close()
    gate.leave(0.0, None, Ending.REFUSED, 9.0)
    await gate.ended()
    assert store.pauses == [9.0]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "trouble", [RuntimeError("down"), asyncio.CancelledError(), 60.0], ids=["raises", "ends", "hangs"]
)
async def test_a_store_out_of_order_delays_nobody(
    trouble: BaseException | float, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that raises or hangs costs 0.4 seconds at most, one warning, and is tried again five seconds later."""
    caplog.set_level(logging.WARNING, "envoy_async")
    store = ScriptedStore([trouble, trouble])
    gate = make_gate(store)
    assert await one(gate) <= 0.4 + 1e-6
    assert await one(gate) == 0.0
    await asyncio.sleep(6.0)
    assert await one(gate) <= 0.4 + 1e-6
    await asyncio.sleep(6.0)
    assert await one(gate) == 0.0
    assert len(store.asked) == 3
    assert len(caplog.records) == 1
    assert "quota store failed" in caplog.text


@pytest.mark.looptime
async def test_an_unused_lease_is_not_kept() -> None:
    """A lease taken for tasks that were cancelled is not used a second later, when the store counts anew."""
    store = ScriptedStore([Lease(1), Lease(5)])
    gate = make_gate(store)
    await one(gate)
    await one(gate)
    assert await one(gate) == 0.0  # from the stock
    await asyncio.sleep(2.0)
    await one(gate)
    assert len(store.asked) == 3


@pytest.mark.looptime
async def test_closing_ends_the_task_that_asks() -> None:
    """Nothing is left of a gate that was closed while its store took its time."""
    gate = make_gate(ScriptedStore([0.2]))
    waiting = asyncio.get_running_loop().create_task(gate.wait())
    await asyncio.sleep(0.1)
    gate.close()
    await gate.ended()
    with pytest.raises(ClientClosedError):
        await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}
    other = make_gate(ScriptedStore())
    other.close()
    await other.ended()


@pytest.mark.looptime
async def test_closing_waits_for_what_was_asked() -> None:
    """A store that takes its time to let go of a connection has done so when the gate has ended."""
    steps = list[str]()

    class Slow(ScriptedStore):
        async def peek(self, line: str) -> Standing:
            """Answer nobody, and tidy up for a while when that is no longer wanted."""
            try:
                await asyncio.sleep(0.3)
            finally:
                await asyncio.sleep(0.05)
                steps.append("tidy")
            return Standing()

    gate = make_gate(Slow())
    waiting = asyncio.create_task(gate.wait())
    await asyncio.sleep(0.1)
    gate.close()
    await asyncio.sleep(0.01)
    await gate.ended()
    assert steps == ["tidy"]
    with pytest.raises(ClientClosedError):
        await waiting


@pytest.mark.looptime
async def test_two_clients_share_one_quota() -> None:
    """What two gates send together stays within the quota in every trailing window, and uses 95 % of it."""
    loop = asyncio.get_running_loop()
    store, sent = LocalQuotaStore(loop.time), list[float]()

    async def client() -> None:
        gate = make_gate(store)
        for _ in range(200):
            await one(gate, patient=True)
            sent.append(loop.time())

    await asyncio.gather(client(), client())
    sent.sort()
    assert max(sum(at - 60.0 < other <= at for other in sent) for at in sent) <= 100
    assert sent[-1] - sent[0] <= 400 / 97 * 60.0 / 0.95


async def test_a_local_store_tells_what_it_knows() -> None:
    """Limit, window, and the rest of a pause; a line that nobody used is unknown, and lines do not mix."""
    now = [0.0]
    store = LocalQuotaStore(lambda: now[0])
    assert await store.peek("a") == Standing()
    assert await store.lease("a", 3, limit=None, window=60.0, patient=False) == Lease(3)
    assert await store.lease("a", 200, limit=100, window=60.0, patient=True) == Lease(94)
    await store.pause("a", 5.0)
    assert await store.peek("a") == Standing(100, 60.0, 5.0)
    assert await store.lease("a", 1, limit=100, window=60.0, patient=True) == Lease(0, 5.0)
    now[0] = 6.0
    refused = await store.lease("a", 1, limit=100, window=60.0, patient=True)
    assert refused == Lease(0, 54.5)
    assert await store.lease("a", 5, limit=100, window=60.0, patient=False) == Lease(3)  # the part kept back
    assert await store.lease("b", 1, limit=100, window=60.0, patient=False) == Lease(1)


def test_a_local_store_may_be_used_from_several_threads() -> None:
    """Four threads with loops of their own get together what one would get."""
    store, granted = LocalQuotaStore(lambda: 0.0), list[int]()

    async def ask() -> None:
        for _ in range(100):
            granted.append((await store.lease("a", 1, limit=100, window=60.0, patient=False)).granted)

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 97
