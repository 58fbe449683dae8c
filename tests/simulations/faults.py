"""Nine operations that must not run twice, and six that may, under 30 faults and many seeds: the figures.

The rule: one call is one run with a client of its own. The first attempt meets the fault in question, each later one
goes wrong with probability 0.3; what is then true is known to the server alone. Run it with ``nox -s simulations``;
``--seeds 20`` makes it short. It prints its table, and ends with 1 when anything was counted that must not happen.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from tests.faults._operations import UNSAFE
from tests.faults._statistics import REPEATABLE, Tally, study

SEEDS = 200
HEADS = (
    ("executed_twice", "executed twice"),
    ("sent_again", "sent again"),
    ("wrong_verdicts", "wrong verdict"),
    ("not_survived", "not survived"),
    ("foreign", "foreign error"),
    ("elsewhere", "other host"),
    ("leaked", "secrets shown"),
)
"""What is counted and must be 0, and how the table calls it."""


def count(names: tuple[str, ...], seeds: int) -> dict[str, Tally]:
    """Run a few operations of one kind side by side, under all faults and seeds."""
    gc.set_threshold(50_000)
    return study(names, range(seeds), unsafe=names[0] in UNSAFE)


def row(name: str, tally: Tally) -> str:
    """Write one line of the table."""
    counts = "".join(f"{getattr(tally, field):>{len(head) + 2}}" for field, head in HEADS)
    return f"{name:<34}{tally.runs:>7}{tally.succeeded:>11}{counts}"


def main() -> int:
    """Run everything and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds for each fault and operation")
    seeds: int = parser.parse_args().seeds
    began, total = time.monotonic(), Tally()
    print(f"seeds 0 to {seeds - 1} for each of 30 faults")
    print(f"{'operation':<34}{'runs':>7}{'succeeded':>11}" + "".join(f"  {head}" for _, head in HEADS))
    groups = [names[place : place + 3] for names in (UNSAFE, REPEATABLE) for place in range(0, len(names), 3)]
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        for tallies in processes.map(count, groups, [seeds] * len(groups)):
            for name, tally in tallies.items():
                print(row(name, tally), flush=True)
                total.add(tally)
    print(row("all", total))
    for example in total.examples:
        print(example)
    print(f"{total.runs} runs in {time.monotonic() - began:.0f} s; {total.misses} times something that must not happen")
    return 1 if total.misses else 0


if __name__ == "__main__":
    raise SystemExit(main())
