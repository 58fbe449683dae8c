"""How far a listing is from the socket library."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

import envoy_async
from envoy_async import EnvoyClient
from envoy_async.sandbox import Sandbox

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest

PACKAGE = str(Path(envoy_async.__file__).parent)


class Watching(aiohttp.TCPConnector):
    """A connector that notes which of our frames stand between the loop over a listing and itself."""

    frames: tuple[str, ...] = ()

    async def connect(self, req: ClientRequest, *args: Any, **kwargs: Any) -> aiohttp.connector.Connection:
        """Note the frames, and connect."""
        found, frame = list[str](), inspect.currentframe()
        while frame is not None:
            if frame.f_code.co_filename.startswith(PACKAGE) and "_failures" not in frame.f_code.co_filename:
                found.append(frame.f_code.co_name)
            frame = frame.f_back
        self.frames = tuple(found)
        return await super().connect(req, *args, **kwargs)


async def test_a_page_crosses_four_of_our_frames() -> None:
    """Between `async for` and the socket library stand at most four of our stack frames."""
    connector = Watching()
    async with (
        Sandbox(quota=None) as sandbox,
        aiohttp.ClientSession(connector=connector) as session,
        EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, session=session) as envoy,
    ):
        async for _ in envoy.calls.list(limit=200):
            pass
    assert connector.frames == ("_attempt", "send", "_next", "__anext__")
