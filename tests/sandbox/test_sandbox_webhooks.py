"""The operations of the group Webhooks keep endpoints, their secrets, and what is queued for them."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest

from envoy_async.sandbox import Sandbox
from envoy_async.sandbox.endpoints import valid_secrets
from envoy_async.sandbox.events import emit
from envoy_async.sandbox.validation import need_list, need_record

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC
DAY = 86_400.0
ENDPOINTS = "/webhooks/endpoints"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
MINIMAL = {"url": "https://tms.example/hooks", "event_types": ["offer.created"]}
ENDPOINT_FIELDS = {
    *("id", "organization_id", "url", "description", "event_types", "headers", "status", "disabled_reason"),
    *("created_at", "updated_at"),
}


async def register(sandbox: Sandbox, send: Send, **fields: object) -> dict[str, Any]:
    """Register an endpoint for offers that came in."""
    status, _, endpoint = await send(sandbox, "POST", ENDPOINTS, json={**MINIMAL, **fields})
    assert status == 200
    return dict(endpoint)


async def attempts_at(sandbox: Sandbox, send: Send, endpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the attempts of an endpoint, newest first."""
    body = (await send(sandbox, "GET", f"{ENDPOINTS}/{endpoint['id']}/messages"))[2]
    return list(body["data"])


def pause_all(sandbox: Sandbox) -> None:
    """Let every delivery wait; between an event and this nothing may be awaited."""
    for endpoint in sandbox.store.endpoints.values():
        endpoint["status"] = "PAUSED"


async def test_a_new_endpoint_is_active_and_shows_its_secret_once(sandbox: Sandbox, send: Send) -> None:
    """The secret is ``whsec_`` and 24 bytes in base64; reading, listing, and updating never show it."""
    endpoint = await register(sandbox, send, description="Dispatch", headers={"X-Team": "spot"}, unknown=1)
    secret = endpoint.pop("signing_secret")
    assert len(b64decode(secret.removeprefix("whsec_"), validate=True)) == 24
    assert set(endpoint) == ENDPOINT_FIELDS
    assert endpoint.items() >= {**MINIMAL, "description": "Dispatch", "headers": {"X-Team": "spot"}}.items()
    assert (endpoint["status"], endpoint["disabled_reason"]) == ("ACTIVE", None)
    assert endpoint["organization_id"] == sandbox.organization_id
    path = f"{ENDPOINTS}/{endpoint['id']}"
    assert (await send(sandbox, "GET", path))[2] == endpoint
    assert (await send(sandbox, "GET", ENDPOINTS))[2] == [endpoint]
    assert (await send(sandbox, "PATCH", path, json={}))[2] == endpoint


async def test_every_endpoint_has_its_own_secret_and_the_same_seed_the_same_ones(send: Send) -> None:
    """Ids and secrets depend on the seed alone."""
    made: list[list[str]] = []
    for _ in range(2):
        async with Sandbox(seed=3, calls=0, loads=0, clock=lambda: NOW) as sandbox:
            made.append([(await register(sandbox, send))["signing_secret"] for _ in range(2)])
    assert made[0] == made[1]
    assert len(set(made[0])) == 2


async def test_endpoints_are_listed_oldest_first(sandbox: Sandbox, send: Send) -> None:
    """In a bare array, empty at the start."""
    assert (await send(sandbox, "GET", ENDPOINTS))[2] == []
    ids = [(await register(sandbox, send))["id"] for _ in range(3)]
    assert [endpoint["id"] for endpoint in (await send(sandbox, "GET", ENDPOINTS))[2]] == ids


@pytest.mark.parametrize(
    "url", ["http://a", "HTTPS://[::1]:8443/in?x=1", "http://u:p@tms.example:1", "http://a/" + "x" * 2_074]
)
async def test_addresses_of_the_web_are_accepted(sandbox: Sandbox, send: Send, url: str) -> None:
    """With http or https, up to 2,083 characters, and kept as written."""
    assert (await register(sandbox, send, url=url))["url"] == url


