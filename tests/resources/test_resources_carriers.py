"""Every method of `envoy.carriers` against a sandbox over a real socket: what it answers, runs, and refuses."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from envoy_async import UNSET, EnvoyClient
from envoy_async.errors import InvalidRequestError, InvalidResponseError, PermissionDeniedError, ValidationError
from envoy_async.models import AuditReason, Carrier, CarrierBatchItem, NewCarrier
from envoy_async.sandbox import Fault, Sandbox
from tests.resources.conftest import (
    EAGER,
    NOBODY,
    UUID,
    assert_bad_numbers_refused,
    assert_lost_is_sent_again,
    assert_lost_is_unknown,
    assert_not_found,
    assert_paged,
    assert_refused_here,
    assert_shows,
    assert_wrong_ids_refused,
    newest,
)

BATCH = "/carriers/batch"


def some_carrier(sandbox: Sandbox) -> dict[str, Any]:
    """Give one record of the store."""
    return next(iter(sandbox.store.carriers.values()))


async def test_get_returns_the_carrier(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Every field of every carrier comes through."""
    for carrier_id, record in sandbox.store.carriers.items():
        carrier = await envoy.carriers.get(carrier_id)
        assert type(carrier) is Carrier
        assert_shows(carrier, record)
    assert {ran.operation for ran in sandbox.executions} == {"carriers.get"}


async def test_get_takes_a_raw_uuid(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The reference declares ids as plain uuids; the answer carries the prefix."""
    carrier_id = str(some_carrier(sandbox)["id"])
    assert (await envoy.carriers.get(carrier_id.removeprefix("car_"))).id == carrier_id


async def test_list_delivers_every_carrier(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """All of them, once, in the server's order; completeness is not claimed, since that order is not documented."""
    await assert_paged(envoy.carriers.list, sandbox, "/carriers", newest(sandbox.store.carriers.values()))


async def test_a_bad_number_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """When the listing is made; nothing is sent."""
    assert_bad_numbers_refused(envoy.carriers.list, sandbox)


async def test_create_makes_one_carrier(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """It runs exactly once, and the answer is the new carrier; what was left out was not sent."""
    carrier = await envoy.carriers.create(name="Second Wind Freight")
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("carriers.create", {"name": "Second Wind Freight"})
    ]
    assert (carrier.name, carrier.mc_number, carrier.is_active) == ("Second Wind Freight", None, True)
    assert_shows(carrier, sandbox.store.carriers[carrier.id])
    assert await envoy.carriers.get(carrier.id) == carrier


async def test_create_with_everything(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Each argument arrives under its name; `None` is sent as null."""
    fields: dict[str, str | None] = {
        "name": "Señor Freight",
        "mc_number": "MC1",
        "dot_number": "DOT1",
        "email": "a@example.com",
        "phone": "+14155552671",
    }
    carrier = await envoy.carriers.create(**fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert {name: getattr(carrier, name) for name in fields} == fields
    nothing = dict.fromkeys(("mc_number", "dot_number", "email", "phone"))
    await envoy.carriers.create(name="B", **nothing)
    assert [ran.body for ran in sandbox.executions] == [fields, {"name": "B", **nothing}]


async def test_extra_fields_stand_beside_the_known_ones_and_win(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """What the SDK does not know yet can be sent; a known field in `extra` replaces the argument."""
    carrier = await envoy.carriers.create(name="A", email=None, extra={"name": "B", "tier": 1, "mode": UNSET})
    assert sandbox.executions[0].body == {"name": "B", "email": None, "tier": 1}
    assert carrier.name == "B"


async def test_a_known_mc_number_gives_the_carrier_there_is(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """No second one is made, and the first stays as it was."""
    record, count = dict(some_carrier(sandbox)), len(sandbox.store.carriers)
    carrier = await envoy.carriers.create(name="Somebody Else", mc_number=str(record["mc_number"]))
    assert carrier.id == record["id"]
    assert_shows(carrier, record)
    assert len(sandbox.store.carriers) == count


async def test_a_lost_creation_is_sent_again_only_with_an_mc_number(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """With the number the server finds the carrier it just made; without, there might be two of them."""
    eager, count = envoy.with_options(retry=EAGER), len(sandbox.store.carriers)
    await assert_lost_is_sent_again(
        sandbox, "POST", "/carriers", lambda: eager.carriers.create(name="A", mc_number="MC1")
    )
    assert len(sandbox.store.carriers) == count + 1
    for number in (UNSET, None, ""):
        step = partial(eager.carriers.create, name="B", mc_number=number)
        await assert_lost_is_unknown(sandbox, "POST", "/carriers", step)


async def test_what_is_sent_says_whether_there_is_an_mc_number(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A number in `extra` counts as one; one taken back there does not, and is never sent twice."""
    eager = envoy.with_options(retry=EAGER)
    step = partial(eager.carriers.create, name="A", extra={"mc_number": "MC1"})
    await assert_lost_is_sent_again(sandbox, "POST", "/carriers", step)
    for number in (None, ""):
        step = partial(eager.carriers.create, name="B", mc_number="MC2", extra={"mc_number": number})
        await assert_lost_is_unknown(sandbox, "POST", "/carriers", step)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("phone", "4155552671"),
        ("phone", "+1 415 555 2671"),
        ("phone", "+0155552671"),
        ("phone", "+14155552671\n"),
        ("phone", ""),
        ("name", math.nan),
        ("email", "\ud800"),
    ],
    ids=ascii,
)
async def test_a_bad_field_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, name: str, value: Any) -> None:
    """A phone number that is not E.164, or what JSON cannot hold: the error names the field, as argument or extra."""
    fields: dict[str, Any] = {"name": "A", name: value}
    await assert_refused_here(sandbox, name, lambda: envoy.carriers.create(**fields))
    await assert_refused_here(sandbox, name, lambda: envoy.carriers.create(name="A", extra={name: value}))


