"""Thirty faults, and a server that does them by plan.

The rule: the server is the witness. It draws beforehand what will happen to each attempt (the first is always the
fault in question, each later one goes wrong with probability 0.3), decides by itself whether the operation ran before
it misbehaves, and writes that down.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Mapping
from enum import Enum
from random import Random
from typing import cast

import attrs

from envoy_async import RetryPolicy
from tests.transport.conftest import (
    KEY,
    MisbehavingServer,
    Step,
    _read,
    answer,
    cut_chunk,
    cut_gzip,
    damaged_gzip,
    drop,
    drop_unread,
    endless_chunks,
    garbage,
    half_body,
    half_headers,
    half_status,
    html,
    redirect,
    refuse,
    reset,
    reset_unread,
    two_lengths,
)
from tests.transport.test_transport_quota import SkippingLoop

LATER = 0.3  # how likely each attempt after the first goes wrong
ATTEMPTS = RetryPolicy().max_attempts


class View(Enum):
    """What a fault looks like from the outside: may the operation have run?"""

    UNSENT = "nothing was sent"
    REFUSED = "the server says that it did not run"
    AMBIGUOUS = "nobody can tell"
    CLEAN = "it went well"


@attrs.frozen
class Fault:
    """One way in which an attempt goes wrong; *again* says whether what may run twice is to be tried again."""

    name: str
    view: View
    step: Step | None = None
    runs: tuple[bool, ...] = (False, True)
    again: bool = False
    free: bool = False  # a refusal for quota, which does not count as an attempt

    def __str__(self) -> str:
        return self.name


def _lost(step: Step, *runs: bool) -> Fault:
    return Fault(step.name, View.AMBIGUOUS, step, runs or (False, True), again=True)


def _status(status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> Fault:
    return Fault(f"status {status}", View.AMBIGUOUS, answer(status, body, headers=headers), again=True)


def _useless(name: str, step: Step, *runs: bool) -> Fault:
    return Fault(name, View.AMBIGUOUS, step, runs or (False, True))


def _refused(name: str, step: Step, *, free: bool = False) -> Fault:
    return Fault(name, View.REFUSED, step, (False,), again=free, free=free)


def thirty(elsewhere: str, echo: str = KEY) -> tuple[Fault, ...]:
    """Give the faults; two of them redirect to the address given, and one repeats a secret it was sent."""
    return (
        Fault("connection refused", View.UNSENT, None, (False,), again=True),
        *(_lost(step, False) for step in (drop_unread, reset_unread)),
        *(_lost(step) for step in (drop, reset, half_status, half_headers)),
        *(_lost(step, True) for step in (half_body(), endless_chunks, cut_chunk, cut_gzip)),
        _useless("damaged gzip", damaged_gzip, True),
        _useless("html", html),
        _useless("empty", answer(200, b"")),
        _useless("array", answer(200, b"[]")),
        _useless("garbage", garbage),
        _useless("two lengths", two_lengths),
        Fault("hang", View.AMBIGUOUS, None, again=True),
        Fault("trickle", View.AMBIGUOUS, None, again=True),
        _refused("quota", refuse(None), free=True),
        _refused("quota for 1 s", refuse("1"), free=True),
        attrs.evolve(_status(429, {"error": {"code": "busy", "message": "x"}}), name="429 of another making"),
        _status(500, {"error": {"code": "internal_error", "message": f"bad {echo}"}}),
        _status(502, b"<html>bad gateway</html>"),
        _status(503, b"", {"Retry-After": "2"}),
        _status(504),
        _status(408),
        _refused("redirect 307", redirect(f"{elsewhere}/calls")),
        _refused("redirect 302", redirect(f"{elsewhere}/calls", 302)),
        _refused("not found", answer(404, {"error": {"code": "not_found", "message": "Not found"}})),
    )


class FaultServer(MisbehavingServer):
    """Does to one attempt after the other what was planned, and notes whether the operation ran."""

    def __init__(self, body: bytes) -> None:
        super().__init__(answer())
        self.clean = Fault("clean", View.CLEAN, answer(200, body), (True,))
        self.ran = 0
        self.met: list[Fault] = []
        self._plan: list[Fault] = []
        self._rng = Random()

    def begin(self, first: Fault, others: tuple[Fault, ...], rng: Random) -> None:
        """Plan one run, up to its first attempt that goes well."""
        self.ran, self.met, self._plan, self._rng = 0, [], [first], rng
        while rng.random() < LATER:
            self._plan.append(rng.choice(others))

    def refuses(self) -> bool:
        """Say whether the connection being made now is refused."""
        refused = bool(self._plan) and self._plan[0].view is View.UNSENT
        if refused:
            self.met.append(self._plan.pop(0))
        return refused

    @property
    def plan(self) -> list[Fault]:
        """What happened so far, and what will."""
        return [*self.met, *self._plan]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while not writer.is_closing():
            first = await reader.readexactly(1)
            fault = self._plan.pop(0) if self._plan else self.clean
            self.met.append(fault)
            if fault.step is None or fault.step.counted:
                await _read(first, reader, connection)
                self.ran += self._rng.choice(fault.runs)
            if fault.step is None:
                await _never_end(reader, writer, trickling=fault.name == "trickle")
                return
            await fault.step.run(writer)


async def _never_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, trickling: bool) -> None:
    """Answer nothing, or a little now and then, until the caller has left."""
    if trickling:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    left = asyncio.ensure_future(reader.read())
    while not left.done():
        if trickling:
            writer.write(b" ")
        await asyncio.wait([left], timeout=4.0)


class FaultLoop(SkippingLoop):
    """A loop that skips idle time, and refuses connections to servers that are planned to refuse them."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: dict[int, FaultServer] = {}

    async def sock_connect(self, sock: object, address: object) -> None:
        """Connect, or say that nobody listens."""
        port = cast("tuple[str, int]", address)[1]
        if port in self.servers and self.servers[port].refuses():
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        await super().sock_connect(sock, address)  # type: ignore[arg-type]


def survivable(plan: Iterable[Fault]) -> bool:
    """Say whether what may run twice reaches a clean attempt among those it has."""
    faults = [fault for fault in plan if fault.view is not View.CLEAN]
    return all(fault.again for fault in faults) and sum(not fault.free for fault in faults) < ATTEMPTS
