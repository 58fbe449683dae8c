"""What each way to read a listing loses, and costs, while rows come and go: the figures.

The rule: `calls.list`, `prefetch`, `checkpoint`, and `resume` are the real ones; only the server, the changes, and the
time are modelled. A run follows from its seed. Run it with ``nox -s simulations``; ``--runs 800`` makes it short. It
ends with 1 when a limit is missed, and tells the first seeds that missed it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeAlias

import attrs

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from envoy_async._paging._strategies import Strategy
from tests.simulations._calls import DRIFTS
from tests.simulations._readers import KINDS, STALLS, STRATEGIES, Case, Found, Reader
from tests.simulations._servers import VirtualLoop
from tests.test_paging_machine import MACHINES, check

PREFETCH = (1, 8)
REQUESTS = {"count-guard": 1.8, "backward": 1.25, "windows": 1.1}
"""At most so many times the requests under heavy drift, read one page at a time."""
FREE = {"count-guard", "backward"}
"""These ask for no more pages than plain paging while nothing changes, and each call has its own instant."""
SPREAD = {"reconcile"}
"""These may give up while rows change: they say so in an error."""
SAFE = {"page_size clamped", "422 behind the last page", "end_date not included", "short spans"}
"""These servers, and ways to read, are no reason to lose anything."""
ODD = ("none", "heavy")
STALLED = 3
BATCH = 50

Job: TypeAlias = tuple[Strategy | None, str, int, str, range]
Seed: TypeAlias = tuple[str, int]
Batch: TypeAlias = dict[Seed, Found]


def run_batch(job: Job) -> Batch:
    """Read one listing after the other, a seed each."""
    strategy, drift, prefetch, kind, seeds = job
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return {("", seed): runner.run(_one(Case(strategy, drift, prefetch, seed, kind))) for seed in seeds}


async def _one(case: Case) -> Found:
    reader = Reader.of(case)
    return await (reader.read_plainly() if case.strategy is None else reader.read())


@attrs.define
class Cell:
    """All runs of one case, and those among them that broke a limit."""

    name: str
    found: Batch
    faults: dict[str, list[Seed]] = attrs.field(factory=dict[str, list[Seed]])

    def count(self, holds: Callable[[Found], object]) -> int:
        """Count the runs of which this holds."""
        return sum(bool(holds(found)) for found in self.found.values())

    def limit(self, what: str, broken: Callable[[Found], object]) -> int:
        """Count the runs of which this holds, none of which may be."""
        seeds = [seed for seed, found in self.found.items() if broken(found)]
        if seeds:
            self.faults[what] = seeds
        return len(seeds)

    def demand(self, what: str, *, kept: bool) -> None:
        """Note a limit that is not one of single runs."""
        if not kept:
            self.faults[what] = []

    @property
    def ends(self) -> Counter[str]:
        """Count the errors that runs ended with."""
        return Counter(found.ended for found in self.found.values() if found.ended)

    def judge(self) -> tuple[str, ...]:
        """Hold the runs against the guarantee; gives the cells of the table about it."""
        lost = self.limit("lost", lambda found: found.lost and not found.ended)
        twice = self.limit("twice", lambda found: found.twice)
        wrong = self.limit("wrongly proven", _wrong)
        self.limit("untidy", lambda found: found.untidy)
        self.limit("never ends", lambda found: found.ended == "NeverEndsError")
        return str(lost), str(twice), str(wrong)


def joined(cells: Iterable[Cell], name: str) -> Cell:
    """Put cells together; a seed then has the name of its cell."""
    return Cell(name, {(cell.name, seed): found for cell in cells for (_, seed), found in cell.found.items()})


def _wrong(found: Found) -> bool:
    return found.proven and bool(found.lost or found.twice or found.ended)


class Report:
    """Rows of tables, and what missed its limit."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.missed: list[str] = []

    def head(self, *cells: str) -> None:
        """Begin a table."""
        self.lines += ["", f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"]
        print(*self.lines[-3:], sep="\n", flush=True)

    def row(self, cell: Cell, *cells: str) -> None:
        """Add a row, and remember what it missed."""
        self.lines.append(f"| {' | '.join(cells)} |")
        print(self.lines[-1] + "  <-- MISSED" * bool(cell.faults), flush=True)
        for what, seeds in cell.faults.items():
            told = ", ".join(f"{name} {seed}".strip() for name, seed in seeds[:5])
            self.missed.append(f"{cell.name}: {what}" + f", {len(seeds)} runs, seeds {told}" * bool(seeds))


@attrs.frozen
class Bench:
    """Runs cells, spread over processes."""

    map: Callable[[Callable[[Job], Batch], Iterable[Job]], Iterable[Batch]]
    report: Report

    def cell(self, strategy: Strategy | None, drift: str, prefetch: int, kind: str, runs: int) -> Cell:
        """Run one case with so many seeds."""
        spans = [range(first, min(first + BATCH, runs)) for first in range(0, runs, BATCH)]
        found: Batch = {}
        for batch in self.map(run_batch, [(strategy, drift, prefetch, kind, seeds) for seeds in spans]):
            found |= batch
        return Cell(f"{strategy or 'plain'}, {drift}, prefetch {prefetch}, {kind}", found)


def usual(bench: Bench, runs: int) -> None:
    """Read listings of the usual server: everything is held against its limit."""
    bench.report.head(
        "Strategy", "Changes", "Prefetch", "Runs", "Lost", "Twice", "Wrongly proven", "Proven", "Not finished",
        "Requests (mean)", "… 95 % within", "… to plain pages", "Steps back",
    )  # fmt: skip
    for strategy in STRATEGIES:
        for prefetch in PREFETCH:
            quiet: Batch = {}
            for drift in DRIFTS:
                cell = bench.cell(strategy, drift, prefetch, "usual", runs)
                quiet = quiet or cell.found
                bench.report.row(cell, strategy, drift, str(prefetch), f"{runs:,}", *_figures(cell, quiet))
    for drift in DRIFTS:
        cell = bench.cell(None, drift, 1, "usual", runs)
        lost = cell.count(lambda found: found.lost) / runs
        rest = "0", "-", "-", "0", "-", "-", "1.00", "-"
        bench.report.row(cell, "plain, without repeats", drift, "1", f"{runs:,}", f"**{lost:.0%}**", *rest)


def _figures(cell: Cell, quiet: Batch) -> tuple[str, ...]:
    """Give the cells about one case; *quiet* is the same without changes."""
    strategy, drift, prefetch = cell.name.split(", ")[:3]
    judged = cell.judge()
    undisturbed = {seed: found for seed, found in cell.found.items() if not found.disturbed and not found.ended}
    ratios = sorted(found.requests / quiet[seed].requests for seed, found in undisturbed.items()) or [0.0]
    mean = sum(ratios) / len(ratios)
    plain = sum(found.requests / found.pages for found in undisturbed.values()) / len(ratios)
    if drift == "heavy" and prefetch == "prefetch 1":
        cell.demand(f"{mean:.2f} times the requests", kept=mean <= REQUESTS.get(strategy, mean))
    if drift == "none":
        counted = [found for found in undisturbed.values() if strategy in FREE and not found.tied]
        free = all(found.requests == found.pages for found in counted)
        cell.demand("requests although nothing changes", kept=free)
        cell.demand("nothing proven although nothing changes", kept=cell.count(lambda found: found.proven) > 0)
    ends = cell.ends
    allowed = drift == "storm" or (strategy in SPREAD and drift != "none")
    outrun = len(cell.found) // 1_000 if drift == "heavy" else 0  # as many rows come in as a page of five holds: told
    cell.demand(f"not finished: {dict(ends)}", kept=allowed or sum(ends.values()) <= outrun)
    return (
        *judged,
        f"{cell.count(lambda found: found.proven) / len(cell.found):.0%}",
        _ended(ends),
        f"{mean:.2f}",
        f"{ratios[int(0.95 * len(ratios))]:.2f}",
        f"{plain:.2f}",
        f"{sum(found.back for found in undisturbed.values()) / len(ratios):.1f}",
    )


def _ended(ends: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(ends.items())) or "0"


def odd(bench: Bench, runs: int) -> None:
    """Read listings of servers that do what the documentation leaves open, or worse: no false proof is the limit."""
    bench.report.head("Server", "Strategy", "Runs", "Lost", "Twice", "Wrongly proven", "Proven", "Told by an error")
    for kind in KINDS:
        if kind not in STALLS and kind != "usual":
            for strategy in STRATEGIES:
                cells = [bench.cell(strategy, drift, ahead, kind, runs) for drift in ODD for ahead in PREFETCH]
                _odd(bench.report, joined(cells, kind), strategy, kind)


def _odd(report: Report, cell: Cell, strategy: str, kind: str) -> None:
    lost = cell.count(lambda found: found.lost and not found.ended)
    if kind in SAFE:
        cell.limit("lost", lambda found: found.lost and not found.ended)
    twice, wrong = cell.limit("twice", lambda found: found.twice), cell.limit("wrongly proven", _wrong)
    cell.limit("untidy", lambda found: found.untidy)
    if strategy not in SPREAD:
        cell.limit("not finished", lambda found: found.ended)
    proven = cell.count(lambda found: found.proven) / len(cell.found)
    figures = f"{len(cell.found):,}", str(lost), str(twice), str(wrong), f"{proven:.0%}", _ended(cell.ends)
    report.row(cell, kind, strategy, *figures)


def stalls(bench: Bench, runs: int) -> None:
    """Read listings of servers that turn in circles: told within three pages, or ended before and not proven."""
    head = (
        "Server",
        "Strategy",
        "Prefetch",
        "Runs",
        "Told by an error",
        "Lost, unproven",
        "Most pages without anything new",
    )
    bench.report.head(*head)
    for kind in STALLS:
        for strategy in STRATEGIES:
            for prefetch in PREFETCH:
                cell = bench.cell(strategy, "none", prefetch, kind, runs)
                lost = cell.count(lambda found: found.lost and not found.ended)
                cell.limit("twice", lambda found: found.twice)
                cell.limit("wrongly proven", _wrong)
                idle = max(found.idle for found in cell.found.values())
                cell.demand(f"{idle} pages without anything new", kept=idle <= STALLED + prefetch - 1)
                figures = str(prefetch), f"{runs:,}", _ended(cell.ends), str(lost), str(idle)
                bench.report.row(cell, kind, strategy, *figures)


def run_machine(job: tuple[str, int]) -> str:
    """Let Hypothesis look for what breaks the guarantee; gives what it found."""
    try:
        check({machine.__name__: machine for machine in MACHINES}[job[0]], job[1])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        return "".join(traceback.format_exception(error))
    return ""


def machines(report: Report, pool: ProcessPoolExecutor, examples: int) -> None:
    """Run the state machines of the test suite for longer."""
    report.head("State machine", "Examples", "Broken")
    names = [machine.__name__ for machine in MACHINES]
    for name, broken in zip(names, pool.map(run_machine, [(name, examples) for name in names]), strict=True):
        cell = Cell(name, {})
        cell.demand(f"broken\n{broken}", kept=not broken)
        report.row(cell, name, f"{examples:,}", "yes" if broken else "0")


def main() -> int:
    """Measure and print; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20_000, help="listings read with each strategy, in all")
    options = parser.parse_args()
    began, report = time.perf_counter(), Report()
    each = max(1, options.runs // (len(DRIFTS) * len(PREFETCH)))
    with ProcessPoolExecutor() as pool:
        bench = Bench(pool.map, report)
        usual(bench, each)
        odd(bench, max(1, each // 25))
        stalls(bench, max(1, each // 25))
        machines(report, pool, max(1, each // 5))
    print(f"\n{time.perf_counter() - began:.0f} s; limits missed: {len(report.missed)}", *report.missed, sep="\n")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
