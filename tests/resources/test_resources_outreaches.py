"""Every method of `envoy.outreaches` against a sandbox over a real socket: what it answers, runs, and refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from envoy_async import UNSET, EnvoyClient
from envoy_async.errors import InvalidRequestError, ValidationError
from envoy_async.models import Call, CallDirection, CallStatus, Carrier, Outreach
from envoy_async.sandbox import Sandbox
from tests.resources.conftest import (
    NOBODY,
    UUID,
    assert_bad_numbers_refused,
    assert_lost_is_unknown,
    assert_not_found,
    assert_paged,
    assert_refused_here,
    assert_shows,
    assert_wrong_ids_refused,
    newest,
    wrong_ids,
)

NOW = 1_763_740_800.0  # as in the sandbox of the other tests


def shown(sandbox: Sandbox, outreach: dict[str, Any]) -> dict[str, Any]:
    """Give a record of the store as it is answered: with its carrier, and with the number of its load."""
    load = sandbox.store.loads[outreach["load_id"]]
    return {**outreach, "carrier": sandbox.store.carriers[outreach["carrier_id"]], "load_number": load["load_number"]}


def someone(sandbox: Sandbox) -> dict[str, Any]:
    """Give a carrier and a load to reach out about."""
    return {"carrier_id": next(iter(sandbox.store.carriers)), "load_id": next(iter(sandbox.store.loads))}


async def test_get_returns_the_outreach(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Every field of every outreach comes through, with the whole carrier."""
    assert len(sandbox.store.outreaches) > 3
    for outreach_id, record in sandbox.store.outreaches.items():
        outreach = await envoy.outreaches.get(outreach_id)
        assert (type(outreach), type(outreach.carrier)) == (Outreach, Carrier)
        assert_shows(outreach, shown(sandbox, record))


