"""How much memory a record takes that is kept."""

from __future__ import annotations

import gc
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks._measured.streaming import resident


def main(peer: str, bodies: str) -> None:
    """Keep the records of all pages, of which the first warms up; tells the bytes of each."""
    read: Any = import_module(f"tests.benchmarks._peers.{peer}").Client().reader()
    with Path(bodies).open("rb") as pages:
        kept = [*read(next(pages))]
        gc.collect()
        before, warm = resident(), len(kept)
        for page in pages:
            kept += read(page)
    gc.collect()
    print(json.dumps({"bytes": (resident() - before) / (len(kept) - warm)}))
