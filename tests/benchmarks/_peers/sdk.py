"""The SDK, as users use it: one record at a time, with gate, retries, report, and bookkeeping for checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from envoy_async import EnvoyClient
from envoy_async._converter import structure
from envoy_async.export import export
from envoy_async.models import Call, Page
from tests.benchmarks._peers import Last


class Client:
    """`EnvoyClient`."""

    envoy: EnvoyClient

    def reader(self) -> Callable[[bytes], Sequence[object]]:
        """Read a page with the converter that the client reads answers with."""
        return lambda body: structure(body, Page[Call]).items

    async def open(self, url: str) -> None:
        """Make the client."""
        self.envoy = EnvoyClient("envai_live_1", base_url=url)

    async def list(self, *, prefetch: int | None = None, by_page: bool = False, **options: Any) -> Last:
        """Read all calls."""
        count, last = 0, None
        listing = self.envoy.calls.list(**options)
        if prefetch is not None:
            listing = listing.prefetch(prefetch)
        if by_page:
            async for page in listing.by_page():
                count += len(page.items)
                last = page.items[-1]
        else:
            async for call in listing:
                count += 1
                last = call
        assert last is not None
        assert listing.report.proven
        return count, last.id, last.created_at

    async def get(self, id: str) -> object:
        """Read one call."""
        return await self.envoy.calls.get(id)

    async def export(self, to: str) -> int:
        """Write all calls to a file."""
        return (await export(self.envoy.calls.list(), to, overwrite=True)).records

    async def close(self) -> None:
        """Close the client."""
        await self.envoy.close()
