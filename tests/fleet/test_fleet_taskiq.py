"""The worker of the documentation, as it is, on a real Redis: told to end, or killed, it loses nothing."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import cast

import attrs
import pytest
from redis.asyncio import Redis

from envoy_async import EnvoyClient
from envoy_async.export import Manifest
from envoy_async.sandbox import Fault, Sandbox
from tests._redis_server import RedisServer, connect

RECIPE = Path(__file__).parents[2] / "docs" / "how-to" / "worker_taskiq.py"
CALLS = 2_500
DAYS = date(2025, 1, 1), date(2025, 12, 31)  # of all calls of the sandbox
NOW = 1_763_740_800.0  # 2025-11-21
GRACE = 10.0  # seconds in which a worker has to end
COMPLAINT = re.compile(r"destroyed|unclosed|never (awaited|retrieved)|ResourceWarning", re.IGNORECASE)


@attrs.frozen
class Queue:
    """A queue with its workers: what they share is an API, a Redis, and a folder."""

    sandbox: Sandbox
    redis: Redis
    folder: Path
    recipe: ModuleType
    log: Path
    """What the last worker said."""

    @asynccontextmanager
    async def worker(self, *, wait: float = 0.0, slice: float = 600.0) -> AsyncGenerator[asyncio.subprocess.Process]:
        """Run a worker; at the end of the block, tell it to end as deployments do, unless it was killed."""
        options = ("--app-dir", str(RECIPE.parent), "--workers", "1", "--wait-tasks-timeout", str(wait))
        with self.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-Wdefault", "-m", "taskiq", "worker", "worker_taskiq:broker", *options),
                env={**os.environ, **self._settings(), "WORKER_SLICE": str(slice)},
                stderr=log,
                start_new_session=True,
            )
        try:
            await until(lambda: "Listening started" in self.log.read_text())
            yield process
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(wait + GRACE):
                    assert await process.wait() == 0
                assert COMPLAINT.search(self.log.read_text()) is None
        finally:
            if process.returncode is None:
                await killed(process)
            sys.stderr.write(self.log.read_text())  # shown when the test fails

    async def settled(self) -> None:
        """Wait until every message is acknowledged."""
        async with asyncio.timeout(30):
            while True:
                groups = await self.redis.xinfo_groups("envoy")
                if groups and groups[0]["pending"] == groups[0]["lag"] == 0:
                    return
                await asyncio.sleep(0.02)

    def asked(self) -> list[int]:
        """Tell which pages of calls were asked for, in their order."""
        found = (re.search(r"/calls\?.*\bpage=(\d+)", request.path) for request in self.sandbox.requests)
        return [int(page[1]) for page in found if page]

    @property
    def file(self) -> Path:
        """Where the calls go."""
        return self.folder / f"calls-{DAYS[0]}-{DAYS[1]}.jsonl"

    def check_file(self) -> None:
        """Check that the file holds every call of the sandbox once, and nothing was left beside it."""
        ids = [json.loads(line)["id"] for line in self.file.read_bytes().splitlines()]
        assert len(ids) == len(self.sandbox.store.calls)
        assert set(ids) == self.sandbox.store.calls.keys()
        manifest = Manifest.beside(self.file)
        assert manifest is not None
        assert manifest.records == len(ids)
        assert len(list(self.folder.iterdir())) == 2

    def _settings(self) -> dict[str, str]:
        return {
            "ENVOY_API_KEY": self.sandbox.api_key,
            "ENVOY_BASE_URL": self.sandbox.base_url,
            "ENVOY_REDIS_URL": self.recipe.REDIS,
            "WORKER_FOLDER": str(self.folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }


@pytest.fixture
async def queue(
    own_redis: RedisServer, tmp_path: Path, environ: MutableMapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Queue]:
    """Give a queue without workers; the sandbox has a quota that suffices."""
    environ["ENVOY_REDIS_URL"] = own_redis.url
    monkeypatch.setattr(sys, "path", [*sys.path, str(RECIPE.parent)])
    monkeypatch.delitem(sys.modules, RECIPE.stem, raising=False)  # that of the test before has another Redis
    recipe = importlib.import_module(RECIPE.stem)
    redis = connect(own_redis.url, text=True)
    async with Sandbox(calls=CALLS, quota=1_000, clock=lambda: NOW) as sandbox:
        await recipe.broker.startup()
        folder = tmp_path / "files"
        folder.mkdir()
        yield Queue(sandbox, redis, folder, recipe, tmp_path / "log.txt")
        await recipe.broker.shutdown()
    await redis.aclose()


async def killed(process: asyncio.subprocess.Process) -> None:
    """Kill a worker with all its processes, as a machine does that fails."""
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.005)


async def offer_created(sandbox: Sandbox) -> dict[str, object]:
    """Make the event of an offer whose carrier is known."""
    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
        page = await envoy.request("GET", "/offers", into=dict[str, object])
    offers = cast("list[dict[str, object]]", page["data"])
    return {"type": "offer.created", "data": next(offer for offer in offers if offer["carrier_id"])}


def executed(sandbox: Sandbox, operation: str) -> int:
    """Count how often an operation ran."""
    return sum(it.operation == operation for it in sandbox.executions)


async def test_the_three_tasks_are_harmless_when_sent_twice(queue: Queue) -> None:
    """Sent twice each, the calls are in the file once, the recording is whole, and the carrier is called once.

    All workers share the quota over Redis.
    """
    recipe, sandbox = queue.recipe, queue.sandbox
    call_id = next(id for id, call in sandbox.store.calls.items() if call["recording_status"] == "AVAILABLE")
    event = await offer_created(sandbox)
    async with queue.worker():
        for _ in range(2):
            await recipe.react.kiq(event, message_id="msg_1", sent_at=datetime.now(UTC))
            await recipe.fetch_recording.kiq(call_id)
            await queue.settled()
        for _ in range(2):
            await recipe.fetch_calls.kiq(*DAYS)
            await queue.settled()
        assert await queue.redis.keys("envoy-async:quota*") != []  # pyright: ignore[reportUnknownMemberType]
    queue.folder.joinpath(f"{call_id}.m4a").unlink()
    queue.check_file()
    assert queue.asked() == list(range(1, 27))  # a call came in with the outreach
    assert executed(sandbox, "outreaches.create") == 1


@pytest.mark.parametrize("wait", [0.0, 30.0])
async def test_a_worker_told_to_end_while_it_fetches_loses_nothing(queue: Queue, wait: float) -> None:
    """Given the time it finishes; else it keeps what it has, and the next worker goes on there, at once."""
    queue.sandbox.fail(Fault(path="/calls", nth=8, delay=0.03 if wait else 0.5, times=None))
    async with queue.worker(wait=wait):
        await queue.recipe.fetch_calls.kiq(*DAYS)
        await until(lambda: len(queue.asked()) >= 8)
    before = len(queue.asked())
    assert queue.file.exists() == bool(wait)
    queue.sandbox.faults.clear()
    if not wait:
        async with queue.worker():
            await queue.settled()
        assert min(queue.asked()[before:]) >= 7
    await queue.settled()
    queue.check_file()


async def test_a_killed_worker_loses_nothing(queue: Queue) -> None:
    """After the time that a task may take, another worker has the message, and goes on with the last part."""
    queue.sandbox.fail(Fault(path="/calls", delay=0.05, times=None))
    async with queue.worker(slice=1.5) as process:
        await queue.recipe.fetch_calls.kiq(*DAYS)
        await until(lambda: any(queue.folder.glob("*.parts/part-*")) and len(queue.asked()) >= 12)
        await killed(process)
    before = len(queue.asked())
    async with queue.worker(slice=1.5):
        await until(queue.file.exists)
        await queue.settled()
        async with asyncio.timeout(30):  # what is done does not stay in the stream
            while await queue.redis.xlen("envoy") > 5:  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.02)
    queue.check_file()
    assert min(queue.asked()[before:]) >= 10  # a part holds ten pages


async def test_an_unsafe_call_is_not_repeated_when_its_outcome_is_unknown(queue: Queue) -> None:
    """The answer to it was lost: no delivery of the event, and no other event of the offer, has the carrier called."""
    event = await offer_created(queue.sandbox)
    queue.sandbox.fail(Fault(method="POST", path="/outreaches", drop="after"))
    async with queue.worker():
        for number in (1, 1, 2):
            await queue.recipe.react.kiq(event, message_id=f"msg_{number}", sent_at=datetime.now(UTC))
            await queue.settled()
    assert executed(queue.sandbox, "outreaches.create") == 1


async def test_a_task_that_fails_is_tried_again_some_times(queue: Queue) -> None:
    """What fails comes back after a pause; after five failures the message is given up."""
    call_id = next(iter(queue.sandbox.store.calls))
    queue.sandbox.fail(Fault(path="/calls/{call_id}/recording", status=404, times=None))
    async with queue.worker(slice=6.0):
        await queue.recipe.fetch_recording.kiq(call_id)
        await queue.settled()
        await until(lambda: len(queue.sandbox.requests) == 5)
        await queue.settled()
    assert len(queue.sandbox.requests) == 5
