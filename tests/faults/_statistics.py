"""Thirty faults, many seeds: what becomes of operations whose attempts fail at random, counted.

The rule: a run is judged by what the caller was told, held against what the server alone knows. Time is skipped where
nothing happens; sockets are real. All that a failure leaves behind and all that is logged is searched for secrets.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import cast

import attrs

from envoy_async import ApiKey, BearerToken, EnvoyClient, EnvoyError, RetryPolicy, Timeouts, errors
from envoy_async._wire import Request, Response
from envoy_async.sandbox import Sandbox
from tests.faults._canary import CanaryLog, chain, leaks
from tests.faults._modelled import LoopClock
from tests.faults._operations import EVERY, KEY_ONLY, Known, client_for, prepare
from tests.faults._thirty import Fault, FaultLoop, FaultServer, View, survivable, thirty
from tests.transport.conftest import KEY, MisbehavingServer, answer, make_client

NOW = 1_763_740_800.0  # Unix seconds
EXAMPLES = 8  # misses that are told in full
PATIENT = Timeouts(deadline=600.0)
REPEATABLE = ("calls.get", "offers.list", "calls.recording", "calls.end", "loads.create", "carriers.create")
"""Three reads, and three writes that may run twice."""
SECRETS = ("key", "api_key", "secret", "signing_secret", "access_token")


@attrs.define
class Tally:
    """What was counted over all runs; everything but `runs` and `succeeded` is to be 0."""

    runs: int = 0
    succeeded: int = 0
    executed_twice: int = 0
    sent_again: int = 0
    wrong_verdicts: int = 0
    not_survived: int = 0
    foreign: int = 0
    elsewhere: int = 0
    leaked: int = 0
    examples: list[str] = attrs.field(factory=list[str])

    def miss(self, count: str, told: str) -> None:
        """Count what must not happen, and keep the first few."""
        setattr(self, count, getattr(self, count) + 1)
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{count}: {told}")

    @property
    def misses(self) -> int:
        """How often something happened that must not."""
        unwanted = (self.executed_twice, self.sent_again, self.wrong_verdicts, self.not_survived)
        return sum(unwanted) + self.foreign + self.elsewhere + self.leaked

    def add(self, other: Tally) -> None:
        """Add the counts of another tally."""
        for name in attrs.fields_dict(Tally):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        del self.examples[EXAMPLES:]


def judge(tally: Tally, server: FaultServer, result: object, *, unsafe: bool, told: str) -> None:
    """Hold what the caller was told against what the server knows."""
    tally.runs += 1
    if isinstance(result, BaseException) and not isinstance(result, EnvoyError):
        tally.miss("foreign", told)
    failed = isinstance(result, BaseException)
    tally.succeeded += not failed
    if unsafe:
        _judge_unsafe(tally, server, result, told)
    elif failed and survivable(server.plan):
        tally.miss("not_survived", told)


def _judge_unsafe(tally: Tally, server: FaultServer, result: object, told: str) -> None:
    met = [fault.view for fault in server.met]
    if server.ran > 1:
        tally.miss("executed_twice", told)
    if View.AMBIGUOUS in met[:-1]:
        tally.miss("sent_again", told)
    if isinstance(result, errors.OutcomeUnknownError):
        right = met[-1] is View.AMBIGUOUS
    elif isinstance(result, BaseException):
        right = server.ran == 0 and View.AMBIGUOUS not in met
    else:
        right = server.ran == 1 and met[-1] is View.CLEAN
    if not right:
        tally.miss("wrong_verdicts", told)


class Spy:
    """Stands in for a client's transport, and keeps the bodies of answers by operation."""

    def __init__(self, envoy: EnvoyClient, bodies: dict[str, bytes]) -> None:
        self._transport, self._bodies = envoy._transport, bodies
        self.settings, self.pool, self.fetch = envoy._transport.settings, envoy._transport.pool, envoy._transport.fetch
        self.name = ""

    async def send(self, request: Request) -> Response:
        """Send, and keep the body."""
        response = await self._transport.send(request)
        self._bodies[self.name] = response.body
        return response


