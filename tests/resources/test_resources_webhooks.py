"""Every method of `envoy.webhook_endpoints` and `envoy.webhook_messages` against a sandbox over a real socket."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import pytest

from envoy_async import UNSET, EnvoyClient
from envoy_async.errors import InvalidRequestError, ValidationError
from envoy_async.models import (
    WebhookAttempt,
    WebhookAttemptStatus,
    WebhookEndpoint,
    WebhookEndpointStatus,
    WebhookEndpointWithSecret,
    WebhookEventType,
    WebhookMessageState,
)
from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.events import emit
from tests.resources.conftest import (
    EAGER,
    NOBODY,
    UUID,
    assert_bad_numbers_refused,
    assert_lost_is_sent_again,
    assert_lost_is_unknown,
    assert_not_found,
    assert_one_page,
    assert_paged,
    assert_refused_here,
    assert_shows,
    assert_wrong_ids_refused,
    newest,
    wrong_ids,
)

URL = "https://tms.example/hooks"
OFFERED = ["offer.created"]


def without_secret(made: WebhookEndpointWithSecret) -> WebhookEndpoint:
    """Give the same endpoint as every later answer shows it."""
    return WebhookEndpoint(**{name: getattr(made, name) for name in attrs.fields_dict(WebhookEndpoint)})


async def listening(envoy: EnvoyClient, sandbox: Sandbox, *, offers: int = 1) -> tuple[str, list[dict[str, Any]]]:
    """Register an endpoint, let offers come in, pause it, and give its id and its waiting attempts, newest first."""
    made = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED)
    for number in range(offers):
        emit(sandbox.store, "offer.created", {"offer_amount": 100 + number})
    sandbox.store.endpoints[made.id]["status"] = "PAUSED"  # before anything is sent
    rows = newest(row for row in sandbox.store.attempts.values() if row["endpoint_id"] == made.id)
    assert len(rows) == offers
    return made.id, rows


# Endpoints


async def test_create_registers_one_endpoint(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """It runs exactly once; the answer alone holds the signing secret; what was left out was not sent."""
    made = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED)
    assert type(made) is WebhookEndpointWithSecret
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("webhook_endpoints.create", {"url": URL, "event_types": OFFERED})
    ]
    assert_shows(without_secret(made), sandbox.store.endpoints[made.id])
    assert (made.status, made.event_types) == (WebhookEndpointStatus.ACTIVE, ("offer.created",))
    assert (made.description, made.headers, made.disabled_reason) == (None, None, None)
    found = await envoy.webhook_endpoints.get(made.id)
    assert type(found) is WebhookEndpoint
    assert found == without_secret(made)


async def test_create_with_everything(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Event types may be any sequence; `None` is sent as null; unknown kinds of events are the server's to judge."""
    made = await envoy.webhook_endpoints.create(
        url=URL, event_types=("offer.created", "made.up"), description="Dispatch", headers={"X-Team": "spot"}
    )
    await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED, description=None, headers=None)
    assert [ran.body for ran in sandbox.executions] == [
        {
            "url": URL,
            "event_types": ["offer.created", "made.up"],
            "description": "Dispatch",
            "headers": {"X-Team": "spot"},
        },
        {"url": URL, "event_types": OFFERED, "description": None, "headers": None},
    ]
    assert (made.description, made.headers) == ("Dispatch", {"X-Team": "spot"})


async def test_a_secret_is_shown_to_nobody_by_accident(envoy: EnvoyClient) -> None:
    """Creation and rotation answer with it, and neither prints nor pickles it; nor do headers show what they hold."""
    made = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED, headers={"Authorization": "canary-7f3a"})
    turned = await envoy.webhook_endpoints.rotate_secret(made.id)
    for answer in (made, turned):
        assert answer.signing_secret.startswith("whsec_")
        assert answer.signing_secret not in f"{answer!r} {answer}"
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(answer)
    assert "canary" not in f"{made!r} {await envoy.webhook_endpoints.get(made.id)!r}"


async def test_later_answers_hold_no_secret(envoy: EnvoyClient) -> None:
    """Neither reading, nor changing, nor listing gives it back, not in the bytes either."""
    made = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED)
    assert type(await envoy.webhook_endpoints.get(made.id)) is WebhookEndpoint
    assert type(await envoy.webhook_endpoints.update(made.id, description="A")) is WebhookEndpoint
    (page,) = [page async for page in envoy.webhook_endpoints.list().by_page()]
    assert made.id.encode() in page.raw
    assert made.signing_secret.encode() not in page.raw


