"""Run a handler for an event once.

The rule: claim, run, note. A handler that fails gives the event back, and one that outlives its lease is cancelled,
because then somebody else may claim the event. So it does not run twice at a time, unless it goes on after that; and it
runs twice only if the process dies, or the store is down, between its end and the note.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from ..errors import DuplicateDeliveryError
from ._event import Event
from ._stores import LEASE, ReplayStore

_log = logging.getLogger("envoy_async.webhooks")
PATIENCE = 3.0  # seconds the store may take before it counts as down
_NOTING = 3  # tries to note that an event was processed
Handler: TypeAlias = Callable[[Event], Awaitable[object]]


async def run_once(
    store: ReplayStore, event: Event, handle: Handler, *, lease: float = LEASE, reprocess: bool = False
) -> None:
    """Run a handler for an event, unless it was processed or is being processed: for workers with no `Receiver`.

    Args:
        store: where it is kept which events were processed.
        event: what `WebhookVerifier.verify` returned.
        handle: an async function of the event.
        lease: seconds the handler may take; then it is cancelled, and the event is free again.
        reprocess: whether an event that was processed is processed again.

    Raises:
        DuplicateDeliveryError: it was processed before (`finished`), or is being processed.
        TimeoutError: the handler took longer than the lease.
        Exception: what the handler raises, or the store when it is asked. That it cannot be told in the end is logged.
    """
    until = asyncio.get_running_loop().time() + lease
    await take(store, event.message_id, lease=lease, reprocess=reprocess)
    await run_claimed(store, event.message_id, partial(handle, event), until=until)


async def take(store: ReplayStore, id: str, *, lease: float, reprocess: bool) -> None:
    """Claim an event, or raise `DuplicateDeliveryError`."""
    claim = await store.claim(id, lease=lease, reprocess=reprocess)
    if claim != "new":
        finished = claim == "done"
        error = DuplicateDeliveryError("it was processed before" if finished else "it is being processed")
        error.finished = finished
        raise error


async def run_claimed(store: ReplayStore, id: str, job: Callable[[], Awaitable[object]], *, until: float) -> None:
    """Run a job for an event that is claimed until *until*, by the loop's time, and note that it was processed.

    If the job fails, the event is given back.
    """
    try:
        async with asyncio.timeout_at(until):
            await job()
    except BaseException:
        if asyncio.get_running_loop().time() < until:  # after it, whoever has claimed it is somebody else
            await _give_back(store, id)
        raise
    await _note(store, id)


async def _note(store: ReplayStore, id: str) -> None:
    """Note that an event was processed; it was, so a store that is down for longer does not make it fail."""
    import tenacity

    try:
        again = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_NOTING),
            wait=tenacity.wait_fixed(1),
            retry=tenacity.retry_if_exception_type(Exception),
            reraise=True,
        )
        async with asyncio.timeout(PATIENCE):
            await again(store.done, id)
    except Exception:  # noqa: BLE001 - a store raises what it likes
        _log.exception("event %s was processed, but that could not be noted", id)


async def _give_back(store: ReplayStore, id: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await store.release(id)
    except Exception:  # noqa: BLE001 - a store raises what it likes
        _log.exception("event %s could not be given back; it is free when its lease ends", id)
