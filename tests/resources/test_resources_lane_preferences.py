"""Every method of `envoy.lane_preferences` against a sandbox over a real socket: answers and refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from envoy_async import UNSET, EnvoyClient
from envoy_async.errors import InvalidIdFormatError, InvalidRequestError, ValidationError
from envoy_async.models import (
    AuditReason,
    DisableForLoadResult,
    LanePreference,
    LanePreferenceType,
    LanePreferenceWithLane,
)
from envoy_async.sandbox import Sandbox
from tests.resources.conftest import (
    NOBODY,
    UUID,
    assert_lost_is_sent_again,
    assert_not_found,
    assert_one_page,
    assert_refused_here,
    assert_shows,
    assert_wrong_ids_refused,
    wrong_ids,
)

Preferences = list[dict[str, Any]]


def with_ends(sandbox: Sandbox, preference: dict[str, Any]) -> dict[str, Any]:
    """Give a record of the store with the two ends of its lane."""
    return {**sandbox.store.lanes[preference["lane_id"]], **preference}


def of_one_carrier(sandbox: Sandbox) -> tuple[str, Preferences]:
    """Give the id of the carrier that has most restricted lanes, and all its preferences."""
    restricted = [row for row in sandbox.store.lane_preferences.values() if not row["is_active"]]
    owners = [str(row["carrier_id"]) for row in restricted]
    owner = max(owners, key=owners.count)
    rows = [row for row in sandbox.store.lane_preferences.values() if row["carrier_id"] == owner]
    return f"car_{owner}", rows


def first_in_state(rows: Preferences, *, is_active: bool) -> dict[str, Any]:
    """Give the first preference that is on, or off."""
    return next(row for row in rows if row["is_active"] is is_active)


async def test_list_delivers_every_lane_with_its_ends(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """Every field of every preference, on one page, in the server's order, although the answer is a bare array."""
    carrier_id, rows = of_one_carrier(sandbox)
    records = [with_ends(sandbox, row) for row in rows]
    assert len(records) > 2
    await assert_one_page(bearer.lane_preferences.list(carrier_id), LanePreferenceWithLane, records)
    assert sandbox.requests[0].path == f"/api/v1/carriers/{carrier_id}/lane-preferences"
    kinds = {item.preference_type for item in await bearer.lane_preferences.list(carrier_id).collect()}
    assert kinds == {LanePreferenceType.PRIMARY, LanePreferenceType.RESTRICTED}


@pytest.mark.parametrize("is_active", [True, False])
async def test_list_keeps_those_in_one_state(bearer: EnvoyClient, sandbox: Sandbox, is_active: bool) -> None:
    """On or off; the carrier's id may be a plain uuid."""
    carrier_id, rows = of_one_carrier(sandbox)
    wanted = [with_ends(sandbox, row) for row in rows if row["is_active"] is is_active]
    assert 0 < len(wanted) < len(rows)
    raw_id = carrier_id.removeprefix("car_")
    listing = bearer.lane_preferences.list(raw_id, is_active=is_active)
    await assert_one_page(listing, LanePreferenceWithLane, wanted)
    assert sandbox.requests[0].path == (
        f"/api/v1/carriers/{raw_id}/lane-preferences?is_active={str(is_active).lower()}"
    )


async def test_a_carrier_without_lanes_has_an_empty_listing(bearer: EnvoyClient) -> None:
    """No record, no error, and that is proven."""
    carrier = await bearer.carriers.create(name="Second Wind Freight")
    await assert_one_page(bearer.lane_preferences.list(carrier.id), LanePreferenceWithLane, [])


async def test_update_switches_without_a_reason(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """The answer is the preference as it now is; its kind stays, and no audit row is written."""
    carrier_id, rows = of_one_carrier(sandbox)
    row = first_in_state(rows, is_active=True)
    for wanted in (False, True, True):
        found = await bearer.lane_preferences.update(carrier_id, row["id"], is_active=wanted)
        assert type(found) is LanePreference
        assert (found.is_active, found.preference_type) == (wanted, LanePreferenceType.PRIMARY)
        assert_shows(found, row)
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("lane_preferences.update", {"is_active": wanted}) for wanted in (False, True, True)
    ]
    assert sandbox.store.audit == []


