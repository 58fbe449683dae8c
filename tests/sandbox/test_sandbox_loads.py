"""The operations of the group Loads answer as documented."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest

from envoy_async.sandbox import Sandbox

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

STOPS = [{"location": {"city": "Dallas", "state": "TX"}}, {"location": {"city": "Atlanta", "state": "GA"}}]
NOON = 1_763_740_800.0  # Unix seconds; what is under way depends on the hour
MINIMAL = {"load_number": "LD-NEW-1", "equipment_type": "VAN", "stops": STOPS}
LOAD_FIELDS = {
    *("id", "load_number", "organization_id", "equipment_type", "created_at", "updated_at", "tms_load_id"),
    *("external_id", "mode", "load_status", "tms_status", "weight", "distance", "commodity", "po_numbers"),
    *("posted_rate", "max_buy_rate", "suggested_market_rate", "length_feet", "special_instructions", "is_posted"),
    *("temperature_setting_minimum", "temperature_setting_maximum", "temperature_run_type", "last_reported_state"),
    *("last_reported_city", "last_reported_long", "last_reported_lat", "tms_carrier_id", "carrier_name"),
    *("customer_name", "carrier_rep", "driver", "carrier_rep_user_id", "stops", "context", "custom_fields"),
    *("offer_count", "max_offer_amount"),
}


async def test_loads_are_listed_newest_first(sandbox: Sandbox, send: Send) -> None:
    """In the envelope of every listing, with all fields of a load."""
    _, _, body = await send(sandbox, "GET", "/loads?page_size=60")
    assert [load["id"] for load in body["data"]] == list(sandbox.store.loads)[::-1]
    assert body["pagination"]["total_count"] == 60
    assert all(set(load) == LOAD_FIELDS for load in body["data"])


async def test_a_load_is_read_by_id(sandbox: Sandbox, send: Send) -> None:
    """An unknown one is a 404, a call's id a 400."""
    load_id, load = next(iter(sandbox.store.loads.items()))
    assert (await send(sandbox, "GET", f"/loads/{load_id}"))[2] == load
    missing = (await send(sandbox, "GET", "/loads/00000000-0000-4000-8000-000000000000"))[2]
    assert missing["error"] == {"code": "not_found", "message": "Load not found", "param": "id"}
    assert (await send(sandbox, "GET", load_id.replace("load_", "/loads/call_")))[0] == 400


async def test_creating_a_load_twice_updates_it(sandbox: Sandbox, send: Send) -> None:
    """The same load number is the same load; what the second body does not name stays."""
    first = (await send(sandbox, "POST", "/loads", json={**MINIMAL, "weight": 41_000, "equipment_type_raw": "Van"}))[2]
    second = (await send(sandbox, "POST", "/loads", json={**MINIMAL, "commodity": "Tires", "tms_status": None}))[2]
    load = sandbox.store.loads[first["load_id"]]
    assert first["load_id"] == second["load_id"]
    assert (first["message"], second["message"]) == ("Load created successfully", "Load updated successfully")
    assert first["success"] is second["success"] is True
    assert (load["weight"], load["commodity"], load["tms_status"]) == (41_000, "Tires", "created")
    assert second["processed_at"] == load["updated_at"]
    assert set(load) == LOAD_FIELDS


async def test_the_same_tms_id_is_the_same_load(sandbox: Sandbox, send: Send) -> None:
    """Also under another number, which the load then carries."""
    load_id, load = next(iter(sandbox.store.loads.items()))
    body = {**MINIMAL, "tms_load_id": load["tms_load_id"]}
    assert (await send(sandbox, "POST", "/loads", json=body))[2]["load_id"] == load_id
    assert load["load_number"] == "LD-NEW-1"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"load_number": None}, "load_number"),
        ({"equipment_type": 5}, "equipment_type"),
        ({"stops": "Dallas"}, "stops"),
        ({"stops": STOPS[:1]}, "stops"),
        ({"stops": [STOPS[0], "Atlanta"]}, "stops[1]"),
        ({"stops": [{}, STOPS[1]]}, "stops[0].location"),
        ({"stops": [{"location": {"state": "TX"}}, STOPS[1]]}, "stops[0].location.city"),
        ({"stops": [STOPS[0], {"location": {"city": "Atlanta", "state": 1}}]}, "stops[1].location.state"),
        ({"stops": [STOPS[0], {"location": "Atlanta"}]}, "stops[1].location"),
        ({"tms_load_id": "TMS987654321"}, "tms_load_id"),
        ({"commodity": 1}, "commodity"),
        ({"weight": -1}, "weight"),
        ({"weight": True}, "weight"),
        ({"po_numbers": {}}, "po_numbers"),
        ({"is_posted": True, "max_buy_rate": "1"}, "max_buy_rate"),
        ({"distance": "12"}, "distance"),
        ({"posted_rate": 1.5}, "posted_rate"),
        ({"length_feet": -53}, "length_feet"),
        ({"length_feet": 53.5}, "length_feet"),
        ({"length_feet": True}, "length_feet"),
        ({"length_feet": "53"}, "length_feet"),
        ({"last_reported_lat": 90.1}, "last_reported_lat"),
        ({"last_reported_long": -181}, "last_reported_long"),
        ({"po_numbers": "PO1"}, "po_numbers"),
        ({"po_numbers": ["PO1", 2]}, "po_numbers[1]"),
    ],
)
async def test_a_bad_load_names_its_field(sandbox: Sandbox, send: Send, change: dict[str, object], param: str) -> None:
    """It is a 422 validation_error, and nothing is created."""
    status, _, body = await send(sandbox, "POST", "/loads", json={**MINIMAL, **change})
    assert (status, body["error"]["code"], body["error"]["param"]) == (422, "validation_error", param)
    assert len(sandbox.store.loads) == 60