async def test_rotate_secret_gives_another_one(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Each rotation runs once with an empty body; the endpoint is the same, its secret is new each time."""
    made = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED)
    turned = [await envoy.webhook_endpoints.rotate_secret(made.id) for _ in range(2)]
    assert {type(answer) for answer in turned} == {WebhookEndpointWithSecret}
    assert len({made.signing_secret, *(answer.signing_secret for answer in turned)}) == 3
    assert [(ran.operation, ran.body) for ran in sandbox.executions[1:]] == [
        ("webhook_endpoints.rotate_secret", {})
    ] * 2
    changed = attrs.evolve(without_secret(made), updated_at=turned[1].updated_at)
    assert without_secret(turned[1]) == changed == await envoy.webhook_endpoints.get(made.id)


async def test_list_delivers_every_endpoint_in_one_page(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """None at first, then all of them, although the answer is a bare array."""
    await assert_one_page(envoy.webhook_endpoints.list(), WebhookEndpoint, [])
    for number in range(3):
        await envoy.webhook_endpoints.create(url=f"{URL}/{number}", event_types=OFFERED)
    await assert_one_page(envoy.webhook_endpoints.list(), WebhookEndpoint, list(sandbox.store.endpoints.values()))
    assert sandbox.requests[-1].path == "/api/v1/webhooks/endpoints"


async def test_an_endpoint_from_beginning_to_end(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Registered, listed, paused, given a new secret, deleted; afterwards nobody knows it."""
    endpoints = envoy.webhook_endpoints
    made = await endpoints.create(url=URL, event_types=OFFERED)
    assert await endpoints.list().collect() == [without_secret(made)]
    paused = await endpoints.update(made.id, status=WebhookEndpointStatus.PAUSED)
    assert (paused.status, paused.updated_at > made.updated_at) == (WebhookEndpointStatus.PAUSED, True)
    assert (await endpoints.rotate_secret(made.id)).status == WebhookEndpointStatus.PAUSED
    await endpoints.delete(made.id)
    assert (sandbox.executions[-1].operation, sandbox.executions[-1].body) == ("webhook_endpoints.delete", None)
    assert await endpoints.list().collect() == []
    for method in BY_ENDPOINT.values():
        await assert_not_found(sandbox, "Endpoint not found", method(envoy, made.id))


async def test_ids_are_taken_in_both_forms(envoy: EnvoyClient) -> None:
    """With the prefix or as a plain uuid; the answer carries the prefix."""
    made = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED)
    raw = made.id.removeprefix("ep_")
    assert (await envoy.webhook_endpoints.get(raw)).id == made.id
    assert (await envoy.webhook_endpoints.update(raw, description="A")).id == made.id
    await envoy.webhook_endpoints.delete(raw)
    assert await envoy.webhook_endpoints.list().collect() == []


async def test_update_changes_what_is_given(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Leaving out, null, and a value are told apart; the answer is the endpoint as it now is."""
    made = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED, description="A", headers={"X": "1"})
    steps: list[dict[str, Any]] = [
        {},
        {"description": None, "headers": None},
        {"url": None, "event_types": None, "status": None},
        {"url": URL + "/2", "event_types": ["load.created"], "description": "B", "headers": {"Y": "2"}},
        {"status": "PAUSED", "url": UNSET},
    ]
    found = [await envoy.webhook_endpoints.update(made.id, **step) for step in steps]
    assert [ran.body for ran in sandbox.executions[1:]] == [*steps[:4], {"status": "PAUSED"}]
    assert found[0] == without_secret(made)
    assert (found[1].description, found[1].headers) == (None, None)
    assert (found[2].url, found[2].event_types, found[2].status) == (URL, ("offer.created",), "ACTIVE")
    last = found[4]
    assert (last.url, last.event_types, last.description) == (URL + "/2", ("load.created",), "B")
    assert (last.headers, last.status) == ({"Y": "2"}, WebhookEndpointStatus.PAUSED)
    assert_shows(last, sandbox.store.endpoints[made.id])


@pytest.mark.parametrize(
    "status", [WebhookEndpointStatus.DISABLED, "", "paused", "active ", WebhookEndpointStatus("X")]
)
async def test_a_status_that_cannot_be_set_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, status: str) -> None:
    """DISABLED is the vendor's own; the error names the argument, and nothing is sent."""
    await assert_refused_here(sandbox, "status", lambda: envoy.webhook_endpoints.update(f"ep_{UUID}", status=status))


BAD_FIELDS: list[tuple[str, Any]] = [
    ("url", ""),
    ("url", "tms.example/hooks"),
    ("url", "ftp://tms.example/hooks"),
    ("url", "ftp://x"),
    ("url", "https:///x"),
    ("url", "https://:80/x"),
    ("url", "https://a b"),
    ("url", "https://tms.example/a b"),
    ("url", "https://tms.example/hooks\n"),
    ("url", "https://tms.example/" + "x" * 2_064),
    ("url", 5),
    ("event_types", []),
    ("event_types", "offer.created"),
    ("event_types", {"offer.created"}),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS, ids=[f"{name} {value!r:.30}" for name, value in BAD_FIELDS])
async def test_a_bad_field_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, name: str, value: Any) -> None:
    """An address that is none or too long, and no kind of event: the error names the field, and nothing is sent."""
    fields: dict[str, Any] = {"url": URL, "event_types": OFFERED, name: value}
    await assert_refused_here(sandbox, name, lambda: envoy.webhook_endpoints.create(**fields))
    await assert_refused_here(sandbox, name, lambda: envoy.webhook_endpoints.update(f"ep_{UUID}", **{name: value}))


