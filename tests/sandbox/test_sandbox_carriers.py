"""The operations of the group Carriers answer as documented."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest

from envoy_async.sandbox import Sandbox

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOBODY = "00000000-0000-4000-8000-000000000000"
USER = "0a1b2c3d-0000-4000-8000-00000000abcd"
CARRIER_FIELDS = {
    *("id", "name", "mc_number", "dot_number", "email", "phone", "dispatcher_name", "dispatcher_phone", "is_active"),
    *("dispatcher_email", "provider", "ingestion_method", "equipment_types", "insurance_expiration", "w9_on_file"),
    *("authorized_for_hire", "on_time_pickup_pct", "on_time_delivery_pct", "tracking_compliance_pct", "is_onboarded"),
    *("avg_response_time_min", "total_loads_hauled", "carrier_rep_user_id", "carrier_rep_name", "carrier_rep_email"),
    *("is_verified", "verified_date", "created_at", "updated_at"),
}
FULL = {"name": "Ox Bow Trucking", "mc_number": "MC1", "dot_number": "DOT1", "email": "a@b.example"}


def bearer(sandbox: Sandbox) -> dict[str, str]:
    """Give the header that shows the bearer token."""
    return {"Authorization": f"Bearer {sandbox.bearer_token}"}


async def test_seeded_carriers_are_listed_and_read(sandbox: Sandbox, send: Send) -> None:
    """Twelve of them, in the envelope, with all fields, found by either form of their id."""
    _, _, body = await send(sandbox, "GET", "/carriers?page_size=5&page=3")
    assert body["pagination"]["total_count"] == 12
    assert [set(row) for row in body["data"]] == [CARRIER_FIELDS] * 2
    carrier = body["data"][0]
    bare = carrier["id"].removeprefix("car_")
    for form in (carrier["id"], bare, bare.upper()):
        assert (await send(sandbox, "GET", f"/carriers/{form}"))[2] == carrier


async def test_verifications_show_the_same_carriers(sandbox: Sandbox) -> None:
    """A carrier that failed a check is one that can be read."""
    assert sandbox.store.verifications != []
    assert all(sandbox.store.carriers[str(row["carrier_id"])] == row["carrier"] for row in sandbox.store.verifications)


@pytest.mark.parametrize(
    ("method", "action", "body"),
    [("GET", "", None), ("PATCH", "", {}), ("POST", "/enable", {}), ("POST", "/disable", {"reason": "other"})],
)
async def test_an_unknown_carrier_is_a_404(
    sandbox: Sandbox, send: Send, method: str, action: str, body: object
) -> None:
    """Whatever is asked of it; an id of another kind is a 400."""
    statuses = [
        (await send(sandbox, method, f"/carriers/{carrier_id}{action}", json=body, headers=bearer(sandbox)))[0]
        for carrier_id in (f"car_{NOBODY}", f"load_{NOBODY}")
    ]
    assert statuses == [404, 400]


async def test_a_created_carrier_is_listed_first(sandbox: Sandbox, send: Send) -> None:
    """It is active, came through the identity check, and lacks what was not given; unknown fields are ignored."""
    _, _, carrier = await send(sandbox, "POST", "/carriers", json={**FULL, "phone": "+12145550123", "fleet": 3})
    assert set(carrier) == CARRIER_FIELDS
    assert FULL.items() <= carrier.items()
    assert (carrier["phone"], carrier["provider"], carrier["is_active"]) == ("+12145550123", "Highway", True)
    _, _, bare = await send(sandbox, "POST", "/carriers", json={"name": "", "mc_number": None})
    assert (bare["mc_number"], bare["phone"]) == (None, None)
    listed = (await send(sandbox, "GET", "/carriers"))[2]["data"]
    assert listed[:2] == [bare, carrier]


async def test_a_known_mc_number_gives_the_carrier_that_has_it(sandbox: Sandbox, send: Send) -> None:
    """As it is, without any change; carriers without a number are never the same."""
    known = next(iter(sandbox.store.carriers.values()))
    before = dict(known)
    _, _, answer = await send(sandbox, "POST", "/carriers", json={"name": "Other", "mc_number": known["mc_number"]})
    assert answer == before == known
    ids = {(await send(sandbox, "POST", "/carriers", json={"name": "Same"}))[2]["id"] for _ in range(2)}
    assert len(ids) == 2
    assert len(sandbox.store.carriers) == 14


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": "A", "mc_number": 5}, "mc_number"),
        ({"name": "A", "dot_number": []}, "dot_number"),
        ({"name": "A", "email": True}, "email"),
        ({"name": "A", "phone": "214-555-0123"}, "phone"),
        ({"name": "A", "phone": "+12145550123\n"}, "phone"),
    ],
)
async def test_a_bad_carrier_names_its_field(sandbox: Sandbox, send: Send, body: object, param: str | None) -> None:
    """It is a 422 validation_error, and nothing is created."""
    status, _, answer = await send(sandbox, "POST", "/carriers", json=body)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (422, "validation_error", param)
    assert len(sandbox.store.carriers) == 12


async def test_each_carrier_of_a_batch_stands_alone(sandbox: Sandbox, send: Send) -> None:
    """A known MC number updates the fields given; results come in order, under the MC number or else the name."""
    items: list[object] = [
        {"carrier": FULL},
        {"carrier": {"name": "Ox Bow LLC", "mc_number": "MC1", "phone": "+12145550123"}, "lanes": []},
        {"carrier": {"name": "Nameless"}},
        {"carrier": {"name": "Bad", "mc_number": 7}},
        {"carrier": []},
        {},
        5,
    ]
    _, _, body = await send(sandbox, "POST", "/carriers/batch", json={"carriers": items})
    results = body.pop("results")
    assert [(row["identifier"], row["operation"], row["error"]) for row in results] == [
        ("MC1", "created", None),
        ("MC1", "updated", None),
        ("Nameless", "created", None),
        ("Bad", None, "mc_number: must be a string"),
        ("", None, "carrier: a JSON object is required"),
        ("", None, "carrier: field required"),
        ("", None, "item: a JSON object is required"),
    ]
    assert [row["success"] for row in results] == [True] * 3 + [False] * 4
    assert {row["lanes_created"] for row in results} == {0}
    carrier = sandbox.store.carriers[results[0]["carrier_id"]]
    assert results[1]["carrier_id"] == carrier["id"]
    assert (carrier["name"], carrier["phone"], carrier["dot_number"]) == ("Ox Bow LLC", "+12145550123", "DOT1")
    assert body.pop("processed_at") > carrier["updated_at"]
    assert body == {"success": True, "total": 7, "successful": 3, "failed": 4, "created": 2, "updated": 1}


async def test_a_batch_without_a_good_carrier_is_no_success(sandbox: Sandbox, send: Send) -> None:
    """``success`` needs at least one carrier that went through."""
    assert (await send(sandbox, "POST", "/carriers/batch", json={"carriers": [{}]}))[2]["success"] is False


@pytest.mark.parametrize("body", [{}, {"carriers": None}, {"carriers": [FULL] * 1_001}])
async def test_a_bad_batch_is_refused_as_a_whole(sandbox: Sandbox, send: Send, body: object) -> None:
    """No list, or more than 1,000 carriers."""
    status, _, answer = await send(sandbox, "POST", "/carriers/batch", json=body)
    assert (status, answer["error"]["param"]) == (422, "carriers")


async def test_a_change_sets_what_it_names(sandbox: Sandbox, send: Send) -> None:
    """Every field has its type, null empties it, unknown fields are ignored, and the rest stays."""
    carrier_id, carrier = next(iter(sandbox.store.carriers.items()))
    before = dict(carrier)
    changes = {
        "name": "New Name",
        "mc_number": carrier["mc_number"],
        "dispatcher_phone": "+12145550123",
        "email": None,
        "equipment_types": ["VAN", "HOTSHOT"],
        "insurance_expiration": "2027-01-31T00:00:00-06:00",
        "verified_date": None,
        "w9_on_file": False,
        "on_time_pickup_pct": 99,
        "total_loads_hauled": 7,
    }
    body = {**changes, "carrier_rep_user_id": USER.upper(), "fleet": {"a": 1}}
    path = f"/carriers/{carrier_id}"
    status, _, answer = await send(sandbox, "PATCH", path, json=body, headers=bearer(sandbox))
    updated = answer["updated_at"]
    assert status == 200
    assert updated > before["updated_at"]
    assert answer == {**before, **changes, "carrier_rep_user_id": f"usr_{USER}", "updated_at": updated}
    for nothing in ({}, {"fleet": None}):
        assert (await send(sandbox, "PATCH", path, json=nothing, headers=bearer(sandbox)))[2] == answer


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (None, 422, None),
        ({"is_active": True}, 422, "is_active"),
        ({"is_active": None, "name": "A"}, 422, "is_active"),
        ({"id": "car_1"}, 422, "id"),
        ({"created_at": None}, 422, "created_at"),
        ({"updated_at": "2025-11-21T16:00:00Z"}, 422, "updated_at"),
        ({"name": None}, 422, "name"),
        ({"phone": "5550123"}, 422, "phone"),
        ({"dispatcher_phone": 5}, 422, "dispatcher_phone"),
        ({"provider": 1}, 422, "provider"),
        ({"w9_on_file": 1}, 422, "w9_on_file"),
        ({"on_time_pickup_pct": "99"}, 422, "on_time_pickup_pct"),
        ({"total_loads_hauled": 1.5}, 422, "total_loads_hauled"),
        ({"equipment_types": "VAN"}, 422, "equipment_types"),
        ({"equipment_types": ["VAN", None]}, 422, "equipment_types"),
        ({"verified_date": "2025-11-21"}, 422, "verified_date"),
        ({"verified_date": "2025-13-21T16:00:00Z"}, 422, "verified_date"),
        ({"insurance_expiration": 5}, 422, "insurance_expiration"),
        ({"carrier_rep_user_id": "me"}, 400, "carrier_rep_user_id"),
    ],
)
async def test_a_bad_change_changes_nothing(
    sandbox: Sandbox, send: Send, body: object, status: int, param: str | None
) -> None:
    """The answer names the field; ids, times, and ``is_active`` cannot be written at all."""
    carrier_id, carrier = next(iter(sandbox.store.carriers.items()))
    before = dict(carrier)
    options = {} if body is None else {"json": body}
    answer = await send(sandbox, "PATCH", f"/carriers/{carrier_id}", headers=bearer(sandbox), **options)
    assert (answer[0], answer[2]["error"]["param"]) == (status, param)
    assert carrier == before


async def test_no_two_carriers_share_an_mc_number(sandbox: Sandbox, send: Send) -> None:
    """Taking another one's is refused."""
    one, other = list(sandbox.store.carriers.values())[:2]
    body = {"mc_number": other["mc_number"]}
    status, _, answer = await send(sandbox, "PATCH", f"/carriers/{one['id']}", json=body, headers=bearer(sandbox))
    assert (status, answer["error"]["param"]) == (422, "mc_number")