@pytest.mark.parametrize("missing", ["load_number", "equipment_type", "stops"])
async def test_a_missing_field_is_required(sandbox: Sandbox, send: Send, missing: str) -> None:
    """The message is the vendor's."""
    body = {key: value for key, value in MINIMAL.items() if key != missing}
    status, _, answer = await send(sandbox, "POST", "/loads", json=body)
    assert (status, answer["error"]["message"], answer["error"]["param"]) == (422, "field required", missing)


async def test_all_limits_of_a_load_are_inclusive(sandbox: Sandbox, send: Send) -> None:
    """The smallest and largest allowed values, and nulls, are accepted."""
    extremes = {"weight": 0, "last_reported_lat": -90, "last_reported_long": 180, "tms_load_id": "x" * 18}
    body = {**MINIMAL, **extremes, "distance": None, "po_numbers": ["PO1"]}
    assert (await send(sandbox, "POST", "/loads", json=body))[0] == 200


@pytest.mark.parametrize("length", [0, 0.0, 53, 53.0, 1e3])
async def test_a_whole_number_may_have_a_point(sandbox: Sandbox, send: Send, length: float) -> None:
    """In JSON 53.0 is as whole as 53."""
    status, _, body = await send(sandbox, "POST", "/loads", json={**MINIMAL, "length_feet": length})
    assert status == 200
    assert (await send(sandbox, "GET", f"/loads/{body['load_id']}"))[2]["length_feet"] == length


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN", "Infinity"])
@pytest.mark.parametrize("name", ["length_feet", "weight", "posted_rate"])
async def test_a_number_that_is_none_is_refused(sandbox: Sandbox, send: Send, name: str, text: str) -> None:
    """Overflows and constants that JSON does not know are the caller's mistake, and no crash."""
    body = json.dumps({**MINIMAL, name: 0}).replace(f'"{name}": 0', f'"{name}": {text}')
    headers = {"X-API-Key": sandbox.api_key, "Content-Type": "application/json"}
    status, _, _ = await send(sandbox, "POST", "/loads", data=body, headers=headers)
    assert status in {400, 422}
    assert len(sandbox.store.loads) == 60


async def test_huge_numbers_do_no_harm(sandbox: Sandbox, send: Send) -> None:
    """Rates far beyond 64 bits are kept, shown, and averaged; so is whatever else a stop says."""
    stops: list[object] = [{**STOPS[0], "x": {"\u0000": [[], {}, None]}}, STOPS[1]]
    for number, rate in (("LD-A", 10**300), ("LD-B", -(10**300)), ("LD-C", 10**307)):
        body = {**MINIMAL, "load_number": number, "posted_rate": rate, "stops": stops}
        load_id = (await send(sandbox, "POST", "/loads", json=body))[2]["load_id"]
        load = (await send(sandbox, "GET", f"/loads/{load_id}"))[2]
        assert (load["posted_rate"], load["stops"]) == (rate, stops)
    assert (await send(sandbox, "GET", "/loads/stats"))[0] == 200


async def test_each_load_of_a_batch_stands_alone(sandbox: Sandbox, send: Send) -> None:
    """Results come in order; one bad load does not harm the others."""
    bad = {**MINIMAL, "load_number": "LD-BAD", "weight": -1}
    _, _, body = await send(sandbox, "POST", "/loads/batch", json={"loads": [MINIMAL, bad, MINIMAL, "load"]})
    load_id = body["results"][0]["load_id"]
    good = {"load_identifier": "LD-NEW-1", "success": True, "load_id": load_id, "error": None}
    failed = {"success": False, "load_id": None, "operation": None}
    assert body.pop("results") == [
        {**good, "operation": "created"},
        {**failed, "load_identifier": "LD-BAD", "error": "weight: must be at least 0"},
        {**good, "operation": "updated"},
        {**failed, "load_identifier": "", "error": "load: a JSON object is required"},
    ]
    assert body.pop("processed_at") > sandbox.store.loads[load_id]["updated_at"]
    assert body == {"success": True, "total_loads": 4, "successful": 2, "failed": 2, "created": 1, "updated": 1}


