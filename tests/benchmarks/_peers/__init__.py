"""The clients that are compared: each has a module, imported in the process that measures it and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Last = tuple[int, str, object]
"""How many records a listing gave, and of the last one the id and when it was made."""


class Peer(Protocol):
    """One client. What it lacks is never asked for."""

    def reader(self) -> Any:
        """Make what turns a page's bytes into records: a function that gives them as a sequence."""

    async def open(self, url: str) -> None:
        """Make the client for a base URL."""

    async def list(self, **options: Any) -> Last:
        """Read all calls, one after another; returns what is checked."""
        ...

    async def get(self, id: str) -> object:
        """Read one call."""

    async def export(self, to: str) -> int:
        """Write all calls to a Parquet file; returns how many."""
        ...

    async def close(self) -> None:
        """Close the client."""


def told(items: Sequence[Any], count: int) -> Last:
    """Say what is checked of a listing's last page."""
    return count, items[-1].id, items[-1].created_at
