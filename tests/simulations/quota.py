"""How much of a quota the gate uses, and how often it is refused: the figures.

The rule: the gate, its arithmetic, and the retry policy are the real ones; only the servers and the time are modelled.
Every figure is the worst of its seeds, which are printed. Run it with ``nox -s simulations``; ``--seeds 1`` makes it
short, ``--write`` puts table and plot into the documentation. It ends with 1 when a limit is missed. The leaky bucket,
and the second half of the seeds, were not looked at while the gate was tuned.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import TypeAlias

import attrs

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from tests.simulations._runs import Run, fail, interrupt, naive, saturate
from tests.simulations._servers import Server, per_span
from tests.simulations._tables import Table

ROOT = Path(__file__).parents[2]
KINDS = ("fixed", "sliding", "bucket", "leaky")
MINUTES = {100: 40.0, 600: 15.0, 6_000: 6.0}
SHARES = {  # case: at least so much used, at most so much refused
    "known": (0.96, 0.001),
    "unknown": (0.93, 0.01),
    "30 % foreign": (0.90, 0.015),
    "halved": (0.92, 0.01),
    "doubled": (0.92, 0.01),
}
FAIR = 0.99
HELD_OUT = 2_000  # the first seed that nothing was tuned on
PAGE, PLOT = ROOT / "docs/explanation/rate-limits.md", ROOT / "docs/_static/rate-limits.svg"
BEGIN, END = "<!--- simulated: made by tests/simulations/quota.py -->\n", "<!--- end of simulated -->"

Job: TypeAlias = tuple[str, str, int, int]


@attrs.frozen
class Found:
    """What one run used of what there was, which part of its requests was refused, and how evenly tasks got on."""

    used: float
    refused: float
    fairness: float


def jain(values: Iterable[int]) -> float:
    """Give Jain's index: 1 when all got the same."""
    found = list(values)
    return sum(found) ** 2 / (len(found) * sum(value * value for value in found))