async def test_a_batch_without_a_good_load_is_no_success(sandbox: Sandbox, send: Send) -> None:
    """``success`` needs at least one load that went through."""
    assert (await send(sandbox, "POST", "/loads/batch", json={"loads": [{}]}))[2]["success"] is False


@pytest.mark.parametrize("body", [{}, {"loads": {}}, {"loads": [MINIMAL] * 1_001}])
async def test_a_bad_batch_is_refused_as_a_whole(sandbox: Sandbox, send: Send, body: object) -> None:
    """No list, or more than 1,000 loads."""
    status, _, answer = await send(sandbox, "POST", "/loads/batch", json=body)
    assert (status, answer["error"]["param"]) == (422, "loads")


async def test_a_batch_of_1000_is_accepted(sandbox: Sandbox, send: Send) -> None:
    """All of them are created by one request, which may be larger than a megabyte."""
    loads = [{**MINIMAL, "load_number": f"LD-{n}", "note": "x" * 1_500} for n in range(1_000)]
    body = io.BytesIO(json.dumps({"loads": loads}).encode())
    assert (await send(sandbox, "POST", "/loads/batch", data=body))[2]["created"] == 1_000
    assert len(sandbox.store.loads) == 1_060


async def test_posting_is_all_a_patch_can_change(sandbox: Sandbox, send: Send) -> None:
    """True and false are set, null and nothing change nothing, everything else is a 422."""
    load_id = next(iter(sandbox.store.loads))
    bodies = [{"is_posted": True}, {"is_posted": None}, {}, {"is_posted": False}]
    answers = [(await send(sandbox, "PATCH", f"/loads/{load_id}", json=body))[2] for body in bodies]
    assert [load["is_posted"] for load in answers] == [True, True, True, False]
    for body, param in (({"weight": 1}, "weight"), ({"is_posted": "yes"}, "is_posted")):
        status, _, answer = await send(sandbox, "PATCH", f"/loads/{load_id}", json=body)
        assert (status, answer["error"]["param"]) == (422, param)


async def test_statistics_and_tab_counts_add_up(sandbox: Sandbox, send: Send) -> None:
    """Both count every load once."""
    _, _, statistics = await send(sandbox, "GET", "/loads/stats")
    _, _, tabs = await send(sandbox, "GET", "/loads/tab-counts")
    assert statistics["total_loads"] == tabs["all"] == 60
    assert sum(statistics["by_status"].values()) == sum(statistics["by_equipment_type"].values()) == 60
    assert sum(tabs[tab] for tab in ("open", "covered", "in_transit", "delivered", "cancelled")) == 60
    assert 500 < statistics["average_posted_rate"] < 8_000


async def test_statistics_of_nothing_are_empty(send: Send) -> None:
    """No loads, no average."""
    async with Sandbox(calls=2, loads=0) as sandbox:
        assert (await send(sandbox, "GET", "/loads/stats"))[2]["average_posted_rate"] is None


async def test_what_belongs_to_a_load_is_a_bare_array(send: Send) -> None:
    """Calls newest first, active escalations only, failed verifications with their carrier."""
    async with Sandbox(calls=600, loads=40, quota=None, clock=lambda: NOON) as sandbox:
        store = sandbox.store
        for load_id in store.loads:
            calls = (await send(sandbox, "GET", f"/loads/{load_id}/calls"))[2]
            assert calls == [call for call in reversed(store.calls.values()) if call["load_id"] == load_id]
            escalations = (await send(sandbox, "GET", f"/loads/{load_id}/escalations"))[2]
            assert {(row["load_id"], row["status"]) for row in escalations} <= {(load_id, "ACTIVE")}
            verifications = (await send(sandbox, "GET", f"/loads/{load_id}/verifications"))[2]
            assert all(row["carrier"]["id"] == row["carrier_id"] for row in verifications)
            assert not any("load_id" in row for row in verifications)
        assert {row["status"] for row in store.escalations} > {"ACTIVE"}
        assert store.verifications != []


async def test_writing_loads_takes_the_api_key(sandbox: Sandbox, send: Send) -> None:
    """A bearer token may read loads and post them, but not create them."""
    bearer = {"Authorization": f"Bearer {sandbox.bearer_token}"}
    load_id = next(iter(sandbox.store.loads))
    for path, body in (("/loads", MINIMAL), ("/loads/batch", {"loads": [MINIMAL]})):
        status, _, answer = await send(sandbox, "POST", path, json=body, headers=bearer)
        assert (status, answer["error"]["code"]) == (403, "insufficient_permissions")
    assert (await send(sandbox, "PATCH", f"/loads/{load_id}", json={"is_posted": True}, headers=bearer))[0] == 200
    assert [ran.operation for ran in sandbox.executions] == ["loads.update"]
