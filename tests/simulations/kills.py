"""Exports killed at random moments, and gone on with by `--resume`: the figures.

The rule: SIGKILL to a real process, and a real server in another one. So that hundreds of runs are cheap, exports are
forked from a process that has everything imported and its commands built; all that comes after that is what is killed.
The moments are drawn from the seeds, evenly over the time an undisturbed run takes from its first to its last; for
every fourth seed, over the time after the listing has ended, in which the file is put together and gets its name. So a
machine that is slower or busier is hit at other places. A run that ended before its kill is checked, and drawn again.

After each kill nothing may stand under the final name but the whole file; after the last `--resume` the file is, byte
for byte, that of an undisturbed run. Run it with ``nox -s simulations``; ``--seeds 8`` makes it short. It ends with 1
when anything was otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import gzip
import io
import json
import multiprocessing
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, cast
from unittest import mock

import attrs

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from envoy_async.cli import app, main as program
from envoy_async.sandbox import Sandbox

SEEDS = 200
CALLS = 2_500
NAMES = ("calls.jsonl", "calls.jsonl.gz", "calls.parquet", "calls.csv")
NOON = 1_763_740_800.0  # Unix seconds: the server's data stands still
AGAIN = 0.15  # the chance of each of three further kills, once it goes on
STAGES = ("before anything was kept", "while listing", "while putting together", "while tidying up")
TOO_LATE = "too late"
LATE = 4  # every fourth seed of a format is killed after the end of the listing
POLL = 0.0005  # seconds


@attrs.define
class Tally:
    """What is counted over all runs."""

    runs: int = 0
    kills: int = 0
    stages: Counter[str] = attrs.field(factory=Counter[str])
    unequal: int = 0
    twice: int = 0
    early: int = 0
    left_over: int = 0
    failed: int = 0

    @property
    def misses(self) -> int:
        """Times something happened that must not."""
        return self.unequal + self.twice + self.early + self.left_over + self.failed


@attrs.frozen
class Case:
    """An export: its file and arguments, and what it gives and how long it takes when nobody kills it."""

    name: str
    flags: list[str]
    content: bytes = b""
    seconds: float = 0.0
    ending: float = 0.0
    """Of these, those after the end of the listing."""

    def arguments(self, folder: Path) -> list[str]:
        """Write the command."""
        return ["export", "calls", "--to", str(folder / self.name), *self.flags]


def serve(ready: Connection) -> None:
    """Serve calls that stand still until this process is ended."""

    async def run() -> None:
        async with Sandbox(calls=CALLS, loads=1, quota=None, clock=partial(float, NOON)) as sandbox:
            ready.send((sandbox.base_url, sandbox.api_key))
            await asyncio.Event().wait()

    asyncio.run(run())


@contextlib.contextmanager
def server() -> Generator[list[str]]:
    """Run a server in a process of its own; gives the flags that lead to it."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        base_url, api_key = here.recv()
        yield ["--base-url", base_url, "--api-key", api_key]
    finally:
        process.kill()
        process.join()


def fork(arguments: list[str], log: Path) -> int:
    """Start the program with these arguments in a process of its own; gives its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = program(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def finish(arguments: list[str], log: Path) -> int:
    """Run the program to its end; gives its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(fork(arguments, log), 0)[1])


def wait(child: int, begun: Callable[[], bool]) -> None:
    """Wait until something has begun, or the process has ended."""
    while not begun() and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(POLL)


def kill(arguments: list[str], log: Path, after: float, begun: Callable[[], bool]) -> int:
    """Start the program, and kill it so many seconds after something has begun.

    Gives its exit code, which is negative if it was still there.
    """
    child = fork(arguments, log)
    wait(child, begun)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def parts_of(to: Path) -> Path:
    """Name the folder in which a file is made."""
    return to.with_name(f"{to.name}.parts")


def listed(to: Path) -> bool | None:
    """Tell whether an export has come to the end of its listing; `None` when it has kept nothing yet."""
    try:
        return bool(json.loads((parts_of(to) / "state.json").read_bytes())["ended"])
    except FileNotFoundError:
        return None


def has_ended(to: Path) -> bool:
    """Tell whether a listing has ended and its file is still to be put together."""
    return bool(listed(to))


def stage(to: Path) -> str:
    """Tell how far a run had come when it was killed, by what it left; when nothing was left to do, it was too late.

    An export is over when its state is gone. What may be left of the folder then holds nothing, and the next one has
    a file that exists already before it.
    """
    if to.exists():
        return STAGES[3] if (parts_of(to) / "state.json").exists() else TOO_LATE
    return STAGES[{None: 0, False: 1, True: 2}[listed(to)]]


def ids(path: Path) -> list[str]:
    """Read the ids of a file."""
    if path.suffix == ".parquet":
        parquet: Any = import_module("pyarrow.parquet")  # untyped
        return cast("list[str]", parquet.read_table(path, columns=["id"])["id"].to_pylist())
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if ".csv" in path.name:
        return [row["id"] for row in csv.DictReader(io.StringIO(text.decode()))]
    return [json.loads(line)["id"] for line in text.splitlines()]


