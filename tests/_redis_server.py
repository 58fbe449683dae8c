"""Servers of Redis, started by us."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest
from redis.asyncio import Redis


def connect(url: str, *, text: bool = False) -> Redis:
    """Make a plain client of Redis."""
    return Redis.from_url(url, decode_responses=text)  # pyright: ignore[reportUnknownMemberType]


async def names(redis: Redis, pattern: str = "*") -> list[str]:
    """Name the keys in a Redis."""
    return [str(name) for name in await redis.keys(pattern)]  # pyright: ignore[reportUnknownMemberType]


async def flush(url: str) -> None:
    """Delete all that is in a Redis."""
    redis = connect(url)
    await redis.flushall()  # pyright: ignore[reportUnknownMemberType]
    await redis.aclose()


class RedisServer:
    """A Redis of our own on a Unix socket, which keeps nothing on disk."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self._program = shutil.which("redis-server")
        if self._program is None:
            missing = pytest.fail if "CI" in os.environ else pytest.skip  # nox says so as well
            missing("redis-server is missing, of which these tests start their own: install Debian's package")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self.path}"

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")  # its path is short, as a socket's has to be
        self.path = Path(self._folder.name, "redis.sock")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it, with no data."""
        assert self._program is not None
        listen = ["--port", "0", "--unixsocket", str(self.path), "--dir", self._folder.name]
        memory = ["--save", "", "--appendonly", "no", "--logfile", "/dev/null"]
        self._process = subprocess.Popen([self._program, *listen, *memory, *self._flags])
        ends = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < ends
            assert self._process.poll() is None
            time.sleep(0.002)

    def stop(self) -> None:
        """Kill it; what it held is lost."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it answer nobody."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as peer:
            try:
                peer.connect(str(self.path))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            peer.sendall(b"PING\r\n")
            return bool(peer.recv(100))
