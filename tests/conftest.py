"""A sandbox without a quota, a client on it, and servers of Redis: what most tests talk to, over real sockets."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import AsyncIterator, Iterator, MutableMapping
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from hypothesis import settings

from envoy_async import EnvoyClient, RetryPolicy
from envoy_async.sandbox import Sandbox
from tests._redis_server import RedisServer

settings.register_profile("suite", deadline=None)  # a busy machine is no bug
settings.load_profile("suite")
asyncio.set_event_loop(None)  # else looptime opens one, which nobody closes, when a plain function is the first test
NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC


@pytest.fixture(scope="session", autouse=True)
def no_power_cut() -> Iterator[None]:
    """Wait for no disk: no test cuts the power, and beside other work on the same disk it would take minutes."""

    def synced(_: int) -> None:
        """Say that the disk has it."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        yield


@pytest.fixture(scope="session")
def unopened() -> bytes:
    """Seed a sandbox of 250 calls and 60 loads once; every test opens a copy of its own, which it may change."""
    return pickle.dumps(Sandbox(calls=250, loads=60, quota=None, clock=partial(float, NOW)))


@pytest.fixture
async def sandbox(unopened: bytes) -> AsyncIterator[Sandbox]:
    """Run a sandbox of 250 calls and 60 loads that refuses nothing for quota, at 2025-11-21T16:00:00Z for ever."""
    copy: Sandbox = pickle.loads(unopened)  # noqa: S301 - our own, of this process
    async with copy as running:
        yield running


@pytest.fixture
def retry() -> RetryPolicy:
    """Give the retry policy of the client; a test file may have one of its own."""
    return RetryPolicy()


@pytest.fixture
async def envoy(sandbox: Sandbox, retry: RetryPolicy) -> AsyncIterator[EnvoyClient]:
    """Give a client of the sandbox, closed afterwards."""
    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, retry=retry) as client:
        yield client


@pytest.fixture
def memory() -> None:
    """Empty the storage in memory, which all tests of a process share."""
    system: Any = import_module("fsspec.implementations.memory").MemoryFileSystem  # which has no types
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def environ() -> Iterator[MutableMapping[str, str]]:
    """Give the environment; afterwards it is as it was."""
    before = dict(os.environ)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """Run a Redis for all tests that do not disturb it, and give its address; each test takes a prefix of its own."""
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Run a Redis for one test, which may freeze or stop it."""
    with RedisServer() as server:
        yield server
