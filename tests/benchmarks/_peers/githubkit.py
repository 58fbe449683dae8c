"""githubkit: the core of a hand-made SDK that is generated in parts, with httpx and pydantic."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tests.benchmarks._peers import Last, told
from tests.benchmarks._peers.by_hand import Call, CallPage

_githubkit: Any = import_module("githubkit")


class Client:
    """`githubkit.GitHub`, pointed at the server, without its cache."""

    client: Any

    async def open(self, url: str) -> None:
        """Make the client."""
        self.url = url
        self.client = await _githubkit.GitHub("envai_live_1", base_url=url, http_cache=False).__aenter__()

    async def list(self) -> Last:
        """Read all calls."""
        number, count, items, more = 0, 0, list[Call](), True
        while more:
            number += 1
            asked: dict[str, Any] = {"page": number, "page_size": 100}
            answer = await self.client.arequest("GET", f"{self.url}/calls", params=asked, response_model=CallPage)
            page: CallPage = answer.parsed_data
            items, more = page.data, page.pagination.has_next
            for _ in items:
                count += 1
        return told(items, count)

    async def get(self, id: str) -> object:
        """Read one call."""
        answer = await self.client.arequest("GET", f"{self.url}/calls/{id}", response_model=Call)
        return answer.parsed_data

    async def close(self) -> None:
        """Close the client."""
        await self.client.__aexit__(None, None, None)
