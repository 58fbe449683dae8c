"""The reference: aiohttp and orjson, plain dicts, nothing around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import aiohttp
import orjson
from yarl import URL

from tests.benchmarks._peers import Last


class Client:
    """A bare session."""

    session: aiohttp.ClientSession

    def reader(self) -> Callable[[bytes], Sequence[object]]:
        """Read a page as dicts."""
        return lambda body: orjson.loads(body)["data"]

    async def open(self, url: str) -> None:
        """Make the session."""
        self.url = url
        self.session = aiohttp.ClientSession(headers={"X-API-Key": "envai_live_1", "Accept-Encoding": "gzip"})

    async def list(self) -> Last:
        """Read all calls."""
        number, count, more = 0, 0, True
        record: dict[str, Any] = {}
        while more:
            number += 1
            page = await self._read(f"{self.url}/calls?page={number}&page_size=100")
            for record in page["data"]:  # noqa: B007 - as its user would
                count += 1
            more = page["pagination"]["has_next"]
        return count, record["id"], record["created_at"]

    async def get(self, id: str) -> object:
        """Read one call."""
        return await self._read(f"{self.url}/calls/{id}")

    async def export(self, to: str) -> int:
        """Write all calls to a file; pyarrow finds out the columns."""
        number, rows, more = 0, list[Any](), True
        while more:
            number += 1
            page = await self._read(f"{self.url}/calls?page={number}&page_size=100")
            rows += page["data"]
            more = page["pagination"]["has_next"]
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(rows), to)
        return len(rows)

    async def _read(self, address: str) -> Any:
        async with self.session.get(URL(address, encoded=True)) as answer:
            return orjson.loads(await answer.read())

    async def close(self) -> None:
        """Close the session."""
        await self.session.close()
