"""Every method of `envoy.loads` against a sandbox over a real socket: what it answers, what runs, what is refused."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import attrs
import pytest

from envoy_async import UNSET, BearerToken, EnvoyClient, Pages
from envoy_async.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from envoy_async.models import (
    Carrier,
    CarrierVerification,
    EquipmentType,
    Escalation,
    EscalationStatus,
    Load,
    LoadContact,
    Location,
    NewLoad,
    Stop,
)
from envoy_async.sandbox import Fault, Sandbox
from tests.resources.conftest import assert_shows

T = TypeVar("T", bound=attrs.AttrsInstance)
NOBODY = "load_00000000-0000-4000-8000-000000000000"
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
WRONG_IDS = ["", "..", "load_1", f"call_{UUID}", f"load_{UUID}/calls", f"load_{UUID}\r\nX: 1", f"{UUID}#a"]
STOPS: list[Stop | Mapping[str, object]] = [
    Stop(location=Location(city="Dallas", state="TX")),
    {"location": {"city": "Atlanta", "state": "GA"}, "type": "DROPOFF"},
]
NEW = NewLoad(load_number="LD-NEW-1", equipment_type=EquipmentType.VAN, stops=STOPS)
NOWHERE: list[Stop | Mapping[str, object]] = [{}, {}]  # which the server alone refuses
NO_OBJECT = "the body must be an object: a model, or a mapping of field names to values"


def numbers_sent(body: Any) -> list[object]:
    """Give the numbers of the loads in a batch, as they arrived."""
    return [load["load_number"] for load in body["loads"]]


def newest(rows: Any) -> list[dict[str, Any]]:
    """Order records of the store, newest first."""
    return sorted(rows, key=lambda row: str(row["created_at"]), reverse=True)


def owner(rows: Any) -> str:
    """Give the load that has the most of these records."""
    owners = [str(row["load_id"]) for row in rows if row["load_id"]]
    return max(owners, key=owners.count)


async def test_get_returns_the_load(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Every field of a load on the road and of an open one, people and stops included."""
    for status in ("In Transit", "Delivered", "Open"):
        record = next(load for load in sandbox.store.loads.values() if load["load_status"] == status)
        load = await envoy.loads.get(str(record["id"]))
        assert type(load) is Load
        assert_shows(load, record)
        assert isinstance(load.driver, LoadContact) == (status != "Open")
        assert [type(stop) for stop in load.stops or ()] == [Stop, Stop]