async def test_update_sends_the_fields_given(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """`extra` is the whole body, and the answer is the carrier as it now is; null empties a field."""
    record = some_carrier(sandbox)
    before = await bearer.carriers.get(str(record["id"]))
    fields: dict[str, object] = {
        "dispatcher_phone": "+14155552671",
        "email": None,
        "total_loads_hauled": 3,
        "mode": UNSET,
    }
    carrier = await bearer.carriers.update(before.id, extra=fields)
    assert (carrier.dispatcher_phone, carrier.email, carrier.total_loads_hauled) == ("+14155552671", None, 3)
    assert (carrier.name, carrier.updated_at > before.updated_at) == (before.name, True)
    assert_shows(carrier, record)
    assert await bearer.carriers.update(before.id, extra={}) == carrier
    assert [(ran.operation, ran.body) for ran in sandbox.executions[1:]] == [
        ("carriers.update", {"dispatcher_phone": "+14155552671", "email": None, "total_loads_hauled": 3}),
        ("carriers.update", {}),
    ]


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"is_active": False}, "is_active"),
        ({"is_active": UNSET}, "is_active"),
        ({"name": "A", "is_active": None}, "is_active"),
        ({"phone": "911"}, "phone"),
        ({"dispatcher_phone": "911"}, "dispatcher_phone"),
        ({"on_time_pickup_pct": math.nan}, "on_time_pickup_pct"),
        ([("name", "A")], "extra"),
        ("name", "extra"),
        (5, "extra"),
    ],
    ids=repr,
)
async def test_a_bad_change_is_refused_here(bearer: EnvoyClient, sandbox: Sandbox, extra: Any, param: str) -> None:
    """Switching a carrier needs a reason and has its own methods; numbers are checked; nothing is sent."""
    await assert_refused_here(sandbox, param, lambda: bearer.carriers.update(f"car_{UUID}", extra=extra))


async def test_disable_and_enable(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """The answer is the carrier as it now is; each switch leaves one audit row with its reason, a repetition none."""
    record = some_carrier(sandbox)
    carrier_id = str(record["id"])
    for _ in range(2):
        carrier = await bearer.carriers.disable(carrier_id, reason=AuditReason.OTHER, reason_note="Late twice")
        assert carrier.is_active is False
        assert_shows(carrier, record)
    for _ in range(2):
        assert (await bearer.carriers.enable(carrier_id)).is_active is True
    assert [(row["action"], row["record_id"], row["reason"], row["reason_note"]) for row in sandbox.store.audit] == [
        ("carrier.disabled", carrier_id, "other", "Late twice"),
        ("carrier.enabled", carrier_id, None, None),
    ]
    told = {"reason": "other", "reason_note": "Late twice"}
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("carriers.disable", told),
        ("carriers.disable", told),
        ("carriers.enable", {}),
        ("carriers.enable", {}),
    ]