async def answers(names: Iterable[str]) -> tuple[Known, dict[str, bytes]]:
    """Ask a sandbox what a good answer to each operation looks like."""
    bodies: dict[str, bytes] = {}
    async with Sandbox(calls=12, loads=4, quota=None, clock=lambda: NOW) as sandbox:
        known = await prepare(sandbox)
        for name in names:
            async with client_for(name, sandbox) as envoy:
                spy = Spy(envoy, bodies)
                spy.name = name
                view = envoy.with_options()
                view._use(spy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                await EVERY[name](view, known)
    return known, bodies


def secrets_in(body: bytes) -> set[str]:
    """Give the secrets of a good answer."""
    found: object = json.loads(body or b"{}")
    fields = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return {value for name, value in fields.items() if name in SECRETS and isinstance(value, str)}


@attrs.frozen
class Study:
    """All faults and seeds for one operation."""

    name: str
    known: Known
    body: bytes
    unsafe: bool
    log: CanaryLog

    async def run(self, seeds: Iterable[int]) -> Tally:
        """Run all faults side by side."""
        total = Tally()
        async with MisbehavingServer(answer()) as other:
            faults = thirty(other.url, self.known.password if self.name == "auth.login" else KEY)
            for tally in await asyncio.gather(*(self._try_fault(fault, faults, seeds) for fault in faults)):
                total.add(tally)
            for _ in other.executed:
                total.miss("elsewhere", f"{self.name}: a redirect was followed")
        return total

    async def _try_fault(self, fault: Fault, faults: tuple[Fault, ...], seeds: Iterable[int]) -> Tally:
        tally, loop = Tally(), asyncio.get_running_loop()
        assert isinstance(loop, FaultLoop)
        async with FaultServer(self.body) as server:
            loop.servers[server.port] = server
            for seed in seeds:
                server.begin(fault, faults, Random(f"{self.name}/{fault}/{seed}"))
                result = await self._try_once(server)
                told = f"{self.name}, seed {seed}: {', '.join(map(str, server.met))}; ran {server.ran}: {result!r}"
                judge(tally, server, result, unsafe=self.unsafe, told=told)
                self._search(tally, result, told)
            del loop.servers[server.port]
        return tally

    async def _try_once(self, server: FaultServer) -> object:
        credential = ApiKey(KEY) if self.name in KEY_ONLY else BearerToken(KEY)
        client = make_client(
            server.url, credentials=credential, retry=RetryPolicy(), timeouts=PATIENT, clock=LoopClock()
        )
        async with client as envoy:
            try:
                return await EVERY[self.name](envoy, self.known)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
                return error

    def _search(self, tally: Tally, result: object, told: str) -> None:
        canaries = (KEY, self.known.password, *secrets_in(self.body))
        if isinstance(result, BaseException):
            for place in leaks(result, *canaries):
                tally.miss("leaked", f"{told}: {place}")
            if any(not isinstance(part, EnvoyError) for part in chain(result)):
                tally.miss("foreign", f"{told}: {chain(result)!r}")
        for place in self.log.leaks(*canaries):
            tally.miss("leaked", f"{told}: {place}")
        self.log.records.clear()


def study(names: Sequence[str], seeds: Iterable[int], *, unsafe: bool) -> dict[str, Tally]:
    """Run operations under all faults and seeds; returns what was counted for each."""

    async def run() -> dict[str, Tally]:
        known, bodies = await answers(names)
        few = asyncio.Semaphore(3)  # the sockets of all would be many

        async def run_one(name: str) -> Tally:
            async with few:
                return await Study(name, known, bodies[name], unsafe, log).run(seeds)

        with CanaryLog() as log:
            return dict(zip(names, await asyncio.gather(*map(run_one, names)), strict=True))

    with asyncio.Runner(debug=False, loop_factory=FaultLoop) as runner:  # a debugging loop logs each step of its own
        return runner.run(run())


def kinds_of(tallies: Mapping[str, Tally]) -> Counter[str]:
    """Add up all counts of several tallies, by name."""
    counted: Counter[str] = Counter()
    for tally in tallies.values():
        counted.update({name: value for name, value in attrs.asdict(tally).items() if isinstance(value, int)})
    return counted
