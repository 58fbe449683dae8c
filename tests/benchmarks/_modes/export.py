"""A listing written to a Parquet file.

The rule: envoy-async writes parts with checkpoints, a manifest, and columns with their types; the reference keeps all
dicts in memory and lets pyarrow guess. So this says what that costs, and has no limit.
"""

from __future__ import annotations

from tests.benchmarks._figures import Found
from tests.benchmarks._running import Candidate, Run, compare, table

RECORDS, TURNS = 20_000, 3
_PEERS = {"aiohttp + orjson, pyarrow": "plain", "envoy-async": "sdk"}


def measure(run: Run) -> Found:
    """Compare with what one would write by hand."""
    task = {"do": "export", "url": run.site.url(records=RECORDS), "records": RECORDS}
    candidates = {
        name: Candidate(peer, {**task, "to": str(run.folder / f"{peer}.parquet")}, RECORDS)
        for name, peer in _PEERS.items()
    }
    return Found({}, (table("Export to Parquet", compare(candidates, run, turns=TURNS), "Records"),))
