"""A listing read to its end, page by page, over loopback.

The rule: each reads as its users would, one record after the other, and what differs from the reference is the client
alone. Slow clients read fewer pages; figures are per record.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks._calls import SIZE
from tests.benchmarks._figures import Found
from tests.benchmarks._running import Candidate, Run, compare, ratio, table

PAGES, TURNS = 100, 8
REFERENCE, AGAIN, SDK = "aiohttp + orjson, dicts", "the same again", "envoy-async"
BY_HAND, STAINLESS, FERN = "httpx + pydantic", "openai (Stainless)", "elevenlabs (Fern)"
_CLIENTS: dict[str, tuple[str, int, bool]] = {  # module, pages, uvloop
    REFERENCE: ("plain", PAGES, False),
    AGAIN: ("plain", PAGES, False),
    SDK: ("sdk", PAGES, False),
    f"{REFERENCE}; uvloop": ("plain", PAGES, True),
    f"{SDK}; uvloop": ("sdk", PAGES, True),
    "a bare socket, nothing decoded": ("raw", PAGES, False),
    BY_HAND: ("by_hand", PAGES // 2, False),
    "githubkit": ("githubkit", PAGES // 5, False),
    "openapi-python-client": ("generated", PAGES // 5, False),
    STAINLESS: ("stainless", PAGES // 10, False),
    FERN: ("fern", PAGES // 10, False),
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "by page": {"by_page": True},
    'on_invalid="collect"': {"on_invalid": "collect"},
    "page_size=20": {"page_size": 20},
}


def _candidate(
    run: Run,
    peer: str,
    pages: int = PAGES,
    *,
    uvloop: bool = False,
    options: dict[str, Any] | None = None,
    **site: bool,
) -> Candidate:
    records = pages * SIZE
    task = {"do": "list", "url": run.site.url(records=records, **site), "records": records, "options": options or {}}
    return Candidate(peer, task, records, uvloop)


def measure(run: Run) -> Found:
    """Compare clients, settings, and clients over TLS."""
    clients = {name: _candidate(run, peer, pages, uvloop=uv) for name, (peer, pages, uv) in _CLIENTS.items()}
    took = compare(clients, run, turns=TURNS)
    settings = {SDK: _candidate(run, "sdk")}
    settings |= {f"{SDK}, {name}": _candidate(run, "sdk", options=options) for name, options in _SETTINGS.items()}
    settings[f"{SDK}, answers in gzip"] = _candidate(run, "sdk", packed=True)
    set_ = compare(settings, run, turns=TURNS)
    peers = {REFERENCE: "plain", SDK: "sdk", BY_HAND: "by_hand"}
    secure = compare(
        {name: _candidate(run, peer, PAGES // 2, secure=True) for name, peer in peers.items()}, run, turns=TURNS
    )
    goals = {
        "Listing: the reference / itself": ratio(took[AGAIN], took[REFERENCE], least=0.97, most=1.03),
        "Listing: envoy-async / aiohttp + orjson, dicts": ratio(took[SDK], took[REFERENCE], most=1.20),
        "Listing: envoy-async / httpx + pydantic": ratio(took[SDK], took[BY_HAND], most=0.25),
        "Listing: envoy-async / Stainless": ratio(took[SDK], took[STAINLESS], most=0.04),
        "Listing: envoy-async / Fern": ratio(took[SDK], took[FERN], most=0.04),
        "Listing over TLS: envoy-async / httpx + pydantic": ratio(secure[SDK], secure[BY_HAND], most=0.33),
    }
    tables = {"List calls": took, "List calls with settings": set_, "List calls over TLS": secure}
    return Found(goals, tuple(table(title, rows, "Records") for title, rows in tables.items()))