BAD_FIELDS: list[tuple[dict[str, object], str]] = [
    ({"url": ""}, "url"),
    ({"url": 5}, "url"),
    ({"url": "ftp://tms.example"}, "url"),
    ({"url": "tms.example/hooks"}, "url"),
    ({"url": "https://"}, "url"),
    ({"url": "https://[::1"}, "url"),
    ({"url": "https://tms.example:65536"}, "url"),
    ({"url": "https://tms.example:0"}, "url"),
    ({"url": "https://tms.example/a b"}, "url"),
    ({"url": "https://tms.example/\u00e9"}, "url"),
    ({"url": "https://tms.example/" + "x" * 2_064}, "url"),
    ({"event_types": []}, "event_types"),
    ({"event_types": "offer.created"}, "event_types"),
    ({"event_types": ["offer.created", None]}, "event_types[1]"),
    ({"description": ["Dispatch"]}, "description"),
    ({"headers": ["X-Team"]}, "headers"),
    ({"headers": {"X-Team": "spot", "X-\u00e9": 1}}, "headers.X-\u00e9"),
]


@pytest.mark.parametrize(
    ("change", "param"), [*BAD_FIELDS, ({"url": None}, "url"), ({"event_types": None}, "event_types")]
)
async def test_a_bad_endpoint_names_its_field(
    sandbox: Sandbox, send: Send, change: dict[str, object], param: str
) -> None:
    """It is a 422 validation_error, and nothing is registered."""
    status, _, body = await send(sandbox, "POST", ENDPOINTS, data=json.dumps({**MINIMAL, **change}).encode())
    assert (status, body["error"]["code"], body["error"]["param"]) == (422, "validation_error", param)
    assert sandbox.store.endpoints == {}


@pytest.mark.parametrize("missing", ["url", "event_types"])
async def test_url_and_event_types_are_required(sandbox: Sandbox, send: Send, missing: str) -> None:
    """The message is the vendor's; a body that is no object is refused, too."""
    body = {key: value for key, value in MINIMAL.items() if key != missing}
    status, _, answer = await send(sandbox, "POST", ENDPOINTS, json=body)
    assert (status, answer["error"]["message"], answer["error"]["param"]) == (422, "field required", missing)
    assert (await send(sandbox, "POST", ENDPOINTS, json=[]))[0] == 422


async def test_an_update_changes_what_it_names(sandbox: Sandbox, send: Send) -> None:
    """Everything else, the secret included, stays; only ``updated_at`` moves on."""
    endpoint = await register(sandbox, send, description="Dispatch")
    path, secret = f"{ENDPOINTS}/{endpoint['id']}", endpoint.pop("signing_secret")
    changes = {
        "url": "http://other.example",
        "event_types": ["load.created"],
        "headers": {"A": "b"},
        "status": "PAUSED",
    }
    updated = (await send(sandbox, "PATCH", path, json=changes))[2]
    assert updated["updated_at"] > endpoint["updated_at"]
    assert updated == {**endpoint, **changes, "updated_at": updated["updated_at"]}
    assert (await send(sandbox, "GET", path))[2] == updated
    assert valid_secrets(sandbox.store, sandbox.store.endpoints[endpoint["id"]]) == [secret]


async def test_null_clears_description_and_headers_and_nothing_else(sandbox: Sandbox, send: Send) -> None:
    """Address, events, and status stay when they are null."""
    endpoint = await register(sandbox, send, description="Dispatch", headers={"A": "b"})
    path = f"{ENDPOINTS}/{endpoint['id']}"
    kept = (await send(sandbox, "PATCH", path, json={"url": None, "event_types": None, "status": None}))[2]
    assert kept == {key: value for key, value in endpoint.items() if key != "signing_secret"}
    cleared = (await send(sandbox, "PATCH", path, json={"description": None, "headers": None}))[2]
    assert cleared == {**kept, "description": None, "headers": None, "updated_at": cleared["updated_at"]}


@pytest.mark.parametrize(
    ("change", "param"), [*BAD_FIELDS, ({"status": "DISABLED"}, "status"), ({"status": {}}, "status")]
)
async def test_a_bad_update_changes_nothing(
    sandbox: Sandbox, send: Send, change: dict[str, object], param: str
) -> None:
    """The field is named, also one after good ones; DISABLED belongs to the platform."""
    endpoint = await register(sandbox, send)
    path, good = f"{ENDPOINTS}/{endpoint['id']}", {"url": "http://other.example", "status": "PAUSED"}
    status, _, body = await send(sandbox, "PATCH", path, data=json.dumps({**good, **change}).encode())
    assert (status, body["error"]["code"], body["error"]["param"]) == (422, "validation_error", param)
    after = (await send(sandbox, "GET", path))[2]
    assert after.items() < endpoint.items()


async def test_a_disabled_endpoint_can_be_activated_again(sandbox: Sandbox, send: Send) -> None:
    """Its reason is then gone."""
    endpoint = await register(sandbox, send)
    sandbox.store.endpoints[endpoint["id"]].update(status="DISABLED", disabled_reason="too many failures")
    updated = (await send(sandbox, "PATCH", f"{ENDPOINTS}/{endpoint['id']}", json={"status": "ACTIVE"}))[2]
    assert (updated["status"], updated["disabled_reason"]) == ("ACTIVE", None)