async def test_switching_a_carrier_leaves_one_audit_row(sandbox: Sandbox, send: Send) -> None:
    """A repetition changes nothing and leaves none; enabling needs no reason."""
    carrier_id = next(iter(sandbox.store.carriers))
    steps: list[tuple[str, dict[str, object], bool]] = [
        ("enable", {}, True),
        ("disable", {"reason": "other", "reason_note": "Late twice"}, False),
        ("disable", {"reason": "compliance"}, False),
        ("enable", {}, True),
        ("disable", {"reason": "service_quality"}, False),
        ("enable", {"reason": "pause_on_lane", "reason_note": None}, True),
    ]
    for action, body, active in steps:
        path = f"/carriers/{carrier_id}/{action}"
        status, _, carrier = await send(sandbox, "POST", path, json=body, headers=bearer(sandbox))
        assert (status, carrier["is_active"]) == (200, active)
    assert [(row["action"], row["reason"], row["reason_note"]) for row in sandbox.store.audit] == [
        ("carrier.disabled", "other", "Late twice"),
        ("carrier.enabled", None, None),
        ("carrier.disabled", "service_quality", None),
        ("carrier.enabled", "pause_on_lane", None),
    ]
    assert {row["record_id"] for row in sandbox.store.audit} == {carrier_id}


