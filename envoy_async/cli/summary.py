"""What an export did, or would take, as a short table for people.

The rule: every line is told by the manifest or the estimate; nothing is worked out here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.text import Text

from ..export import Estimate, Manifest
from .tables import console, counted, printable

_UNITS = ("B", "kB", "MB", "GB")
_STEP = 1_000
_UNKNOWN = "not known"
_GAP = 2


def tell(to: str, manifest: Manifest) -> None:
    """Print on stderr what was fetched, waited, drifted, written, and proven."""
    write(_lines(to, manifest), sys.stderr)


def tell_estimate(estimate: Estimate) -> None:
    """Print on stdout what an export would take."""
    counts = {"records": estimate.records, "pages": estimate.pages, "requests": estimate.requests}
    lines = [(name, _number(count)) for name, count in counts.items()]
    write([*lines, ("minutes", _minutes(estimate))], sys.stdout)


def write(lines: Sequence[tuple[str, str]], file: TextIO) -> None:
    """Write a table whose lines are never broken, so that programs can read it, too."""
    screen = console(file)
    width = max(len(name) for name, _ in lines) + _GAP
    for name, line in lines:
        screen.print(Text.assemble((name.ljust(width), "bold"), printable(line)), soft_wrap=True)


def _lines(to: str, manifest: Manifest) -> list[tuple[str, str]]:
    drift = manifest.drift
    refused = f", {manifest.rate_limited} refused for quota (429)" if manifest.rate_limited else ""
    start, end = drift.total_at_start, drift.total_at_end
    totals = "" if start is None or end is None else f"; {start:,} records at the start, {end:,} at the end"
    where = "stdout" if to == "-" else to
    lines = [
        ("fetched", f"{counted(manifest.pages, 'page')}, {counted(manifest.requests, 'request')}{refused}"),
        ("waited", f"{manifest.waited:.1f} s, for quota"),
        ("drifted", f"{counted(drift.stepped_back, 'step')} back, {drift.repeated:,} repeated{totals}"),
        ("left out", f"{counted(manifest.skipped, 'record')} that could not be read"),
        ("written", f"{counted(manifest.records, 'record')}, {size(manifest.bytes)}, to {where}"),
        ("proven", "complete, by the listing itself" if manifest.proven else f"no: {doubts(manifest.doubts)}"),
    ]
    return [line for line in lines if line[0] != "left out" or manifest.skipped]


def doubts(reasons: Sequence[str]) -> str:
    """Say why something is not proven."""
    return "; ".join(reasons) or "the listing did not say why"


def _minutes(estimate: Estimate) -> str:
    if estimate.minutes is None:
        return _UNKNOWN
    return f"{estimate.minutes:.1f}, at {estimate.quota_limit:,} requests a minute"


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def size(count: int) -> str:
    """Write a number of bytes."""
    number, place = float(count), 0
    while number >= _STEP and place < len(_UNITS) - 1:
        number, place = number / _STEP, place + 1
    return f"{count} B" if place == 0 else f"{number:.1f} {_UNITS[place]}"
