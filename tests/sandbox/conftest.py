"""A small sandbox on a clock that stands still, and a plain aiohttp client to talk to it."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import aiohttp
import pytest

from envoy_async.sandbox import Sandbox

NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC


@pytest.fixture(scope="session")
def unopened() -> bytes:
    """Seed a sandbox of 150 calls and 60 loads once; every test opens a copy of its own, which it may change."""
    return pickle.dumps(Sandbox(calls=150, loads=60, quota=None, clock=partial(float, NOW)))


@pytest.fixture
async def sandbox(unopened: bytes) -> AsyncIterator[Sandbox]:
    """Run a sandbox of 150 calls and 60 loads without a quota, at 2025-11-21T16:00:00Z for ever."""
    copy: Sandbox = pickle.loads(unopened)  # noqa: S301 - our own, of this process
    async with copy as running:
        yield running


@pytest.fixture
def send() -> Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]:
    """Give a function that sends one request on a new connection: status, headers, and parsed JSON (or bytes)."""

    async def request(
        sandbox: Sandbox, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> tuple[int, Mapping[str, str], Any]:
        url = path if path.startswith("http") else sandbox.base_url + path
        shown = {"X-API-Key": sandbox.api_key} if headers is None else headers
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(method, url, headers=shown, **options) as answer,
        ):
            is_json = answer.content_type == "application/json"
            return answer.status, answer.headers, await (answer.json() if is_json else answer.read())

    return request
