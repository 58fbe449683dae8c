"""One delivery in hundreds of copies, over eight processes and a real Redis: the figures.

The rule: real processes, each with a receiver and a store of its own, and a real Redis between them, started by this
program. A handler says when it begins and when it ends by adding a line to a file, which is what is counted. Copies are
given to all processes at the same instant.

Three things are tried for each seed. 200 copies: one handler runs, every copy is answered 200 or 409, and once more
later all are 200. A handler that fails: its copy gets 503, and of the copies after it one runs. A process that gets
SIGKILL while its handler runs: until the lease ends no copy runs, then one does. Run it with ``nox -s simulations``;
``--seeds 1`` makes it short. It ends with 1 when anything was otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import attrs

if __name__ == "__main__":  # tests import this, too
    sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from envoy_async.webhooks import Event, Receiver, RedisReplayStore
from tests._redis_server import RedisServer
from tests.webhooks.conftest import delivery, verifier

SEEDS = 10
PROCESSES = 8
COPIES = 200
LEASE = 2.0  # seconds
PATIENCE = 30.0  # seconds until what was to happen counts as missing
AHEAD = 0.05  # seconds from an order to the instant at which all begin


@attrs.frozen
class Order:
    """What a process is to do: receive so many copies of a delivery, at an instant of the monotonic clock."""

    id: str
    copies: int
    at: float
    manner: str = "well"
    """How the handler behaves: `well`, or it `fails`, or `hangs`."""
    lease: float = 60.0


def note(file: Path, what: str, id: str) -> None:
    """Add a line to a file that many processes write."""
    with file.open("ab", buffering=0) as log:
        log.write(f"{what} {id} {time.monotonic()}\n".encode())


def work(url: str, file: Path, orders: Connection) -> None:
    """Receive what is ordered, until nothing is ordered any more: the body of a process."""
    logging.disable()  # handlers that fail are meant to
    asyncio.run(serve(url, file, orders))


async def serve(url: str, file: Path, orders: Connection) -> None:
    """Receive what is ordered, with one store; tell the statuses of the answers."""
    order = Order("", 0, 0.0)

    async def handle(event: Event) -> None:
        note(file, "begun", event.message_id)
        await asyncio.sleep(1_000 if order.manner == "hangs" else 0.005)
        if order.manner == "fails":
            raise ValueError("crash")
        note(file, "ended", event.message_id)

    store = RedisReplayStore(url)
    while (received := await asyncio.to_thread(orders.recv)) is not None:
        order = received
        async with Receiver(verifier(), handle, store=store, lease=order.lease) as receiver:
            await asyncio.sleep(order.at - time.monotonic())
            answers = await asyncio.gather(*(receiver.receive(*delivery(order.id)) for _ in range(order.copies)))
        orders.send(Counter(answer.status for answer in answers))
    await store.aclose()


class Fleet:
    """Processes that receive, and the file they write."""

    def __init__(self, url: str, folder: Path, *, processes: int) -> None:
        self._url, self._file = url, folder / "runs"
        self._file.touch()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["envoy_async.webhooks", "pytest", "redis.asyncio", "tenacity"])
        self._workers = [self._start() for _ in range(processes)]

    def _start(self) -> tuple[BaseProcess, Connection]:
        here, there = multiprocessing.Pipe()
        process = self._context.Process(target=work, args=(self._url, self._file, there))
        process.start()
        there.close()
        return process, here

    def send(self, id: str, copies: int, *, manner: str = "well") -> Counter[int]:
        """Give each process its share of the copies, all at the same instant; gives the statuses of the answers."""
        at, shares = time.monotonic() + AHEAD, len(self._workers)
        for number, (_, orders) in enumerate(self._workers):
            orders.send(Order(id, (copies + number) // shares, at, manner))
        answers = Counter[int]()
        for _, orders in self._workers:
            answers.update(orders.recv())
        return answers

    def kill_one(self, id: str, lease: float) -> None:
        """Let one process receive a delivery, and kill it while its handler runs; another takes its place."""
        process, orders = self._workers.pop()
        orders.send(Order(id, 1, time.monotonic(), "hangs", lease))
        ends = time.monotonic() + PATIENCE
        while not self.begun(id):
            if time.monotonic() > ends:
                raise TimeoutError(f"{id}: its handler did not begin")
            time.sleep(0.001)
        process.kill()
        process.join()
        orders.close()
        self._workers.append(self._start())

    def runs(self, id: str) -> Counter[str]:
        """Count how often a handler began and ended for a delivery."""
        return Counter(what for what, _ in self._lines(id))

    def begun(self, id: str) -> list[float]:
        """Tell when handlers began for a delivery."""
        return [at for what, at in self._lines(id) if what == "begun"]

    def _lines(self, id: str) -> list[tuple[str, float]]:
        lines = (line.split() for line in self._file.read_text(encoding="utf-8").splitlines())
        return [(what, float(at)) for what, noted, at in lines if noted == id]

    def stop(self) -> None:
        """End all processes."""
        for process, orders in self._workers:
            orders.send(None)
            process.join()
            orders.close()


@contextmanager
def fleet(url: str, *, processes: int = PROCESSES) -> Generator[Fleet]:
    """Run processes that receive, and wait until all do."""
    with tempfile.TemporaryDirectory() as folder:
        running = Fleet(url, Path(folder), processes=processes)
        try:
            running.send("warm", COPIES)
            yield running
        finally:
            running.stop()


def copies(running: Fleet, id: str, number: int) -> Iterator[str]:
    """Send many copies at once, and once more; gives what was wrong."""
    first, again = running.send(id, number), running.send(id, number)
    if running.runs(id) != {"begun": 1, "ended": 1}:
        yield f"{id}: ran {running.runs(id)}"
    if first.keys() - {200, 409} or not first[200]:
        yield f"{id}: answered {first}"
    if again != {200: number}:
        yield f"{id}: answered {again} when it was done"


def crash(running: Fleet, id: str, number: int) -> Iterator[str]:
    """Let all handlers fail, then send copies again; gives what was wrong."""
    failed = running.send(id, number, manner="fails")
    if failed.keys() - {409, 503} or not failed[503]:
        yield f"{id}: answered {failed} when it crashed"
    before = running.runs(id)
    running.send(id, number)
    if before["ended"] or running.runs(id) - before != {"begun": 1, "ended": 1}:
        yield f"{id}: ran {before}, then {running.runs(id)}"


def kill(running: Fleet, id: str, number: int, *, lease: float = LEASE) -> Iterator[str]:
    """Kill a process in its handler, and send copies until one runs; gives what was wrong."""
    began = time.monotonic()  # the claim comes after it, and the lease ends no sooner
    running.kill_one(id, lease)
    while not running.runs(id)["ended"] and time.monotonic() < began + lease + PATIENCE:
        answers = running.send(id, number)
        if answers.keys() - {200, 409}:
            yield f"{id}: answered {answers}"
    if running.runs(id) != {"begun": 2, "ended": 1}:
        yield f"{id}: ran {running.runs(id)} after the kill"
    if (early := began + lease - running.begun(id)[-1]) > 0:
        yield f"{id}: ran again {early:.3f} s before the lease had ended"


CASES = {"copies": copies, "crash": crash, "kill": kill}


def main() -> int:
    """Run everything and print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="deliveries of each case")
    seeds: int = parser.parse_args().seeds
    missed = Counter[str]()
    print(f"{PROCESSES} processes, {COPIES} copies of each delivery, lease {LEASE} s")
    print("case     deliveries  misses  seconds")
    with RedisServer() as server, fleet(server.url) as running:
        for name, case in CASES.items():
            began = time.monotonic()
            for seed in range(seeds):
                for wrong in case(running, f"{name}-{seed}", COPIES):
                    missed[name] += 1
                    print(wrong)
            print(f"{name:<9}{seeds:>10}{missed[name]:>8}{time.monotonic() - began:>9.1f}", flush=True)
    return 1 if missed.total() else 0


if __name__ == "__main__":
    sys.exit(main())
