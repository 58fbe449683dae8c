"""Many records in few requests: cut, send, and put the results together.

The rule: until the first request has gone through, an error is raised, since nothing is lost with it. From then on
nothing is raised away: a request that fails marks its own items as failed, and the rest is still sent. Results
come in the order of the items. The input is read while it is sent, one batch at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import chain, islice
from typing import TypeVar, cast

import attrs

from ..errors import EnvoyError, InvalidResponseError
from ..models import CarrierBatchResult, LoadBatchResult
from ._base import refused

LARGEST = 1000  # batch pages (seen)
_COUNTS = ("total", "total_loads", "successful", "failed", "created", "updated")

T = TypeVar("T")
R = TypeVar("R", LoadBatchResult, CarrierBatchResult)


async def in_batches(
    name: str,
    items: Iterable[T] | AsyncIterable[T],
    send: Callable[[Sequence[T]], Awaitable[R]],
    lost: Callable[[Sequence[T], str, R], R],
) -> R:
    """Send the items batch by batch, and return one result for all.

    Args:
        name: what the items are called, for errors.
        items: what to send.
        send: sends one batch.
        lost: makes the result of a batch that was not answered, from the error's text and the result before.
    """
    parts: list[R] = []
    async with aclosing(_cut(name, items)) as batches:
        async for batch in batches:
            try:
                parts.append(await send(batch))
            except EnvoyError as error:
                if not parts:
                    raise
                parts.append(lost(batch, f"{type(error).__name__}: {error}", parts[-1]))
    if not parts:
        raise refused(name, f"{name} is empty: there is nothing to send")
    return attrs.evolve(
        parts[-1],
        success=any(part.success for part in parts),
        results=tuple(chain.from_iterable(part.results for part in parts)),
        **_sums(parts),
    )


def _sums(parts: Sequence[LoadBatchResult] | Sequence[CarrierBatchResult]) -> dict[str, int]:
    return {name: sum(getattr(part, name) for part in parts) for name in _COUNTS if hasattr(parts[0], name)}


def matched(answer: R, total: int, sent: Sequence[str], told: Sequence[str]) -> R:
    """Return the answer with its results in the order sent, or raise when they cannot be matched.

    Args:
        answer: what the server said about one batch.
        total: how many items it says it got.
        sent: what each item is called, in the order sent.
        told: what each result is called, in the order told.
    """
    count, good = len(sent), sum(result.success for result in answer.results)
    if (total, len(told), answer.successful, answer.failed) != (count, count, good, count - good):
        raise InvalidResponseError(
            f"the counts do not match: {count} sent, the answer has {len(told)} results, {good} of them good,"
            f" and says {total} came, {answer.successful} went through, and {answer.failed} failed"
        )
    if list(told) == list(sent) or sorted(told) != sorted(sent) or len(set(sent)) < count:
        return answer
    by_name = dict(zip(told, answer.results, strict=True))
    return attrs.evolve(answer, results=tuple(by_name[name] for name in sent))


async def _cut(name: str, items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[Sequence[T], None]:
    """Give the items in batches; an async generator among them is closed at the end, whatever that was."""
    if not isinstance(items, AsyncIterable):
        each = _iterator(name, items)
        while batch := list(islice(each, LARGEST)):
            yield batch
        return
    try:
        batch = list[T]()
        async for item in items:
            batch.append(item)
            if len(batch) == LARGEST:
                yield batch
                batch = []
        if batch:
            yield batch
    finally:
        if isinstance(items, AsyncGenerator):
            await cast("AsyncGenerator[T, None]", items).aclose()


def _iterator(name: str, items: Iterable[T]) -> Iterator[T]:
    try:
        return iter(items)
    except TypeError:
        error = refused(name, f"{name} must be an iterable or async iterable")
    raise error
