"""Memory while 1,000,000 records stream by, whether later pages cost more than earlier ones, and what kept ones take.

The rule: memory is that of processes as they come, without settings of the C library.
"""

from __future__ import annotations

import asyncio

from tests.benchmarks._calls import SIZE
from tests.benchmarks._figures import Figure, Found, Table, column, share
from tests.benchmarks._running import Run, ask
from tests.benchmarks._site import book

MILLION, FIFTH, KEPT = 1_000_000, 200_000, 200_000
_GROWTH, _LATER = "Million: growth of memory after page 100, ", "Million: CPU of a late page / of an early one, "
_WAYS = {  # what it is called, records, MiB it may grow
    "sequential": ("one page after the other", MILLION, 0.5),
    "prefetch": ("prefetch(16)", MILLION, 2.0),
    "backward": ('strategy="backward"', FIFTH, None),
    "checkpoints": ("checkpoint() after each page", FIFTH, None),
}
_PEERS = {"sdk": "envoy-async", "plain": "orjson, dicts", "by_hand": "pydantic"}


def measure(run: Run) -> Found:
    """Stream in all ways, and keep records of each kind."""
    rows: dict[str, list[dict[str, float]]] = {way: [] for way in _WAYS}
    kept: dict[str, list[dict[str, float]]] = {peer: [] for peer in _PEERS}
    file = asyncio.run(book()).write(run.folder / "kept", KEPT // SIZE + 1)
    for _ in range(run.repetitions):
        for way, (_, records, _) in _WAYS.items():
            rows[way].append(ask("streaming", way, run.site.url(records=records), records))
        for peer in _PEERS:
            kept[peer].append(ask("keeping", peer, file))
        print(".", end="", flush=True)
    goals = dict[str, Figure]()
    for way, (name, _, most) in _WAYS.items():
        if most is not None:
            goals[_GROWTH + name] = column(rows[way], "growth", "MiB", most=most)
            goals[_LATER + name] = column(rows[way], "later", most=1.10)
    sizes = {name: column(kept[peer], "bytes", "bytes") for peer, name in _PEERS.items()}
    goals["A record that is kept: envoy-async / pydantic"] = share(sizes["envoy-async"], sizes["pydantic"], most=0.60)
    return Found(
        goals, (_streamed(rows), Table("Keep records", ("Each",), {name: (it,) for name, it in sizes.items()}))
    )


def _streamed(rows: dict[str, list[dict[str, float]]]) -> Table:
    heads = ("Memory after page 100", "Growth", "CPU, late / early", "Records per second")
    units = {"at first": "MiB", "growth": "MiB", "later": "ratio", "per second": "per second"}
    return Table(
        "Stream records",
        heads,
        {
            f"{name}, {records:,}": tuple(column(rows[way], key, unit) for key, unit in units.items())
            for way, (name, records, _) in _WAYS.items()
        },
    )
