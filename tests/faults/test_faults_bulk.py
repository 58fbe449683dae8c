"""Faults of a bulk run; the number is that of the catalogue of faults.

Time is virtual and the server modelled. What `TaskGroup` and `gather` make of the same fault is tested with cancelling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from envoy_async import EnvoyClient, bulk, errors
from tests.faults._modelled import ModelledServer, make_modelled
from tests.faults.conftest import clean, fails
from tests.transport.conftest import UUID

virtual = pytest.mark.looptime
V = TypeVar("V")
KEYS = ["no id" if number == 7 else f"{number:08x}{UUID[8:]}" for number in range(20)]


def noting(function: Callable[[str], Awaitable[V]], ended: list[str]) -> Callable[[str], Awaitable[V]]:
    """Write down which keys' calls have ended, however they did; the one that fails takes its time first."""

    async def call(key: str) -> V:
        try:
            await asyncio.sleep(0.3 if key == "no id" else 0.0)
            return await function(key)
        finally:
            ended.append(key)

    return call


async def first_failure(envoy: EnvoyClient, ended: list[str]) -> None:
    """Run all keys, and let the first failure end it."""
    async for _ in bulk.map(noting(envoy.calls.get, ended), KEYS, concurrency=20, on_error="raise"):
        pass


@virtual
async def test_fault_088_one_job_of_a_bulk_run_fails() -> None:
    """Collected, it costs nobody anything; raised, the others are cancelled and have ended before it arrives."""
    server = ModelledServer(latency=1.0)
    async with make_modelled(server) as envoy:
        outcomes = [outcome async for outcome in bulk.map(envoy.calls.get, KEYS, ordered=True)]
        assert [outcome.key for outcome in outcomes if outcome.error] == ["no id"]
        assert isinstance(outcomes[7].error, errors.InvalidRequestError)
        clean(outcomes[7].error)
        assert len(server.arrivals) == 19
        before, ended = asyncio.all_tasks(), list[str]()
        error = await fails(first_failure(envoy, ended), errors.InvalidRequestError)
        assert error.__notes__ == ["bulk: this is of the key 'no id'"]
        assert sorted(ended) == sorted(KEYS)
        assert asyncio.all_tasks() == before
