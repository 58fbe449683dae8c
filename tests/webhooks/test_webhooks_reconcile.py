"""`webhooks.reconcile` against a sandbox: what was never processed is found, and processed or asked for again, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from envoy_async import EnvoyClient, webhooks
from envoy_async.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PayloadError,
    ServerError,
    ValidationError,
)
from envoy_async.models import WebhookEndpointStatus
from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.answers import timestamp

NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC, where the sandbox's clock stands
HOUR = 3600.0
SINCE = datetime.fromtimestamp(NOW - HOUR, UTC)


class Inbox:
    """A handler that keeps what it got, and fails for the messages it is told to."""

    def __init__(self) -> None:
        self.got: list[webhooks.Event] = []
        self.fails: set[str] = set()

    @property
    def ids(self) -> list[str]:
        """The messages it got, in order."""
        return [event.message_id for event in self.got]

    async def __call__(self, event: webhooks.Event) -> None:
        """Take an event."""
        self.got.append(event)
        if event.message_id in self.fails:
            raise LookupError("no such load")


@pytest.fixture
async def endpoint_id(envoy: EnvoyClient) -> str:
    """An endpoint that asks for nothing the sandbox sends by itself."""
    return (await envoy.webhook_endpoints.create(url="http://127.0.0.1:9/hooks", event_types=["nothing"])).id


@pytest.fixture
def inbox() -> Inbox:
    """A handler."""
    return Inbox()


def sent(
    sandbox: Sandbox, endpoint_id: str, *statuses: str, at: float = NOW - 60, payload: object = ..., first: int = 1
) -> str:
    """Put a message into the sandbox with one attempt for each status, a second apart, and return its id."""
    store = sandbox.store
    message_id, moment = store.new_id("msg_"), timestamp(at)
    body = {"id": store.new_id("evt_"), "type": "offer.created", "timestamp": moment, "data": {"id": message_id}}
    store.messages[message_id] = {"id": message_id, "created_at": moment, "payload": body}
    for number, status in enumerate(statuses, first):
        row_id = store.new_id("atmp_")
        store.attempts[row_id] = {
            "id": row_id,
            "message_id": message_id,
            "endpoint_id": endpoint_id,
            "attempt": number,
            "max_attempts": 5,
            "status": status,
            "next_attempt_at": None,
            "response_status_code": None,
            "response_body_excerpt": None,
            "error_message": None,
            "duration_ms": None,
            "delivered_at": None,
            "created_at": timestamp(at + number - first),
            "payload": body if payload is ... else payload,
        }
    return message_id


def replays(sandbox: Sandbox) -> list[str]:
    """The messages the sandbox was asked to deliver again, in order."""
    ran = [each for each in sandbox.executions if each.operation == "webhook_messages.replay"]
    return [each.path.split("/")[-2] for each in ran]


def names(*ids: str) -> tuple[str, ...]:
    """Write ids as a result holds them."""
    return ids


async def test_without_a_store_what_never_succeeded_is_asked_for_again(
    envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str
) -> None:
    """One that succeeded in any attempt is done, one the sender still tries is left alone; the oldest come first."""
    dead = sent(sandbox, endpoint_id, "FAILED", "DEAD", at=NOW - 30)
    failed = sent(sandbox, endpoint_id, "FAILED", at=NOW - 40)
    done = sent(sandbox, endpoint_id, "FAILED", "SUCCEEDED", at=NOW - 50)
    sending = sent(sandbox, endpoint_id, "FAILED", "SENDING")
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE)
    assert result.replayed == names(failed, dead) == tuple(replays(sandbox))
    assert (result.done, result.waiting, result.handled, result.failed) == (names(done), names(sending), (), {})
    assert result.endpoint_status is WebhookEndpointStatus.ACTIVE
    assert result.report.records == 7


async def test_what_is_pending_is_left_to_the_sender(envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str) -> None:
    """A message with an attempt still to come is waiting, and asking for it again would only add one."""
    await envoy.webhook_endpoints.update(endpoint_id, status="PAUSED")
    pending = sent(sandbox, endpoint_id, "FAILED", "PENDING")
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE)
    assert (result.waiting, replays(sandbox)) == (names(pending), [])
    assert result.endpoint_status is WebhookEndpointStatus.PAUSED


async def test_attempts_before_since_do_not_count_but_what_they_say_does(
    envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str
) -> None:
    """A message is looked at when an attempt is recent, and then with all its attempts at this endpoint."""
    sent(sandbox, endpoint_id, "DEAD", at=NOW - 2 * HOUR)
    other = (await envoy.webhook_endpoints.create(url="http://127.0.0.1:9/other", event_types=["nothing"])).id
    long_ago = sent(sandbox, endpoint_id, "SUCCEEDED", "DEAD", at=NOW - HOUR - 1)
    never = sent(sandbox, endpoint_id, "FAILED", "DEAD", at=NOW - HOUR - 0.5)
    elsewhere = {**next(row for row in sandbox.store.attempts.values() if row["message_id"] == never)}
    elsewhere.update(id=sandbox.store.new_id("atmp_"), endpoint_id=other, status="SUCCEEDED")
    sandbox.store.attempts[str(elsewhere["id"])] = elsewhere
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE)
    assert (result.done, result.replayed) == (names(long_ago), names(never))


async def test_a_message_whose_attempts_are_not_told(envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str) -> None:
    """What the list of the endpoint shows counts then: it is not taken for done."""
    message = sent(sandbox, endpoint_id, "DEAD", first=5)
    sandbox.fail(Fault(path="/webhooks/messages/{message_id}/attempts", body=b"[]"))
    assert (await webhooks.reconcile(envoy, endpoint_id, since=SINCE)).replayed == names(message)


async def test_the_store_knows_better_than_the_attempts(envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str) -> None:
    """Acknowledged and then lost is asked for again; done is done, and claimed is left alone."""
    store = webhooks.MemoryReplayStore()
    lost, done, claimed = (sent(sandbox, endpoint_id, "SUCCEEDED", at=NOW - 10 + age) for age in range(3))
    await store.done(done)
    await store.claim(claimed)
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=store)
    assert (result.replayed, result.done, result.waiting) == (names(lost), names(done), names(claimed))
    assert await store.claim(lost) == "new"


async def test_a_handler_gets_what_was_never_processed(
    envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str, inbox: Inbox
) -> None:
    """In the order of the messages, with the event as it would have been delivered; nothing is asked for again."""
    store = webhooks.MemoryReplayStore()
    young = sent(sandbox, endpoint_id, "DEAD", at=NOW - 5)
    old = sent(sandbox, endpoint_id, "FAILED", "SENDING", at=NOW - 20)
    done = sent(sandbox, endpoint_id, "SUCCEEDED")
    await store.done(done)
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=store, handle=inbox)
    assert (result.handled, result.done) == (names(old, young), names(done))
    assert inbox.ids == [old, young]
    event, moment = inbox.got[0], datetime.fromtimestamp(NOW - 20, UTC)
    assert (event.type, event.data, event.sent_at, event.occurred_at) == ("offer.created", {"id": old}, moment, moment)
    again = await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=store, handle=inbox)
    assert (again.done, inbox.ids, replays(sandbox)) == (names(done, old, young), [old, young], [])


async def test_one_that_fails_does_not_stop_the_others(
    envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str, inbox: Inbox
) -> None:
    """It is told with its error, and is free again; so is one that is no event, and one that outlives its lease."""
    store = webhooks.MemoryReplayStore()
    fails = sent(sandbox, endpoint_id, "DEAD", at=NOW - 30)
    strange = sent(sandbox, endpoint_id, "DEAD", at=NOW - 20, payload={"type": 7})
    fine = sent(sandbox, endpoint_id, "DEAD", at=NOW - 10)
    inbox.fails.add(fails)
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=store, handle=inbox)
    assert result.handled == names(fine)
    assert list(result.failed) == [fails, strange]
    assert isinstance(result.failed[fails], LookupError)
    assert isinstance(result.failed[strange], PayloadError)
    inbox.fails.clear()
    again = await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=store, handle=inbox)
    assert (again.handled, list(again.failed)) == (names(fails), [strange])


async def test_a_handler_has_no_longer_than_its_lease(envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str) -> None:
    """It is cancelled at the end of it, and the message is told as failed."""
    cancelled: list[str] = []

    async def hang(event: webhooks.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(event.message_id)

    message, store = sent(sandbox, endpoint_id, "DEAD"), webhooks.MemoryReplayStore()
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=store, handle=hang, lease=0.01)
    assert (list(result.failed), cancelled) == ([message], [message])
    assert isinstance(result.failed[message], TimeoutError)


async def test_without_a_payload_a_handler_gets_nothing(
    envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str, inbox: Inbox
) -> None:
    """The message is asked for again instead, since its contents are told by a delivery alone."""
    message = sent(sandbox, endpoint_id, "FAILED", payload=None)
    store = webhooks.MemoryReplayStore()
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=store, handle=inbox)
    assert (result.replayed, inbox.ids, await store.claim(message)) == (names(message), [], "new")


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (422, "validation_error")])
async def test_a_replay_that_is_refused_is_told(
    envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str, status: int, code: str
) -> None:
    """With its error; the others are asked for all the same."""
    refused, fine = (sent(sandbox, endpoint_id, "DEAD", at=NOW - 10 + age) for age in range(2))
    sandbox.fail(Fault(method="POST", path="/webhooks/messages/{message_id}/replay", status=status, code=code))
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE)
    assert (list(result.failed), result.replayed) == ([refused], names(fine))
    assert isinstance(result.failed[refused], NotFoundError | ValidationError)


async def test_an_api_that_fails_is_raised(envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str) -> None:
    """What is wrong with the API is wrong with all messages; what was done stays done."""
    sent(sandbox, endpoint_id, "DEAD")
    sandbox.fail(Fault(method="POST", path="/webhooks/messages/{message_id}/replay", status=501, times=None))
    with pytest.raises(ServerError):
        await webhooks.reconcile(envoy, endpoint_id, since=SINCE)


async def test_a_store_that_fails_is_raised(
    envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str, inbox: Inbox
) -> None:
    """Nothing is processed while it is not known whether it was."""

    class Down(webhooks.MemoryReplayStore):
        async def claim(self, id: str, *, lease: float = 60, reprocess: bool = False) -> webhooks.Claim:
            raise ConnectionError("down")

    sent(sandbox, endpoint_id, "DEAD")
    with pytest.raises(ConnectionError):
        await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=Down(), handle=inbox)
    assert inbox.ids == []


async def test_many_pages(envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str, inbox: Inbox) -> None:
    """Every page of the list is read, and every message is processed once, though its attempts lie pages apart."""
    messages: Sequence[str] = [sent(sandbox, endpoint_id, "FAILED", "DEAD", at=NOW - 600 + age) for age in range(130)]
    store = webhooks.MemoryReplayStore()
    result = await webhooks.reconcile(envoy, endpoint_id, since=SINCE, store=store, handle=inbox)
    assert result.handled == tuple(messages) == tuple(inbox.ids)
    assert result.report.pages == 3


async def test_since_needs_a_zone(envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str) -> None:
    """A naive datetime is refused before anything is sent."""
    before = len(sandbox.requests)
    with pytest.raises(InvalidRequestError, match="time zone") as caught:
        await webhooks.reconcile(envoy, endpoint_id, since=datetime(2025, 11, 21))  # noqa: DTZ001 - that is the point
    assert (caught.value.param, len(sandbox.requests)) == ("since", before)


async def test_a_handler_needs_a_store(envoy: EnvoyClient, sandbox: Sandbox, endpoint_id: str, inbox: Inbox) -> None:
    """Without one nobody could tell what the receiver has processed."""
    before = len(sandbox.requests)
    with pytest.raises(ConfigurationError, match="store"):
        await webhooks.reconcile(envoy, endpoint_id, since=SINCE + timedelta(0), handle=inbox)
    assert len(sandbox.requests) == before
