"""Run a handler for an event once.

The rule: claim, run, note. A handler that fails gives the event back, and one that outlives its lease is cancelled,
because then somebody else may claim the event. So it never runs twice at a time, and only a process that dies between
the end of the handler and the note lets it run twice.
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
PATIENCE = 5.0  # seconds the store may take before it counts as down
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
        Exception: what the handler raises, or the store.
    """
    until = asyncio.get_running_loop().time() + lease
    await take(store, event.message_id, lease=lease, reprocess=reprocess)
    await run_claimed(store, event.message_id, partial(handle, event), until=until)
    await store.done(event.message_id)


async def take(store: ReplayStore, id: str, *, lease: float, reprocess: bool) -> None:
    """Claim an event, or raise `DuplicateDeliveryError`."""
    claim = await store.claim(id, lease=lease, reprocess=reprocess)
    if claim != "new":
        finished = claim == "done"
        error = DuplicateDeliveryError("it was processed before" if finished else "it is being processed")
        error.finished = finished
        raise error


async def run_claimed(store: ReplayStore, id: str, job: Callable[[], Awaitable[object]], *, until: float) -> None:
    """Run a job for an event that is claimed until *until*, by the loop's time; if it fails, give the event back."""
    try:
        async with asyncio.timeout_at(until):
            await job()
    except BaseException:
        if asyncio.get_running_loop().time() < until:  # after it, whoever has claimed it is somebody else
            await _give_back(store, id)
        raise


async def _give_back(store: ReplayStore, id: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await store.release(id)
    except Exception:  # noqa: BLE001 - a store raises what it likes
        _log.exception("event %s could not be given back; it is free when its lease ends", id)
