"""What openapi-python-client writes from the vendor's description; it is written before the first measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks._peers import Last, told

FOLDER = Path(os.environ.get("ENVOY_TEST_CACHE") or tempfile.gettempdir(), "envoy-async-generated")
_NAME = "generated_client"


def write() -> None:
    """Run the generator."""
    described = Path(__file__).parents[2] / "contract/openapi.yaml"
    asked = ("generate", "--path", str(described), "--output-path", str(FOLDER / _NAME))
    program = Path(sys.executable).with_name("openapi-python-client")
    FOLDER.mkdir(exist_ok=True)
    done = subprocess.run([program, *asked, "--meta", "none", "--overwrite"], capture_output=True, check=False)
    done.check_returncode()


class Client:
    """The generated client."""

    client: Any

    def __init__(self) -> None:
        sys.path.append(str(FOLDER))
        self.calls: Any = import_module(f"{_NAME}.api.calls.list_calls")
        self.call: Any = import_module(f"{_NAME}.api.calls.get_call")
        self.page: Any = import_module(f"{_NAME}.models.call_page").CallPage
        self.made: Any = import_module(f"{_NAME}.client").Client

    def reader(self) -> Callable[[bytes], Sequence[object]]:
        """Read a page as it does."""
        return lambda body: self.page.from_dict(json.loads(body)).data

    async def open(self, url: str) -> None:
        """Make the client."""
        self.client = self.made(base_url=url, headers={"X-API-Key": "envai_live_1"})

    async def list(self) -> Last:
        """Read all calls."""
        number, count, items, more = 0, 0, list[Any](), True
        while more:
            number += 1
            page = await self.calls.asyncio(client=self.client, page=number, page_size=100)
            items, more = page.data, page.pagination.has_next
            for _ in items:
                count += 1
        return told(items, count)

    async def get(self, id: str) -> object:
        """Read one call."""
        return await self.call.asyncio(id, client=self.client)

    async def close(self) -> None:
        """Close the client."""
        await self.client.get_async_httpx_client().aclose()
