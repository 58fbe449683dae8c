"""A sandbox of many organizations, and a Dask cluster of processes; each in processes of its own, which may be killed.

The data of the sandbox follows from its seed and its clock, so a second one, never opened, tells what is in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from envoy_async import BearerToken, EnvoyClient, RetryPolicy
from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.serving import serve

NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC
ORGANIZATIONS = 50
_LONGEST = 60  # seconds for anything to start or end


def sandbox(delay: float = 0.0) -> Sandbox:
    """Make the sandbox; each listing of calls takes so many seconds."""
    slow = [Fault(times=None, delay=delay)] if delay else []
    clock = partial(float, NOW)
    return Sandbox(organizations=ORGANIZATIONS, calls=2_000, loads=1, quota=None, faults=slow, clock=clock)


def client_of(organization: str | None) -> EnvoyClient:
    """Make a client of an organization that tries once."""
    token = BearerToken(os.environ["ENVOY_BEARER_TOKEN"])
    return EnvoyClient(token, organization_id=organization, retry=RetryPolicy(max_attempts=1))


NAMELESS: Callable[[str | None], EnvoyClient] = lambda organization: client_of(organization)  # noqa: E731, PLW0108


def broken(organization: str | None) -> EnvoyClient:
    """Make no client, for a reason of its own."""
    raise LookupError(f"{organization} is at https://user:secret@vault.example.test")


def environment(values: dict[str, str]) -> dict[str, str]:
    """Give child processes what they need to find our modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])]), **values}


class Processes:
    """Processes that end with their `with` block."""

    def __init__(self) -> None:
        self._all: list[subprocess.Popen[bytes]] = []

    def start(
        self, *arguments: str, out: Path | None = None, values: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a Python program, which writes to a file or nowhere."""
        with (out or Path(os.devnull)).open("wb") as file:
            command = [sys.executable, *arguments]
            began = subprocess.Popen(command, env=environment(values or {}), stdout=file, stderr=subprocess.DEVNULL)
        self._all.append(began)
        return began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.terminate()  # which lets them write what coverage found
        ends = time.monotonic() + 3
        for process in self._all:
            try:
                process.wait(max(0.0, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def waited(path: Path) -> str:
    """Wait until a file has something in it."""
    ends = time.monotonic() + _LONGEST
    while not path.exists() or not (text := path.read_text()).endswith("\n"):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return text


class Cluster:
    """Schedulers, and workers of one thread each, which find `values` in their environment."""

    def __init__(self, processes: Processes, folder: Path, values: dict[str, str]) -> None:
        self._processes, self._folder, self._values = processes, folder, values
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, workers: int) -> str:
        """Start them, and give the address of the scheduler."""
        file = self._folder / f"scheduler-{len(self.workers)}.json"
        scheduler = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self._processes.start(*scheduler, "--scheduler-file", str(file))
        worker = ["-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--no-nanny", "--no-dashboard"]
        space = ["--nthreads", "1", "--host", "127.0.0.1", "--local-directory", str(self._folder)]
        self.workers += [self._processes.start(*worker, *space, values=self._values) for _ in range(workers)]
        ends = time.monotonic() + _LONGEST
        while True:
            with suppress(FileNotFoundError, ValueError):  # it is not there, or not whole
                address: str = json.loads(file.read_text())["address"]
                return address
            assert time.monotonic() < ends
            time.sleep(0.01)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process, which has no time for anything."""
        process.send_signal(signal.SIGKILL)
        process.wait()


def files(folder: Path, pattern: str) -> set[Path]:
    """Find the files below a folder whose names are like this, but for those of unfinished exports."""
    return {path for path in folder.rglob(pattern) if path.parent.suffix != ".parts"}


def ids_in(folder: Path) -> Iterator[str]:
    """Give the ids in all parts below a folder."""
    for path in sorted(files(folder, "*.jsonl")):
        yield from (json.loads(line)["id"] for line in path.read_bytes().splitlines())


if __name__ == "__main__":
    asyncio.run(serve(sandbox(float(sys.argv[1])), tell=partial(print, flush=True)))