def warm_up(flags: list[str], folder: Path) -> None:
    """Run each format once in this process, so that whatever is forked from it has everything imported."""
    folder.mkdir()
    with contextlib.redirect_stderr(io.StringIO()) as told:
        for name in NAMES:
            if program(["export", "calls", "--to", str(folder / name), *flags]):
                raise SystemExit(told.getvalue())


def undisturbed(name: str, flags: list[str], folder: Path) -> Case:
    """Run five times in peace, and take the middle one's time."""
    found: set[bytes] = set()
    times: list[tuple[float, float]] = []
    for place in (folder / str(number) for number in range(5)):
        place.mkdir(parents=True)
        case = Case(name, flags)
        began = time.monotonic()
        child = fork(case.arguments(place), folder / "log")
        wait(child, partial(has_ended, place / name))
        middle = time.monotonic()
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise SystemExit((folder / "log").read_text())
        times.append((time.monotonic() - began, time.monotonic() - middle))
        found.add((place / name).read_bytes())
    whole = ids(folder / "0" / name)
    if len(found) != 1 or not len(whole) == len(set(whole)) == CALLS:
        raise SystemExit(f"{name}: undisturbed runs differ, or are not complete")
    seconds, ending = (statistics.median(column) for column in zip(*times, strict=True))
    return Case(name, flags, found.pop(), seconds, ending)


def disturbed(case: Case, folder: Path, random: Random, tally: Tally, *, late: bool) -> bool:
    """Kill one export at random moments, let it go on, and compare; tells whether it was hit at all."""
    folder.mkdir()
    to, log = folder / case.name, folder / "log"
    arguments, before = case.arguments(folder), tally.kills
    code, often = 0, 1 + sum(random.random() < AGAIN for _ in range(3))
    for resume in [[], *[["--resume"]] * (often - 1)]:
        after = random.uniform(0.0, case.ending if late else case.seconds)
        code = kill([*arguments, *resume], log, after, partial(has_ended, to) if late else partial(bool, 1))
        where = stage(to) if code < 0 else TOO_LATE
        tally.kills += where != TOO_LATE
        tally.stages[where] += 1
        tally.early += to.exists() and to.read_bytes() != case.content
        if where == TOO_LATE:
            code = max(code, 0)
            break
    if code < 0:
        code = finish([*arguments, "--resume"], log)
    if code == 0:
        compare(case, to, tally)
    else:
        tally.failed += 1
        print(f"{folder.name}, {case.name}: {log.read_text().strip()}")
    shutil.rmtree(folder)
    tally.runs += 1
    return tally.kills > before


def compare(case: Case, to: Path, tally: Tally) -> None:
    """Compare what an export has come to with what an undisturbed one gives."""
    found = ids(to)
    tally.unequal += to.read_bytes() != case.content
    tally.twice += len(set(found)) != len(found)
    wanted = {"log", case.name, f"{case.name}.manifest.json"}
    empty = (
        {parts.name}
        if (parts := parts_of(to)).exists() and {path.name for path in parts.iterdir()} <= {"lock"}
        else set[str]()
    )
    tally.left_over += {path.name for path in to.parent.iterdir()} - empty != wanted


def main() -> int:
    """Run everything and print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="exports that are killed, each at moments of its own")
    seeds: int = parser.parse_args().seeds
    began, tally = time.monotonic(), Tally()
    built = mock.patch.object(app, "make_app", return_value=app.make_app())
    with built, server() as flags, tempfile.TemporaryDirectory() as place:
        warm_up(flags, Path(place, "warm"))
        cases = [undisturbed(name, flags, Path(place, f"undisturbed {name}")) for name in NAMES]
        for case in cases:
            print(f"{case.name}: {len(case.content):,} bytes, {case.seconds:.2f} s undisturbed, ", end="")
            print(f"{case.ending:.3f} s of it after the listing", flush=True)
        for seed in range(seeds):
            case, random, late = cases[seed % len(cases)], Random(seed), seed // len(cases) % LATE == 0
            while not disturbed(case, Path(place, f"seed {seed}"), random, tally, late=late):
                pass
    print(f"seeds 0 to {seeds - 1}: {tally.runs} exports of {CALLS:,} calls, {tally.kills} kills")
    print(", ".join(f"{tally.stages[name]} {name}" for name in (*STAGES, TOO_LATE)))
    print(f"file not equal {tally.unequal}, ids twice {tally.twice}, half under the final name {tally.early}, ", end="")
    print(f"parts left over {tally.left_over}, not gone on {tally.failed}; {time.monotonic() - began:.0f} s")
    return 1 if tally.misses else 0


if __name__ == "__main__":
    sys.exit(main())
