"""A worker for Envoy AI: it exports calls, reacts to webhooks, and downloads recordings. Copy it, and change the tasks.

The rule: a message is acknowledged when its task is done, or stands in the queue once more. Whatever else happens, the
broker brings it again. So every task may run twice, and is written so that this does no harm.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated
from weakref import WeakSet

from redis.asyncio import Redis
from redis.exceptions import RedisError
from taskiq import Context, TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

from envoy_async import EnvoyClient, EnvoyError, models
from envoy_async.errors import ClientClosedError, DuplicateDeliveryError, OutcomeUnknownError
from envoy_async.export import Manifest, export
from envoy_async.fleet import RedisQuotaStore
from envoy_async.webhooks import Event, RedisReplayStore, run_once

QUEUE = "envoy"
REDIS = os.environ.get("ENVOY_REDIS_URL", "redis://localhost:6379/0")
FOLDER = Path(os.environ.get("WORKER_FOLDER", "."))  # all workers see the same: a file is begun here, and ended there
SLICE = float(os.environ.get("WORKER_SLICE", "300"))  # seconds a task may take before it goes back into the queue
IDLE = 2 * SLICE  # seconds after which a message that nobody acknowledged is brought again: nobody is at work on it
LOOK = SLICE / 20  # seconds between two looks for such messages
PAUSE = SLICE / 30  # seconds before a task that failed goes back
FAILURES = 5  # of one message, then it is given up
FOR_GOOD = 365 * 86_400.0

log = logging.getLogger("worker")
broker = RedisStreamBroker(
    REDIS,
    queue_name=QUEUE,
    consumer_group_name=QUEUE,
    consumer_id="0",  # also what was sent before the first worker started
    idle_timeout=round(IDLE * 1000),
    xread_count=1,  # what is fetched is begun at once, so nothing waits in a worker that ends …
    unacknowledged_batch_size=1,  # … also of what is brought again
)
Here = Annotated[Context, TaskiqDepends()]


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(state: TaskiqState) -> None:
    """Open one client for all tasks of this process."""
    state.opened = stack = AsyncExitStack()
    state.events = await stack.enter_async_context(aclosing(RedisReplayStore(REDIS, prefix="worker:events:")))
    state.called = await stack.enter_async_context(aclosing(RedisReplayStore(REDIS, prefix="worker:called:")))
    state.quota = await stack.enter_async_context(aclosing(RedisQuotaStore(REDIS)))
    state.envoy = await stack.enter_async_context(EnvoyClient(quota_store=state.quota))
    state.running = WeakSet()
    state.looking = asyncio.create_task(keep_looking())
    # With a handler of its own for any signal, the loop wakes at all of them: also at taskiq's, for the end.
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, bool)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(state: TaskiqState) -> None:
    """Close the client, which ends what is still at work; let that put itself back, then close the rest."""
    state.looking.cancel()
    await state.envoy.close(grace=2.0)
    if state.running:
        await asyncio.wait(state.running)
    await state.opened.aclose()


@asynccontextmanager
async def acknowledged(context: Context) -> AsyncIterator[None]:
    """Acknowledge a message when its task is done, or stands in the queue again: at once if it was interrupted."""
    context.state.running.add(asyncio.current_task())
    labels = context.message.labels
    limit = asyncio.timeout(SLICE)
    try:
        async with limit:
            yield
    except Exception as error:
        if not (limit.expired() or isinstance(error, ClientClosedError)):
            labels["failures"] = str(int(labels.get("failures", 0)) + 1)
            if int(labels["failures"]) == FAILURES:
                await context.ack()
                raise
            log.exception("%s failed, and is tried again", context.message.task_name)
            await asyncio.sleep(PAUSE)
        await broker.kick(broker.formatter.dumps(context.message))
    await context.ack()


@broker.task(ack_type="manual")
async def fetch_calls(first: date, last: date, context: Here) -> None:
    """Export the calls of some days; a part that an interrupted run left is gone on with."""
    async with acknowledged(context):
        path = FOLDER / f"calls-{first}-{last}.jsonl"
        if Manifest.beside(path) is None:
            pages = context.state.envoy.calls.list(start_date=first, end_date=last)
            await export(pages, path, resume=True)


@broker.task(ack_type="manual")
async def react(payload: dict[str, object], message_id: str, sent_at: datetime, context: Here) -> None:
    """Process a webhook event once, however often it comes."""
    async with acknowledged(context):
        event = Event.from_payload(payload, message_id=message_id, sent_at=sent_at)
        try:
            await run_once(context.state.events, event, partial(call_back, context.state), lease=SLICE / 2)
        except DuplicateDeliveryError as error:
            if not error.finished:  # another worker has it, or died with it
                raise


async def call_back(state: TaskiqState, event: Event) -> None:
    """Have the carrier of a new offer called: noted before, not after, since rather no call than two."""
    if event.type != "offer.created":
        return
    offer = event.read(models.Offer)
    if offer.carrier_id is None or await state.called.claim(offer.id, lease=FOR_GOOD) != "new":
        return
    try:
        await state.envoy.outreaches.create(carrier_id=offer.carrier_id, load_id=offer.load_id)
    except OutcomeUnknownError:
        log.exception("whether the carrier of %s was called is for you to find out: nobody tries again", offer.id)
    except EnvoyError:  # it was not
        await state.called.release(offer.id)
        raise


@broker.task(ack_type="manual")
async def fetch_recording(call_id: str, context: Here) -> None:
    """Download a recording; a part that an interrupted run left is gone on with."""
    async with acknowledged(context):
        await context.state.envoy.calls.download_recording(call_id, FOLDER)


@broker.task
async def look() -> None:
    """Do nothing."""


async def keep_looking() -> None:
    """Have the broker look for messages of dead workers, which it does after a new one only; and drop what is done."""
    redis = Redis(connection_pool=broker.connection_pool)
    while True:
        await asyncio.sleep(LOOK)
        with suppress(RedisError):
            await look.kiq()
            group, pending = (await redis.xinfo_groups(QUEUE))[0], await redis.xpending(QUEUE, QUEUE)
            await redis.xtrim(QUEUE, minid=pending["min"] or group["last-delivered-id"], approximate=False)
