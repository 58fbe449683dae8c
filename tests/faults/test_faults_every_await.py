"""Fault 80: cancelled at its n-th await, for every n, every public operation ends there and leaves nothing behind.

The rule: the suspensions of a task are counted by standing between it and the operation, so that n is exact. A
cancellation arrives before whatever the task waits for at that moment; a busy machine may be slow once, not thrice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator

import attrs
import pytest
from yarl import URL

from envoy_async import EnvoyClient, errors
from envoy_async.sandbox import Fault, Sandbox
from tests.conftest import NOW
from tests.faults._operations import EVERY, UNSAFE, Known, client_for, missing, prepare
from tests.faults._proxy import Link, TcpProxy
from tests.faults.conftest import virtual

PROMPT = 0.05  # seconds from the cancellation to its coming out
MOST = 200  # suspensions of one operation; more would be an endless loop


@attrs.define
class Stepped:
    """Awaits a step, counts its suspensions, and has its own task cancelled at the n-th."""

    step: Awaitable[object]
    at: int
    suspensions: int = 0
    cancelled_at: float = 0.0

    def __await__(self) -> Generator[object, object, object]:
        """Hand on whatever the step waits for."""
        inner, told = self.step.__await__(), None
        error: BaseException | None = None
        while True:
            try:
                waits_for: object = inner.send(told) if error is None else inner.throw(error)
            except StopIteration as end:
                return end.value
            self.suspensions += 1
            if self.suspensions == self.at:
                asyncio.get_running_loop().call_soon(self._cancel, _this_task())
            try:
                told, error = (yield waits_for), None
            except BaseException as raised:  # noqa: BLE001 - the step is to see it, whatever it is
                error = raised

    def _cancel(self, task: asyncio.Task[object]) -> None:
        self.cancelled_at = asyncio.get_running_loop().time()
        task.cancel()


def _this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


def of_the_server(task: asyncio.Task[object]) -> bool:
    """Say whether a task belongs to the sandbox."""
    return any(
        name in repr(task.get_coro())
        for name in ("web_protocol", "RequestHandler", "Sandbox", "Gateway", "_accept_connection", "TcpProxy")
    )


def places_taken(envoy: EnvoyClient) -> int:
    """Count the permits in use and the places in line, over all quotas of the client."""
    pool = envoy._transport.pool
    lane = pool._lane
    waiting = 0 if lane is None else sum(gate.waiting for gate in lane._gates.values())
    return waiting + sum(window.in_flight for window in pool._windows.values())


def connections_in_use(envoy: EnvoyClient) -> int:
    """Count the connections that are neither idle in the pool nor closed."""
    lane = envoy._transport.pool._lane
    connectors = [] if lane is None else [lane._reads.connector, lane._fresh.connector]
    return sum(len(connector._acquired) for connector in connectors if connector is not None)


def port_of(sandbox: Sandbox) -> int:
    """Return where the sandbox listens."""
    port = URL(sandbox.base_url).port
    assert port is not None
    return port


def connections_of(sandbox: Sandbox) -> int:
    """Count the connections the sandbox sees."""
    assert sandbox._runner is not None
    assert sandbox._runner.server is not None
    return len(sandbox._runner.server.connections)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the server is about to notice."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for sends no event
            await asyncio.sleep(0)


@attrs.frozen
class Trial:
    """An operation, ready to be cancelled at its n-th await, and what has come of it so far."""

    name: str
    sandbox: Sandbox
    known: Known
    way: str
    proxy: TcpProxy

    async def cancel_at(self, number: int) -> tuple[bool, float]:
        """Run it once; says whether it was cancelled, and how long that took to come out."""
        before = asyncio.all_tasks()
        url = self.proxy.url.replace("/v1", "/api/v1") if self.way == "in slices" else self.sandbox.base_url
        told: list[errors.OutcomeUnknownError] = []
        envoy, ran = client_for(self.name, self.sandbox, url, told.append), len(self.sandbox.executions)
        if self.way == "used client":
            await envoy.calls.get(self.known.call)
            ran += 1
        stepped = Stepped(EVERY[self.name](envoy, self.known), number)

        async def run() -> object:
            return await stepped

        task = asyncio.create_task(run())
        await asyncio.wait({task})
        elapsed = asyncio.get_running_loop().time() - stepped.cancelled_at
        self._judge(task, stepped, envoy, before)
        await self._go_on(envoy)
        ran = len(self.sandbox.executions) - ran - 1
        if self.name not in UNSAFE or not task.cancelled():
            assert told == []
        elif ran:
            assert [type(each) for each in told] == [errors.OutcomeUnknownError]
        return task.cancelled(), elapsed

    def _judge(
        self,
        task: asyncio.Task[object],
        stepped: Stepped,
        envoy: EnvoyClient,
        before: set[asyncio.Task[object]],
    ) -> None:
        """Check that nothing is left of it, the moment it has ended."""
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, errors.NotFoundError), error  # it was deleted by the run before
            assert self.name == "webhook_endpoints.delete"
        assert stepped.suspensions <= stepped.at + (0 if task.cancelled() else -1), "it waited again after that"
        assert places_taken(envoy) == 0
        assert connections_in_use(envoy) == 0
        left = [each for each in asyncio.all_tasks() - before if not each.done() and not of_the_server(each)]
        assert left == []

    async def _go_on(self, envoy: EnvoyClient) -> None:
        """Check that it is not sent again, that the next call works, and that closing leaves no connection."""
        sent = len(self.sandbox.requests)
        await envoy.calls.get(self.known.call)
        told = [request.path for request in self.sandbox.requests[sent:]]
        assert told[-1].endswith(self.known.call)
        assert len(told) <= 2, "more than one request was still under way"
        await envoy.close()
        await until(lambda: connections_of(self.sandbox) == 0)


def moments(found: list[bool]) -> Iterator[int]:
    """Count up until the operation ended before its n-th await."""
    while not found or found[-1]:
        assert len(found) < MOST
        yield len(found) + 1


async def promptly(trial: Trial, number: int) -> bool:
    """Cancel at the n-th await; of three times, once at least it must come out at once."""
    for _ in range(3):
        cancelled, elapsed = await trial.cancel_at(number)
        if not cancelled or elapsed <= PROMPT:
            return cancelled
    pytest.fail(f"cancelled at await {number}, {trial.name} took more than {PROMPT} s to end, three times")


def test_fault_080_no_operation_is_left_out() -> None:
    """The table that the next test walks through holds every public method of every group, and `request`."""
    assert missing() == set()
    assert set(UNSAFE) <= EVERY.keys()
    assert len(EVERY) == 51


@pytest.mark.parametrize("way", ["new client", "used client", "in slices"])
async def test_fault_080_cancelled_at_every_await(way: str) -> None:
    """Every operation, cancelled at every await: it ends at once, all is free again, and nothing is sent again."""
    async with (
        Sandbox(calls=12, loads=4, quota=None, clock=lambda: NOW) as sandbox,
        TcpProxy(port_of(sandbox), down=Link(slicer=400)) as proxy,
    ):
        known, counts = await prepare(sandbox), dict[str, int]()
        for name in EVERY:
            trial, found = Trial(name, sandbox, known, way, proxy), list[bool]()
            for number in moments(found):
                found.append(await promptly(trial, number))
            counts[name] = len(found) - 1
    assert min(counts.values()) >= (1 if way == "used client" else 2)  # connecting, and waiting for the answer


@pytest.mark.parametrize("fault", [Fault(method="*", path="*", times=None, drop="before"), None], ids=["lost", "429"])
@virtual
async def test_fault_080_cancelled_between_attempts(fault: Fault | None) -> None:
    """Cancelled while it is tried again, or waits for quota, an operation is not sent once more."""
    again = fault or Fault(method="*", path="*", times=None, status=429, headers={"Retry-After": "0"})
    async with Sandbox(calls=12, loads=4, quota=None, clock=lambda: NOW) as sandbox:
        known = await prepare(sandbox)
        for name in ("calls.list", "calls.create"):
            for number in range(1, 30):
                sandbox.faults[:] = [again]
                envoy = client_for(name, sandbox)
                stepped = Stepped(EVERY[name](envoy, known), number)
                task = asyncio.ensure_future(_run(stepped))
                await asyncio.wait({task})
                sent, sandbox.faults[:] = len(sandbox.requests), []
                assert places_taken(envoy) == 0
                assert (await envoy.calls.get(known.call)).id == known.call
                await envoy.close()
                await until(lambda: connections_of(sandbox) == 0)
                assert len(sandbox.requests) <= sent + 2
                if not task.cancelled():
                    assert isinstance(task.exception(), errors.TransportError | errors.OutcomeUnknownError)
                    break


async def _run(stepped: Stepped) -> object:
    return await stepped
