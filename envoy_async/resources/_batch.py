"""Many records in few requests: cut, send, and put the results together.

The rule: until the first request has gone through, an error is raised, since nothing is lost with it. From then on
nothing is raised away: a request that fails marks its own items as failed, and the rest is still sent. An item that
cannot be sent is held back and marked as failed, so that its neighbours go. Results come in the order of the items.
The input is read while it is sent, one batch at a time.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from itertools import chain, islice
from typing import Any, TypeAlias, TypeVar

import attrs

from .._wire import BadInput
from ..errors import EnvoyError, InvalidResponseError, refused
from ..models import CarrierBatchItem, CarrierBatchResult, LoadBatchItem, LoadBatchResult

LARGEST = 1000  # batch pages (seen)
_COUNTS = ("total", "total_loads", "successful", "failed", "created", "updated")

T = TypeVar("T")
R = TypeVar("R", LoadBatchResult, CarrierBatchResult)
Item: TypeAlias = LoadBatchItem | CarrierBatchItem
Body: TypeAlias = dict[str, object]


async def in_batches(
    name: str,
    items: Iterable[T] | AsyncIterable[T],
    *,
    ready: Callable[[T], Body],
    send: Callable[[Sequence[Body]], Awaitable[R]],
    fail: Callable[[T, str], Item],
) -> R:
    """Send the items batch by batch, and return one result for all.

    Args:
        name: what the items are called, for errors.
        items: what to send.
        ready: makes an item ready for JSON, or raises `BadInput`.
        send: sends one batch of what `ready` made.
        fail: makes the result of an item that did not go through, from the reason.
    """
    parts: list[R] = []
    count = 0
    async with aclosing(_cut(name, items)) as batches:
        async for batch in batches:
            good, held = _sorted_out(batch, ready, name, count)
            try:
                part = await _sent(good, held, send)
            except EnvoyError as error:
                if not parts:
                    raise
                part, held = _nothing(parts[-1]), dict.fromkeys(range(len(batch)), error) | held
            why = {place: f"{type(error).__name__}: {error}" for place, error in held.items()}
            parts.append(_with(part, [fail(item, why[i]) if i in why else None for i, item in enumerate(batch)]))
            count += len(batch)
    if not parts:
        raise refused(name, f"{name} is empty: there is nothing to send")
    return _joined(parts)


def _sorted_out(
    batch: Sequence[T], ready: Callable[[T], Body], name: str, before: int
) -> tuple[list[Body], dict[int, EnvoyError]]:
    """Give what can be sent, and by its place in the batch what cannot."""
    good: list[Body] = []
    held: dict[int, EnvoyError] = {}
    for place, item in enumerate(batch):
        try:
            good.append(ready(item))
        except BadInput as bad:
            at = f"{name}[{before + place}]" + (f".{bad.param}" if bad.param not in {None, "$"} else "")
            held[place] = refused(at, f"{name}[{before + place}]: {bad}")
    return good, held


async def _sent(
    good: Sequence[Body], held: Mapping[int, EnvoyError], send: Callable[[Sequence[Body]], Awaitable[R]]
) -> R:
    if not good:
        raise next(iter(held.values()))
    return await send(good)


def _nothing(before: R) -> R:
    """Make the result of a request nobody answered, as of the time of the one before."""
    none: dict[str, Any] = dict.fromkeys((key for key in _COUNTS if hasattr(before, key)), 0)
    return attrs.evolve(before, success=False, results=(), **none)


def _with(part: R, failed: Sequence[Item | None]) -> R:
    """Put the items that failed here between the results of those that were answered."""
    told, more = iter(part.results), sum(item is not None for item in failed)
    counts: dict[str, Any] = {key: getattr(part, key) + more for key in _COUNTS[:2] if hasattr(part, key)}
    counts["results"] = tuple(next(told) if item is None else item for item in failed)
    return attrs.evolve(part, failed=part.failed + more, **counts)


def _joined(parts: Sequence[R]) -> R:
    last = parts[-1]
    told: dict[str, Any] = {key: sum(getattr(part, key) for part in parts) for key in _COUNTS if hasattr(last, key)}
    told["success"] = any(part.success for part in parts)
    told["results"] = tuple(chain.from_iterable(part.results for part in parts))
    return attrs.evolve(last, **told)


def matched(answer: R, route: str, total: int, sent: Sequence[str], told: Sequence[str]) -> R:
    """Return the answer with its results in the order sent, or raise when they cannot be matched.

    Args:
        answer: what the server said about one batch.
        route: where it was sent.
        total: how many items it says it got.
        sent: what each item is called, in the order sent.
        told: what each result is called, in the order told.
    """
    count, good = len(sent), sum(result.success for result in answer.results)
    if (total, len(told), answer.successful, answer.failed) != (count, count, good, count - good):
        error = InvalidResponseError(
            f"the counts do not match: {count} sent, the answer has {len(told)} results, {good} of them good,"
            f" and says {total} came, {answer.successful} went through, and {answer.failed} failed"
        )
        error.method, error.route = "POST", route
        raise error
    if list(told) == list(sent) or sorted(told) != sorted(sent) or len(set(sent)) < count:
        return answer
    by_name = dict(zip(told, answer.results, strict=True))
    return attrs.evolve(answer, results=tuple(by_name[name] for name in sent))


async def _cut(name: str, items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[Sequence[T], None]:
    """Give the items in batches; an async generator is closed at the end, however that came."""
    if not isinstance(items, AsyncIterable):
        each = _iterator(name, items)
        while batch := list(islice(each, LARGEST)):
            yield batch
        return
    source = aiter(items)
    try:
        while batch := await _some(source):
            yield batch
            if len(batch) < LARGEST:  # it has said that it is at its end: it is not asked again
                break
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def _some(source: AsyncIterator[T]) -> list[T]:
    batch: list[T] = []
    async for item in source:
        batch.append(item)
        if len(batch) == LARGEST:
            break
    return batch


def _iterator(name: str, items: Any) -> Iterator[Any]:
    kind = type(items).__name__
    try:
        if not isinstance(items, str | bytes | Mapping):  # whose parts are no records
            return iter(items)
    except TypeError:
        pass
    raise refused(name, f"{name} must be an iterable or async iterable of {name}, not {kind}")
