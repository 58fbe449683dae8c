"""Many calls at once, and many listings at once: bounded, in any order or in that of the keys, and none left behind.

The rule: a run owns every task; tasks and run do not know the `Outcomes` that a loop holds. So a loop that is left, by
whatever way, lets go of its `Outcomes`, and with that the tasks are cancelled. Nothing begins before the first step.
What was taken from the keys gets its outcome, or the next step says that the run ended early: no way of ending looks
like having done it all.

This module stands below everything else: it works with any function that can be awaited. Wrong arguments are a
`ValueError` or a `TypeError`, since the SDK's own errors lie above.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Generic, Literal, Self, TypeVar, cast

from ._run import Map, Merge, Outcome, Paged, Run, patient, shown

__all__ = ["Outcome", "Outcomes", "Paged", "gather_pages", "map", "patient"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
_LONGEST = 200  # characters of a key that are told


class Outcomes(Generic[K, V]):
    """The outcomes of a run, as they come: an async iterator that begins with its first step.

    It is one pass. Leaving a loop over it (`break`, `return`, an exception) cancels what is under way; so does a step
    that is cancelled or timed out, which also waits for the end of what it cancelled. After that, and after an error,
    a further step raises `RuntimeError`. To wait for the end after a `break` too, use `contextlib.aclosing`.
    """

    def __init__(self, run: Run[K, V], *, raises: bool) -> None:
        self._run = run
        self._raises = raises
        self._stepped = False

    def __aiter__(self) -> Self:
        """Give the loop an iterator of its own, so that it is let go when the loop is left."""
        return type(self)(self._run, raises=self._raises)

    async def __anext__(self) -> Outcome[K, V]:
        self._stepped = True
        outcome = await self._run.step()
        error = outcome.error
        if error is None or not self._raises:
            return outcome
        await self._run.end()
        error.add_note(f"bulk: this is of the key {_named(outcome.key)}")
        if isinstance(error, StopAsyncIteration):  # would end the loop as if nothing had happened
            raise RuntimeError("a job raised StopAsyncIteration") from error  # noqa: TRY004 - no argument is wrong
        raise error

    async def aclose(self) -> None:
        """Cancel what is under way and wait for its end."""
        await self._run.end()

    def __del__(self) -> None:
        if self._stepped:
            self._run.let_go()


def map(
    function: Callable[[K], Awaitable[V]],
    keys: Iterable[K] | AsyncIterable[K],
    *,
    concurrency: int = 16,
    ordered: bool = False,
    on_error: Literal["collect", "raise"] = "collect",
) -> Outcomes[K, V]:
    """Call an async function for each key, many at once.

    Keys are taken as they are needed, so they may be endless. At most twice as many as *concurrency* are taken and not
    yet handed out. When the keys themselves raise, what was taken comes to its end and is handed out, and then that
    error is raised; if the keys can go on after it, as a listing can, another `map` over them goes on there.

    The keys stay yours: the map lets go of them when it ends, and never closes them. An async generator that you keep
    and that is to end with the map needs `contextlib.aclosing` of its own.

    Only an `Exception` makes an outcome. Whatever else a job ends with, such as `CancelledError`, cancels the others
    and is raised at once.

    Args:
        function: what to call, such as `envoy.calls.get`.
        keys: what to call it with: an iterable or an async iterable, such as a generator over a listing.
        concurrency: most calls at once.
        ordered: whether outcomes come in the order of the keys, and not as they are done.
        on_error: `collect` hands out an error as an outcome. `raise` raises the first that would be handed out, after
            the others were cancelled and have ended; a note of the error names its key.

    Raises:
        ValueError: an argument is out of its bounds.
        TypeError: *keys* is no iterable, or is one text.
    """
    raises = _checked(concurrency, on_error)
    return Outcomes(Map(function, _each("keys", keys), concurrency, ordered=ordered), raises=raises)


def gather_pages(
    listings: Mapping[K, Paged[T]] | Iterable[tuple[K, Paged[T]]] | AsyncIterable[tuple[K, Paged[T]]],
    *,
    concurrency: int = 8,
    on_error: Literal["collect", "raise"] = "collect",
) -> Outcomes[K, T]:
    """Read many listings at once, merged page by page: each outcome has a listing's key and one page of it.

    Listings are taken as they are needed. Each keeps its place until its end, with at most one page that is fetched and
    not handed out, and those that have one take turns. The order within a listing is its own. When one fails, that is
    its last outcome, and the others go on.

    The next page of a listing is asked for when you come back for the next outcome, so `checkpoint()` of the listing
    that an outcome is of says what you have of it. Other listings may have a page that waits for you: when you
    leave early, go on from checkpoints that were taken so, and not with the same objects.

    Args:
        listings: the listings with what to call them: a mapping, or pairs, also from an async iterable.
        concurrency: most listings being read at once.
        on_error: as in `map`.

    Raises:
        ValueError: an argument is out of its bounds.
        TypeError: *listings* is no iterable.
    """
    raises = _checked(concurrency, on_error)
    pairs: Iterable[tuple[K, Paged[T]]] | AsyncIterable[tuple[K, Paged[T]]]
    pairs = cast("Mapping[K, Paged[T]]", listings).items() if isinstance(listings, Mapping) else listings
    return Outcomes(Merge(_each("listings", pairs), concurrency), raises=raises)


def _checked(concurrency: object, on_error: object) -> bool:
    """Refuse settings that are out of bounds; returns whether errors are raised."""
    if type(concurrency) is not int or concurrency < 1:
        raise ValueError("concurrency must be a whole number of at least 1")
    if on_error not in ("collect", "raise"):
        raise ValueError("on_error must be 'collect' or 'raise'")
    return on_error == "raise"


def _named(key: object) -> str:
    """Name a key: an id or a number as it is, but for phone numbers; of anything else only the type."""
    return shown(key)[:_LONGEST] if isinstance(key, str | int) else f"of type {type(key).__name__}"


def _each(name: str, items: Iterable[T] | AsyncIterable[T]) -> Callable[[], Awaitable[T]]:
    """Return what gives the next item; it raises `StopAsyncIteration` when there is none."""
    if isinstance(items, AsyncIterable):
        return aiter(items).__anext__
    if isinstance(items, str | bytes):
        raise TypeError(f"{name} is one text; put it in a list")
    return partial(_next_of, iter(items))


async def _next_of(items: Iterator[T]) -> T:
    for item in items:
        return item
    raise StopAsyncIteration