async def test_a_deleted_endpoint_is_gone(sandbox: Sandbox, send: Send) -> None:
    """What waited for it is given up and stays readable; the endpoint beside it is untouched."""
    gone, beside = [await register(sandbox, send) for _ in range(2)]
    emit(sandbox.store, "offer.created", {})
    pause_all(sandbox)
    first = (await attempts_at(sandbox, send, gone))[0]
    path = f"{ENDPOINTS}/{gone['id']}"
    assert (await send(sandbox, "DELETE", path))[::2] == (200, {})
    calls = [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret"), ("GET", "/messages")]
    for method, rest in calls:
        status, _, body = await send(sandbox, method, path + rest, json={})
        missing = {"code": "not_found", "message": "Endpoint not found", "param": "id"}
        assert (status, body["error"]) == (404, missing)
    rows = (await send(sandbox, "GET", f"/webhooks/messages/{first['message_id']}/attempts"))[2]
    assert [(row["endpoint_id"], row["status"]) for row in rows] == [(gone["id"], "DEAD"), (beside["id"], "PENDING")]
    assert rows[0]["next_attempt_at"] is None


async def test_deleting_keeps_what_is_over(sandbox: Sandbox, send: Send) -> None:
    """An attempt that succeeded stays one that succeeded."""
    endpoint = await register(sandbox, send)
    emit(sandbox.store, "offer.created", {})
    (row,) = sandbox.store.attempts.values()
    row["status"] = "SUCCEEDED"
    await send(sandbox, "DELETE", f"{ENDPOINTS}/{endpoint['id']}")
    assert row["status"] == "SUCCEEDED"


async def test_a_retired_secret_stays_valid_for_24_hours(send: Send) -> None:
    """Each retired one has its own 24 hours, the current one never ends, and only the newest is shown."""
    now = [NOW]
    async with Sandbox(calls=0, loads=0, quota=None, clock=lambda: now[0]) as sandbox:
        endpoint = await register(sandbox, send)
        path, secrets = f"{ENDPOINTS}/{endpoint['id']}", [endpoint["signing_secret"]]
        kept = sandbox.store.endpoints[endpoint["id"]]
        for later in (NOW + 60, NOW + DAY / 2):
            now[0] = later
            rotated = (await send(sandbox, "POST", f"{path}/rotate-secret", json={}))[2]
            assert set(rotated) == ENDPOINT_FIELDS | {"signing_secret"}
            assert rotated["updated_at"] > rotated["created_at"] == endpoint["created_at"]
            secrets.insert(0, rotated["signing_secret"])
        assert len(set(secrets)) == 3
        moments = (NOW + DAY + 59, NOW + DAY + 61, NOW + 1.5 * DAY - 1, NOW + 1.5 * DAY + 1)
        counts: list[int] = []
        for now[0] in moments:
            valid = valid_secrets(sandbox.store, kept)
            assert valid == secrets[: len(valid)]
            counts.append(len(valid))
        assert counts == [3, 2, 2, 1]
        assert "whsec_" not in str((await send(sandbox, "GET", ENDPOINTS))[2])


async def test_a_rotation_takes_an_object(sandbox: Sandbox, send: Send) -> None:
    """Anything else, and no body at all, is a 422, and the secret stays."""
    endpoint = await register(sandbox, send)
    path = f"{ENDPOINTS}/{endpoint['id']}/rotate-secret"
    assert [(await send(sandbox, "POST", path, data=raw))[0] for raw in (b"", b"[]", b"1")] == [422, 422, 422]
    kept = sandbox.store.endpoints[endpoint["id"]]
    assert valid_secrets(sandbox.store, kept) == [endpoint["signing_secret"]]


@pytest.mark.parametrize("text", ["x", "call_" + UNKNOWN, "EP_" + UNKNOWN, "ep_", "%ED%A0%80"])
async def test_only_ids_of_the_right_kind_are_read(sandbox: Sandbox, send: Send, text: str) -> None:
    """A wrong prefix, one in capitals, and nonsense are a 400; a bare uuid is an id."""
    assert (await send(sandbox, "GET", f"{ENDPOINTS}/{UNKNOWN}"))[0] == 404
    for path in (f"{ENDPOINTS}/{text}", f"{ENDPOINTS}/{text}/messages", f"/webhooks/messages/{text}/attempts"):
        status, _, body = await send(sandbox, "GET", path)
        assert (status, body["error"]["code"]) == (400, "invalid_id_format")


async def test_an_event_is_queued_for_those_who_asked_for_it(sandbox: Sandbox, send: Send) -> None:
    """One message with one attempt per active endpoint; it is due at once."""
    wanting = [await register(sandbox, send, event_types=["load.created", "offer.created"]) for _ in range(2)]
    await register(sandbox, send, event_types=["offer", "offer.*", "*", "offer.updated"])
    for status in ("PAUSED", "DISABLED"):
        sandbox.store.endpoints[(await register(sandbox, send))["id"]]["status"] = status
    emit(sandbox.store, "offer.created", {"id": "ofr_1", "amount": 1_850})
    pause_all(sandbox)
    ((message_id, message),) = sandbox.store.messages.items()
    payload = {"type": "offer.created", "data": {"id": "ofr_1", "amount": 1_850}, "timestamp": message["created_at"]}
    rows = (await send(sandbox, "GET", f"/webhooks/messages/{message_id}/attempts"))[2]
    assert [row["endpoint_id"] for row in rows] == [endpoint["id"] for endpoint in wanting]
    for row, endpoint in zip(rows, wanting, strict=True):
        assert await attempts_at(sandbox, send, endpoint) == [row]
        assert row["id"].startswith("atmp_")
        event_id = row["payload"].pop("id")
        assert event_id.startswith("evt_")
        answer = ("response_status_code", "response_body_excerpt", "error_message", "duration_ms", "delivered_at")
        assert row == {
            **dict.fromkeys(answer),
            "id": row["id"],
            "message_id": message_id,
            "endpoint_id": endpoint["id"],
            "attempt": 1,
            "max_attempts": 5,
            "status": "PENDING",
            "created_at": row["created_at"],
            "payload": payload,
            "next_attempt_at": row["created_at"],
        }


async def test_an_event_nobody_asked_for_is_not_kept(sandbox: Sandbox, send: Send) -> None:
    """It leaves no trace: neither a message nor an attempt."""
    await register(sandbox, send)
    emit(sandbox.store, "load.created", {})
    assert sandbox.store.messages == sandbox.store.attempts == {}


async def test_an_event_shows_what_was_when_it_happened(sandbox: Sandbox, send: Send) -> None:
    """Later changes of the record, also deep inside, are not in it."""
    endpoint = await register(sandbox, send)
    offer: dict[str, object] = {"note": "na\u00efve \U0001f69a", "load": {"stops": [1]}}
    emit(sandbox.store, "offer.created", offer)
    need_list(need_record(offer["load"]), "stops").append(2)
    data = (await attempts_at(sandbox, send, endpoint))[0]["payload"]["data"]
    assert data == {"note": "na\u00efve \U0001f69a", "load": {"stops": [1]}}


async def test_attempts_of_an_endpoint_come_newest_first_in_pages(sandbox: Sandbox, send: Send) -> None:
    """In the envelope of every listing, and none of another endpoint's."""
    endpoint = await register(sandbox, send)
    await register(sandbox, send, event_types=["load.created"])
    for number in range(3):
        emit(sandbox.store, "offer.created", {"number": number})
        emit(sandbox.store, "load.created", {})
    body = (await send(sandbox, "GET", f"{ENDPOINTS}/{endpoint['id']}/messages?page_size=2"))[2]
    assert [row["payload"]["data"]["number"] for row in body["data"]] == [2, 1]
    assert body["pagination"]["total_count"] == 3
    status, _, answer = await send(sandbox, "GET", f"{ENDPOINTS}/{endpoint['id']}/messages?page_size=101")
    assert (status, answer["error"]["param"]) == (422, "page_size")


async def test_a_replay_queues_one_more_attempt_of_the_same_event(sandbox: Sandbox, send: Send) -> None:
    """Only when the last one is over: while one waits or is under way, replaying changes nothing."""
    endpoint = await register(sandbox, send)
    emit(sandbox.store, "offer.created", {"amount": 1_850})
    pause_all(sandbox)
    ((message_id, message),) = sandbox.store.messages.items()
    path, body = f"/webhooks/messages/{message_id}/replay", {"endpoint_id": endpoint["id"]}
    same = {"id": message_id, "created_at": message["created_at"], "payload": message["payload"], **body}
    waiting = {"latest_status": "PENDING", "attempt_count": 1, "last_response_status_code": None}
    assert (await send(sandbox, "POST", path, json=body))[2] == {**same, **waiting}
    (first,) = sandbox.store.attempts.values()
    first["status"] = "SENDING"
    assert (await send(sandbox, "POST", path, json=body))[2] == {**same, **waiting, "latest_status": "SENDING"}
    first.update(status="DEAD", response_status_code=503)
    for _ in range(2):
        state = (await send(sandbox, "POST", path, json=body))[2]
        assert state == {**same, "latest_status": "PENDING", "attempt_count": 2, "last_response_status_code": 503}
    rows = (await send(sandbox, "GET", f"/webhooks/messages/{message_id}/attempts"))[2]
    assert [(row["attempt"], row["status"]) for row in rows] == [(1, "DEAD"), (2, "PENDING")]
    assert rows[0]["payload"] == rows[1]["payload"]
    assert await attempts_at(sandbox, send, endpoint) == rows[::-1]


async def test_a_replay_needs_a_message_and_its_endpoint(sandbox: Sandbox, send: Send) -> None:
    """Unknown ones are a 404, a stranger's endpoint a 422, and what is no id a 400 or 422."""
    await register(sandbox, send)
    stranger = await register(sandbox, send, event_types=["load.created"])
    emit(sandbox.store, "offer.created", {})
    path = f"/webhooks/messages/{next(iter(sandbox.store.messages))}/replay"
    expected: list[tuple[object, int, str | None]] = [
        ({"endpoint_id": stranger["id"]}, 422, "endpoint_id"),
        ({"endpoint_id": f"ep_{UNKNOWN}"}, 404, "id"),
        ({"endpoint_id": "x"}, 400, "endpoint_id"),
        ({"endpoint_id": 1}, 422, "endpoint_id"),
        ({}, 422, "endpoint_id"),
        ([], 422, None),
    ]
    for body, status, param in expected:
        answer = await send(sandbox, "POST", path, data=json.dumps(body).encode())
        assert (answer[0], answer[2]["error"]["param"]) == (status, param)
    for method, rest in (("POST", "replay"), ("GET", "attempts")):
        answer = await send(sandbox, method, f"/webhooks/messages/{UNKNOWN}/{rest}", json={})
        assert (answer[0], answer[2]["error"]["message"]) == (404, "Message not found")
    assert len(sandbox.store.attempts) == 1


async def test_the_catalogue_describes_each_event(sandbox: Sandbox, send: Send) -> None:
    """Each has a name of its own, a description, and a schema whose required fields a real event has."""
    catalogue = (await send(sandbox, "GET", "/webhooks/event-types"))[2]
    names = [row["name"] for row in catalogue]
    assert len(set(names)) == len(names) == 9
    await register(sandbox, send, event_types=names)
    for row in catalogue:
        assert set(row) == {"name", "description", "payload_schema"}
        emit(sandbox.store, row["name"], {})
    for row, message in zip(catalogue, sandbox.store.messages.values(), strict=True):
        payload, schema = need_record(message["payload"]), row["payload_schema"]
        assert payload.keys() == set(schema["required"]) == schema["properties"].keys()
        assert payload["type"] == schema["properties"]["type"]["const"]


async def test_webhooks_take_either_credential(sandbox: Sandbox, send: Send) -> None:
    """A bearer token may do all of it; every operation is written down under its name."""
    shown = {"Authorization": f"Bearer {sandbox.bearer_token}"}
    endpoint = (await send(sandbox, "POST", ENDPOINTS, json=MINIMAL, headers=shown))[2]
    emit(sandbox.store, "offer.created", {})
    path, message = f"{ENDPOINTS}/{endpoint['id']}", f"/webhooks/messages/{next(iter(sandbox.store.messages))}"
    requests = [
        *(("GET", ENDPOINTS), ("GET", path), ("PATCH", path), ("POST", f"{path}/rotate-secret")),
        *(("GET", f"{path}/messages"), ("GET", "/webhooks/event-types"), ("GET", f"{message}/attempts")),
        *(("POST", f"{message}/replay"), ("DELETE", path)),
    ]
    for method, target in requests:
        body = {"endpoint_id": endpoint["id"]} if target.endswith("replay") else {}
        assert (await send(sandbox, method, target, json=body, headers=shown))[0] == 200
    names = ("create", "list", "get", "update", "rotate_secret", "messages", "event_types")
    expected = [f"webhook_endpoints.{name}" for name in names]
    expected += ["webhook_messages.attempts", "webhook_messages.replay", "webhook_endpoints.delete"]
    assert [ran.operation for ran in sandbox.executions] == expected
