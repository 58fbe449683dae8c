"""What was sent while nobody listened: found, and processed or sent again.

The rule: the vendor's list of messages says what happened, the replay store what was processed; without a store, a
message counts as processed when an attempt to deliver it succeeded. Whatever is in between is handled here, or asked
for again, once: the store decides when a delivery comes in at the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import attrs

from ..errors import ConfigurationError, NotFoundError, ValidationError, refused
from ..models import (
    WebhookAttempt,
    WebhookAttemptStatus,
    WebhookEndpoint,
    WebhookEndpointStatus,
    WebhookMessageState,
)
from ._event import Event
from ._once import Handler, run_claimed
from ._stores import LEASE, ReplayStore

if TYPE_CHECKING:
    from .._paging import Pages, Report

Outcome: TypeAlias = Literal["done", "handled", "replayed", "waiting"]
_UNDER_WAY = (WebhookAttemptStatus.PENDING, WebhookAttemptStatus.SENDING)


class _Endpoints(Protocol):
    async def get(self, endpoint_id: str) -> WebhookEndpoint: ...
    def messages(self, endpoint_id: str) -> Pages[WebhookAttempt]: ...


class _Messages(Protocol):
    def attempts(self, message_id: str) -> Pages[WebhookAttempt]: ...
    async def replay(self, message_id: str, *, endpoint_id: str) -> WebhookMessageState: ...


class Client(Protocol):
    """What of an `EnvoyClient` is used here, which stands above."""

    @property
    def webhook_endpoints(self) -> _Endpoints: ...
    @property
    def webhook_messages(self) -> _Messages: ...


@attrs.frozen(kw_only=True)
class Reconciled:
    """What `reconcile` found, and what it did. Messages are named by their ids, the oldest first."""

    done: tuple[str, ...] = ()
    """Processed before, or by somebody else meanwhile."""
    handled: tuple[str, ...] = ()
    """Processed by the handler that was given."""
    replayed: tuple[str, ...] = ()
    """Asked to be delivered again."""
    waiting: tuple[str, ...] = ()
    """Left alone: the sender still tries, or somebody is processing it. Look again later."""
    failed: dict[str, Exception] = attrs.field(factory=dict[str, Exception], hash=False)
    """Not processed and not asked for, with the reason."""
    endpoint_status: WebhookEndpointStatus
    """Unless it is `ACTIVE`, presumably nothing is delivered, not even what was asked for again (inferred)."""
    report: Report
    """How the list of attempts was read, and whether it is proven to be whole."""


async def reconcile(
    envoy: Client,
    endpoint_id: str,
    *,
    since: datetime,
    store: ReplayStore | None = None,
    handle: Handler | None = None,
    lease: float = LEASE,
) -> Reconciled:
    """Find the messages that were never processed, and process them, or have them delivered again.

    It reads all attempts at the endpoint, whatever *since* is (one request for 100), and those of a single message
    where that list does not show all of them. It can run beside a `Receiver` with the same store, and again at any
    time. Source: `GET /webhooks/endpoints/{endpoint_id}/messages`, `GET /webhooks/messages/{message_id}/attempts`, and
    `POST /webhooks/messages/{message_id}/replay` (all partial).

    Args:
        envoy: an `EnvoyClient`.
        endpoint_id: the endpoint.
        since: from when on attempts count; not longer ago than the store remembers.
        store: where the receiver keeps what it processed. Without one, a message counts as processed when an attempt
            succeeded, which also holds for one that was acknowledged and then lost.
        handle: what processes an event here, in the order of the messages; it needs *store*. `None` asks for another
            delivery of each message, which the receiver gets with the same `webhook-id`.
        lease: seconds the handler may take for one event.

    Raises:
        InvalidRequestError: *since* has no time zone.
        ConfigurationError: there is a handler, but no store.
        EnvoyError: the API could not be asked. What the store raises is raised too.
    """
    if since.tzinfo is None:
        raise refused("since", "since needs a time zone")
    if handle is not None and store is None:
        raise ConfigurationError("a handler needs the replay store of the receiver, or events are processed twice")
    status = (await envoy.webhook_endpoints.get(endpoint_id)).status
    pages = envoy.webhook_endpoints.messages(endpoint_id)
    work = _Work(envoy, endpoint_id, store, handle, lease)
    found: dict[Outcome, list[str]] = {"done": [], "handled": [], "replayed": [], "waiting": []}
    failed: dict[str, Exception] = {}
    for message_id, attempts in (await _messages(pages, since)).items():
        outcome = await work.settle(message_id, attempts)
        if isinstance(outcome, Exception):
            failed[message_id] = outcome
        else:
            found[outcome].append(message_id)
    ids = {name: tuple(ids) for name, ids in found.items()}
    return Reconciled(**ids, failed=failed, endpoint_status=status, report=pages.report)


async def _messages(pages: Pages[WebhookAttempt], since: datetime) -> dict[str, list[WebhookAttempt]]:
    """Group attempts by message, the oldest first; the list comes in an order that is not known."""
    messages: dict[str, list[WebhookAttempt]] = {}
    for attempt in _in_order([attempt async for attempt in pages if attempt.created_at >= since]):
        messages.setdefault(attempt.message_id, []).append(attempt)
    return messages


def _in_order(attempts: list[WebhookAttempt]) -> list[WebhookAttempt]:
    return sorted(attempts, key=lambda attempt: (attempt.created_at, attempt.attempt))


@attrs.frozen
class _Work:
    """Finds out what became of a message, and does what is to be done."""

    envoy: Client
    endpoint_id: str
    store: ReplayStore | None
    handle: Handler | None
    lease: float

    async def settle(self, message_id: str, seen: list[WebhookAttempt]) -> Outcome | Exception:
        """Settle one message, of which these attempts were seen, the oldest first."""
        if self.store is None:
            attempts = await self._whole(message_id, seen)
            succeeded = any(attempt.status == WebhookAttemptStatus.SUCCEEDED for attempt in attempts)
            return "done" if succeeded else await self._again(message_id, attempts)
        until = asyncio.get_running_loop().time() + self.lease
        claim = await self.store.claim(message_id, lease=self.lease)
        if claim != "new":
            return "done" if claim == "done" else "waiting"
        payload = next((attempt.payload for attempt in seen if attempt.payload is not None), None)
        if self.handle is not None and payload is not None:
            job = partial(_process, self.handle, payload, message_id, seen[0].created_at)
            return await _handled(self.store, message_id, job, until)
        await self.store.release(message_id)
        return await self._again(message_id, seen)

    async def _again(self, message_id: str, attempts: list[WebhookAttempt]) -> Outcome | Exception:
        """Have a message delivered again, unless that will happen anyway."""
        if attempts[-1].status in _UNDER_WAY:
            return "waiting"
        try:
            await self.envoy.webhook_messages.replay(message_id, endpoint_id=self.endpoint_id)
        except (NotFoundError, ValidationError) as error:  # of this message; any other is of all
            return error
        return "replayed"

    async def _whole(self, message_id: str, seen: list[WebhookAttempt]) -> list[WebhookAttempt]:
        """Give all attempts of a message at the endpoint; asks if the first is not among those seen."""
        if any(attempt.attempt == 1 for attempt in seen):
            return seen
        attempts = await self.envoy.webhook_messages.attempts(message_id).collect()
        return _in_order([attempt for attempt in attempts if attempt.endpoint_id == self.endpoint_id]) or seen


async def _process(handle: Handler, payload: dict[str, object], message_id: str, made_at: datetime) -> None:
    await handle(Event.from_payload(payload, message_id=message_id, sent_at=made_at))


async def _handled(
    store: ReplayStore, message_id: str, job: Callable[[], Awaitable[object]], until: float
) -> Outcome | Exception:
    """Process a message that is claimed."""
    try:
        await run_claimed(store, message_id, job, until=until)
    except Exception as error:  # noqa: BLE001 - a handler raises what it likes
        return error
    return "handled"