async def test_get_takes_a_raw_uuid(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The reference declares ids as plain uuids; the answer carries the prefix."""
    load_id = next(iter(sandbox.store.loads))
    assert (await envoy.loads.get(load_id.removeprefix("load_"))).id == load_id


async def test_list_delivers_every_load(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """All of them, once, in the server's order; completeness is not claimed, since that order is not documented."""
    listing = envoy.loads.list(page_size=25)
    loads = await listing.collect()
    records = newest(sandbox.store.loads.values())
    assert len(loads) == len(records)
    for load, record in zip(loads, records, strict=True):
        assert_shows(load, record)
    assert (listing.report.pages, listing.report.records, listing.report.proven) == (3, 60, False)
    assert sandbox.requests[1].path == "/api/v1/loads?page=2&page_size=25"


async def test_list_in_one_page_is_whole(envoy: EnvoyClient) -> None:
    """What came in a single answer cannot have drifted."""
    listing = envoy.loads.list()
    assert len(await listing.collect()) == 60
    assert listing.report.proven


async def test_list_with_page_and_limit(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Pages are counted from 1; the limit counts records."""
    wanted = [record["id"] for record in newest(sandbox.store.loads.values())]
    assert [load.id async for load in envoy.loads.list(page=2, page_size=25)] == wanted[25:]
    assert [load.id async for load in envoy.loads.list(page=2, page_size=25, limit=3)] == wanted[25:28]
    assert [load.id async for load in envoy.loads.list(limit=7)] == wanted[:7]


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "5"], ids=repr)
@pytest.mark.parametrize("name", ["page", "page_size", "limit"])
async def test_a_bad_number_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, name: str, value: Any) -> None:
    """When the listing is made; nothing is sent."""
    with pytest.raises(InvalidRequestError, match=rf"^{name} must be a whole number from 1 to") as caught:
        envoy.loads.list(**{name: value})
    assert caught.value.param == name
    assert sandbox.requests == []


async def whole(listing: Pages[Any], kind: type[T], records: list[dict[str, Any]]) -> list[T]:
    """Read a bare-array listing: one last page with all records, and proven."""
    (page,) = [page async for page in listing.by_page()]
    assert (page.number, page.total_pages, page.has_next, page.total_count) == (1, 1, False, len(records))
    assert [type(item) for item in page.items] == [kind] * len(records)
    for item, record in zip(page.items, records, strict=True):
        assert_shows(item, record)
    assert (listing.report.pages, listing.report.finished, listing.report.proven) == (1, True, True)
    return list(page.items)


async def test_calls_of_a_load(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Newest first, all on one page, although the answer is a bare array."""
    load_id = owner(sandbox.store.calls.values())
    records = newest(call for call in sandbox.store.calls.values() if call["load_id"] == load_id)
    assert len(records) > 1
    (page,) = [page async for page in envoy.loads.calls(load_id).by_page()]
    assert [call.id for call in page.items] == [record["id"] for record in records]
    for call, record in zip(page.items, records, strict=True):
        assert_shows(call, record)
    assert (page.total_pages, page.has_next) == (1, False)


async def test_verifications_of_a_load(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Each failed check with the carrier inside."""
    load_id = owner(sandbox.store.verifications)
    records = newest(row for row in sandbox.store.verifications if row["load_id"] == load_id)
    found = await whole(envoy.loads.verifications(load_id), CarrierVerification, records)
    assert all(isinstance(item.carrier, Carrier) for item in found)


async def test_escalations_of_a_load(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The active ones alone, with known statuses."""
    active = [row for row in sandbox.store.escalations if row["status"] == "ACTIVE"]
    load_id = owner(active)
    records = newest(row for row in active if row["load_id"] == load_id)
    found = await whole(envoy.loads.escalations(load_id), Escalation, records)
    assert {item.status for item in found} == {EscalationStatus.ACTIVE}


async def test_a_load_without_any_has_an_empty_listing(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """No record, no error, and that is proven."""
    load_id = (await envoy.loads.create(NEW)).load_id
    for listing in (envoy.loads.calls(load_id), envoy.loads.verifications(load_id), envoy.loads.escalations(load_id)):
        assert await listing.first() is None
        assert listing.report.proven
    assert [ran.operation for ran in sandbox.executions[1:]] == [
        "loads.calls",
        "loads.verifications",
        "loads.escalations",
    ]


async def test_statistics_and_tab_counts_are_plain_data(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Their shape is not known, so they come as the server sends them."""
    statistics, counts = await envoy.loads.statistics(), await envoy.loads.tab_counts()
    assert (type(statistics), type(counts)) == (dict, dict)
    assert statistics["total_loads"] == counts["all"] == len(sandbox.store.loads)


async def test_create_then_create_again_updates(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """An upsert by `load_number`: the same load, what the second does not name stays, null clears."""
    first = await envoy.loads.create(attrs.evolve(NEW, weight=41_000, commodity="Tires"))
    second = await envoy.loads.create(attrs.evolve(NEW, commodity=None, posted_rate=1_500))
    record = sandbox.store.loads[first.load_id]
    assert first.load_id == second.load_id
    assert (first.success, first.message, second.message) == (
        True,
        "Load created successfully",
        "Load updated successfully",
    )
    assert second.processed_at == datetime.fromisoformat(str(record["updated_at"]))
    assert (record["weight"], record["commodity"], record["posted_rate"]) == (41_000, None, 1_500)
    assert [ran.operation for ran in sandbox.executions] == ["loads.create"] * 2


async def test_create_sends_exactly_what_is_set(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """UNSET fields are not there; stops may be models or mappings; `extra` goes beside and wins."""
    await envoy.loads.create(attrs.evolve(NEW, tms_status=None), extra={"pickup_window": ["08:00"], "load_number": "X"})
    assert sandbox.executions[0].body == {
        "load_number": "X",
        "equipment_type": "VAN",
        "stops": [
            {"location": {"city": "Dallas", "state": "TX"}},
            {"location": {"city": "Atlanta", "state": "GA"}, "type": "DROPOFF"},
        ],
        "tms_status": None,
        "pickup_window": ["08:00"],
    }


async def test_update_changes_one_field(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The answer is the load as it now is; leaving out and null are sent as such and change nothing."""
    load_id, record = next(iter(sandbox.store.loads.items()))
    for wanted in (True, False):
        load = await envoy.loads.update(load_id, is_posted=wanted)
        assert load.is_posted is wanted is record["is_posted"]
        assert_shows(load, record)
    await envoy.loads.update(load_id, is_posted=None)
    await envoy.loads.update(load_id)
    assert [ran.body for ran in sandbox.executions] == [
        {"is_posted": True},
        {"is_posted": False},
        {"is_posted": None},
        {},
    ]
    assert record["is_posted"] is False


async def test_a_batch_fails_in_parts(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """One result per load in the order given, whoever refused it; a bad load harms no other; it runs once."""
    known = next(iter(sandbox.store.loads.values()))
    loads = [
        NEW,
        attrs.evolve(NEW, load_number="LD-BAD", weight=-1),
        attrs.evolve(NEW, load_number=str(known["load_number"])),
        attrs.evolve(NEW, load_number="LD-WORSE", stops=NOWHERE),
        NEW,
    ]
    result = await envoy.loads.create_batch(loads)
    assert (result.success, result.total_loads, result.successful, result.failed) == (True, 5, 3, 2)
    assert (result.created, result.updated) == (1, 2)
    assert [item.load_identifier for item in result.results] == [load.load_number for load in loads]
    assert [item.operation for item in result.results] == ["created", None, "updated", None, "updated"]
    held, refused = result.results[1], result.results[3]
    assert (held.success, held.load_id, refused.success, refused.load_id) == (False, None, False, None)
    assert held.error == "InvalidRequestError: loads[1]: weight must be a number, at least 0"
    assert refused.error == "stops[0].location: field required"
    assert result.results[2].load_id == known["id"]
    (ran,) = sandbox.executions
    assert (ran.operation, numbers_sent(ran.body)) == (
        "loads.create_batch",
        [loads[i].load_number for i in (0, 2, 3, 4)],
    )


async def test_a_batch_may_be_refused_as_a_whole_by_the_server(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """When no load went through, that is an answer and not an exception."""
    bad = {"load_number": "LD-WORSE", "equipment_type": "VAN", "stops": NOWHERE}
    result = await envoy.loads.create_batch(dict(bad) for _ in range(2))
    assert (result.success, result.total_loads, result.successful, result.failed) == (False, 2, 0, 2)
    assert [(item.success, item.error) for item in result.results] == [(False, "stops[0].location: field required")] * 2
    assert (len(sandbox.requests), len(sandbox.store.loads)) == (1, 60)


async def test_a_batch_of_which_nothing_can_be_sent_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Nothing is lost with an exception then: it names the first load and its field, and nothing is sent."""
    bad = [attrs.evolve(NEW, weight=-1), attrs.evolve(NEW, distance=math.nan)]
    with pytest.raises(InvalidRequestError, match=r"^loads\[0\]: weight must be a number, at least 0$") as caught:
        await envoy.loads.create_batch(bad)
    assert caught.value.param == "loads[0].weight"
    assert sandbox.requests == []


@pytest.mark.parametrize(("count", "requests"), [(1_000, 1), (1_001, 2)])
async def test_a_batch_goes_out_in_thousands(envoy: EnvoyClient, sandbox: Sandbox, count: int, requests: int) -> None:
    """The documented bound is included, and no bound of the method; any iterable will do."""
    result = await envoy.loads.create_batch(attrs.evolve(NEW, load_number=f"LD-{i}") for i in range(count))
    assert (result.created, result.total_loads, len(sandbox.requests)) == (count, count, requests)
    assert [item.load_identifier for item in result.results] == [f"LD-{i}" for i in range(count)]
    sizes = [len(numbers_sent(ran.body)) for ran in sandbox.executions]
    assert (max(sizes), sum(sizes)) == (1_000, count)


async def test_an_empty_batch_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """It means a mistake; nothing is sent."""
    with pytest.raises(InvalidRequestError, match=r"^loads is empty: there is nothing to send$") as caught:
        await envoy.loads.create_batch([])
    assert caught.value.param == "loads"
    assert sandbox.requests == []


NAIVE = datetime(2025, 11, 21, 8)  # noqa: DTZ001 - naive is the point
BAD_LOADS: list[tuple[NewLoad, dict[str, Any] | None, str]] = [
    (attrs.evolve(NEW, weight=math.nan), None, "weight"),
    (attrs.evolve(NEW, stops=[{"location": {"city": NAIVE}}]), None, "stops[0].location.city"),
    (NEW, {"rate": math.inf}, "rate"),
    (NEW, {"tags": {"a"}}, "tags"),
    (attrs.evolve(NEW, weight=math.nan), {"note": "a"}, "weight"),
]


@pytest.mark.parametrize(
    ("load", "extra", "param"), BAD_LOADS, ids=["nan", "deep", "extra inf", "extra set", "nan beside extra"]
)
async def test_a_bad_load_is_refused_here(
    envoy: EnvoyClient, sandbox: Sandbox, load: NewLoad, extra: dict[str, Any] | None, param: str
) -> None:
    """A body JSON cannot hold is never half sent; the error names the place and the operation."""
    with pytest.raises(InvalidRequestError) as caught:
        await envoy.loads.create(load, extra=extra)
    assert (caught.value.param, caught.value.method, caught.value.route) == (param, "POST", "/loads")
    assert sandbox.requests == []


WRONG: Any = 10**5_000
NO_OBJECTS: list[Any] = [None, 5, math.nan, "LD-1", True, [], [{}], [math.nan], NAIVE, len, NewLoad]
HELD_BACK: dict[str, tuple[Any, str]] = {
    "inf": (attrs.evolve(NEW, distance=math.inf), "$.distance cannot be sent as JSON: float"),
    "nan": (attrs.evolve(NEW, weight=math.nan), "$.weight cannot be sent as JSON: float"),
    "naive": (attrs.evolve(NEW, stops=[{"at": NAIVE}, *STOPS]), "stops[0].at is a naive datetime; give it a time zone"),
    "length": (attrs.evolve(NEW, tms_load_id="T1"), "tms_load_id must be text of exactly 18 characters"),
    "endless": (attrs.evolve(NEW, load_number=WRONG), "$.load_number cannot be sent as JSON: int"),
    "stops": ({"load_number": "LD-1", "stops": STOPS[:1]}, "stops must be a list of at least 2"),
    "id": ({"load_id": f"call_{UUID}"}, "load_id has the wrong shape: expected load_<uuid> or <uuid>"),
    "key": ({5: "a"}, "$ has a key that is not a string"),
    **{ascii(item): (item, NO_OBJECT) for item in NO_OBJECTS},
}


@pytest.mark.parametrize("label", HELD_BACK)
async def test_a_bad_load_of_a_batch_is_held_back_and_named_by_its_index(
    envoy: EnvoyClient, sandbox: Sandbox, label: str
) -> None:
    """Its neighbours are sent; its result stands at its place, and its error leads to it."""
    load, why = HELD_BACK[label]
    result = await envoy.loads.create_batch([NEW, load, NEW])
    assert (result.success, result.total_loads, result.successful, result.failed) == (True, 3, 2, 1)
    assert [item.error for item in result.results] == [None, f"InvalidRequestError: loads[1]: {why}", None]
    assert [len(numbers_sent(ran.body)) for ran in sandbox.executions] == [2]


async def test_bad_loads_of_every_request_are_named_by_their_index(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Among good ones in the first request and in a later one: an error names the place in the whole batch."""
    bad = [load for load, _ in HELD_BACK.values()]
    result = await envoy.loads.create_batch([NEW, *bad, *[NEW] * 1_000, *bad, NEW])
    places = [*range(1, len(bad) + 1), *range(len(bad) + 1_001, 2 * len(bad) + 1_001)]
    assert {place: item.error for place, item in enumerate(result.results) if not item.success} == {
        place: f"InvalidRequestError: loads[{place}]: {why}"
        for place, (_, why) in zip(places, [*HELD_BACK.values()] * 2, strict=True)
    }
    assert (result.successful, result.failed) == (1_002, 2 * len(bad))
    assert [len(numbers_sent(ran.body)) for ran in sandbox.executions] == [1_000 - len(bad), len(bad) + 2]


async def test_bad_loads_behind_the_first_thousand_lose_nothing(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Alone in their request, which is not made: the results before them are there, and theirs say what is wrong."""
    bad = [load for load, _ in HELD_BACK.values()]
    result = await envoy.loads.create_batch([*[NEW] * 1_000, *bad])
    assert (result.successful, result.failed, len(sandbox.requests)) == (1_000, len(bad), 1)
    assert [item.error for item in result.results[1_000:]] == [
        f"InvalidRequestError: loads[{place}]: {why}" for place, (_, why) in enumerate(HELD_BACK.values(), 1_000)
    ]


@pytest.mark.parametrize(
    "label", [label for label, (_, why) in HELD_BACK.items() if why == NO_OBJECT or label == "key"]
)
async def test_what_is_wrong_with_a_load_as_a_whole_names_its_place(
    envoy: EnvoyClient, sandbox: Sandbox, label: str
) -> None:
    """There is no field to name; nothing is sent."""
    with pytest.raises(InvalidRequestError, match=r"^loads\[0\]: ") as caught:
        await envoy.loads.create_batch([HELD_BACK[label][0]])
    assert caught.value.param == "loads[0]"
    assert sandbox.requests == []


async def test_a_load_that_was_not_answered_goes_by_its_number(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Model or mapping: so the caller can tell which to send again; one without a text for a number has no name."""
    last: list[NewLoad | Mapping[str, object]] = [
        attrs.evolve(NEW, load_number="LD-1"),
        {"load_number": "LD-2", "stops": STOPS},
        {"load_number": 5},
        {"load_number": None},
        {},
    ]
    sandbox.fail(Fault(method="POST", path="/loads/batch", nth=2, status=403))
    result = await envoy.loads.create_batch([*[NEW] * 1_000, *last])
    assert [item.load_identifier for item in result.results[1_000:]] == ["LD-1", "LD-2", "", "", ""]
    assert {(item.error or "")[:21] for item in result.results[1_000:]} == {"PermissionDeniedError"}


async def test_unset_in_extra_is_left_out(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The mark means the same wherever it stands: it is never sent as a word."""
    await envoy.loads.create(NEW, extra={"priority": UNSET, "tier": 1})
    body = sandbox.executions[0].body
    assert isinstance(body, dict)
    assert (body["tier"], "priority" in body) == (1, False)


def by_id(envoy: EnvoyClient) -> dict[str, Callable[[str], Awaitable[object]]]:
    """Give the methods that take a load's id; a listing by its first step."""
    return {
        "get": envoy.loads.get,
        "update": envoy.loads.update,
        "calls": lambda load_id: envoy.loads.calls(load_id).first(),
        "verifications": lambda load_id: envoy.loads.verifications(load_id).first(),
        "escalations": lambda load_id: envoy.loads.escalations(load_id).first(),
    }


METHODS = ["get", "update", "calls", "verifications", "escalations"]


@pytest.mark.parametrize("name", METHODS)
async def test_an_unknown_load_is_not_found(envoy: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """A typed 404 with the operation and its one attempt; nothing ran."""
    with pytest.raises(NotFoundError, match="Load not found") as caught:
        await by_id(envoy)[name](NOBODY)
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "not_found", "id")
    assert (caught.value.route or "").startswith("/loads/{load_id}")
    assert [row.status for row in caught.value.attempts] == [404]
    assert sandbox.executions == []


@pytest.mark.parametrize("name", METHODS)
async def test_a_wrong_id_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """Nothing is sent: not to another endpoint, and not to find out."""
    for load_id in WRONG_IDS:
        with pytest.raises(InvalidRequestError, match="load_id has the wrong shape") as caught:
            await by_id(envoy)[name](load_id)
        assert caught.value.param == "load_id"
    assert sandbox.requests == []


async def test_what_the_server_refuses_is_typed(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A 422 names the parameter down to the stop; the refused load is not there."""
    with pytest.raises(ValidationError) as caught:
        await envoy.loads.create(attrs.evolve(NEW, stops=[STOPS[0], {"location": {"city": "Waco"}}]))
    error = caught.value
    assert (error.status, error.code, error.param) == (422, "validation_error", "stops[1].location.state")
    assert (error.method, error.route, error.message) == ("POST", "/loads", "field required")
    assert len(sandbox.store.loads) == 60
    assert sandbox.executions == []


async def test_the_wrong_caller_is_refused(sandbox: Sandbox) -> None:
    """A wrong key, another organization, and a token where only a key will do are told apart; nothing runs."""
    async with EnvoyClient("envai_live_wrong", base_url=sandbox.base_url) as envoy:
        with pytest.raises(NotAuthenticatedError):
            await envoy.loads.create(NEW)
        with pytest.raises(NotAuthenticatedError):
            await envoy.loads.list().first()
    async with EnvoyClient(sandbox.api_key, organization_id="org_1", base_url=sandbox.base_url) as envoy:
        with pytest.raises(PermissionDeniedError):
            await envoy.loads.statistics()
    async with EnvoyClient(BearerToken(sandbox.bearer_token), base_url=sandbox.base_url) as envoy:
        with pytest.raises(ConfigurationError, match="needs an API key"):
            await envoy.loads.create_batch([NEW])
    assert ([request.status for request in sandbox.requests], sandbox.executions) == ([401, 401, 403], [])
