"""From a page's bytes to records, and nothing else.

The rule: what the sandbox gives holds values of enums that the models do not know. So it is also measured with those
alone that they know.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.benchmarks._calls import SIZE
from tests.benchmarks._figures import Found
from tests.benchmarks._running import Candidate, Run, compare, ratio, table
from tests.benchmarks._site import Book, book

PAGES, TURNS = 50, 20
_DICTS, _AGAIN, _SDK, _PYDANTIC = "orjson, dicts", "the same again", "envoy-async", "pydantic, from bytes"
_PEERS = {  # module, and how many pages
    _DICTS: ("plain", PAGES),
    _AGAIN: ("plain", PAGES),
    "msgspec, Struct": ("structs", PAGES),
    _SDK: ("sdk", PAGES),
    _PYDANTIC: ("by_hand", PAGES),
    "openapi-python-client": ("generated", 10),
    "openai (Stainless)": ("stainless", 2),
    "elevenlabs (Fern)": ("fern", 2),
}


def _candidate(peer: str, pages: int, file: Path) -> Candidate:
    return Candidate(peer, {"do": "read", "bodies": str(file), "pages": pages}, pages * SIZE)


def measure(run: Run) -> Found:
    """Compare with dicts, with pydantic, and with what generators write."""
    found = asyncio.run(book())
    known = Book([{**row, "status": "COMPLETED", "call_direction": "INBOUND"} for row in found.records])
    file, known_file = found.write(run.folder / "pages", PAGES), known.write(run.folder / "known", PAGES)
    candidates = {name: _candidate(peer, pages, file) for name, (peer, pages) in _PEERS.items()}
    for name in (_DICTS, _SDK):
        candidates[f"{name}; all values known"] = _candidate(*_PEERS[name], known_file)
    took = compare(candidates, run, turns=TURNS)
    goals = {
        "Decode: the reference / itself": ratio(took[_AGAIN], took[_DICTS], least=0.97, most=1.03),
        "Decode: envoy-async / orjson making dicts": ratio(took[_SDK], took[_DICTS], most=1.30),
        "Decode: envoy-async / pydantic": ratio(took[_SDK], took[_PYDANTIC], most=0.45),
    }
    return Found(goals, (table("Decode a page", took, "Records"),))
