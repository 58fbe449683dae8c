"""API keys are made, shown without their secret, and stopped; each opens one organization."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest

from envoy_async.sandbox import Sandbox

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOW = 1_763_740_800.0
START = "2025-11-21T16:00:00.000000Z"
FIELDS = [
    "id",
    "name",
    "organization_id",
    "is_active",
    "created_at",
    "updated_at",
    "description",
    "expires_at",
    "last_used_at",
]


@pytest.fixture
def bearer(sandbox: Sandbox) -> dict[str, str]:
    """Give the headers that show the token of the start."""
    return {"Authorization": f"Bearer {sandbox.bearer_token}"}


async def test_a_new_key_is_told_once_and_is_let_in(sandbox: Sandbox, send: Send, bearer: dict[str, str]) -> None:
    """The answer holds the record and the secret; the secret opens the organization the key was made in."""
    status, _, made = await send(sandbox, "POST", "/api-keys", headers=bearer, json={"name": "TMS Integration"})
    assert status == 200
    assert list(made) == [*FIELDS, "key"]
    assert re.fullmatch(r"key_[0-9a-f-]{36}", made["id"])
    assert re.fullmatch(r"envai_live_[0-9a-f]{32}", made["key"])
    assert (made["name"], made["organization_id"], made["is_active"]) == (
        "TMS Integration",
        sandbox.organization_id,
        True,
    )
    assert (made["description"], made["expires_at"], made["last_used_at"]) == (None, None, None)
    assert made["created_at"] == made["updated_at"]
    assert (await send(sandbox, "GET", "/calls", headers={"X-API-Key": made["key"]}))[2]["data"]
    assert [ran.operation for ran in sandbox.executions] == ["api_keys.create", "calls.list"]


async def test_a_secret_is_never_told_again(sandbox: Sandbox, send: Send, bearer: dict[str, str]) -> None:
    """Neither the list nor a single record holds one, nor do the records and what was executed."""
    body = {"name": "a", "description": "b", "expires_at": None}
    made = (await send(sandbox, "POST", "/api-keys", headers=bearer, json=body))[2]
    listed = (await send(sandbox, "GET", "/api-keys", headers=bearer))[2]
    got = (await send(sandbox, "GET", f"/api-keys/{made['id']}", headers=bearer))[2]
    assert got == {key: made[key] for key in FIELDS}
    assert (got["description"], listed[0]) == ("b", got)
    kept = f"{json.dumps([listed, sandbox.store.api_keys])} {sandbox.executions} {sandbox._gateway!r}"
    assert made["key"] not in kept
    assert sandbox.api_key not in kept


async def test_the_keys_are_a_bare_list_newest_first(sandbox: Sandbox, send: Send, bearer: dict[str, str]) -> None:
    """The key of the start is the oldest of them, as old as the oldest data."""
    ids = [
        (await send(sandbox, "POST", "/api-keys", headers=bearer, json={"name": name}))[2]["id"] for name in ("a", "b")
    ]
    status, _, listed = await send(sandbox, "GET", "/api-keys", headers=bearer)
    assert status == 200
    assert [key["id"] for key in listed][:2] == ids[::-1]
    assert [list(key) for key in listed] == [FIELDS] * 3
    assert (listed[2]["name"], listed[2]["is_active"]) == ("Sandbox", True)
    assert listed[2]["created_at"] == listed[2]["updated_at"] == "2025-05-23T16:00:00.000000Z"


async def test_a_key_is_found_by_its_id(sandbox: Sandbox, send: Send, bearer: dict[str, str]) -> None:
    """With its prefix or without; an unknown id is a 404, anything else a 400."""
    (key_id,) = sandbox.store.api_keys
    for method in ("GET", "DELETE"):
        for path, status in (
            (key_id, 200),
            (key_id.removeprefix("key_"), 200),
            ("key_00000000-0000-4000-8000-000000000000", 404),
            (f"call_{key_id[4:]}", 400),
        ):
            assert (await send(sandbox, method, f"/api-keys/{path}", headers=bearer))[0] == status


async def test_a_deactivated_key_stops_at_once(sandbox: Sandbox, send: Send, bearer: dict[str, str]) -> None:
    """From then on it is a 401; its record stays and says so; doing it again changes nothing."""
    made = (await send(sandbox, "POST", "/api-keys", headers=bearer, json={"name": "a"}))[2]
    path, key = f"/api-keys/{made['id']}", {"X-API-Key": made["key"]}
    assert (await send(sandbox, "GET", "/calls", headers=key))[0] == 200
    assert (await send(sandbox, "DELETE", path, headers=bearer))[::2] == (200, {})
    assert (await send(sandbox, "GET", "/calls", headers=key))[0] == 401
    record = (await send(sandbox, "GET", path, headers=bearer))[2]
    assert (record["is_active"], record["last_used_at"]) == (False, START)
    assert record["updated_at"] > made["updated_at"]
    assert (await send(sandbox, "DELETE", path, headers=bearer))[::2] == (200, {})
    assert (await send(sandbox, "GET", path, headers=bearer))[2] == record
    assert (await send(sandbox, "GET", "/calls"))[0] == 200


async def test_the_key_of_the_start_can_be_deactivated_too(
    sandbox: Sandbox, send: Send, bearer: dict[str, str]
) -> None:
    """It has a record like any other, and is a 401 afterwards."""
    (key_id,) = sandbox.store.api_keys
    await send(sandbox, "DELETE", f"/api-keys/{key_id}", headers=bearer)
    assert (await send(sandbox, "GET", "/calls"))[0] == 401


async def test_the_record_decides_whether_a_key_is_let_in(sandbox: Sandbox, send: Send) -> None:
    """A test may change it by hand, or take it away."""
    (record,) = sandbox.store.api_keys.values()
    record["is_active"] = False
    assert (await send(sandbox, "GET", "/calls"))[0] == 401
    record["is_active"] = True
    assert (await send(sandbox, "GET", "/calls"))[0] == 200
    sandbox.store.api_keys.clear()
    assert (await send(sandbox, "GET", "/calls"))[0] == 401


async def test_a_key_ends_when_it_expires(send: Send) -> None:
    """Let in until that moment and a 401 from then on; a moment that is past makes a key that opens nothing."""
    now = [NOW]
    async with Sandbox(calls=1, loads=1, quota=None, clock=lambda: now[0]) as sandbox:
        bearer = {"Authorization": f"Bearer {sandbox.bearer_token}"}
        keys = [
            (await send(sandbox, "POST", "/api-keys", headers=bearer, json={"name": "a", "expires_at": moment}))[2]
            for moment in ("2025-11-21T16:01:00Z", "2025-11-21T15:59:59.999Z")
        ]
        statuses: list[int] = []
        for seconds in (0, 59.75, 60):
            now[0] = NOW + seconds
            statuses.extend([(await send(sandbox, "GET", "/calls", headers={"X-API-Key": k["key"]}))[0] for k in keys])
        assert statuses == [200, 401, 200, 401, 401, 401]
        assert sandbox.store.api_keys[keys[0]["id"]]["is_active"] is True


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
        ("2026-01-01t00:00:00.5z", "2026-01-01T00:00:00.500000Z"),
        ("2026-01-01T00:00:00.123456789+05:30", "2025-12-31T18:30:00.123456Z"),
        (None, None),
    ],
)
async def test_a_moment_comes_back_in_utc(
    sandbox: Sandbox, send: Send, bearer: dict[str, str], sent: str | None, kept: str | None
) -> None:
    """With microseconds, like every other time."""
    body = {"name": "a", "expires_at": sent}
    assert (await send(sandbox, "POST", "/api-keys", headers=bearer, json=body))[2]["expires_at"] == kept


async def test_when_a_key_was_last_used_is_kept(send: Send) -> None:
    """Requests that were let in count, whatever came of them; those refused for quota do not."""
    now = [NOW]
    async with Sandbox(calls=1, loads=1, quota=2, window=3_600.0, clock=lambda: now[0]) as sandbox:
        (record,) = sandbox.store.api_keys.values()
        used = [record["last_used_at"]]
        for path, status in (("/calls", 200), ("/nowhere", 404), ("/calls", 429)):
            now[0] += 1
            assert (await send(sandbox, "GET", path))[0] == status
            used.append(record["last_used_at"])
    assert used == [None, "2025-11-21T16:00:01.000000Z", *["2025-11-21T16:00:02.000000Z"] * 2]
    assert record["updated_at"] == record["created_at"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": 7}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a", "description": 7}, "description"),
        ({"name": "a", "expires_at": 1_763_740_800}, "expires_at"),
        ({"name": "a", "expires_at": "2026-01-01"}, "expires_at"),
        ({"name": "a", "expires_at": "2026-01-01T00:00:00"}, "expires_at"),
        ({"name": "a", "expires_at": "20260101T000000Z"}, "expires_at"),
        ({"name": "a", "expires_at": "2026-02-31T00:00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "9999-12-31T23:00:00-12:00"}, "expires_at"),
        ([], None),
    ],
)
async def test_a_key_that_makes_no_sense_is_a_422(
    sandbox: Sandbox, send: Send, bearer: dict[str, str], body: object, param: str | None
) -> None:
    """The answer names the field, and no key is made."""
    status, _, answer = await send(sandbox, "POST", "/api-keys", headers=bearer, json=body)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (422, "validation_error", param)
    assert len(sandbox.store.api_keys) == 1


async def test_a_key_opens_no_operation_on_keys(sandbox: Sandbox, send: Send) -> None:
    """All four take a bearer token only: a key is a 403, and nothing runs."""
    (key_id,) = sandbox.store.api_keys
    for method, path in (
        ("POST", "/api-keys"),
        ("GET", "/api-keys"),
        ("GET", f"/api-keys/{key_id}"),
        ("DELETE", f"/api-keys/{key_id}"),
    ):
        status, _, body = await send(sandbox, method, path, json={"name": "a"})
        assert (status, body["error"]) == (
            403,
            {
                "code": "insufficient_permissions",
                "message": "This operation takes a bearer token only.",
                "param": None,
            },
        )
    assert sandbox.executions == []


async def test_new_keys_come_from_the_seed(send: Send) -> None:
    """Two sandboxes of one seed give the same ids and secrets in the same order."""
    made: list[tuple[str, str]] = []
    for _ in range(2):
        async with Sandbox(calls=1, loads=1, quota=None, clock=lambda: NOW) as sandbox:
            bearer = {"Authorization": f"Bearer {sandbox.bearer_token}"}
            for name in ("a", "b"):
                key = (await send(sandbox, "POST", "/api-keys", headers=bearer, json={"name": name}))[2]
                made.append((key["id"], key["key"]))
    assert made[:2] == made[2:]
    assert len(set(made)) == 2
