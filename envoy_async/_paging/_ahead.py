"""Fetching some pages ahead of the reader.

The rule: at most so many pages and bytes wait, they are handed out in order, and nothing but the reader's position
decides what they are worth. A page asked for before the one in front of it had come may have been answered before
it, or long after. When it shows that rows moved meanwhile, it is thrown away, and whenever a page shows that, all
behind it are; the next is asked for alone, so that prefetching delivers what reading page by page does. What is
fetched ahead then grows again from one.

Why that is enough: a row is missed only where two neighbouring pages were answered in the wrong order, with rows
moved between. Moved by inserts or deletes on the far side, the rows before them moved too, so that a page in front
repeats one, or the count has changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

import attrs

from .._wire import Request, Response, Send
from ._position import Position
from ._route import Ask
from ._seen import Record

T = TypeVar("T", bound=Record)
MOST_AHEAD = 64  # pages
_BYTES = 64 * 2**20  # of answers that wait


@attrs.frozen(eq=False, repr=False)
class _Flight:
    """A page on its way."""

    ask: Ask
    task: asyncio.Task[Response]
    alone: bool


class Ahead(Generic[T]):
    """Pages on their way, at most `most` of them; it owns their tasks."""

    def __init__(self, send: Send, request: Request, position: Position[T]) -> None:
        self.most = 1
        self.send = send
        self._request, self._position = request, position
        self._width = MOST_AHEAD  # falls to 1 when rows move, and grows again
        self._largest = 0  # bytes of an answer
        self._flights: deque[_Flight] = deque()
        self._ending: set[asyncio.Task[Response]] = set()  # given up, and not over yet

    @property
    def idle(self) -> bool:
        """Whether nothing is, or is to be, on its way ahead."""
        return self.most == 1 and not self._flights

    async def fetch(self, ask: Ask) -> tuple[Response, bool]:
        """Give the answer to *ask*, and whether it was asked for alone."""
        if self._flights and not self._usable(self._flights[0], ask):
            self.drop()
        self._launch(ask)
        flight = self._flights[0]
        await asyncio.wait({flight.task})
        if self._flights and self._flights[0] is flight:  # unless an earlier loop was let go meanwhile
            self._flights.popleft()
        if flight.task.cancelled():
            return await self.send(self.asking(ask)), not self._flights
        self._width = min(MOST_AHEAD, 2 * self._width)
        response = flight.task.result()
        self._largest = max(self._largest, len(response.body))
        return response, flight.alone

    def _usable(self, flight: _Flight, ask: Ask) -> bool:
        return flight.ask == ask and flight.task.get_loop() is asyncio.get_running_loop()

    def asking(self, ask: Ask) -> Request:
        return self._request.at_page(ask.number, ask.size, ask.query)

    def _launch(self, ask: Ask) -> None:
        """Send what there is room for."""
        held = sum(map(self._bytes, self._flights))
        due = sum(flight.ask.size for flight in self._flights)
        following: Ask | None = ask
        if self._flights:
            following = self._position.route.after(self._flights[-1].ask)
        while following is not None and len(self._flights) < min(self.most, self._width):
            if self._flights and (held >= _BYTES or (self._position.left is not None and due >= self._position.left)):
                break
            held, due = held + self._largest, due + following.size
            task = asyncio.get_running_loop().create_task(_run(self.send, self.asking(following)))
            task.add_done_callback(_heard)
            self._flights.append(_Flight(following, task, not self._flights))
            following = self._position.route.after(following)

    def _bytes(self, flight: _Flight) -> int:
        done = flight.task.done() and not flight.task.cancelled() and flight.task.exception() is None
        return len(flight.task.result().body) if done else self._largest

    def drop(self) -> None:
        """Give up what is on its way."""
        tasks = [flight.task for flight in self._flights]
        self._flights.clear()
        self._width = 1
        for task in tasks:
            if task.done() and not task.cancelled():
                error = task.exception()
                self._position.spend(task.result().attempts if error is None else getattr(error, "attempts", ()))
            elif not task.get_loop().is_closed():
                task.cancel()
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    async def end(self) -> None:
        """Give up what is on its way, and wait until it is over."""
        self.drop()
        if self._ending:
            await asyncio.wait(self._ending)

    def __del__(self) -> None:
        self.drop()


async def _run(send: Send, request: Request) -> Response:
    return await send(request)


def _heard(task: asyncio.Task[Response]) -> None:
    """Take note of an error that nobody may ask for."""
    if not task.cancelled():
        task.exception()
