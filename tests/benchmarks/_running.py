"""Runs the processes that are measured, in turns.

The rule: every candidate has a process of its own, begun anew for each repetition. Within a repetition all take turns,
in a changed order each time, and the best turn of each counts, so that a machine which halts for a moment, or is slow
for a second, treats all alike. A ratio is made within a repetition, never across.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, cast

import attrs

from tests.benchmarks._figures import Figure, Table
from tests.benchmarks._site import Site

# The C library gives a block at the top of its heap back to the system at once, and asyncio reads plain TCP into such
# a block. Whether it lies there is an accident of the process that costs a quarter of the time, so nobody has it here.
_SETTLED = {"MALLOC_TRIM_THRESHOLD_": str(2**26), "MALLOC_MMAP_THRESHOLD_": str(2**22)}
PYTHON = (sys.executable, "-P")  # the SDK is the installed one, not what lies beside a program
_PROGRAM = (*PYTHON, str(Path(__file__).with_name("_child.py")))


@attrs.frozen
class Run:
    """What all modes share."""

    site: Site
    folder: Path
    """Where files may be written."""
    repetitions: int
    random: Random


@attrs.frozen
class Took:
    """What one unit of work took, in seconds of the clock and of the processor."""

    seconds: float
    cpu: float


@attrs.frozen
class Candidate:
    """One row of a comparison: a client, and what it is to do in one turn."""

    peer: str
    task: Mapping[str, Any]
    units: int = 1
    uvloop: bool = False


class Child:
    """A process that measures one client."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, task: Mapping[str, Any]) -> Took:
        """Let it do a task."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"url": "", "options": {}, **task}), file=self._process.stdin, flush=True)
        return Took(**json.loads(self._process.stdout.readline()))


@contextmanager
def child(candidate: Candidate, site: Site) -> Generator[Child]:
    """Run the process of one candidate."""
    settings = {**os.environ, **_SETTLED, "SSL_CERT_FILE": str(site.authority)}
    asked = [*_PROGRAM, "client", candidate.peer, "uvloop" if candidate.uvloop else "asyncio"]
    with subprocess.Popen(asked, env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Child(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0


def ask(module: str, *arguments: object) -> dict[str, float]:
    """Run a module of `_measured/` in a process of its own; returns what it found."""
    asked = [*_PROGRAM, module, *map(str, arguments)]
    done = subprocess.run(asked, stdout=subprocess.PIPE, check=True, text=True)
    return cast("dict[str, float]", json.loads(done.stdout))


def compare(candidates: Mapping[str, Candidate], run: Run, *, turns: int) -> dict[str, list[Took]]:
    """Let all candidates take turns; returns the best turn of each repetition, per unit of work."""
    best: dict[str, list[Took]] = {name: [] for name in candidates}
    for _ in range(run.repetitions):
        with ExitStack() as stack:
            children = {name: stack.enter_context(child(row, run.site)) for name, row in candidates.items()}
            names, took = list(candidates), {name: list[Took]() for name in candidates}
            for turn in range(turns + 1):
                run.random.shuffle(names)
                for name in names:
                    done = children[name].do(candidates[name].task)
                    if turn:  # the first warms up
                        took[name].append(done)
        for name, row in candidates.items():
            seconds, cpu = min(one.seconds for one in took[name]), min(one.cpu for one in took[name])
            best[name].append(Took(seconds / row.units, cpu / row.units))
        print(".", end="", flush=True)
    return best


def ratio(
    rows: Sequence[Took], reference: Sequence[Took], *, least: float | None = None, most: float | None = None
) -> Figure:
    """Divide the time of one candidate by that of another, repetition by repetition."""
    return Figure((a.seconds / b.seconds for a, b in zip(rows, reference, strict=True)), least=least, most=most)


def table(title: str, took: Mapping[str, Sequence[Took]], unit: str) -> Table:
    """Put all candidates beside the first one."""
    reference = next(iter(took.values()))
    heads = ("Time", "CPU", f"{unit} per second")
    return Table(title, heads, {name: _row(rows, reference) for name, rows in took.items()})


def _row(rows: Sequence[Took], reference: Sequence[Took]) -> tuple[Figure, ...]:
    cpu = Figure(a.cpu / b.cpu for a, b in zip(rows, reference, strict=True))
    return ratio(rows, reference), cpu, Figure((1 / row.seconds for row in rows), "per second")


@contextmanager
def on_one_core() -> Generator[None]:
    """Keep this process and those it starts on one core, where the system can: waking another takes milliseconds."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
