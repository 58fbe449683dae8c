"""What pages, records, and requests cost, counted and not timed.

The rule: no clock is read, so a busy machine changes nothing. What is counted are the calls of our own functions, the
decoders they make, the requests that the sandbox got, and the blocks of memory in use. How often a coroutine goes on
depends on how the bytes arrive, as does how often a body is fed: neither is counted. The limits stand at the top.
"""

from __future__ import annotations

import asyncio
import dis
import gc
import inspect
import sys
from collections import Counter
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from statistics import mean, mode
from types import CodeType, FrameType
from typing import Any

import attrs
import msgspec
import pytest

import envoy_async
from envoy_async import EnvoyClient, Pages
from envoy_async._converter import structure
from envoy_async._converter._pages import sifted_page, whole_page
from envoy_async._converter._slow import whole_value
from envoy_async.models import Call
from envoy_async.sandbox import Sandbox

PAGE = 77  # calls of our functions for a page
SENDING = 53  # … for a request that gives one record
RECORD = 1  # … for a record of a loop by record
KEPT = 16.5  # blocks of memory for a call that is kept
GROWN = 500  # blocks for 45 pages that are not kept; a block for each of their records would be 4,500

ROOT = Path(envoy_async.__file__).parent
NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC
WARM = 40  # requests until the gate has seen enough to let all go out at once
EARLY, LATE = slice(45, 95), slice(145, 195)  # pages before and after the oldest ids are forgotten
HELD = (150, 195)  # pages after which memory is looked at: by then the libraries below have filled their caches
RESUMED = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


@cache
def ours(file: str) -> bool:
    """Whether a file is the SDK's, and not of what runs once for each chunk of a body."""
    path = Path(file)
    return path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "sandbox") and path.stem != "_body"


@cache
def start(code: CodeType) -> int:
    """Give the place where a function begins."""
    return next(step.offset for step in dis.get_instructions(code) if step.opname == "RESUME")