def one_run(job: Job) -> Found:
    """Run one case once. The minute after a change of quota is left out: by then it must be followed."""
    case, kind, quota, seed = job
    minutes = MINUTES[quota]
    server = Server(kind, quota, headers=case != "unknown", offset=Random(seed).uniform(0.0, 60.0))
    changes = {"halved": quota // 2, "doubled": quota * 2}
    at = minutes * 20.0
    run = saturate(
        server,
        minutes,
        seed,
        others=0.3 if case == "30 % foreign" else 0.0,
        change=(at, changes[case]) if case in changes else None,
    )
    own, refused, there = server.accepted["own"], server.refused["own"], quota * minutes
    counted = len(own)
    if case in changes:
        counted = sum(not at <= time < at + 60.0 for time in own)
        there = (quota * at + changes[case] * (minutes * 60.0 - at - 60.0)) / 60.0
    there -= len(server.accepted["others"]) + server.refused["others"]
    return Found(counted / there, refused / (len(own) + refused), jain(run.done.values()))


def outage(kind: str, quota: int, seed: int) -> tuple[float, float, float]:
    """Lose the server for a minute; gives the peak second, seconds back to 90 %, and the load meanwhile."""
    server, second = Server(kind, quota, offset=float(seed)), quota / 60.0
    run = saturate(server, 8.0, seed, down=(240.0, 300.0))
    peak = max(per_span((at for at in run.attempts if at >= 300.0), 1.0, 480.0)[300:420])
    span = 5.0 if quota > 100 else 15.0  # a slow rate shows only in a longer span
    back = next(
        (at for at in range(180) if sum(300 + at <= t < 300 + at + span for t in run.attempts) >= 0.9 * span * second),
        180,
    )
    meanwhile = sum(245.0 <= at < 300.0 for at in run.attempts) / (55.0 * second)
    return peak / max(second, 1.0), back, meanwhile


def shares(table: Table, seeds: int, run: Callable[[list[Job]], list[Found]]) -> None:
    """Measure all cases on all servers, the worst of the seeds each."""
    table.head("Quota per minute", "Case", "Server", "Used", "Refused", "Fairness")
    for quota in MINUTES:
        for case, (least, most) in SHARES.items():
            for kind in KINDS:
                if kind == "leaky" and case != "unknown":
                    continue  # what such a server would tell in its headers is anybody's guess
                tuned, held_out = range(seeds), range(HELD_OUT, HELD_OUT + seeds)
                found = run([(case, kind, quota, seed) for seed in (*tuned, *held_out)])
                used, refused = min(one.used for one in found), max(one.refused for one in found)
                fairness = min(one.fairness for one in found)
                cells = str(quota), case, kind, f"{used:.1%}", f"{refused:.2%}", f"{fairness:.3f}"
                table.row(*cells, good=used >= least and refused <= most and fairness >= FAIR)


def moments(table: Table, seeds: int) -> None:
    """Measure what is not a share: outages, a server that fails, interactive calls."""
    table.head("What", "Figure", "Limit")
    for quota in MINUTES:
        found = [outage(kind, quota, seed) for kind in KINDS[:3] for seed in range(seeds)]
        peak, back, meanwhile = (max(column) for column in zip(*found, strict=True))
        most = 1.1 if quota > 100 else 2.0  # 100 per minute are 1.7 per second: two in one second keep it
        table.row(
            f"outage of 60 s at {quota} per minute: peak second",
            f"{peak:.2f} of the rate",
            f"{most} of the rate",
            good=peak <= most,
        )
        table.row("… back to 90 % of the quota after", f"{back:.0f} s", "15 s", good=back <= 15.0)
        table.row("… load after the first 5 s", f"{meanwhile:.1%}", "-", good=True)
    calls = [fail(Server("fixed", 600), 10.0, seed, 5.0) for seed in range(seeds)]
    worst = max(attempts / made for made, attempts in calls)
    table.row("server down for 10 minutes: attempts per call", f"{worst:.2f}", "1.15", good=worst <= 1.15)
    for kind in KINDS[:3]:
        found_waits = [interrupt(Server(kind, 100, offset=7.0 * seed), 120, seed) for seed in range(seeds)]
        waits = sorted(wait for _, one in found_waits for wait in one)
        refused = sum(run.server.refused["own"] for run, _ in found_waits)
        median, tail = statistics.median(waits), waits[int(0.99 * len(waits))]
        text = f"interactive call in a bulk run ({kind}): median, 99 % within, longest wait; refused"
        figure = f"{median:.2f} s, {tail:.2f} s, {waits[-1]:.2f} s; {refused}"
        table.row(text, figure, "1 s median; 0", good=median <= 1.0 and not refused)


def plot() -> None:
    """Draw what a quota of 100 per minute is used for, with the gate and with a loop that waits for `Retry-After`."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "envoy-async"  # the same picture each time
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 4.2), layout="constrained")
    runs: dict[str, Callable[[Server, float, int], Run]] = {"gate": saturate, "each task waits for Retry-After": naive}
    for axis, (title, run) in zip(axes, runs.items(), strict=True):
        server = Server("sliding", 100, offset=20.0)
        run(server, 10.0, 2)
        used = per_span(server.accepted["own"], 10.0, 600.0)
        sent = per_span(server.accepted["own"] + server.refused_at, 10.0, 600.0)
        steps = [10 * index for index in range(61)]
        axis.stairs(sent, steps, fill=True, color="#d9534f", label="refused (429)")
        axis.stairs(used, steps, fill=True, color="#4a7fb5", label="accepted")
        axis.set_title(f"{title}: {len(server.accepted['own'])} accepted, {server.refused['own']} refused", fontsize=10)
        axis.set_ylabel("requests per 10 s")
        axis.set_yscale("symlog", linthresh=30)
        axis.set_yticks([0, 10, 20, 100, 1000], ["0", "10", "20", "100", "1,000"])
    axes[0].legend(loc="upper right", fontsize=8)
    axes[1].set_xlabel("seconds")
    figure.savefig(PLOT, metadata={"Date": None, "Creator": None})  # pyright: ignore[reportUnknownMemberType]


def main() -> int:
    """Measure, print, and on request write; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each of the two halves")
    parser.add_argument("--write", action="store_true", help="put table and plot into the documentation")
    options = parser.parse_args()
    began, table = time.perf_counter(), Table()
    print(f"seeds 0 to {options.seeds - 1}, held out {HELD_OUT} to {HELD_OUT + options.seeds - 1}")
    with ProcessPoolExecutor() as pool:
        shares(table, options.seeds, lambda jobs: list(pool.map(one_run, jobs)))
    moments(table, options.seeds)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        rows = "\n".join([*table.lines, "", ""])
        PAGE.write_text(before + BEGIN + rows + END + rest.split(END)[1], encoding="utf-8")
        plot()
    print(f"\n{time.perf_counter() - began:.0f} s; limits missed: {table.missed}")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
