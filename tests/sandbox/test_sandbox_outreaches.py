"""The operations of the group Outreaches answer as documented."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest

from envoy_async.sandbox import Sandbox

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOON = 1_763_740_800.0  # Unix seconds: 2025-11-21, 16:00 UTC
NOBODY = "00000000-0000-4000-8000-000000000000"
OUTREACH_FIELDS = {
    *("id", "carrier", "load_id", "modality", "direction", "created_at", "load_number", "carrier_engaged"),
    *("call_id", "conversation_id"),
}


def bearer(sandbox: Sandbox) -> dict[str, str]:
    """Give the header that shows the bearer token."""
    return {"Authorization": f"Bearer {sandbox.bearer_token}"}


def some_body(sandbox: Sandbox) -> dict[str, object]:
    """Give the smallest body of a new outreach: a carrier and a load it was never switched off for."""
    return {"carrier_id": next(iter(sandbox.store.carriers)), "load_id": next(iter(sandbox.store.loads))}


async def test_outreaches_are_listed_newest_first(sandbox: Sandbox, send: Send) -> None:
    """In the envelope, with all fields and the carrier; each one can be read alone, by either form of its id."""
    _, _, body = await send(sandbox, "GET", "/outreaches?page_size=3")
    rows = body["data"]
    assert [row["id"] for row in rows] == list(sandbox.store.outreaches)[::-1][:3]
    assert body["pagination"]["total_count"] == len(sandbox.store.outreaches)
    for row in rows:
        assert set(row) == OUTREACH_FIELDS
        assert row["carrier"] == sandbox.store.carriers[row["carrier"]["id"]]
        assert row["load_number"] == sandbox.store.loads[row["load_id"]]["load_number"]
    bare = rows[0]["id"].removeprefix("otr_").upper()
    assert (await send(sandbox, "GET", f"/outreaches/{bare}"))[2] == rows[0]


async def test_an_outreach_is_a_call_to_the_carrier(send: Send) -> None:
    """It is dialled at once, and two seconds later the carrier is engaged, whoever looks first."""
    now = [NOON]
    async with Sandbox(calls=20, loads=5, quota=None, clock=lambda: now[0]) as sandbox:
        body = some_body(sandbox)
        status, _, outreach = await send(sandbox, "POST", "/outreaches", json=body)
        carrier, load = sandbox.store.carriers[str(body["carrier_id"])], sandbox.store.loads[str(body["load_id"])]
        call = (await send(sandbox, "GET", f"/calls/{outreach['call_id']}"))[2]
        assert (status, set(outreach), outreach["carrier"]) == (200, OUTREACH_FIELDS, carrier)
        assert (outreach["modality"], outreach["direction"], outreach["conversation_id"]) == ("call", "outbound", None)
        assert (call["status"], call["call_direction"], call["to_number"]) == (
            "SCHEDULED",
            "OUTBOUND",
            carrier["phone"],
        )
        assert (call["load_id"], outreach["load_number"]) == (load["id"], load["load_number"])
        engaged = [outreach["carrier_engaged"]]
        for moment in (1.9, 2.0):
            now[0] = NOON + moment
            engaged.append((await send(sandbox, "GET", f"/outreaches/{outreach['id']}"))[2]["carrier_engaged"])
        assert engaged == [False, False, True]
        listed = (await send(sandbox, "GET", "/outreaches"))[2]["data"][0]
        assert listed == {**outreach, "carrier_engaged": True}


async def test_the_list_shows_who_answered_meanwhile(send: Send) -> None:
    """Without anybody having looked at the call; of two, the one given up before its answer never engaged."""
    now = [NOON]
    async with Sandbox(calls=0, loads=5, quota=None, clock=lambda: now[0]) as sandbox:
        body = some_body(sandbox)
        first, _ = [(await send(sandbox, "POST", "/outreaches", json=body))[2] for _ in range(2)]
        await send(sandbox, "POST", f"/calls/{first['call_id']}/end")
        now[0] += 60
        rows = (await send(sandbox, "GET", "/outreaches"))[2]["data"]
    assert [row["carrier_engaged"] for row in rows] == [True, False]


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"carrier_id": f"car_{NOBODY}"}, 404, "id"),
        ({"load_id": NOBODY}, 404, "id"),
        ({"carrier_id": None}, 400, "carrier_id"),
        ({"load_id": f"car_{NOBODY}"}, 400, "load_id"),
        ({"modality": "email"}, 422, "modality"),
        ({"modality": []}, 422, "modality"),
    ],
)
async def test_a_bad_outreach_rings_nobody(
    sandbox: Sandbox, send: Send, change: dict[str, object], status: int, param: str
) -> None:
    """An unknown carrier or load is a 404; calls are the only way."""
    answer = await send(sandbox, "POST", "/outreaches", json={**some_body(sandbox), **change})
    assert (answer[0], answer[2]["error"]["param"]) == (status, param)
    assert len(sandbox.store.calls) == 150


@pytest.mark.parametrize("missing", ["carrier_id", "load_id"])
async def test_a_missing_field_is_required(sandbox: Sandbox, send: Send, missing: str) -> None:
    """Carrier and load both are; the modality may be named or null."""
    body = some_body(sandbox)
    for modality in (None, "call"):
        assert (await send(sandbox, "POST", "/outreaches", json={**body, "modality": modality}))[0] == 200
    del body[missing]
    status, _, answer = await send(sandbox, "POST", "/outreaches", json=body)
    assert (status, answer["error"]["param"]) == (422, missing)


async def test_a_disabled_carrier_is_not_rung(sandbox: Sandbox, send: Send) -> None:
    """Nor one that is switched off on the load's lane, nor one without a number; lifting it lets the call through."""
    body = some_body(sandbox)
    carrier, shown = f"/carriers/{body['carrier_id']}", bearer(sandbox)
    off, on = f"{carrier}/lane-preferences/disable-for-load", f"{carrier}/lane-preferences/{{preference_id}}/unrestrict"

    async def attempt() -> tuple[int, object]:
        status, _, answer = await send(sandbox, "POST", "/outreaches", json=body)
        return status, answer.get("error", {}).get("param")

    await send(sandbox, "POST", f"{carrier}/disable", json={"reason": "other"}, headers=shown)
    disabled = await attempt()
    await send(sandbox, "POST", f"{carrier}/enable", json={}, headers=shown)
    preference = (await send(sandbox, "POST", off, json={"load_id": body["load_id"]}, headers=shown))[2]["preference"]
    restricted = await attempt()
    await send(sandbox, "POST", on.format(preference_id=preference["id"]), json={}, headers=shown)
    allowed = await attempt()
    await send(sandbox, "PATCH", carrier, json={"phone": None}, headers=shown)
    silent = await attempt()
    assert disabled == restricted == silent == (422, "carrier_id")
    assert allowed == (200, None)
    assert len(sandbox.store.calls) == 151


async def test_an_unknown_outreach_is_a_404(sandbox: Sandbox, send: Send) -> None:
    """An id of another kind is a 400."""
    missing = (await send(sandbox, "GET", f"/outreaches/otr_{NOBODY}"))[2]
    assert missing["error"] == {"code": "not_found", "message": "Outreach not found", "param": "id"}
    assert (await send(sandbox, "GET", f"/outreaches/call_{NOBODY}"))[0] == 400