async def test_get_takes_a_raw_uuid(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The reference declares ids as plain uuids; the answer carries the prefix."""
    outreach_id = next(iter(sandbox.store.outreaches))
    assert (await envoy.outreaches.get(outreach_id.removeprefix("otr_"))).id == outreach_id


async def test_list_delivers_every_outreach(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """All of them, once, in the server's order; completeness is not claimed, since that order is not documented."""
    records = [shown(sandbox, outreach) for outreach in newest(sandbox.store.outreaches.values())]
    await assert_paged(envoy.outreaches.list, sandbox, "/outreaches", records)


async def test_a_bad_number_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """When the listing is made; nothing is sent."""
    assert_bad_numbers_refused(envoy.outreaches.list, sandbox)


async def test_create_makes_one_call(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """It runs exactly once, and the answer leads to the new call, to the carrier's number and about the load."""
    wanted = someone(sandbox)
    outreach = await envoy.outreaches.create(**wanted)
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [("outreaches.create", wanted)]
    assert_shows(outreach, shown(sandbox, sandbox.store.outreaches[outreach.id]))
    assert (outreach.modality, outreach.direction, outreach.carrier_engaged) == ("call", "outbound", False)
    assert outreach.call_id is not None
    assert sandbox.store.inserted == [outreach.call_id]
    call = await envoy.calls.get(outreach.call_id)
    assert type(call) is Call
    assert (call.status, call.call_direction) == (CallStatus.SCHEDULED, CallDirection("OUTBOUND"))
    assert (call.to_number, call.load_id) == (outreach.carrier.phone, outreach.load_id)
    assert (call.load_number, call.organization_id) == (outreach.load_number, sandbox.organization_id)
    latest = await envoy.loads.calls(outreach.load_id).first()
    assert latest == call


async def test_ending_the_call_of_an_outreach(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The call it led to can be ended like any other, and then says so; the outreach stays."""
    outreach = await envoy.outreaches.create(**someone(sandbox))
    call_id = outreach.call_id or ""
    ended = await envoy.calls.end(call_id)
    assert (ended.success, ended.previous_status) == (True, CallStatus.SCHEDULED)
    assert (await envoy.calls.get(call_id)).status == CallStatus("CANCELLED")
    assert await envoy.outreaches.get(outreach.id) == outreach


async def test_a_carrier_who_picks_up_is_engaged() -> None:
    """Some seconds later the call is under way, and two minutes later it is over; the outreach tells the former."""
    now = [NOW]
    async with (
        Sandbox(calls=5, loads=5, quota=None, clock=lambda: now[0]) as sandbox,
        EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy,
    ):
        outreach = await envoy.outreaches.create(**someone(sandbox))
        now[0] += 5
        assert (await envoy.outreaches.get(outreach.id)).carrier_engaged is True
        assert (await envoy.calls.get(outreach.call_id or "")).status == CallStatus("IN_PROGRESS")
        now[0] += 300
        call = await envoy.calls.get(outreach.call_id or "")
        assert call.status == CallStatus.COMPLETED
        assert call.call_start_time is not None
        assert call.call_start_time < datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=5)
        assert (await envoy.calls.recording(call.id)).call_id == call.id


async def test_create_takes_raw_uuids(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """They go out as given; the answer carries the prefixes."""
    wanted = someone(sandbox)
    raw = {name: text.partition("_")[2] for name, text in wanted.items()}
    outreach = await envoy.outreaches.create(**raw)
    assert sandbox.executions[0].body == raw
    assert {"carrier_id": outreach.carrier.id, "load_id": outreach.load_id} == wanted


async def test_extra_fields_stand_beside_the_known_ones_and_win(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """`None` is sent as null; what the SDK does not know yet can be sent; a known field in `extra` wins."""
    wanted = someone(sandbox)
    await envoy.outreaches.create(**wanted, modality=None)
    await envoy.outreaches.create(**wanted, modality="email", extra={"modality": "call", "tier": 1, "mode": UNSET})
    assert [ran.body for ran in sandbox.executions] == [
        {**wanted, "modality": None},
        {**wanted, "modality": "call", "tier": 1},
    ]


async def test_a_disabled_carrier_is_not_called(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A typed 422 that names the carrier and places no call; once enabled, it can be reached again."""
    wanted = someone(sandbox)
    await bearer.carriers.disable(wanted["carrier_id"], reason="service_quality")
    with pytest.raises(ValidationError, match="the carrier is disabled") as caught:
        await bearer.outreaches.create(**wanted)
    assert (caught.value.status, caught.value.param) == (422, "carrier_id")
    assert sandbox.store.inserted == []
    await bearer.carriers.enable(wanted["carrier_id"])
    outreach = await bearer.outreaches.create(**wanted)
    assert sandbox.store.inserted == [outreach.call_id]
    assert outreach.carrier.is_active


async def test_a_carrier_switched_off_on_the_lane_is_not_called(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """About this load it is a typed 422, about another one it is not, and with the lane open again it goes through."""
    wanted = someone(sandbox)
    lane = (await bearer.lane_preferences.disable_for_load(**wanted)).preference
    with pytest.raises(ValidationError, match="switched off on this lane") as caught:
        await bearer.outreaches.create(**wanted)
    assert caught.value.param == "carrier_id"
    assert sandbox.store.inserted == []
    other = list(sandbox.store.loads)[-1]
    await bearer.outreaches.create(carrier_id=wanted["carrier_id"], load_id=other)
    await bearer.lane_preferences.unrestrict(wanted["carrier_id"], lane.id)
    await bearer.outreaches.create(**wanted)
    assert len(sandbox.store.inserted) == 2


async def test_a_lost_answer_leaves_the_outcome_unknown(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The carrier was probably called, so it is not called a second time."""
    await assert_lost_is_unknown(sandbox, "POST", "/outreaches", lambda: envoy.outreaches.create(**someone(sandbox)))
    assert len(sandbox.store.inserted) == 1


async def test_what_the_server_refuses_is_typed(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A carrier without a number and an unknown way of contact are a 422 that names the parameter; no call is made."""
    wanted = someone(sandbox)
    silent = await envoy.carriers.create(name="No Phone Trucking")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"carrier_id": silent.id, "load_id": wanted["load_id"]}, "carrier_id"),
        ({**wanted, "modality": "pigeon"}, "modality"),
    ]
    for fields, param in refused:
        with pytest.raises(ValidationError) as caught:
            await envoy.outreaches.create(**fields)
        assert (caught.value.status, caught.value.param, caught.value.route) == (422, param, "/outreaches")
    assert sandbox.store.inserted == []


async def test_what_nobody_knows_is_not_found(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A typed 404 for an outreach, a carrier, or a load; nothing ran."""
    wanted = someone(sandbox)
    await assert_not_found(sandbox, "Outreach not found", envoy.outreaches.get(f"otr_{NOBODY}"))
    for name, what in (("carrier_id", "Carrier"), ("load_id", "Load")):
        fields: dict[str, Any] = {**wanted, name: NOBODY}
        await assert_not_found(sandbox, f"{what} not found", envoy.outreaches.create(**fields))
    assert sandbox.store.inserted == []


async def test_a_wrong_id_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Nothing is sent: not to another endpoint, and not to find out."""
    await assert_wrong_ids_refused(sandbox, "outreach_id", "otr", envoy.outreaches.get)


@pytest.mark.parametrize(("name", "prefix"), [("carrier_id", "car"), ("load_id", "load")])
@pytest.mark.parametrize("where", ["argument", "extra"])
async def test_a_wrong_id_in_the_body_is_refused_here(
    envoy: EnvoyClient, sandbox: Sandbox, name: str, prefix: str, where: str
) -> None:
    """An id of another kind is caught in every field, also in `extra`; the error names the field."""
    for wrong in wrong_ids(prefix):
        fields: dict[str, Any] = {"carrier_id": f"car_{UUID}", "load_id": f"load_{UUID}"}
        fields |= {name: wrong} if where == "argument" else {"extra": {name: wrong}}
        with pytest.raises(InvalidRequestError, match=f"^POST /outreaches: {name} has the wrong shape") as caught:
            await envoy.outreaches.create(**fields)
        assert caught.value.param == name
    assert sandbox.requests == []


async def test_a_bad_number_to_call_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A phone number in `extra` that is not E.164 is named, and nothing is sent."""
    wanted = someone(sandbox)
    for name in ("phone_number", "to_number", "from_number"):
        step = partial(envoy.outreaches.create, **wanted, extra={name: "4155552671"})
        await assert_refused_here(sandbox, name, step)
