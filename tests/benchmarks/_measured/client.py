"""One client at work: it takes tasks from its standard input, and says how long each took.

The rule: nothing but the task is timed, after the garbage of those before it is gone. What a task gave is checked.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from operator import attrgetter, itemgetter
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from tests.benchmarks._calls import FIRST, OLDEST
from tests.benchmarks._peers import Peer


class Client:
    """One client, and those of its connections that are open."""

    def __init__(self, peer: str) -> None:
        self._make: Callable[[], Peer] = import_module(f"tests.benchmarks._peers.{peer}").Client
        self._open: dict[str, Peer] = {}

    async def run(self, task: dict[str, Any]) -> dict[str, float]:
        """Do a task; returns its seconds, of the clock and of the processor."""
        peer = await self._peer(task["url"])
        job = self._job(peer, task)
        gc.collect()
        began, worked = perf_counter(), process_time()
        await job()
        return {"seconds": perf_counter() - began, "cpu": process_time() - worked}

    async def _peer(self, url: str) -> Peer:
        if url not in self._open:
            self._open[url] = self._make()
            if url:
                await self._open[url].open(url)
        return self._open[url]

    def _job(self, peer: Peer, task: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        match task["do"]:
            case "read":
                bodies = Path(task["bodies"]).read_bytes().split(b"\n")[-task["pages"] :]
                return lambda: _read(peer, bodies)
            case "get":
                return lambda: _get(peer, task["workers"], task["each"])
            case "export":
                return lambda: _export(peer, task["records"], task["to"])
            case _:
                return lambda: _list(peer, task["records"], task["options"])

    async def close(self) -> None:
        """Close what is open."""
        for url, peer in self._open.items():
            if url:
                await peer.close()


async def _read(peer: Peer, bodies: list[bytes]) -> None:
    read = peer.reader()
    last: Any = None
    for body in bodies:
        last = read(body)[-1]
    get: Any = itemgetter("id", "created_at") if type(last) is dict else attrgetter("id", "created_at")
    _check(*get(last))


async def _get(peer: Peer, workers: int, each: int) -> None:
    async def work() -> None:
        for _ in range(each):
            await peer.get(OLDEST)

    await asyncio.gather(*(work() for _ in range(workers)))


async def _export(peer: Peer, records: int, to: str) -> None:
    assert await peer.export(to) == records


async def _list(peer: Peer, records: int, options: dict[str, Any]) -> None:
    count, id, made = await peer.list(**options)
    assert count == records
    _check(id, made)


def _check(id: object, made: object) -> None:
    assert id == OLDEST
    assert made in (FIRST, f"{FIRST:%Y-%m-%dT%H:%M:%S.%f}Z")


async def work(peer: str) -> None:
    """Do what is asked, until there is no more."""
    client = Client(peer)
    for line in sys.stdin:  # nothing else is to happen meanwhile
        print(json.dumps(await client.run(json.loads(line))), flush=True)
    await client.close()


def main(peer: str, loop: str) -> None:
    """Work in the event loop that was chosen."""
    run: Any = import_module(loop).run
    run(work(peer))
