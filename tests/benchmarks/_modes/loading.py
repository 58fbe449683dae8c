"""What it costs to begin: imports, a client, the first call.

The rule: each in processes of its own, with all files compiled before; CPU above that of a bare interpreter.
"""

from __future__ import annotations

import subprocess

from tests.benchmarks._figures import Figure, Found, Table, column, share
from tests.benchmarks._running import PYTHON, Run, ask

STARTS = 3  # of which the best counts
_BARE, _OWN, _AIOHTTP = "a bare interpreter", "import envoy_async", "import aiohttp"
_CLIENT, _PARTS = "envoy-async, and a client", "aiohttp, attrs, cattrs, tenacity, msgspec"
_SOURCES = {
    _BARE: "",
    _OWN: "import envoy_async",
    "from envoy_async import webhooks": "from envoy_async import webhooks",
    _AIOHTTP: "import aiohttp",
    _PARTS: "import aiohttp, attrs, cattrs, tenacity, msgspec",
    _CLIENT: "from envoy_async import EnvoyClient; EnvoyClient('envai_live_1')",
    "httpx + pydantic, and a client": "import httpx, pydantic; httpx.AsyncClient()",
    "githubkit, and a client": "from githubkit import GitHub; GitHub('key')",
    "openai, and a client": "from openai import AsyncOpenAI; AsyncOpenAI(api_key='key')",
    "elevenlabs, and a client": "from elevenlabs.client import AsyncElevenLabs; AsyncElevenLabs(api_key='key')",
}


def _milliseconds(source: str) -> float:
    timed = f"{source}\nimport time; print(time.process_time() * 1000)"
    return float(subprocess.run([*PYTHON, "-c", timed], capture_output=True, check=True, text=True).stdout)


def _loaded(run: Run) -> dict[str, Figure]:
    """Tell what each costs above a bare interpreter."""
    names, rows = list(_SOURCES), list[dict[str, float]]()
    for _ in range(run.repetitions):
        took: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(STARTS):
            run.random.shuffle(names)
            for name in names:
                took[name].append(_milliseconds(_SOURCES[name]))
        rows.append({name: min(took[name]) - min(took[_BARE]) for name in names})
        print(".", end="", flush=True)
    return {name: column(rows, name, "ms") for name in _SOURCES if name != _BARE}


def measure(run: Run) -> Found:
    """Compare imports, and the first call with the second."""
    loaded, url = _loaded(run), run.site.url(records=100)
    first = [ask("first_call", url) for _ in range(run.repetitions)]
    goals = {
        "Begin: import envoy_async / import aiohttp": share(loaded[_OWN], loaded[_AIOHTTP], most=0.40),
        "Begin: envoy-async and a client / what it stands on": share(loaded[_CLIENT], loaded[_PARTS], most=1.15),
        "Begin: CPU of the first call above the second": column(first, "ms", "ms", most=20.0),
    }
    rows = {name: (figure, share(figure, loaded[_AIOHTTP])) for name, figure in loaded.items()}
    return Found(goals, (Table("Begin", ("CPU", "To import aiohttp"), rows),))
