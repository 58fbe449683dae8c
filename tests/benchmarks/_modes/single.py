"""Single records, asked for by 50 tasks at once."""

from __future__ import annotations

from tests.benchmarks._figures import Found
from tests.benchmarks._running import Candidate, Run, compare, ratio, table

WORKERS, TURNS = 50, 5
_REFERENCE, _SDK = "aiohttp + orjson, dicts", "envoy-async"
_PEERS = {  # module, and how many each task asks for
    _REFERENCE: ("plain", 20),
    _SDK: ("sdk", 20),
    "httpx + pydantic": ("by_hand", 3),
    "openai (Stainless)": ("stainless", 2),
    "elevenlabs (Fern)": ("fern", 2),
}


def measure(run: Run) -> Found:
    """Compare how many come in a second."""
    url = run.site.url(records=100)
    candidates = {
        name: Candidate(peer, {"do": "get", "url": url, "workers": WORKERS, "each": each}, WORKERS * each)
        for name, (peer, each) in _PEERS.items()
    }
    took = compare(candidates, run, turns=TURNS)
    rate = ratio(took[_REFERENCE], took[_SDK], least=0.75)
    goals = {"50 calls.get at once: requests per second / those of aiohttp + orjson, dicts": rate}
    return Found(goals, (table("Get single calls, 50 at once", took, "Requests"),))
