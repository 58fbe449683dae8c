"""Plain answers, told by aioresponses.

It replaces the sending inside aiohttp, so only what happens before and after can be tried here. Retries, redirects,
timeouts, and secrets are tested with sockets.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses
from yarl import URL

from envoy_async import EnvoyClient, RetryPolicy, errors
from tests.transport.conftest import GOOD, KEY, RECORD, UUID, failure_of

BASE = "https://api.example/v1"


class _Written:
    """Stands for the writer of a request that was never written."""

    output_size = 0


class _Response(aiohttp.ClientResponse):
    """A `ClientResponse` that can be made the way aioresponses makes it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("stream_writer", _Written())
        super().__init__(*args, **options)


@pytest.fixture
def answers() -> Iterator[Any]:
    """Let aioresponses answer, made to work with aiohttp 3.14, whose responses want a `stream_writer`."""
    assert version("aioresponses") == "0.7.9", "does a newer one still need _Response? (pnuckowski/aioresponses#289)"
    core: Any = import_module("aioresponses.core")
    plain = core.ClientResponse
    core.ClientResponse = _Response
    try:
        with aioresponses() as told:
            yield told
    finally:
        core.ClientResponse = plain


@pytest.fixture
def envoy() -> EnvoyClient:
    """Give a client that opens nothing, since nothing is sent."""
    return EnvoyClient(KEY, base_url=BASE, retry=RetryPolicy(max_attempts=1))


async def test_a_record(answers: Any, envoy: EnvoyClient) -> None:
    """A 200 becomes the record."""
    answers.get(f"{BASE}/calls/{UUID}", body=GOOD)
    async with envoy:
        call = await envoy.calls.get(UUID)
    assert (call.id, call.status) == (RECORD["id"], "COMPLETED")


async def test_a_refusal(answers: Any, envoy: EnvoyClient) -> None:
    """The envelope of a 404 becomes the attributes of the error."""
    body = {"error": {"code": "not_found", "message": "No such call.", "param": "call_id"}}
    answers.get(f"{BASE}/calls/{UUID}", status=404, payload=body, headers={"X-Request-ID": "req_1"})
    async with envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert type(error) is errors.NotFoundError
    assert (error.status, error.code, error.param, error.request_id) == (404, "not_found", "call_id", "req_1")
    assert str(error) == "GET /calls/{call_id}: No such call."


async def test_a_query(answers: Any, envoy: EnvoyClient) -> None:
    """Filters and page go into the query, quoted once."""
    url = URL(f"{BASE}/calls?status=COMPLETED&search=LD%201%2F2&page=3&page_size=50", encoded=True)
    answers.get(url, body=GOOD)
    async with envoy:
        pages = envoy.calls.list(status="COMPLETED", search="LD 1/2", page=3, page_size=50)
        assert await pages.first() is not None
    ((method, asked),) = answers.requests
    assert (method, dict(asked.query)) == ("GET", dict(url.query))


async def test_headers(answers: Any, envoy: EnvoyClient) -> None:
    """The key and what is accepted go into the headers of the request; redirects are off."""
    answers.post(f"{BASE}/calls/{UUID}/end", body=GOOD)
    async with envoy:
        await envoy.calls.end(UUID)
    (((sent,),),) = (answers.requests.values(),)
    assert sent.kwargs["headers"]["X-API-Key"] == KEY
    assert sent.kwargs["headers"]["Accept"] == "application/json"
    assert sent.kwargs["allow_redirects"] is False


async def test_a_body(answers: Any, envoy: EnvoyClient) -> None:
    """A body goes out as JSON bytes, with its content type."""
    answers.patch(f"{BASE}/loads/{UUID}", body=GOOD)
    async with envoy:
        load = await envoy.loads.update(UUID, is_posted=True)
    (((sent,),),) = (answers.requests.values(),)
    assert sent.kwargs["data"] == b'{"is_posted": true}'
    assert sent.kwargs["headers"]["Content-Type"] == "application/json"
    assert load.load_number == "LD1"
