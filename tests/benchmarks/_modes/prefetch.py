"""What fetching ahead gains where answers take their time, and costs where they do not.

The rule: the first page has to be there before the others can be asked for, so the ideal is one answer's time for it,
and one for every so many of the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.benchmarks._calls import SIZE
from tests.benchmarks._figures import Figure, Found, Table
from tests.benchmarks._running import Candidate, Run, Took, compare, ratio, table

_PAGES = {0.1: 64, 0.02: 100}  # by latency, in seconds
_LEAST = {0.1: 0.90, 0.02: 0.82}  # of the ideal, with 16 in flight
_AHEAD, _TURNS, _AT_ONCE, _AT_ONCE_TURNS = (4, 8, 16), 2, 100, 10


def _candidate(run: Run, pages: int, latency: float, **options: object) -> Candidate:
    url = run.site.url(records=pages * SIZE, latency=latency)
    return Candidate("sdk", {"do": "list", "url": url, "records": pages * SIZE, "options": options}, pages * SIZE)


def _of_ideal(rows: Sequence[Took], latency: float, ahead: int) -> Figure:
    pages = _PAGES[latency]
    ideal = (1 + math.ceil((pages - 1) / ahead)) * latency
    least = _LEAST[latency] if ahead == max(_AHEAD) else None
    return Figure((ideal / (row.seconds * pages * SIZE) for row in rows), "share", least=least)


def _late(run: Run) -> dict[str, Figure]:
    cases = {(latency, ahead): f"{ahead} in flight, {latency * 1000:.0f} ms" for latency in _PAGES for ahead in _AHEAD}
    candidates = {
        name: _candidate(run, _PAGES[latency], latency, prefetch=ahead) for (latency, ahead), name in cases.items()
    }
    took = compare(candidates, run, turns=_TURNS)
    return {name: _of_ideal(took[name], *case) for case, name in cases.items()}


def measure(run: Run) -> Found:
    """Compare with the ideal, and without latency with one page after the other."""
    late = _late(run)
    names = {"one page after the other": {"prefetch": 1}, "the default": dict[str, int]()}
    names |= {f"prefetch({ahead})": {"prefetch": ahead} for ahead in (4, 16)}
    candidates = {name: _candidate(run, _AT_ONCE, 0.0, **options) for name, options in names.items()}
    took = compare(candidates, run, turns=_AT_ONCE_TURNS)
    default = ratio(took["the default"], took["one page after the other"], most=1.05)
    goals = {f"Prefetch: share of the ideal, {name}": figure for name, figure in late.items() if figure.least}
    goals["Prefetch: the default without latency / one page after the other"] = default
    ideal = Table("Fetch ahead", ("Share of the ideal",), {name: (figure,) for name, figure in late.items()})
    return Found(goals, (ideal, table("Fetch ahead without latency", took, "Records")))
