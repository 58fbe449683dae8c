"""Runs of the real gate and the real policy against a modelled server, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from random import Random

import attrs

from envoy_async._gate import Ending, Gate, Window
from envoy_async._retry import Budget, Failure, Kind, RetryPolicy, again, backoff
from envoy_async.errors import ConnectionLostError, EnvoyError, RateLimitedError
from tests.simulations._servers import Server, VirtualLoop

POLICY = RetryPolicy()


@attrs.define
class Run:
    """A gate in front of a server, and what is counted."""

    server: Server
    gate: Gate
    random: Random
    down: tuple[float, float] = (0.0, 0.0)
    """From when to when the server is lost."""
    attempts: list[float] = attrs.field(factory=list[float])
    done: Counter[int] = attrs.field(factory=Counter[int])
    budget: Budget = attrs.field(factory=Budget)

    async def attempt(self) -> EnvoyError | None:
        """Send one request with a permit, and hand the permit back; gives what went wrong."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[Mapping[str, str], bool] | None] = loop.create_future()
        self.attempts.append(loop.time())

        def arrive() -> None:
            lost = self.down[0] <= loop.time() < self.down[1]
            told = None if lost else self.server.hit(loop.time())
            loop.call_later(self.random.uniform(0.025, 0.15), answer.set_result, told)

        loop.call_later(self.random.uniform(0.025, 0.15), arrive)
        told = await answer
        if told is None:
            self.gate.leave(loop.time(), None, Ending.LOST)
            return ConnectionLostError("lost")
        headers, accepted = told
        if accepted:
            self.gate.leave(loop.time(), headers, Ending.ANSWERED)
            return None
        error = RateLimitedError("refused")
        error.status, error.code, error.retry_after = 429, "rate_limit_exceeded", float(headers["Retry-After"])
        refusals = self.gate.refusals(loop.time())
        self.gate.leave(loop.time(), headers, Ending.REFUSED, backoff(POLICY, error, refusals, self.random))
        return error

    async def call(self, *, patient: bool) -> bool:
        """Run one call as the transport does: gate, attempt, policy, budget; says whether it succeeded."""
        loop = asyncio.get_running_loop()
        deadline, failures = loop.time() + 90.0, 0
        self.budget.earn(0.1)
        while True:
            try:
                async with asyncio.timeout_at(None if patient else deadline):
                    if not self.gate.enter(loop.time(), patient=patient):
                        await self.gate.wait(patient=patient)
            except TimeoutError:
                return False
            error = await self.attempt()
            if error is None:
                return True
            if isinstance(error, RateLimitedError):
                continue
            failures += 1
            wait = backoff(POLICY, error, failures, self.random)
            failure = Failure(Kind.READ, error, failures, wait, deadline - loop.time(), patient)
            if not again(POLICY, failure) or not self.budget.spend(loop.time()):
                return False
            await asyncio.sleep(wait)

    async def work(self, number: int, *, patient: bool) -> None:
        """Make one call after the other."""
        while True:
            self.done[number] += await self.call(patient=patient)

    async def others(self, share: float) -> None:
        """Use a share of the quota with the same key, without order, from elsewhere."""
        while True:
            await asyncio.sleep(self.random.expovariate(share * self.server.quota / 60.0))
            self.server.hit(asyncio.get_running_loop().time(), "others")

    async def change(self, at: float, quota: int) -> None:
        """Have the server's quota changed."""
        await asyncio.sleep(at)
        self.server.quota = quota

    async def ask(self, moments: int) -> list[float]:
        """Make so many interactive calls at odd moments; gives how long each waited for its permit."""
        loop, waits = asyncio.get_running_loop(), list[float]()
        for _ in range(moments):
            await asyncio.sleep(self.random.uniform(10.0, 50.0))
            began = loop.time()
            if not self.gate.enter(loop.time()):
                await self.gate.wait()
            waits.append(loop.time() - began)
            await self.attempt()
        return waits


async def _for(seconds: float, run: Run, jobs: list[asyncio.Task[object]]) -> None:
    await asyncio.sleep(seconds)
    for job in jobs:
        job.cancel()
    await asyncio.wait(jobs)
    run.gate.close()


def saturate(
    server: Server,
    minutes: float,
    seed: int,
    *,
    workers: int = 40,
    others: float = 0.0,
    change: tuple[float, int] | None = None,
    down: tuple[float, float] = (0.0, 0.0),
) -> Run:
    """Let many tasks call without pause: patient ones for even seeds, interactive ones for odd."""

    async def main() -> Run:
        loop = asyncio.get_running_loop()
        run = Run(server, Gate(Window(Random(seed)), loop.time), Random(seed), down)
        patient = seed % 2 == 0
        jobs: list[asyncio.Task[object]] = [
            loop.create_task(run.work(number, patient=patient)) for number in range(workers)
        ]
        if others:
            jobs.append(loop.create_task(run.others(others)))
        if change is not None:
            jobs.append(loop.create_task(run.change(*change)))
        await _for(minutes * 60.0, run, jobs)
        return run

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def interrupt(server: Server, moments: int, seed: int) -> tuple[Run, list[float]]:
    """Let interactive calls come at odd moments of a saturated bulk run."""

    async def main() -> tuple[Run, list[float]]:
        loop = asyncio.get_running_loop()
        run = Run(server, Gate(Window(Random(seed)), loop.time), Random(seed))
        jobs: list[asyncio.Task[object]] = [loop.create_task(run.work(number, patient=True)) for number in range(16)]
        waits = await run.ask(moments)
        await _for(0.0, run, jobs)
        return run, waits

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def fail(server: Server, minutes: float, seed: int, per_second: float) -> tuple[int, int]:
    """Make calls at a steady rate to a server that is down all the time; gives calls and wire attempts."""

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        run = Run(server, Gate(Window(Random(seed)), loop.time), Random(seed), (0.0, 1e9))
        calls = [
            loop.create_task(_later(number / per_second, run)) for number in range(int(minutes * 60.0 * per_second))
        ]
        await asyncio.wait(calls)
        run.gate.close()
        return len(calls), len(run.attempts)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


async def _later(seconds: float, run: Run) -> bool:
    await asyncio.sleep(seconds)
    return await run.call(patient=False)


def naive(server: Server, minutes: float, seed: int, workers: int = 40) -> Run:
    """Do without a gate: each task sends, and waits for `Retry-After` when refused."""

    async def work(run: Run) -> None:
        while True:
            await asyncio.sleep(run.random.uniform(0.025, 0.15))
            headers, accepted = run.server.hit(asyncio.get_running_loop().time())
            await asyncio.sleep(run.random.uniform(0.025, 0.15) + (0.0 if accepted else float(headers["Retry-After"])))

    async def main() -> Run:
        loop = asyncio.get_running_loop()
        run = Run(server, Gate(Window(Random(seed)), loop.time), Random(seed))
        jobs: list[asyncio.Task[object]] = [loop.create_task(work(run)) for _ in range(workers)]
        await _for(minutes * 60.0, run, jobs)
        return run

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