@contextmanager
def counted() -> Generator[Counter[str]]:
    """Count calls of our functions by their name, each step of a generator too."""
    found, before = Counter[str](), sys.getprofile()

    def count(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and ours(code.co_filename):
            found[code.co_qualname] += not (code.co_flags & RESUMED and frame.f_lasti > start(code))

    sys.setprofile(count)
    try:
        yield found
    finally:
        sys.setprofile(before)


async def per_page(pages: Pages[Call], most: int) -> list[int]:
    """Read a listing and give the calls that each of its first pages took."""
    costs: list[int] = []
    with counted() as calls:
        async for _ in pages.by_page():
            costs.append(calls.total())
            calls.clear()
            if len(costs) == most:
                break
    return costs


def blocks(sandbox: Sandbox) -> int:
    """Count the blocks of memory in use, without what the sandbox remembers of requests."""
    sandbox.requests.clear()
    sandbox.executions.clear()
    gc.collect()
    return sys.getallocatedblocks()


@attrs.frozen
class Listed:
    """What reading 20,000 calls by page took."""

    costs: list[int]
    """Calls of our functions, for each page."""
    held: list[int]
    """Blocks of memory, after some."""


@pytest.fixture(scope="module")
def listed() -> Listed:
    """Read 20,000 calls by page, and keep none of them."""

    async def read() -> Listed:
        costs, held = list[int](), list[int]()
        async with (
            Sandbox(calls=20_000, loads=1, quota=None, clock=partial(float, NOW)) as sandbox,
            EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy,
        ):
            with counted() as calls:
                async for page in envoy.calls.list(page_size=100).by_page():
                    costs.append(calls.total())
                    if page.number in HELD:
                        held.append(blocks(sandbox))
                    calls.clear()
        return Listed(costs, held)

    return asyncio.run(read(), debug=False)  # debugging keeps what took long


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run a sandbox of 2,500 calls, at a fixed time."""
    async with Sandbox(calls=2_500, loads=300, quota=None, clock=partial(float, NOW)) as running:
        yield running


def test_a_page_costs_no_more_because_many_came_before(listed: Listed) -> None:
    """A page takes as many calls of our functions as one a hundred pages earlier, and no more than the fifth."""
    assert len(listed.costs) == 200
    assert mode(listed.costs[EARLY]) == mode(listed.costs[LATE]) <= listed.costs[4]


def test_a_page_costs_little(listed: Listed) -> None:
    """A page of 100 calls takes so many calls of our functions, on average over a long listing."""
    assert mean(listed.costs[1:]) <= PAGE


def test_what_was_read_is_let_go(listed: Listed) -> None:
    """After 10,000 records a listing needs no more memory for the next 8,500."""
    before, after = listed.held
    assert after - before <= GROWN


async def test_records_of_a_page_cost_no_step(envoy: EnvoyClient) -> None:
    """A page of 100 records takes as many steps as one of 10: whoever reads by page pays nothing for a record."""
    await per_page(envoy.calls.list(page_size=10), WARM)
    small, large = [await per_page(envoy.calls.list(page_size=size), 20) for size in (10, 100)]
    assert mode(large) == mode(small)


async def test_a_record_costs_one_step(envoy: EnvoyClient) -> None:
    """A loop by record takes one step for each record more than one by page."""
    await per_page(envoy.calls.list(page_size=10), WARM)
    by_page = await per_page(envoy.calls.list(page_size=100), 25)
    with counted() as calls:
        count = len([call async for call in envoy.calls.list(page_size=100)])
    assert count == 2_500
    assert round((calls.total() - sum(by_page)) / count, 1) <= RECORD


async def test_a_request_costs_no_more_because_many_came_before(envoy: EnvoyClient) -> None:
    """The two hundredth call that is asked for takes as many steps as the tenth, or fewer, and they are not many."""
    one, costs = await anext(envoy.calls.list()), list[int]()
    with counted() as calls:
        for _ in range(WARM + 200):
            await envoy.calls.get(one.id)
            costs.append(calls.total())
            calls.clear()
    assert mode(costs[WARM:][:50]) == mode(costs[-50:]) <= mode(costs[:30])
    assert mean(costs[WARM:]) <= SENDING


@pytest.mark.parametrize("ahead", [1, 8])
async def test_a_request_brings_a_hundred_records(envoy: EnvoyClient, sandbox: Sandbox, ahead: int) -> None:
    """A listing of 2,500 calls sends 25 requests, by record and by page, ahead of the reader or not."""
    assert len(await envoy.calls.list().prefetch(ahead).collect()) == 2_500
    assert len(sandbox.requests) == 25
    assert len([page async for page in envoy.calls.list().prefetch(ahead).by_page()]) == 25
    assert len(sandbox.requests) == 50


async def test_good_pages_are_read_the_fast_way(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Whole listings are read without the slow reader, also with values that this version does not know."""
    for number, call in enumerate(sandbox.store.calls.values()):
        call["status"] = f"NEWER_{number % 7}"
    with counted() as calls:
        assert not any([call.status.is_known async for call in envoy.calls.list(page_size=100)])
        assert len(await envoy.loads.list(page_size=100, on_invalid="collect").collect()) == 300
    assert calls["slowly"] == 0
    with counted() as calls:  # is it called so?
        structure(b"\xef\xbb\xbf5", int)
    assert calls["slowly"] == 1


async def test_a_decoder_is_made_once_for_each_type(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first page of a kind makes its decoders; no other page makes one, nor another listing or client."""
    made = Counter[str]()
    decoder: Any = msgspec.json.Decoder

    def make(type_: Any) -> Any:
        made[str(type_)] += 1
        return decoder(type_)

    monkeypatch.setattr(msgspec.json, "Decoder", make)
    for cached in (whole_value, whole_page, sifted_page):
        cached.cache_clear()
    for _ in range(2):
        async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
            for _ in range(2):
                await envoy.calls.list().collect()
                await envoy.loads.list(on_invalid="skip").collect()
    assert len(made) >= 2
    assert set(made.values()) == {1}


async def test_a_kept_call_is_small(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A call that is kept needs so many blocks of memory, and nothing of its page."""
    await anext(envoy.calls.list(page_size=100))  # what is made once
    before = blocks(sandbox)
    kept = [call async for page in envoy.calls.list(page_size=100).by_page() for call in page.items]
    used = blocks(sandbox) - before
    assert len(kept) == 2_500
    assert used / len(kept) <= KEPT