async def test_restrict_writes_one_audit_row(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """The lane is off for a reason; doing it again changes nothing and leaves no second row."""
    carrier_id, rows = of_one_carrier(sandbox)
    row = first_in_state(rows, is_active=True)
    found = [
        await bearer.lane_preferences.restrict(
            carrier_id, row["id"], reason=AuditReason.SERVICE_QUALITY, reason_note="Late twice"
        )
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert (found[0].is_active, found[0].preference_type) == (False, LanePreferenceType.RESTRICTED)
    assert_shows(found[0], row)
    (audit,) = sandbox.store.audit
    assert (audit["action"], audit["record_id"]) == ("lane_preference.restricted", row["id"])
    assert (audit["reason"], audit["reason_note"]) == ("service_quality", "Late twice")
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("lane_preferences.restrict", {"reason": "service_quality", "reason_note": "Late twice"})
    ] * 2


async def test_unrestrict_needs_no_reason(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """The lane is on again; a repetition leaves no second audit row; leaving out and null are told apart."""
    carrier_id, rows = of_one_carrier(sandbox)
    row = first_in_state(rows, is_active=False)
    first = await bearer.lane_preferences.unrestrict(carrier_id, row["id"])
    again = await bearer.lane_preferences.unrestrict(carrier_id, row["id"], reason=None, reason_note=None)
    assert (first.is_active, first == again) == (True, True)
    assert_shows(first, row)
    await bearer.lane_preferences.restrict(carrier_id, row["id"], reason="compliance")
    await bearer.lane_preferences.unrestrict(carrier_id, row["id"], reason="other", reason_note="Papers came")
    assert [ran.body for ran in sandbox.executions] == [
        {},
        {"reason": None, "reason_note": None},
        {"reason": "compliance"},
        {"reason": "other", "reason_note": "Papers came"},
    ]
    assert [(audit["action"], audit["reason"]) for audit in sandbox.store.audit] == [
        ("lane_preference.unrestricted", None),
        ("lane_preference.restricted", "compliance"),
        ("lane_preference.unrestricted", "other"),
    ]


async def test_disable_for_load_finds_or_creates(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """The first time the lane is new, the second time it is not; it is off both times, and in the listing."""
    (carrier_id, rows), load_id = of_one_carrier(sandbox), next(iter(sandbox.store.loads))
    first = await bearer.lane_preferences.disable_for_load(carrier_id, load_id=load_id)
    second = await bearer.lane_preferences.disable_for_load(carrier_id, load_id=load_id.removeprefix("load_"))
    assert type(first) is DisableForLoadResult
    assert (first.created, second.created) == (True, False)
    assert first.preference == second.preference
    assert (first.preference.is_active, first.preference.preference_type) == (False, LanePreferenceType.ADMIN_DISABLED)
    assert_shows(first.preference, sandbox.store.lane_preferences[first.preference.id])
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("lane_preferences.disable_for_load", {"load_id": load_id}),
        ("lane_preferences.disable_for_load", {"load_id": load_id.removeprefix("load_")}),
    ]
    listed = await bearer.lane_preferences.list(carrier_id).collect()
    assert (len(listed), listed[-1].id) == (len(rows) + 1, first.preference.id)
    stops = (await bearer.loads.get(load_id)).stops
    assert stops
    ends = (stops[0].location.city, stops[0].location.state, stops[-1].location.city, stops[-1].location.state)
    found = listed[-1]
    assert (found.origin_city, found.origin_state, found.destination_city, found.destination_state) == ends


async def test_extra_fields_stand_beside_the_known_one_and_win(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """What the SDK does not know yet can be sent; the load in `extra` replaces the argument, and is checked alike."""
    (carrier_id, _), loads, lanes = of_one_carrier(sandbox), list(sandbox.store.loads), bearer.lane_preferences
    extra = {"load_id": loads[1], "reason": "other", "mode": UNSET}
    await lanes.disable_for_load(carrier_id, load_id=loads[0], extra=extra)
    assert sandbox.executions[0].body == {"load_id": loads[1], "reason": "other"}
    wrong = {"load_id": f"car_{UUID}"}
    step = partial(lanes.disable_for_load, carrier_id, load_id=loads[0], extra=wrong)
    await assert_refused_here(sandbox, "load_id", step)


async def test_disable_for_load_switches_off_a_lane_that_is_on(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A preference that was there keeps its id and its kind."""
    (carrier_id, _), load_id = of_one_carrier(sandbox), next(iter(sandbox.store.loads))
    made = (await bearer.lane_preferences.disable_for_load(carrier_id, load_id=load_id)).preference
    assert (await bearer.lane_preferences.unrestrict(carrier_id, made.id)).is_active
    again = await bearer.lane_preferences.disable_for_load(carrier_id, load_id=load_id)
    assert (again.created, again.preference.id, again.preference.is_active) == (False, made.id, False)
    assert again.preference.preference_type == LanePreferenceType.PRIMARY


def calls(bearer: EnvoyClient) -> dict[str, Callable[[str, str], Awaitable[object]]]:
    """Give the methods that take the ids of a carrier and of a preference."""
    lanes = bearer.lane_preferences
    return {
        "update": lambda carrier_id, preference_id: lanes.update(carrier_id, preference_id, is_active=False),
        "restrict": lambda carrier_id, preference_id: lanes.restrict(carrier_id, preference_id, reason="other"),
        "unrestrict": lanes.unrestrict,
    }


METHODS = ["update", "restrict", "unrestrict"]
PATHS = {
    "update": ("PATCH", "/carriers/{carrier_id}/lane-preferences/{preference_id}"),
    "restrict": ("POST", "/carriers/{carrier_id}/lane-preferences/{preference_id}/restrict"),
    "unrestrict": ("POST", "/carriers/{carrier_id}/lane-preferences/{preference_id}/unrestrict"),
}


@pytest.mark.parametrize("name", METHODS)
async def test_a_lost_switch_is_sent_again(bearer: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """The second run finds the lane as it is to be: at most one audit row."""
    carrier_id, rows = of_one_carrier(sandbox)
    row = first_in_state(rows, is_active=name != "unrestrict")
    await assert_lost_is_sent_again(sandbox, *PATHS[name], lambda: calls(bearer)[name](carrier_id, row["id"]))
    assert (row["is_active"], len(sandbox.store.audit)) == (name == "unrestrict", int(name != "update"))


async def test_a_lost_disable_for_load_is_sent_again(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """One preference in the end; that it is new was in the answer that got lost."""
    (carrier_id, _), load_id = of_one_carrier(sandbox), next(iter(sandbox.store.loads))
    count = len(sandbox.store.lane_preferences)
    path = "/carriers/{carrier_id}/lane-preferences/disable-for-load"
    await assert_lost_is_sent_again(
        sandbox, "POST", path, lambda: bearer.lane_preferences.disable_for_load(carrier_id, load_id=load_id)
    )
    assert len(sandbox.store.lane_preferences) == count + 1


@pytest.mark.parametrize("name", METHODS)
async def test_an_unknown_preference_is_not_found(bearer: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """Neither one nobody has, nor one of another carrier, nor any of a carrier nobody knows."""
    carrier_id, rows = of_one_carrier(sandbox)
    stranger = next(other for other in sandbox.store.carriers if other != carrier_id)
    method = calls(bearer)[name]
    await assert_not_found(sandbox, "Preference not found", method(carrier_id, NOBODY))
    await assert_not_found(sandbox, "Preference not found", method(stranger, rows[0]["id"]))
    await assert_not_found(sandbox, "Carrier not found", method(f"car_{NOBODY}", rows[0]["id"]))


async def test_an_unknown_carrier_or_load_is_not_found(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A typed 404 for either; nothing ran."""
    (carrier_id, _), load_id = of_one_carrier(sandbox), next(iter(sandbox.store.loads))
    lanes = bearer.lane_preferences
    await assert_not_found(sandbox, "Carrier not found", lanes.list(f"car_{NOBODY}").first())
    await assert_not_found(sandbox, "Carrier not found", lanes.disable_for_load(f"car_{NOBODY}", load_id=load_id))
    await assert_not_found(sandbox, "Load not found", lanes.disable_for_load(carrier_id, load_id=f"load_{NOBODY}"))


@pytest.mark.parametrize("name", METHODS)
async def test_a_wrong_id_is_refused_here(bearer: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """Nothing is sent for a wrong carrier or a wrong preference; the error says which of the two."""
    method = calls(bearer)[name]
    await assert_wrong_ids_refused(sandbox, "carrier_id", "car", lambda wrong: method(wrong, UUID))
    await assert_wrong_ids_refused(sandbox, "preference_id", "pref", lambda wrong: method(UUID, wrong))


async def test_a_wrong_id_of_a_carrier_or_load_is_refused_here(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A listing refuses when it is made; the load's id is checked in the body."""
    lanes = bearer.lane_preferences
    for wrong in wrong_ids("car"):
        with pytest.raises(InvalidRequestError, match=r"^GET .* carrier_id has the wrong shape"):
            lanes.list(wrong)
    await assert_wrong_ids_refused(
        sandbox, "carrier_id", "car", lambda wrong: lanes.disable_for_load(wrong, load_id=UUID)
    )
    await assert_wrong_ids_refused(
        sandbox, "load_id", "load", lambda wrong: lanes.disable_for_load(UUID, load_id=wrong)
    )
    await assert_refused_here(sandbox, "load_id", lambda: lanes.disable_for_load(UUID, load_id=f"car_{UUID}"))


async def test_a_prefixed_preference_is_left_to_the_server(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """Samples show such ids both with and without `pref_`, so both go out; the sandbox knows the bare form alone."""
    carrier_id, rows = of_one_carrier(sandbox)
    with pytest.raises(InvalidIdFormatError) as caught:
        await bearer.lane_preferences.update(carrier_id, f"pref_{rows[0]['id']}", is_active=True)
    assert (caught.value.status, caught.value.code) == (400, "invalid_id_format")
    assert caught.value.param == "preference_id"


async def test_what_the_server_refuses_is_typed(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A 422 names the parameter; nothing ran, and no audit row was written."""
    carrier_id, rows = of_one_carrier(sandbox)
    row, lanes = first_in_state(rows, is_active=True), bearer.lane_preferences
    wrong: Any = "yes"
    for param, step in (
        ("reason", lanes.restrict(carrier_id, row["id"], reason="mood")),
        ("reason", lanes.unrestrict(carrier_id, row["id"], reason="mood")),
        ("is_active", lanes.update(carrier_id, row["id"], is_active=wrong)),
    ):
        with pytest.raises(ValidationError) as caught:
            await step
        assert (caught.value.status, caught.value.param) == (422, param)
    assert (row["is_active"], sandbox.store.audit, sandbox.executions) == (True, [], [])
