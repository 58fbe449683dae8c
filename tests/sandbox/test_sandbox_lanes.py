"""The operations of the group Lane Preferences answer as documented."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest

from envoy_async.sandbox import Sandbox

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOBODY = "00000000-0000-4000-8000-000000000000"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
FIELDS = {"id", "carrier_id", "lane_id", "is_active", "preference_type", "updated_at"}
ENDS = {"origin_city", "origin_state", "destination_city", "destination_state"}
LOAD = {
    "load_number": "LD-LANE",
    "equipment_type": "VAN",
    "stops": [{"location": {"city": city, "state": "TX"}} for city in ("Waco", "Austin", "Lufkin")],
}


def bearer(sandbox: Sandbox) -> dict[str, str]:
    """Give the header that shows the bearer token."""
    return {"Authorization": f"Bearer {sandbox.bearer_token}"}


def some_preference(sandbox: Sandbox, **wanted: object) -> tuple[str, dict[str, object]]:
    """Give a preference with these values, and its path."""
    row = next(row for row in sandbox.store.lane_preferences.values() if wanted.items() <= row.items())
    return f"/carriers/car_{row['carrier_id']}/lane-preferences/{row['id']}", row


async def add_load(sandbox: Sandbox, send: Send) -> str:
    """Create a load from Waco to Lufkin, where no seeded carrier goes."""
    load_id = (await send(sandbox, "POST", "/loads", json=LOAD))[2]["load_id"]
    return str(load_id)


async def test_a_carrier_has_lanes_it_likes(sandbox: Sandbox, send: Send) -> None:
    """A bare array with the ends of each lane; all ids in it are bare uuids."""
    seen = 0
    for carrier_id in sandbox.store.carriers:
        _, _, rows = await send(sandbox, "GET", f"/carriers/{carrier_id}/lane-preferences", headers=bearer(sandbox))
        assert 3 <= len(rows) <= 6
        assert all(set(row) == FIELDS | ENDS for row in rows)
        assert all(row["carrier_id"] == carrier_id.removeprefix("car_") for row in rows)
        assert all(UUID.fullmatch(row[key]) for row in rows for key in ("id", "carrier_id", "lane_id"))
        seen += len(rows)
    assert seen == len(sandbox.store.lane_preferences)


@pytest.mark.parametrize(("wanted", "kept"), [("true", {True}), ("false", {False}), ("null", {True, False})])
async def test_the_list_can_be_narrowed(sandbox: Sandbox, send: Send, wanted: str, kept: set[bool]) -> None:
    """To the lanes in use, or to those switched off."""
    path, _ = some_preference(sandbox, is_active=False)
    path = path.rpartition("/")[0]
    every = (await send(sandbox, "GET", path, headers=bearer(sandbox)))[2]
    rows = (await send(sandbox, "GET", f"{path}?is_active={wanted}", headers=bearer(sandbox)))[2]
    assert rows == [row for row in every if row["is_active"] in kept]
    assert {row["is_active"] for row in rows} == kept


async def test_a_bad_filter_is_refused(sandbox: Sandbox, send: Send) -> None:
    """What is no boolean is a 422."""
    path = f"/carriers/{next(iter(sandbox.store.carriers))}/lane-preferences?is_active=maybe"
    status, _, answer = await send(sandbox, "GET", path, headers=bearer(sandbox))
    assert (status, answer["error"]["param"]) == (422, "is_active")


async def test_a_preference_is_switched(sandbox: Sandbox, send: Send) -> None:
    """The type stays, no audit row is written, and switching to the same changes nothing at all."""
    path, row = some_preference(sandbox, is_active=True)
    answers = [
        (await send(sandbox, "PATCH", path, json={"is_active": active}, headers=bearer(sandbox)))[2]
        for active in (False, False, True)
    ]
    assert [answer["is_active"] for answer in answers] == [False, False, True]
    assert answers[0] == answers[1]
    assert {answer["preference_type"] for answer in answers} == {"primary"}
    assert answers[2] == row
    assert sandbox.store.audit == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({}, "is_active"),
        ({"is_active": None}, "is_active"),
        ({"is_active": 1}, "is_active"),
        ({"is_active": True, "preference_type": "primary"}, "preference_type"),
    ],
)
async def test_nothing_else_can_be_patched(sandbox: Sandbox, send: Send, body: object, param: str | None) -> None:
    """``is_active`` is required, a boolean, and alone."""
    path, _ = some_preference(sandbox)
    status, _, answer = await send(sandbox, "PATCH", path, json=body, headers=bearer(sandbox))
    assert (status, answer["error"]["param"]) == (422, param)


async def test_restricting_takes_a_reason_and_leaves_one_audit_row(sandbox: Sandbox, send: Send) -> None:
    """Repeating either way changes nothing and leaves none; lifting it makes the lane primary again."""
    path, row = some_preference(sandbox, is_active=True)
    seen = list[tuple[object, object]]()
    for action, body in (
        ("unrestrict", {}),
        ("restrict", {"reason": "other", "reason_note": "No tarps"}),
        ("restrict", {"reason": "compliance"}),
        ("unrestrict", {}),
        ("unrestrict", {"reason": "other"}),
    ):
        _, _, answer = await send(sandbox, "POST", f"{path}/{action}", json=body, headers=bearer(sandbox))
        assert set(answer) == FIELDS
        seen.append((answer["is_active"], answer["preference_type"]))
    restricted, primary = (False, "restricted"), (True, "primary")
    assert seen == [primary, restricted, restricted, primary, primary]
    assert [(audit["action"], audit["record_id"], audit["reason_note"]) for audit in sandbox.store.audit] == [
        ("lane_preference.restricted", row["id"], "No tarps"),
        ("lane_preference.unrestricted", row["id"], None),
    ]


async def test_a_lane_that_is_only_off_can_still_be_restricted(sandbox: Sandbox, send: Send) -> None:
    """Then there is a reason, and an audit row."""
    path, row = some_preference(sandbox, is_active=True)
    await send(sandbox, "PATCH", path, json={"is_active": False}, headers=bearer(sandbox))
    await send(sandbox, "POST", f"{path}/restrict", json={"reason": "compliance"}, headers=bearer(sandbox))
    assert (row["preference_type"], len(sandbox.store.audit)) == ("restricted", 1)


@pytest.mark.parametrize(("action", "body"), [("restrict", {}), ("unrestrict", {"reason": "mood"})])
async def test_a_bad_reason_is_refused(sandbox: Sandbox, send: Send, action: str, body: object) -> None:
    """None at all, or one that is not in the set."""
    path, _ = some_preference(sandbox)
    status, _, answer = await send(sandbox, "POST", f"{path}/{action}", json=body, headers=bearer(sandbox))
    assert (status, answer["error"]["param"]) == (422, "reason")


async def test_a_carrier_is_switched_off_for_a_load(sandbox: Sandbox, send: Send) -> None:
    """First with a new row for the load's first and last stop, then with that row, whose type is left alone."""
    load_id = await add_load(sandbox, send)
    path = f"/carriers/{next(iter(sandbox.store.carriers))}/lane-preferences"
    shown = bearer(sandbox)
    lanes = len(sandbox.store.lanes)
    _, _, first = await send(sandbox, "POST", f"{path}/disable-for-load", json={"load_id": load_id}, headers=shown)
    preference = first["preference"]
    assert (first["created"], preference["is_active"], preference["preference_type"]) == (True, False, "admin_disabled")
    assert set(preference) == FIELDS
    row = (await send(sandbox, "GET", path, headers=shown))[2][-1]
    assert [row[key] for key in ("origin_city", "origin_state", "destination_city", "destination_state")] == [
        *("Waco", "TX", "Lufkin", "TX")
    ]
    await send(sandbox, "POST", f"{path}/{preference['id']}/unrestrict", json={}, headers=shown)
    bare = load_id.removeprefix("load_").upper()
    _, _, again = await send(sandbox, "POST", f"{path}/disable-for-load", json={"load_id": bare}, headers=shown)
    assert (again["created"], again["preference"]["id"]) == (False, preference["id"])
    assert (again["preference"]["is_active"], again["preference"]["preference_type"]) == (False, "primary")
    other = f"/carriers/{list(sandbox.store.carriers)[1]}/lane-preferences/disable-for-load"
    _, _, second = await send(sandbox, "POST", other, json={"load_id": load_id}, headers=shown)
    assert (second["created"], second["preference"]["lane_id"]) == (True, preference["lane_id"])
    assert len(sandbox.store.lanes) == lanes + 1


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), ({"load_id": None}, 400), ({"load_id": f"call_{NOBODY}"}, 400), ({"load_id": f"load_{NOBODY}"}, 404)],
)
async def test_a_bad_load_switches_nothing_off(sandbox: Sandbox, send: Send, body: object, status: int) -> None:
    """Missing, no id, or unknown."""
    before = len(sandbox.store.lane_preferences)
    path = f"/carriers/{next(iter(sandbox.store.carriers))}/lane-preferences/disable-for-load"
    assert (await send(sandbox, "POST", path, json=body, headers=bearer(sandbox)))[0] == status
    assert len(sandbox.store.lane_preferences) == before


