"""The inside of `bulk`: the tasks of a run and the line of their outcomes.

The rule: a run owns every task it starts, one that takes keys and one per job, and ends only when they have. Nobody
waits for a task by its name: each puts what came of it in line, and says that something moved.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from typing import Generic, Protocol, TypeVar, cast

import attrs

from .._masking import without_phones

K = TypeVar("K")
V = TypeVar("V")
P_co = TypeVar("P_co", covariant=True)
_OVER = (
    "this run ended early: its loop was left or cancelled, it failed, it was closed, or it began in another event "
    "loop; the keys without an outcome need another"
)

patient: ContextVar[bool] = ContextVar("patient", default=False)
"""Whether this is a job of `map`, whose calls are as patient as those of a listing."""


def shown(value: object) -> str:
    """Show a value, but for phone numbers."""
    return without_phones(repr(value))


@attrs.frozen
class Outcome(Generic[K, V]):
    """What came of one key: a value, or an error."""

    key: K = attrs.field(repr=shown)
    """The key, as it was given."""
    value: V | None = attrs.field(default=None, repr=shown)
    """What the function returned; `None` when it failed."""
    error: Exception | None = None
    """What the function raised; `None` when it did not."""

    def result(self) -> V:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("V", self.value)


class Paged(Protocol[P_co]):
    """Anything that gives its pages one by one, such as `Pages`."""

    def by_page(self) -> AsyncIterator[P_co]:
        """Iterate over the pages that follow."""
        ...


@attrs.define(eq=False)
class _Place(Generic[K, V]):
    """A place in line for an outcome; `taken` is called when the reader comes back from it."""

    taken: Callable[[], object]
    outcome: Outcome[K, V] | None = None


class Run(ABC, Generic[K, V]):
    """The tasks of a run, one that takes keys and one per job, and the line of their outcomes."""

    def __init__(self, concurrency: int) -> None:
        self._line: deque[_Place[K, V]] = deque()
        self._room = asyncio.Semaphore(concurrency)
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last: _Place[K, V] | None = None
        self._failure: Exception | None = None
        self._broken: asyncio.Task[None] | None = None
        self._over = False

    @abstractmethod
    async def _next(self) -> Coroutine[None, None, None]:
        """Wait for room, take the next key, and return its job; `StopAsyncIteration` when there is none."""

    @abstractmethod
    def _forget(self) -> None:
        """Let go of the keys, of which no more are needed; to close them is up to those who gave them."""

    async def step(self) -> Outcome[K, V]:
        """Wait for the next outcome and take it."""
        self._begin()
        try:
            while self._tasks and not (self._over or self._broken or self._ready()):
                self._moved.clear()
                await self._moved.wait()
        except asyncio.CancelledError:
            await self.end()
            raise
        if self._broken is not None and not self._over:
            await self.end()
            self._broken.result()  # raises
        return self._take()

    async def end(self) -> None:
        """Cancel the tasks and wait for them, also when cancelled meanwhile."""
        self._over = self._over or not self._complete()
        cancelled: asyncio.CancelledError | None = None
        tasks = self._tasks - {asyncio.current_task()}  # a job may end its own run
        self._cancel()
        while self._tasks & tasks:
            try:
                await asyncio.wait(tasks)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def let_go(self) -> None:
        """Cancel the tasks, from whatever thread collects the garbage."""
        self._over = self._over or not self._complete()
        if self._loop is not None and self._tasks:
            with suppress(RuntimeError):  # the loop is closed: nothing runs in it any more
                self._loop.call_soon_threadsafe(self._cancel)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._over or self._loop not in (None, loop):
            raise RuntimeError(_OVER)
        if self._loop is None:
            self._loop = loop
            self._start(self._feed())
        if self._last is not None:
            self._last.taken()
            self._last = None

    def _take(self) -> Outcome[K, V]:
        if self._over:
            raise RuntimeError(_OVER)
        if self._line:
            self._last = self._line.popleft()
            return cast("Outcome[K, V]", self._last.outcome)
        if self._failure is not None:
            self._over = True
            raise self._failure
        raise StopAsyncIteration

    def _ready(self) -> bool:
        return bool(self._line) and self._line[0].outcome is not None

    def _complete(self) -> bool:
        return self._loop is not None and not self._tasks and not self._line and self._failure is None

    async def _feed(self) -> None:
        try:
            while True:
                self._start(await self._next())
        except StopAsyncIteration:
            pass
        except Exception as error:  # noqa: BLE001 - the keys' own, raised behind the outcomes
            self._failure = error
        finally:
            self._forget()

    def _start(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if task.cancelled() or task.exception() is not None:
            self._broken = self._broken or task
        self._moved.set()

    def _cancel(self) -> None:
        self._moved.set()
        for task in self._tasks:
            task.cancel()


class Map(Run[K, V]):
    """One call per key."""

    def __init__(
        self,
        function: Callable[[K], Awaitable[V]],
        keys: Callable[[], Awaitable[K]],
        concurrency: int,
        *,
        ordered: bool,
    ) -> None:
        super().__init__(concurrency)
        self._function, self._keys, self._ordered = function, keys, ordered
        self._stock = asyncio.Semaphore(2 * concurrency)

    async def _next(self) -> Coroutine[None, None, None]:
        await self._stock.acquire()
        await self._room.acquire()
        place: _Place[K, V] = _Place(self._stock.release)
        key = await self._keys()
        if self._ordered:
            self._line.append(place)
        return self._call(key, place)

    def _forget(self) -> None:
        del self._keys

    async def _call(self, key: K, place: _Place[K, V]) -> None:
        place.outcome = await _outcome(self._function, key)
        if not self._ordered:
            self._line.append(place)
        self._moved.set()


async def _outcome(function: Callable[[K], Awaitable[V]], key: K) -> Outcome[K, V]:
    """Call the function; apart from the run, which an error's traceback would else hold."""
    patient.set(True)
    try:
        return Outcome(key, await function(key))
    except Exception as error:  # noqa: BLE001 - collected
        return Outcome(key, error=error)


class Merge(Run[K, V]):
    """One job per listing, which reads it page by page."""

    def __init__(self, listings: Callable[[], Awaitable[tuple[K, Paged[V]]]], concurrency: int) -> None:
        super().__init__(concurrency)
        self._listings = listings

    async def _next(self) -> Coroutine[None, None, None]:
        await self._room.acquire()
        key, listing = await self._listings()
        return self._read(key, listing)

    def _forget(self) -> None:
        del self._listings

    async def _read(self, key: K, listing: Paged[V]) -> None:
        try:
            pages = listing.by_page()
            try:
                async for page in pages:
                    await self._hand_out(Outcome(key, page))
            finally:
                if isinstance(pages, AsyncGenerator):
                    await pages.aclose()
        except Exception as error:  # noqa: BLE001 - collected
            await self._hand_out(Outcome(key, error=error))

    async def _hand_out(self, outcome: Outcome[K, V]) -> None:
        """Put an outcome in line and wait until the reader comes back from it."""
        back = asyncio.Event()
        self._line.append(_Place(back.set, outcome))
        self._moved.set()
        await back.wait()