@pytest.mark.parametrize(
    "url", ["https://[::1]/x", "HTTPS://a.example/x", "https://user:pw@host/x", "http://127.0.0.1:8080"]
)
async def test_an_address_may_be_any_of_the_web(envoy: EnvoyClient, sandbox: Sandbox, url: str) -> None:
    """A bare host by number or by name, the scheme in capitals, a user before it: it is sent as it stands."""
    made = await envoy.webhook_endpoints.create(url=url, event_types=OFFERED)
    assert (made.url, sandbox.store.endpoints[made.id]["url"]) == (url, url)
    assert (await envoy.webhook_endpoints.update(made.id, url=url)).url == url


async def test_the_longest_address_goes_through(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """2,083 characters, the documented bound, are included."""
    url = "https://tms.example/" + "x" * 2_063
    assert len(url) == 2_083
    made = await envoy.webhook_endpoints.create(url=url, event_types=OFFERED)
    assert (made.url, sandbox.store.endpoints[made.id]["url"]) == (url, url)


async def test_what_the_server_refuses_is_typed(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A 422 names the parameter down to the header; nothing was registered."""
    wrong: Any = {"X-Team": 5}
    with pytest.raises(ValidationError) as caught:
        await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED, headers=wrong)
    assert (caught.value.status, caught.value.param) == (422, "headers.X-Team")
    assert (sandbox.store.endpoints, sandbox.executions) == ({}, [])


async def test_a_lost_answer(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Where a secret would be lost it is not sent again; pausing and deleting are simply done again."""
    one, eager = "/webhooks/endpoints/{endpoint_id}", envoy.with_options(retry=EAGER).webhook_endpoints
    await assert_lost_is_unknown(
        sandbox, "POST", "/webhooks/endpoints", lambda: eager.create(url=URL, event_types=OFFERED)
    )
    (made,) = await eager.list().collect()
    await assert_lost_is_unknown(sandbox, "POST", f"{one}/rotate-secret", lambda: eager.rotate_secret(made.id))
    await assert_lost_is_sent_again(sandbox, "PATCH", one, lambda: eager.update(made.id, status="PAUSED"))
    assert (await eager.get(made.id)).status == WebhookEndpointStatus.PAUSED


async def test_event_types_are_listed_with_their_schemas(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """In one page; each can be told by its name, and what it names can be subscribed to."""
    listing = envoy.webhook_endpoints.event_types()
    (page,) = [page async for page in listing.by_page()]
    assert {type(item) for item in page.items} == {WebhookEventType}
    assert (page.total_pages, page.has_next, listing.report.proven) == (1, False, True)
    names = [item.name for item in page.items]
    assert names == [item.id for item in page.items]
    assert "offer.created" in names
    assert len(set(names)) == len(names)
    assert all(item.description and (item.payload_schema or {})["type"] == "object" for item in page.items)
    assert sandbox.requests[0].path == "/api/v1/webhooks/event-types"
    made = await envoy.webhook_endpoints.create(url=URL, event_types=names)
    assert made.event_types == tuple(names)


# What was sent to them


async def test_messages_deliver_every_attempt(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """All of them, once, in the server's order; completeness is not claimed, since that order is not documented."""
    endpoint_id, rows = await listening(envoy, sandbox, offers=7)
    assert {row["payload"]["type"] for row in rows} == {"offer.created"}
    (first,) = await envoy.webhook_endpoints.messages(endpoint_id, limit=1).collect()
    assert (type(first), first.status, first.attempt) == (WebhookAttempt, WebhookAttemptStatus.PENDING, 1)
    path = f"/webhooks/endpoints/{endpoint_id}/messages"
    await assert_paged(partial(envoy.webhook_endpoints.messages, endpoint_id), sandbox, path, rows)


async def test_a_payload_is_kept_but_not_printed(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The event is there as plain data, as it is sent; the repr of an attempt or a message leaves it out."""
    endpoint_id, (row,) = await listening(envoy, sandbox)
    attempt = await envoy.webhook_endpoints.messages(endpoint_id).first()
    assert attempt is not None
    assert attempt.payload == row["payload"]
    state = await envoy.webhook_messages.replay(attempt.message_id, endpoint_id=endpoint_id)
    assert state.payload == attempt.payload
    assert row["payload"]["id"] not in f"{attempt!r} {state!r}"


async def test_a_bad_number_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """When the listing is made; nothing is sent."""
    assert_bad_numbers_refused(partial(envoy.webhook_endpoints.messages, f"ep_{UUID}"), sandbox)


async def test_a_paused_endpoint_gets_nothing(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """What happens in a pause is not made up for later; active again, it hears of what comes."""
    endpoint_id, _ = await listening(envoy, sandbox)
    load_id, endpoints = next(iter(sandbox.store.loads)), envoy.webhook_endpoints
    for status in (WebhookEndpointStatus.PAUSED, WebhookEndpointStatus.ACTIVE):
        await endpoints.update(endpoint_id, status=status)
        await envoy.offers.create(load_id=load_id, offer_amount=1)
    assert len(await endpoints.messages(endpoint_id).collect()) == 2


async def test_attempts_of_a_message_come_in_one_page(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """To every endpoint that wanted the event, oldest first, although the answer is a bare array."""
    await envoy.webhook_endpoints.create(url=URL + "/2", event_types=OFFERED)
    _, (row,) = await listening(envoy, sandbox)
    records = list(sandbox.store.attempts.values())
    assert [record["message_id"] for record in records] == [row["message_id"]] * 2
    for message_id in (row["message_id"], row["message_id"].removeprefix("msg_")):
        await assert_one_page(envoy.webhook_messages.attempts(message_id), WebhookAttempt, records)
    assert sandbox.requests[-2].path == f"/api/v1/webhooks/messages/{row['message_id']}/attempts"


async def test_replay_queues_one_more_attempt(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Only once the last one is over; the message keeps its id and its payload."""
    endpoint_id, (row,) = await listening(envoy, sandbox)
    waiting = await envoy.webhook_messages.replay(row["message_id"], endpoint_id=endpoint_id)
    assert type(waiting) is WebhookMessageState
    assert (waiting.id, waiting.endpoint_id, waiting.attempt_count) == (row["message_id"], endpoint_id, 1)
    row.update(status="FAILED", response_status_code=500, next_attempt_at=None, duration_ms=12)
    again = await envoy.webhook_messages.replay(
        row["message_id"].removeprefix("msg_"), endpoint_id=endpoint_id.removeprefix("ep_")
    )
    assert (again.latest_status, again.attempt_count) == (WebhookAttemptStatus.PENDING, 2)
    assert (again.last_response_status_code, again.payload) == (500, row["payload"])
    assert [(ran.operation, ran.body) for ran in sandbox.executions[-2:]] == [
        ("webhook_messages.replay", {"endpoint_id": endpoint_id}),
        ("webhook_messages.replay", {"endpoint_id": endpoint_id.removeprefix("ep_")}),
    ]
    attempts = await envoy.webhook_messages.attempts(row["message_id"]).collect()
    assert_shows(tuple(attempts), list(sandbox.store.attempts.values()))
    assert [(attempt.attempt, attempt.status) for attempt in attempts] == [(1, "FAILED"), (2, "PENDING")]


async def test_a_lost_replay_is_sent_again(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The second run finds the attempt of the first one waiting: there is one more, and not two."""
    endpoint_id, (row,) = await listening(envoy, sandbox)
    row["status"] = "DEAD"
    messages = envoy.with_options(retry=EAGER).webhook_messages
    await assert_lost_is_sent_again(
        sandbox,
        "POST",
        "/webhooks/messages/{message_id}/replay",
        lambda: messages.replay(row["message_id"], endpoint_id=endpoint_id),
    )
    assert len(sandbox.store.attempts) == 2


async def test_deleting_gives_up_what_still_waits(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The attempts stay readable under their message; the message cannot be replayed to the endpoint any more."""
    endpoint_id, (row,) = await listening(envoy, sandbox)
    await envoy.webhook_endpoints.delete(endpoint_id)
    (attempt,) = await envoy.webhook_messages.attempts(row["message_id"]).collect()
    assert (attempt.status, attempt.endpoint_id) == (WebhookAttemptStatus.DEAD, endpoint_id)
    step = envoy.webhook_messages.replay(row["message_id"], endpoint_id=endpoint_id)
    await assert_not_found(sandbox, "Endpoint not found", step)


async def test_a_message_goes_only_where_it_was_meant_to_go(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Replaying to another endpoint is a typed 422 that names it; no attempt is added."""
    _, (row,) = await listening(envoy, sandbox)
    other = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED)
    with pytest.raises(ValidationError) as caught:
        await envoy.webhook_messages.replay(row["message_id"], endpoint_id=other.id)
    assert (caught.value.status, caught.value.param) == (422, "endpoint_id")
    assert len(sandbox.store.attempts) == 1


async def test_a_lost_deletion_is_a_success(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """It did run: sent again, the endpoint is gone, which is what was asked for."""
    made = await envoy.webhook_endpoints.create(url=URL, event_types=OFFERED)
    eager = envoy.with_options(retry=EAGER).webhook_endpoints
    sandbox.fail(Fault(method="DELETE", path="/webhooks/endpoints/{endpoint_id}", drop="after"))
    await eager.delete(made.id)
    assert [row.status for row in sandbox.requests if row.method == "DELETE"][-1] == 404
    assert sandbox.store.endpoints == {}


BY_ENDPOINT: dict[str, Callable[[EnvoyClient, str], Awaitable[object]]] = {
    "get": lambda envoy, endpoint_id: envoy.webhook_endpoints.get(endpoint_id),
    "update": lambda envoy, endpoint_id: envoy.webhook_endpoints.update(endpoint_id),
    "delete": lambda envoy, endpoint_id: envoy.webhook_endpoints.delete(endpoint_id),
    "rotate_secret": lambda envoy, endpoint_id: envoy.webhook_endpoints.rotate_secret(endpoint_id),
    "messages": lambda envoy, endpoint_id: envoy.webhook_endpoints.messages(endpoint_id).first(),
}
BY_MESSAGE: dict[str, Callable[[EnvoyClient, str], Awaitable[object]]] = {
    "attempts": lambda envoy, message_id: envoy.webhook_messages.attempts(message_id).first(),
    "replay": lambda envoy, message_id: envoy.webhook_messages.replay(message_id, endpoint_id=UUID),
}


@pytest.mark.parametrize("name", BY_ENDPOINT)
async def test_a_wrong_id_of_an_endpoint(envoy: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """One of another form is refused here; one nobody has is a typed 404."""
    method = BY_ENDPOINT[name]
    await assert_wrong_ids_refused(sandbox, "endpoint_id", "ep", lambda wrong: method(envoy, wrong))
    await assert_not_found(sandbox, "Endpoint not found", method(envoy, f"ep_{NOBODY}"))


@pytest.mark.parametrize("name", BY_MESSAGE)
async def test_a_wrong_id_of_a_message(envoy: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """One of another form is refused here; one nobody has is a typed 404."""
    method = BY_MESSAGE[name]
    await assert_wrong_ids_refused(sandbox, "message_id", "msg", lambda wrong: method(envoy, wrong))
    await assert_not_found(sandbox, "Message not found", method(envoy, f"msg_{NOBODY}"))


async def test_a_wrong_id_in_the_body_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """An id of another kind never goes out as the endpoint of a replay; the error names the field."""
    for wrong in wrong_ids("ep"):
        with pytest.raises(InvalidRequestError, match="endpoint_id has the wrong shape") as caught:
            await envoy.webhook_messages.replay(f"msg_{UUID}", endpoint_id=wrong)
        assert caught.value.param == "endpoint_id"
    assert sandbox.requests == []