async def test_a_reason_is_text_or_enum_or_null(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """All documented codes are taken; leaving out and null are told apart."""
    carrier_id = str(some_carrier(sandbox)["id"])
    for reason in AuditReason:
        await bearer.carriers.disable(carrier_id, reason=str(reason), reason_note=None)
        await bearer.carriers.enable(carrier_id, reason=reason, reason_note="Fine again")
    await bearer.carriers.enable(carrier_id, reason=None)
    bodies = [ran.body for ran in sandbox.executions]
    assert bodies[:2] == [
        {"reason": "pause_on_lane", "reason_note": None},
        {"reason": "pause_on_lane", "reason_note": "Fine again"},
    ]
    assert bodies[-1] == {"reason": None}
    assert len(sandbox.store.audit) == 8


async def test_a_lost_switch_is_sent_again(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """Switching to where it stands does no harm, nor does setting the same values: one audit row in the end."""
    carrier_id = str(some_carrier(sandbox)["id"])
    steps: list[tuple[str, str, Callable[[], Awaitable[object]]]] = [
        ("POST", "/carriers/{carrier_id}/disable", lambda: bearer.carriers.disable(carrier_id, reason="other")),
        ("POST", "/carriers/{carrier_id}/enable", lambda: bearer.carriers.enable(carrier_id)),
        ("PATCH", "/carriers/{carrier_id}", lambda: bearer.carriers.update(carrier_id, extra={"email": None})),
    ]
    for method, path, step in steps:
        await assert_lost_is_sent_again(sandbox, method, path, step)
    assert [row["action"] for row in sandbox.store.audit] == ["carrier.disabled", "carrier.enabled"]


async def test_what_the_server_refuses_is_typed(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A 422 names the parameter; nothing ran."""
    first, second = [record for _, record in zip(range(2), sandbox.store.carriers.values(), strict=False)]
    carrier_id = str(first["id"])
    steps: list[tuple[str, Awaitable[object]]] = [
        ("reason", bearer.carriers.disable(carrier_id, reason="mood")),
        ("reason", bearer.carriers.enable(carrier_id, reason="mood")),
        ("mc_number", bearer.carriers.update(carrier_id, extra={"mc_number": second["mc_number"]})),
        ("created_at", bearer.carriers.update(carrier_id, extra={"created_at": "2025-11-21T16:00:00Z"})),
        ("email", bearer.carriers.create(name="A", extra={"email": 5})),
    ]
    for param, step in steps:
        with pytest.raises(ValidationError) as caught:
            await step
        assert (caught.value.status, caught.value.code, caught.value.param) == (422, "validation_error", param)
    assert (first["is_active"], sandbox.executions) == (True, [])


METHODS: dict[str, Callable[[EnvoyClient, str], Awaitable[object]]] = {
    "get": lambda envoy, carrier_id: envoy.carriers.get(carrier_id),
    "update": lambda envoy, carrier_id: envoy.carriers.update(carrier_id, extra={}),
    "enable": lambda envoy, carrier_id: envoy.carriers.enable(carrier_id),
    "disable": lambda envoy, carrier_id: envoy.carriers.disable(carrier_id, reason="other"),
}


@pytest.mark.parametrize("name", METHODS)
async def test_an_unknown_carrier_is_not_found(bearer: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """A typed 404; nothing ran."""
    await assert_not_found(sandbox, "Carrier not found", METHODS[name](bearer, f"car_{NOBODY}"))


@pytest.mark.parametrize("name", METHODS)
async def test_a_wrong_id_is_refused_here(bearer: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """Nothing is sent: not to another endpoint, and not to find out."""
    await assert_wrong_ids_refused(sandbox, "carrier_id", "car", lambda wrong: METHODS[name](bearer, wrong))


# Batches


async def test_a_batch_fails_in_parts(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """One result per carrier in the order sent; one that is refused does not harm the others; it runs once."""
    known = some_carrier(sandbox)
    carriers: list[NewCarrier | Mapping[str, object]] = [
        NewCarrier(name="A", mc_number="MC1"),
        {"carrier": {"name": "B", "email": 5}, "lanes": []},
        NewCarrier(name="Renamed", mc_number=str(known["mc_number"]), phone="+14155552671"),
        {"carrier": {"name": "C"}, "lanes": [{"origin_state": "TX"}], "note": UNSET},
        NewCarrier(name="D", email=None),
    ]
    result = await envoy.carriers.create_batch(carriers)
    assert (result.success, result.total, result.successful, result.failed) == (True, 5, 4, 1)
    assert (result.created, result.updated) == (3, 1)
    assert [item.identifier for item in result.results] == ["MC1", "B", known["mc_number"], "C", "D"]
    assert [item.operation for item in result.results] == ["created", None, "updated", "created", "created"]
    assert [item.success for item in result.results] == [True, False, True, True, True]
    bad = result.results[1]
    assert (type(bad), bad.carrier_id, bad.error) == (CarrierBatchItem, None, "email: must be a string")
    assert result.results[2].carrier_id == known["id"]
    assert (known["name"], known["phone"]) == ("Renamed", "+14155552671")
    assert (await envoy.carriers.get(result.results[0].carrier_id or "")).name == "A"
    assert [(ran.operation, ran.body) for ran in sandbox.executions[:1]] == [
        (
            "carriers.create_batch",
            {
                "carriers": [
                    {"carrier": {"name": "A", "mc_number": "MC1"}},
                    {"carrier": {"name": "B", "email": 5}, "lanes": []},
                    {"carrier": {"name": "Renamed", "mc_number": known["mc_number"], "phone": "+14155552671"}},
                    {"carrier": {"name": "C"}, "lanes": [{"origin_state": "TX"}]},
                    {"carrier": {"name": "D", "email": None}},
                ]
            },
        )
    ]


async def test_a_batch_may_be_refused_as_a_whole_by_the_server(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """When no carrier went through, that is an answer and not an exception."""
    result = await envoy.carriers.create_batch([{"carrier": {"name": 5}}, {"carrier": {"email": None}}])
    assert (result.success, result.failed, [item.success for item in result.results]) == (False, 2, [False, False])
    assert [item.error for item in result.results] == ["name: must be a string", "name: field required"]
    assert len(sandbox.requests) == 1


async def test_a_batch_of_which_nothing_can_be_sent_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Nothing is lost with an exception then: it names the first carrier and its field, and nothing is sent."""
    bad = [NewCarrier(name="A", phone="911"), NewCarrier(name="B", phone="1")]
    await assert_refused_here(sandbox, "carriers[0].carrier.phone", lambda: envoy.carriers.create_batch(bad))


def numbered(count: int, *, keyed: bool = True) -> Iterator[NewCarrier]:
    """Give new carriers, one at a time."""
    for number in range(count):
        yield NewCarrier(name=f"N{number}", mc_number=f"MC{number}" if keyed else UNSET)


async def test_more_than_a_thousand_go_out_in_several_requests(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A thousand in one, the rest in the next; the results are one list in the order sent, the counts are sums."""
    assert (await envoy.carriers.create_batch(numbered(1_000))).created == 1_000
    result = await envoy.carriers.create_batch(list(numbered(1_001)))
    assert (result.success, result.total, result.successful, result.failed) == (True, 1_001, 1_001, 0)
    assert (result.created, result.updated) == (1, 1_000)
    assert [item.identifier for item in result.results] == [f"MC{number}" for number in range(1_001)]
    bodies: list[Any] = [ran.body for ran in sandbox.executions]
    assert [len(body["carriers"]) for body in bodies] == [1_000, 1_000, 1]


async def test_any_source_will_do_and_is_read_while_it_is_sent(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A generator, plain or async: the second thousand is not asked for before the first is through."""
    seen: list[int] = []

    def watched() -> Iterator[NewCarrier]:
        for carrier in numbered(1_001):
            seen.append(len(sandbox.requests))
            yield carrier

    async def flowing() -> AsyncIterator[NewCarrier]:
        for carrier in numbered(1_001):
            seen.append(len(sandbox.requests))
            yield carrier

    first = await envoy.carriers.create_batch(watched())
    second = await envoy.carriers.create_batch(flowing())
    assert (first.created, second.updated) == (1_001, 1_001)
    assert seen == [*[0] * 1_000, 1, *[2] * 1_000, 3]


async def test_a_later_request_that_fails_is_told_in_its_items(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """What went through before is not lost with an exception, and what comes after is still sent."""
    sandbox.fail(Fault(method="POST", path=BATCH, nth=2, status=403))
    result = await envoy.carriers.create_batch(numbered(2_500))
    assert (result.success, result.successful, result.failed, result.created) == (True, 1_500, 1_000, 1_500)
    assert [item.success for item in result.results] == [True] * 1_000 + [False] * 1_000 + [True] * 500
    assert [item.identifier for item in result.results] == [f"MC{number}" for number in range(2_500)]
    assert {item.error for item in result.results} == {None, result.results[1_000].error}
    assert (result.results[1_000].error or "").startswith("PermissionDeniedError: POST /carriers/batch: ")
    assert [request.status for request in sandbox.requests] == [200, 403, 200]


async def test_a_later_carrier_that_cannot_be_sent_is_held_back_alone(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A wrong phone number behind the first thousand harms no neighbour, and is named by its place in the input."""
    wrong = NewCarrier(name="Bad", phone="911")
    result = await envoy.carriers.create_batch([*numbered(1_000), NewCarrier(name="Good"), wrong])
    assert (result.successful, result.failed, result.created) == (1_001, 1, 1_001)
    good, bad = result.results[1_000:]
    assert (good.identifier, good.success, bad.identifier, bad.success) == ("Good", True, "Bad", False)
    assert (bad.error or "").startswith("InvalidRequestError: carriers[1001]: carrier: phone must be a phone number")
    assert len(sandbox.requests) == 2


async def test_a_carrier_that_was_not_answered_goes_by_its_number_or_name(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """As the server would call it, model or mapping: so the caller can tell which to send again."""
    last: list[NewCarrier | Mapping[str, object]] = [
        NewCarrier(name="A", mc_number="MC1"),
        NewCarrier(name="B"),
        {"carrier": NewCarrier(name="C", mc_number="MC3"), "lanes": []},
        {"carrier": NewCarrier(name="D", mc_number=None)},
        {"carrier": {"name": "E", "mc_number": 5}},
        {"carrier": {"name": 5}},
    ]
    sandbox.fail(Fault(method="POST", path=BATCH, nth=2, status=403))
    result = await envoy.carriers.create_batch([*numbered(1_000), *last])
    assert [item.identifier for item in result.results[1_000:]] == ["MC1", "B", "MC3", "D", "E", ""]
    assert {(item.error or "")[:21] for item in result.results[1_000:]} == {"PermissionDeniedError"}


async def test_the_first_request_that_fails_is_raised(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Nothing is lost with it, since nothing ran; the rest is not sent."""
    sandbox.fail(Fault(method="POST", path=BATCH, status=403))
    with pytest.raises(PermissionDeniedError):
        await envoy.carriers.create_batch(numbered(1_001))
    assert ([request.status for request in sandbox.requests], sandbox.executions) == ([403], [])


async def test_a_lost_batch_is_sent_again_only_when_every_carrier_has_an_mc_number(
    envoy: EnvoyClient, sandbox: Sandbox
) -> None:
    """With all numbers a second run only updates; a single carrier without one could come to be twice."""
    eager, count = envoy.with_options(retry=EAGER), len(sandbox.store.carriers)
    await assert_lost_is_sent_again(sandbox, "POST", BATCH, lambda: eager.carriers.create_batch(numbered(3)))
    assert len(sandbox.store.carriers) == count + 3
    mixed = [*numbered(2), NewCarrier(name="N2")]
    await assert_lost_is_unknown(sandbox, "POST", BATCH, lambda: eager.carriers.create_batch(mixed))


def answered(names: list[str], **counts: object) -> bytes:
    """Write an answer with these results, as of a server of its own mind."""
    results = [{"identifier": name, "success": True, "operation": "created"} for name in names]
    sums = {"total": len(names), "successful": len(names), "failed": 0, "created": len(names), "updated": 0}
    rest = {"success": True, "results": results, "processed_at": "2025-11-21T16:00:00Z"}
    return json.dumps({**sums, **rest, **counts}).encode()


async def test_results_in_another_order_are_put_in_the_order_sent(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """So that item and result belong together by position."""
    sandbox.fail(Fault(method="POST", path=BATCH, body=answered(["MC2", "MC0", "MC1"])))
    result = await envoy.carriers.create_batch(numbered(3))
    assert [item.identifier for item in result.results] == ["MC0", "MC1", "MC2"]


@pytest.mark.parametrize(
    "answer",
    [
        answered(["MC0"]),
        answered(["MC0", "MC1"], total=3),
        answered(["MC0", "MC1"], successful=1),
        answered(["MC0", "MC1"], failed=1),
    ],
    ids=["too few", "total", "successful", "failed"],
)
async def test_counts_that_do_not_match_are_an_error(envoy: EnvoyClient, sandbox: Sandbox, answer: bytes) -> None:
    """An answer about other carriers than those sent is not passed on as if it were about them."""
    sandbox.fail(Fault(method="POST", path=BATCH, body=answer))
    with pytest.raises(InvalidResponseError, match="the counts do not match: 2 sent") as caught:
        await envoy.carriers.create_batch(numbered(2))
    assert (caught.value.method, caught.value.route) == ("POST", BATCH)


async def test_a_batch_that_is_none_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Empty, or no list at all, means a mistake; nothing is sent."""
    wrong: list[Any] = [[], (), iter(()), 5]
    for carriers in wrong:
        await assert_refused_here(sandbox, "carriers", partial(envoy.carriers.create_batch, carriers))


WRONG: Any = 10**5_000
NAIVE = datetime(2025, 11, 21, 8)  # noqa: DTZ001 - naive is the point
NO_OBJECTS: list[Any] = [None, 5, math.nan, "MC1", True, [], [{}], [math.nan], NAIVE, len, NewCarrier]
HELD_BACK: dict[str, tuple[Any, str]] = {
    "phone": (NewCarrier(name="A", phone="911"), "carriers[1].carrier.phone"),
    "phone in a mapping": ({"carrier": {"name": "A", "phone": "911"}}, "carriers[1].carrier.phone"),
    "phone beside it": ({"carrier": {"name": "A"}, "phone": "911"}, "carriers[1].phone"),
    "phone of a model in a mapping": ({"carrier": NewCarrier(name="A", phone="911")}, "carriers[1].carrier.phone"),
    "id": ({"carrier": {"name": "A", "carrier_id": f"load_{UUID}"}}, "carriers[1].carrier.carrier_id"),
    "nan": ({"carrier": {"name": math.nan}}, "carriers[1].carrier.name"),
    "endless": (NewCarrier(name="A", mc_number=WRONG), "carriers[1].carrier.mc_number"),
    "naive": ({"carrier": {"name": "A"}, "lanes": [{"at": NAIVE}]}, "carriers[1].lanes[0].at"),
    "key": ({5: "a"}, "carriers[1]"),
    "no carrier": ({"lanes": []}, "carriers[1].carrier"),
    **{ascii(item): (item, "carriers[1]") for item in NO_OBJECTS},
    **{f"carrier {item!a}": ({"carrier": item}, "carriers[1].carrier") for item in NO_OBJECTS},
    "carrier [nan]": ({"carrier": [math.nan]}, "carriers[1].carrier[0]"),
}


@pytest.mark.parametrize("label", HELD_BACK)
async def test_a_bad_carrier_of_a_batch_is_held_back_and_named_by_its_place(
    envoy: EnvoyClient, sandbox: Sandbox, label: str
) -> None:
    """Its neighbours are sent; its result stands at its place, and its error leads to it; alone, it is raised."""
    carrier, param = HELD_BACK[label]
    result = await envoy.carriers.create_batch([NewCarrier(name="Good"), carrier, NewCarrier(name="Better")])
    assert (result.success, result.total, result.successful, result.failed) == (True, 3, 2, 1)
    assert [item.success for item in result.results] == [True, False, True]
    assert (result.results[1].error or "").startswith("InvalidRequestError: carriers[1]: ")
    bodies: list[Any] = [ran.body for ran in sandbox.executions]
    assert [[item["carrier"]["name"] for item in body["carriers"]] for body in bodies] == [["Good", "Better"]]
    alone = param.replace("[1]", "[0]")
    await assert_refused_here(sandbox, alone, lambda: envoy.carriers.create_batch([carrier]))


async def test_bad_carriers_behind_the_first_thousand_lose_nothing(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Alone in their request, which is not made: the results before them are there, and theirs say what is wrong."""
    bad = [carrier for carrier, _ in HELD_BACK.values()]
    result = await envoy.carriers.create_batch([*numbered(1_000), *bad])
    assert (result.successful, result.failed, len(sandbox.requests)) == (1_000, len(bad), 1)
    for place, item in enumerate(result.results[1_000:], 1_000):
        assert (item.error or "").startswith(f"InvalidRequestError: carriers[{place}]: ")


async def test_the_error_of_the_source_itself_is_passed_on(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """What a caller's generator raises is not taken for an answer."""

    def broken() -> Iterator[NewCarrier]:
        yield NewCarrier(name="A")
        raise KeyError("mc")

    with pytest.raises(KeyError, match="mc"):
        await envoy.carriers.create_batch(broken())
    assert sandbox.requests == []


async def test_extra_fields_are_a_mapping(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """`extra` that is no mapping is refused here, naming the argument."""
    wrong: Any = [("name", "x")]
    with pytest.raises(InvalidRequestError, match="extra must be a mapping"):
        await envoy.carriers.create(name="A", extra=wrong)
    assert sandbox.requests == []