OPERATIONS: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("POST", "/disable-for-load", {"load_id": NOBODY}),
    ("PATCH", "/{preference_id}", {"is_active": False}),
    ("POST", "/{preference_id}/restrict", {"reason": "other"}),
    ("POST", "/{preference_id}/unrestrict", {}),
]


@pytest.mark.parametrize(("method", "action", "body"), OPERATIONS)
async def test_an_unknown_carrier_is_a_404(
    sandbox: Sandbox, send: Send, method: str, action: str, body: object
) -> None:
    """Also for a preference that another carrier has, or nobody."""
    _, row = some_preference(sandbox, is_active=True)
    others = [carrier for carrier in sandbox.store.carriers if not carrier.endswith(str(row["carrier_id"]))]
    asked = [(f"car_{NOBODY}", row["id"])]
    asked += [(others[0], row["id"]), (others[0], NOBODY)] if "preference_id" in action else []
    for carrier_id, preference_id in asked:
        path = f"/carriers/{carrier_id}/lane-preferences" + action.format(preference_id=preference_id)
        assert (await send(sandbox, method, path, json=body, headers=bearer(sandbox)))[0] == 404
    assert row["is_active"] is True


@pytest.mark.parametrize(("method", "action", "body"), OPERATIONS)
async def test_all_of_it_takes_the_bearer_token(
    sandbox: Sandbox, send: Send, method: str, action: str, body: object
) -> None:
    """An API key is not enough."""
    path, row = some_preference(sandbox)
    path = path.rpartition("/")[0] + action.format(preference_id=row["id"])
    assert (await send(sandbox, method, path, json=body))[0] == 403