@pytest.mark.parametrize(
    ("action", "body", "param"),
    [
        ("disable", {}, "reason"),
        ("disable", {"reason": None}, "reason"),
        ("disable", {"reason": "mood"}, "reason"),
        ("disable", {"reason": ["other"]}, "reason"),
        ("disable", {"reason": "other", "reason_note": 5}, "reason_note"),
        ("enable", {"reason": "mood"}, "reason"),
        ("enable", {"reason_note": {}}, "reason_note"),
        ("enable", [], None),
    ],
)
async def test_a_bad_reason_is_refused(
    sandbox: Sandbox, send: Send, action: str, body: object, param: str | None
) -> None:
    """Only the four codes are reasons, and the note is a text."""
    path = f"/carriers/{next(iter(sandbox.store.carriers))}/{action}"
    status, _, answer = await send(sandbox, "POST", path, json=body, headers=bearer(sandbox))
    assert (status, answer["error"]["param"]) == (422, param)
    assert sandbox.store.audit == []


async def test_who_may_write_carriers(sandbox: Sandbox, send: Send) -> None:
    """A batch takes the API key only; change, enable, and disable take the bearer token only."""
    path = f"/carriers/{next(iter(sandbox.store.carriers))}"
    asked = [
        await send(sandbox, "POST", "/carriers/batch", json={"carriers": []}, headers=bearer(sandbox)),
        await send(sandbox, "PATCH", path, json={}),
        await send(sandbox, "POST", f"{path}/enable", json={}),
        await send(sandbox, "POST", f"{path}/disable", json={"reason": "other"}),
    ]
    assert [status for status, _, _ in asked] == [403] * 4
    assert (await send(sandbox, "POST", "/carriers", json={"name": "A"}, headers=bearer(sandbox)))[0] == 200
