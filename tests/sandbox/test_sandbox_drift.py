"""Rows come and go exactly when and as the drift says, and the store keeps the books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings, strategies as st

from envoy_async.sandbox import RandomDrift, Sandbox, Store
from envoy_async.sandbox.seed import make_identity, make_store

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOW = 1_763_740_800.0


def small_store(calls: int = 12) -> Store:
    """Make a store without a server."""
    rng = Random(1)
    return make_store(rng, make_identity(rng), calls=calls, loads=4, clock=lambda: NOW)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(), inserts=st.integers(0, 5), deletes=st.integers(0, 5), probability=st.floats(0, 1))
def test_random_drift_keeps_the_books(seed: int, inserts: int, deletes: int, probability: float) -> None:
    """Calls of the start are either there or in ``deleted``; what came later is never deleted."""
    store = small_store()
    early = set(store.calls)
    drift = RandomDrift(seed=seed, inserts=inserts, deletes=deletes, probability=probability)
    for n in range(1, 8):
        drift(store, n)
    assert early - set(store.calls) == set(store.deleted)
    assert set(store.calls) - early == set(store.inserted)
    assert len(store.inserted) <= 7 * inserts
    assert len(store.deleted) <= min(12, 7 * deletes)


def test_random_drift_is_repeatable() -> None:
    """The same seed inserts and deletes the same calls."""
    runs = list[list[str]]()
    for _ in range(2):
        store, drift = small_store(), RandomDrift(seed=3, probability=0.5)
        for n in range(1, 6):
            drift(store, n)
        runs.append([*store.inserted, *store.deleted])
    assert runs[0] == runs[1] != []


def test_an_inserted_call_is_the_newest() -> None:
    """However often one is inserted at the same instant, each has a later ``created_at`` than all before."""
    store = small_store()
    for _ in range(200):
        newest = max(str(call["created_at"]) for call in store.calls.values())
        assert str(store.insert_call()["created_at"]) > newest


def test_deleting_what_is_not_there_is_a_key_error() -> None:
    """A script that deletes a call twice learns of it, and it is counted once."""
    store = small_store()
    call_id = next(iter(store.calls))
    store.delete_call(call_id)
    with pytest.raises(KeyError):
        store.delete_call(call_id)
    assert store.deleted == [call_id]


async def test_drift_happens_before_each_listing_of_calls_and_nowhere_else(send: Send) -> None:
    """The n-th listing request shows what the drift did for it."""
    seen = list[int]()

    def drift(store: Store, n: int) -> None:
        seen.append(n)
        store.insert_call()

    async with Sandbox(calls=5, loads=1, quota=None, drift=drift, clock=lambda: NOW) as sandbox:
        first = (await send(sandbox, "GET", "/calls"))[2]
        await send(sandbox, "GET", "/loads")
        second = (await send(sandbox, "GET", "/calls"))[2]
        assert seen == [1, 2]
        assert [first["pagination"]["total_count"], second["pagination"]["total_count"]] == [6, 7]
        assert [second["data"][0]["id"], first["data"][0]["id"]] == sandbox.store.inserted[::-1]


async def test_a_call_placed_through_the_api_counts_as_inserted(sandbox: Sandbox, send: Send) -> None:
    """So drift never deletes it."""
    call = (await send(sandbox, "POST", "/calls", json={}))[2]
    assert sandbox.store.inserted == [call["id"]]
