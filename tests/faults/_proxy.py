"""A TCP proxy that spoils connections, in the words of toxiproxy.

The rule: what happens to bytes on their way is a `Link`, one for each direction; the proxy changes no byte of what it
lets through. It ends with its `async with`: no task and no socket stays behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from math import inf
from typing import Self

import attrs

_PIECE = 64 * 1024  # bytes


@attrs.frozen(kw_only=True)
class Link:
    """What one direction does to its bytes; times are seconds.

    Args:
        latency: every piece, and the end of the stream, is late by this much.
        bandwidth: bytes per second; with 0 nothing is even read, so that the sender's buffers fill up.
        slicer: bytes per piece; 0 leaves pieces as they come.
        slicer_delay: wait between two slices.
        limit_data: bytes after which the connection is closed.
        reset_peer: the connection is reset so long after it was made.
        timeout: nothing gets through, and the connection is closed after so long.
        slow_close: the end of the stream is late by this much more.
    """

    latency: float = 0.0
    bandwidth: float = inf
    slicer: int = 0
    slicer_delay: float = 0.0
    limit_data: float = inf
    reset_peer: float | None = None
    timeout: float | None = None
    slow_close: float = 0.0


class _Cut(Exception):  # noqa: N818 - no failure: the proxy's way to end both directions
    """The connection is to be closed, or reset."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class TcpProxy:
    """Stands between a client and a port of this machine. `up` and `down` hold for connections made from then on."""

    def __init__(self, port: int, *, up: Link = Link(), down: Link = Link()) -> None:
        self.up, self.down = up, down
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.port = 0
        self._target = port
        self._lost = 0
        self._tasks: set[asyncio.Task[object]] = set()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def lose(self) -> None:
        """Forget the connections there are, as a NAT does: they stay open, and nothing gets through any more."""
        self._lost = self.connections

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up, down = self.up, self.down
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        number, writers = self.connections, [writer]
        try:
            theirs, to_them = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(to_them)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(number, up, reader, to_them))
                both.create_task(self._carry(number, down, theirs, writer))
        except* _Cut as cut:
            if any(isinstance(part, _Cut) and part.reset for part in cut.exceptions):
                _reset(writers)
        except* (ConnectionError, asyncio.CancelledError):
            _reset(writers)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            await _close(writers)

    async def _carry(self, number: int, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction to its end; the other one may go on (half close)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_first(link.reset_peer, link.timeout)):
                if link.timeout is not None or link.bandwidth == 0:
                    await asyncio.Event().wait()
                await self._pump(number, link, reader, writer)
                return
        raise _Cut(reset=link.reset_peer is not None)

    async def _pump(self, number: int, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = link.limit_data
        while data := await reader.read(link.slicer or _PIECE):
            if number <= self._lost:
                continue
            await asyncio.sleep(link.latency + link.slicer_delay + len(data) / link.bandwidth)
            writer.write(data if len(data) < left else data[: int(left)])
            await writer.drain()
            left -= len(data)
            if left <= 0:
                raise _Cut(reset=False)
        await asyncio.sleep(link.latency + link.slow_close)
        if number > self._lost:
            writer.write_eof()


def _first(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _reset(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        peer = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # closed already
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def _close(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
