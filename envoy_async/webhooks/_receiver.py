"""From a delivery to the answer its sender gets, and to the handler.

The rule: the answer says what the sender should do. 200: it is in good hands, do not try again. 400, 401, 413: this is
no event of yours. 409: it is being processed, try again later. 503: not now, try again later. Every run of a handler
is a task of the receiver, which goes on when the sender leaves, and ends before the receiver does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

import attrs

from ..errors import ConfigurationError, DuplicateDeliveryError, PayloadError, WebhookError
from ._event import Event
from ._once import PATIENCE, Handler, run_claimed, take
from ._stores import LEASE, MemoryReplayStore, ReplayStore
from ._verifier import Headers, WebhookVerifier

_log = logging.getLogger("envoy_async.webhooks")


@attrs.frozen
class Answer:
    """What a sender is told."""

    status: int
    text: str


_TAKEN, _DONE = Answer(200, "accepted"), Answer(200, "processed before")
_BUSY = Answer(409, "being processed")
_LARGE = Answer(413, "too large")
_CLOSING, _FULL = Answer(503, "closing"), Answer(503, "too many deliveries at once")
_DOWN, _FAILED = Answer(503, "the replay store is down"), Answer(503, "the handler failed")


Give: TypeAlias = Callable[[Answer], None]


class Receiver:
    """Receives deliveries of one endpoint: verifies, drops duplicates, acknowledges, and runs a handler for each event.

    Give it to `aiohttp_handler` or `starlette_route`; or call `receive` from any other framework. Open and close it
    with `async with`, or with `lifespan`.

    Args:
        verifier: what checks deliveries.
        handle: an async function of the `Event`; whatever it raises means that the event was not processed.
        store: where it is kept which events were processed; `None` for memory, which is right for one process and
            forgets when it ends.
        answer_within: seconds an answer waits for the handler. A handler that ends in them decides it: 200, or 503
            so that the sender tries again. After them the sender is told 200, and the handler goes on.
        lease: seconds a handler may take; then it is cancelled, and counts as failed.
        grace: seconds that handlers get to end when the receiver is closed, before they are cancelled.
        concurrency: most deliveries at a time; those beyond get a 503.
        fail_closed: whether a delivery gets a 503 while the store is down. If not, its event is processed, also when
            it was before.
        reprocess: whether events that were processed are processed again: an operator's switch, to replay them.

    Raises:
        ConfigurationError: a number is out of its bounds.
    """

    def __init__(
        self,
        verifier: WebhookVerifier,
        handle: Handler,
        *,
        store: ReplayStore | None = None,
        answer_within: float = 1.0,
        lease: float = LEASE,
        grace: float = 10.0,
        concurrency: int = 1_000,
        fail_closed: bool = True,
        reprocess: bool = False,
    ) -> None:
        if not (answer_within >= 0 and lease > 0 and grace >= 0 and concurrency > 0):
            raise ConfigurationError("answer_within and grace must be 0 or more, lease and concurrency more than 0")
        self.verifier = verifier
        self._handle = handle
        self._store = MemoryReplayStore() if store is None else store
        self._answer_within = answer_within
        self._lease = lease
        self._grace = grace
        self._concurrency = concurrency
        self._fail_closed = fail_closed
        self._reprocess = reprocess
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self, headers: Headers, body: bytes) -> Answer:
        """Take one delivery and return what its sender is to be told. It raises nothing.

        Args:
            headers: all headers of the request, see `WebhookVerifier.verify`.
            body: the raw bytes of the body; read no more of a request than `verifier.largest_body` and one.
        """
        if len(body) > self.verifier.largest_body:
            return _LARGE
        try:
            event = self.verifier.verify(headers, body)
        except WebhookError as error:
            _log.info("a delivery was refused: %s", error)
            return Answer(400 if isinstance(error, PayloadError) else 401, str(error))
        if self._closing or len(self._tasks) >= self._concurrency:
            return _CLOSING if self._closing else _FULL
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._process(event, partial(_give, answer)), name=f"webhook {event.message_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: _give(answer, _CLOSING))  # if it was cancelled before it knew one
        return await answer

    async def aclose(self) -> None:
        """Refuse new deliveries, let handlers end, and after the grace cancel them; their events are free again.

        Their senders were told 200, so it takes `reconcile` to get them.
        """
        self._closing = True
        tasks = list(self._tasks)
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=self._grace)
        finally:  # also when whoever closes has no more time
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncGenerator[None]:  # noqa: ARG002 - frameworks give themselves
        """Open and close with an application: the `lifespan` of Starlette, or one of aiohttp's `cleanup_ctx`."""
        async with self:
            yield

    async def __aenter__(self) -> Self:
        self._closing = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _process(self, event: Event, give: Give) -> None:
        """Claim an event, run the handler, and note that it was processed; tell the answer as soon as it is known."""
        until = asyncio.get_running_loop().time() + self._lease
        try:
            store = await self._claimed(event)
        except DuplicateDeliveryError as duplicate:
            give(_DONE if duplicate.finished else _BUSY)
        except Exception:  # noqa: BLE001 - a store raises what it likes
            _log.exception("the replay store is down; event %s is left to the sender's next try", event.message_id)
            give(_DOWN)
        else:
            await self._run(event, store, give, until)

    async def _claimed(self, event: Event) -> ReplayStore:
        """Claim an event and return where to note it, which is nowhere while the store is down and may be."""
        try:
            async with asyncio.timeout(PATIENCE):
                await take(self._store, event.message_id, lease=self._lease, reprocess=self._reprocess)
        except DuplicateDeliveryError:
            raise
        except Exception:
            if self._fail_closed:
                raise
            _log.exception("the replay store is down; event %s may be processed twice", event.message_id)
            return MemoryReplayStore()
        return self._store

    async def _run(self, event: Event, store: ReplayStore, give: Give, until: float) -> None:
        timer = asyncio.get_running_loop().call_later(self._answer_within, give, _TAKEN)
        try:
            await run_claimed(store, event.message_id, partial(self._handle, event), until=until)
            give(_TAKEN)
        except Exception:  # noqa: BLE001 - and so does a handler
            _log.exception("event %s was not processed", event.message_id)
            give(_FAILED)
        finally:
            timer.cancel()


def _give(answer: asyncio.Future[Answer], told: Answer) -> None:
    """Tell the answer, unless another was told or its sender has left."""
    if not answer.done():
        answer.set_result(told)
