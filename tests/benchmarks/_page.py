"""Puts what the benchmark found into the documentation: a file of figures, the tables made of it, and a plot.

The rule: nothing between the marks of the page is written by hand.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks._figures import Report

_DOCS = Path(__file__).parents[2] / "docs"
PAGE, JSON, PLOT = (
    _DOCS / name for name in ("explanation/performance.md", "_static/performance.json", "_static/performance.svg")
)
BEGIN, END = "<!--- measured: made by tests/benchmarks/speed.py -->\n", "<!--- end of measured -->"
PLOTTED, TWICE = "List calls", "the same again"


def filled(page: str, report: Report) -> str:
    """Put a report between the marks of a page."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(["", *report.lines(), "", ""]) + END + after


def write(report: Report) -> None:
    """Write all three."""
    JSON.write_text(report.dump(), encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), report), encoding="utf-8")
    plot(report)


def plot(report: Report) -> None:
    """Draw how long each client takes for a record."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "envoy-async"  # the same picture each time
    plt: Any = import_module("matplotlib.pyplot")

    (table,) = (table for found in report.modes.values() for table in found.tables if table.title == PLOTTED)
    rows = sorted(((row[0], name) for name, row in table.rows.items() if name != TWICE), key=lambda row: -row[0].median)
    medians = [figure.median for figure, _ in rows]
    spread = [
        [figure.median - min(figure.values) for figure, _ in rows],
        [max(figure.values) - figure.median for figure, _ in rows],
    ]
    figure, axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    own = ["#d9834f" if name.startswith("envoy-async") else "#4a7fb5" for _, name in rows]
    axis.barh([name for _, name in rows], medians, xerr=spread, color=own, error_kw={"linewidth": 1})
    for place, median in enumerate(medians):
        axis.text(median * 1.1, place + 0.12, f"{median:.3g}", fontsize=8)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_xlim(right=max(medians) * 2)
    axis.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axis.set_xlabel("time for a record, relative to aiohttp + orjson making dicts (less is better)")
    figure.savefig(PLOT, metadata={"Date": None, "Creator": None})
