"""Every method of `envoy.calls` against a sandbox over a real socket: what it answers, what runs, what is refused."""

from __future__ import annotations

import math
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import aiohttp
import attrs
import pytest

from envoy_async import UNSET, EnvoyClient
from envoy_async._wire import Attempt, Request, Response
from envoy_async.errors import (
    EnvoyError,
    InvalidRequestError,
    InvalidResponseError,
    NotAuthenticatedError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ValidationError,
)
from envoy_async.models import Call, CallDirection, CallRecording, CallStatus, EndCallResult
from envoy_async.resources import Calls
from envoy_async.sandbox import Sandbox

NOBODY = "call_00000000-0000-4000-8000-000000000000"
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
WRONG_IDS = ["", "..", "call_1", f"load_{UUID}", f"call_{UUID}/end", f"call_{UUID}\r\nX: 1", f"{UUID}?a=b"]


def same(call: Call, record: dict[str, object]) -> bool:
    """Tell whether a call is the record of the store, field by field, moments as moments."""
    for field in attrs.fields(Call):
        found, kept = getattr(call, field.name), record[field.name]
        if isinstance(found, datetime):
            assert found == datetime.fromisoformat(str(kept))
            assert found.utcoffset() == timedelta(0)
        elif found != kept:
            return False
    return set(record) == set(attrs.fields_dict(Call))


def newest(sandbox: Sandbox) -> list[dict[str, object]]:
    """Give the records of the store, newest first."""
    return sorted(sandbox.store.calls.values(), key=lambda call: str(call["created_at"]), reverse=True)


def with_status(sandbox: Sandbox, status: str) -> dict[str, object]:
    """Give one record of the store in this status; the first call is put back to where it was only planned."""
    planned: dict[str, object] = {"status": "SCHEDULED", "call_start_time": None, "call_end_time": None}
    next(iter(sandbox.store.calls.values())).update(planned)
    return next(call for call in sandbox.store.calls.values() if call["status"] == status)


def ids(calls: list[Call]) -> list[object]:
    """Give the ids of calls."""
    return [call.id for call in calls]


async def test_get_returns_the_call(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Every field of every status comes through, known enum values and others alike."""
    for status in ("COMPLETED", "SCHEDULED", "NO_ANSWER"):
        record = with_status(sandbox, status)
        call = await envoy.calls.get(str(record["id"]))
        assert same(call, record)
        assert isinstance(call.status, CallStatus)
        assert isinstance(call.call_direction, CallDirection)
        assert call.status.is_known == (status != "NO_ANSWER")


async def test_get_takes_a_raw_uuid(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The reference declares ids as plain uuids; the answer carries the prefix."""
    call_id = next(iter(sandbox.store.calls))
    assert (await envoy.calls.get(call_id.removeprefix("call_"))).id == call_id


async def test_list_delivers_every_call_newest_first(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """All of them, once, in order, over as many pages as it takes, and provably so."""
    listing = envoy.calls.list(page_size=60)
    calls = await listing.collect()
    assert all(same(call, record) for call, record in zip(calls, newest(sandbox), strict=True))
    assert (listing.report.pages, listing.report.records, listing.report.proven) == (5, 250, True)
    assert [request.path for request in sandbox.requests][:2] == [
        "/api/v1/calls?page=1&page_size=60",
        "/api/v1/calls?page=2&page_size=60",
    ]


@pytest.mark.parametrize(("limit", "requests"), [(1, 1), (99, 1), (100, 1), (101, 2), (250, 3), (900, 3)])
async def test_limit_counts_records(envoy: EnvoyClient, sandbox: Sandbox, limit: int, requests: int) -> None:
    """Not one more than wanted is delivered, and no page is fetched that is not needed."""
    calls = await envoy.calls.list(limit=limit).collect()
    assert ids(calls) == [record["id"] for record in newest(sandbox)][:limit]
    assert len(sandbox.requests) == requests


async def test_page_begins_further_down(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Pages are counted from 1, with or without a limit."""
    wanted = [record["id"] for record in newest(sandbox)]
    assert ids(await envoy.calls.list(page=3, page_size=100).collect()) == wanted[200:]
    assert ids(await envoy.calls.list(page=3, page_size=100, limit=5).collect()) == wanted[200:205]


async def test_first_and_by_page(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The first record costs one request; pages carry their numbers."""
    first = await envoy.calls.list().first()
    assert first is not None
    assert first.id == newest(sandbox)[0]["id"]
    assert len(sandbox.requests) == 1
    pages = [page async for page in envoy.calls.list(page_size=100).by_page()]
    assert [(page.number, page.size, len(page.items), page.has_next) for page in pages] == [
        (1, 100, 100, True),
        (2, 100, 100, True),
        (3, 100, 50, False),
    ]
    assert await envoy.calls.list(search="nothing has this").first() is None


STATUSES = ["COMPLETED", "FAILED", CallStatus.COMPLETED, CallStatus("NO_ANSWER"), "no such"]


@pytest.mark.parametrize("status", STATUSES, ids=repr)
async def test_list_by_status(envoy: EnvoyClient, sandbox: Sandbox, status: str) -> None:
    """Text or enum; a status nobody has gives nothing."""
    calls = await envoy.calls.list(status=status).collect()
    assert ids(calls) == [record["id"] for record in newest(sandbox) if record["status"] == status]
    assert bool(calls) == (status != "no such")


async def test_list_by_days(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Two days select what was created from the first to the last; no period needs to be named."""
    days = sorted({str(record["created_at"])[:10] for record in sandbox.store.calls.values()})
    first, last = days[1], days[-2]
    wanted = [row["id"] for row in newest(sandbox) if first <= str(row["created_at"])[:10] <= last]
    listing = envoy.calls.list(start_date=date.fromisoformat(first), end_date=date.fromisoformat(last))
    assert ids(await listing.collect()) == wanted
    assert 0 < len(wanted) < 250
    assert sandbox.requests[0].path.startswith(
        f"/api/v1/calls?time_period=custom&start_date={first}&end_date={last}&page=1"
    )


async def test_list_by_named_period(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The name goes to the server as it is, and wins over the one that is meant with days."""
    calls = await envoy.calls.list(time_period="today").collect()
    today = datetime.fromtimestamp(sandbox.store.clock(), UTC).date()
    assert all(call.created_at.date() == today for call in calls)
    day = date(2025, 1, 1)
    await envoy.calls.list(time_period="today", start_date=day, end_date=day).collect()
    assert "time_period=today&start_date=2025-01-01" in sandbox.requests[-1].path


async def test_list_by_search(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A phone number with its plus sign, and a load's number, arrive unharmed."""
    record = next(call for call in newest(sandbox) if call["load_number"])
    number = str(record["phone_number"])
    assert number.startswith("+")
    calls = await envoy.calls.list(search=number).collect()
    assert ids(calls) == [row["id"] for row in newest(sandbox) if row["phone_number"] == number]
    calls = await envoy.calls.list(search=str(record["load_number"])).collect()
    assert ids(calls) == [row["id"] for row in newest(sandbox) if row["load_number"] == record["load_number"]]


@pytest.mark.parametrize("down", [True, False, None])
async def test_list_in_another_order(envoy: EnvoyClient, sandbox: Sandbox, down: bool | None) -> None:
    """Field and direction are the server's to follow; downwards is its default."""
    calls = await envoy.calls.list(order_by="call_time", order_desc=down, page_size=100).collect()
    moments = [call.call_time for call in calls]
    assert moments == sorted(moments, reverse=down is not False)
    assert len(set(ids(calls))) == 250
    flag = "" if down is None else f"&order_desc={str(down).lower()}"
    assert sandbox.requests[0].path == f"/api/v1/calls?order_by=call_time{flag}&page=1&page_size=100"


@pytest.mark.parametrize(
    ("filters", "proven"),
    [
        ({}, True),
        ({"order_by": "created_at", "order_desc": True}, True),
        ({"time_period": "last_30_days"}, False),
        ({"status": "COMPLETED"}, False),
        ({"search": "+1"}, False),
        ({"order_desc": False}, False),
        ({"order_by": "call_time"}, False),
    ],
    ids=repr,
)
async def test_a_listing_is_proven_only_in_an_immutable_order(
    envoy: EnvoyClient, filters: dict[str, Any], proven: bool
) -> None:
    """Completeness is claimed where rows can only come in on top, and nowhere else."""
    listing = envoy.calls.list(page_size=20, **filters)
    assert await listing.collect()
    assert listing.report.pages > 1
    assert listing.report.proven is proven


async def test_create_places_one_call(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The fields of `extra` are the body; it runs exactly once, and the answer is the new call."""
    load_id = next(iter(sandbox.store.loads))
    call = await envoy.calls.create(extra={"phone_number": "+14155552671", "load_id": load_id})
    (ran,) = sandbox.executions
    assert (ran.operation, ran.body) == ("calls.create", {"phone_number": "+14155552671", "load_id": load_id})
    assert sandbox.store.inserted == [call.id]
    assert same(call, sandbox.store.calls[call.id])
    assert (call.status, call.phone_number, call.load_id) == (CallStatus.SCHEDULED, "+14155552671", load_id)


async def test_create_without_fields_sends_an_empty_object(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The body is unknown, so there may be none of it; it is an object all the same."""
    await envoy.calls.create()
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [("calls.create", {})]


@pytest.mark.parametrize("extra", [None, {"as": "listener"}], ids=["bare", "extra"])
async def test_join_runs_once(envoy: EnvoyClient, sandbox: Sandbox, extra: dict[str, object] | None) -> None:
    """Without extra fields no body is sent; the answer is whatever the server says, as plain data."""
    call_id = str(with_status(sandbox, "SCHEDULED")["id"])
    answer = await envoy.calls.join(call_id, extra=extra)
    assert answer["call_id"] == call_id
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [("calls.join", extra)]
    assert sandbox.store.calls[call_id]["status"] == "IN_PROGRESS"


async def test_end_is_harmless_the_second_time(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Each runs once; the second one says that the call had ended."""
    call_id = str(with_status(sandbox, "SCHEDULED")["id"])
    first, second = await envoy.calls.end(call_id), await envoy.calls.end(call_id)
    assert first == EndCallResult(
        success=True, message="Call ended", call_id=call_id, previous_status=CallStatus.SCHEDULED
    )
    assert second == attrs.evolve(first, message="Call already ended", previous_status=CallStatus("CANCELLED"))
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [("calls.end", None)] * 2


async def test_recording_gives_a_working_address(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Whoever has the address can listen, without a key, to as many bytes as announced."""
    record = next(call for call in newest(sandbox) if call["recording_status"] == "AVAILABLE")
    recording = await envoy.calls.recording(str(record["id"]))
    assert type(recording) is CallRecording
    assert (recording.call_id, recording.recording_status) == (record["id"], "AVAILABLE")
    assert recording.recording_start_time == datetime.fromisoformat(str(record["call_start_time"]))
    assert recording.expires_at > datetime.fromisoformat(str(record["call_end_time"]))
    async with aiohttp.ClientSession() as session, session.get(recording.url) as answer:
        assert len(await answer.read()) == recording.file_size_bytes
        assert answer.content_type == recording.content_type


def by_id(envoy: EnvoyClient) -> dict[str, Callable[[str], Awaitable[object]]]:
    """Give the methods that take a call's id."""
    return {
        "get": envoy.calls.get,
        "join": envoy.calls.join,
        "end": envoy.calls.end,
        "recording": envoy.calls.recording,
    }


@pytest.mark.parametrize("name", ["get", "join", "end", "recording"])
async def test_an_unknown_call_is_not_found(envoy: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """A typed 404 with the operation and its one attempt; nothing ran."""
    with pytest.raises(NotFoundError, match="Call not found") as caught:
        await by_id(envoy)[name](NOBODY)
    error = caught.value
    assert (error.status, error.code, error.param) == (404, "not_found", "id")
    assert (error.route or "").startswith("/calls/{call_id}")
    assert [row.status for row in error.attempts] == [404]
    assert sandbox.executions == []


@pytest.mark.parametrize("name", ["get", "join", "end", "recording"])
async def test_a_wrong_id_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """Nothing is sent: not to another endpoint, and not to find out."""
    for call_id in WRONG_IDS:
        with pytest.raises(InvalidRequestError, match="call_id has the wrong shape") as caught:
            await by_id(envoy)[name](call_id)
        assert caught.value.param == "call_id"
        assert (caught.value.route or "").startswith("/calls/{call_id}")
    assert sandbox.requests == []


async def portal(request: Request) -> Response:
    """Answer like a hotel's login page, with a 200."""
    return Response(200, {}, b"<html>canary-7f3a</html>", (Attempt(0.0, 0.0, 200),))


@pytest.mark.parametrize("name", ["get", "end", "recording"])
async def test_an_unreadable_answer_is_named(name: str) -> None:
    """It carries operation, status, and ledger, and shows nothing of the body."""
    calls = Calls(portal)
    method = {"get": calls.get, "end": calls.end, "recording": calls.recording}[name]
    with pytest.raises(InvalidResponseError, match="HTML, not JSON") as caught:
        await method(NOBODY)
    assert (caught.value.status, len(caught.value.attempts)) == (200, 1)
    assert (caught.value.route or "").startswith("/calls/{call_id}")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_an_unreadable_answer_of_an_unsafe_operation_leaves_its_outcome_unknown() -> None:
    """The call was probably placed, so the caller must look and not just try again."""
    for step in (Calls(portal).create(), Calls(portal).join(NOBODY)):
        with pytest.raises(OutcomeUnknownError, match="HTML, not JSON") as caught:
            await step
        assert isinstance(caught.value.last_error, InvalidResponseError)
        assert (caught.value.status, caught.value.method, len(caught.value.attempts)) == (200, "POST", 1)


async def test_an_unreadable_listing_does_not_end_quietly() -> None:
    """A page that cannot be read is an error, in the middle of a loop as well."""
    with pytest.raises(InvalidResponseError) as caught:
        await Calls(portal).list().collect()
    assert (caught.value.status, caught.value.route) == (200, "/calls")


MOMENT = datetime(2025, 11, 21, 8, tzinfo=UTC)
DAY = date(2025, 11, 21)
BAD_FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"page": 0}, "page"),
    ({"page": -1}, "page"),
    ({"page": True}, "page"),
    ({"page": 2.0}, "page"),
    ({"page": "2"}, "page"),
    ({"page": None}, "page"),
    ({"page": 2**60}, "page"),
    ({"page_size": 0}, "page_size"),
    ({"page_size": 101}, "page_size"),
    ({"page_size": True}, "page_size"),
    ({"page_size": 1.5}, "page_size"),
    ({"limit": 0}, "limit"),
    ({"limit": -5}, "limit"),
    ({"limit": True}, "limit"),
    ({"limit": math.inf}, "limit"),
    ({"start_date": MOMENT, "end_date": DAY}, "start_date"),
    ({"start_date": DAY, "end_date": MOMENT.replace(tzinfo=None)}, "end_date"),
    ({"start_date": "2025-11-21", "end_date": DAY}, "start_date"),
    ({"start_date": DAY}, "end_date"),
    ({"end_date": DAY}, "start_date"),
    ({"search": "\ud800"}, "search"),
    ({"search": ["a"]}, "search"),
    ({"status": b"COMPLETED"}, "status"),
    ({"order_desc": UNSET}, "order_desc"),
]


@pytest.mark.parametrize(("filters", "param"), BAD_FILTERS, ids=[ascii(filters) for filters, _ in BAD_FILTERS])
async def test_a_bad_filter_is_refused_here(
    envoy: EnvoyClient, sandbox: Sandbox, filters: dict[str, Any], param: str
) -> None:
    """When the listing is made, before its first step; the error names the field, and nothing is sent."""
    with pytest.raises(InvalidRequestError) as caught:
        envoy.calls.list(**filters)
    assert caught.value.param == param
    assert sandbox.requests == []


async def test_an_endless_page_number_is_refused_like_any_other(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Python refuses to print such a number, which must not become another exception."""
    with pytest.raises(InvalidRequestError) as caught:
        envoy.calls.list(page=10**5_000)
    assert caught.value.param == "page"
    assert sandbox.requests == []


LOOP: list[object] = []
LOOP.append(LOOP)
BAD_BODIES: list[tuple[dict[Any, Any], str | None]] = [
    ({"rate": math.nan}, "rate"),
    ({"deep": [{"at": MOMENT.replace(tzinfo=None)}]}, "deep[0].at"),
    ({"tags": {"a"}}, "tags"),
    ({"keys": {1: "a"}}, "keys"),
    ({"note": "\ud800"}, None),
    ({"loop": LOOP}, None),
]


@pytest.mark.parametrize(("extra", "param"), BAD_BODIES, ids=[next(iter(extra)) for extra, _ in BAD_BODIES])
@pytest.mark.parametrize("name", ["create", "join"])
async def test_a_bad_body_is_refused_here(
    envoy: EnvoyClient, sandbox: Sandbox, name: str, extra: dict[str, Any], param: str | None
) -> None:
    """A body JSON cannot hold is never half sent; the error names the place."""
    with pytest.raises(InvalidRequestError) as caught:
        await (envoy.calls.create(extra=extra) if name == "create" else envoy.calls.join(NOBODY, extra=extra))
    assert param is None or caught.value.param == param
    assert caught.value.method == "POST"
    assert sandbox.requests == []


async def test_what_the_server_refuses_is_typed(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A 422 names the parameter, also in a listing; an operation refused did not run."""
    with pytest.raises(ValidationError, match="Load not found") as first:
        await envoy.calls.create(extra={"load_id": UUID})
    with pytest.raises(ValidationError) as second:
        await envoy.calls.list(order_by="mood").first()
    assert (first.value.status, first.value.code, first.value.param) == (422, "validation_error", "load_id")
    assert (second.value.param, second.value.route) == ("order_by", "/calls")
    assert sandbox.executions == []


@pytest.mark.parametrize("name", ["get", "join", "end", "recording"])
@pytest.mark.parametrize(
    ("options", "kind", "status"),
    [({"key": "envai_live_wrong"}, NotAuthenticatedError, 401), ({"org": "org_1"}, PermissionDeniedError, 403)],
    ids=["wrong key", "other organization"],
)
async def test_the_wrong_caller_is_refused(
    sandbox: Sandbox, name: str, options: dict[str, str], kind: type[EnvoyError], status: int
) -> None:
    """A wrong key and another organization are told apart; neither is tried again, and nothing runs."""
    key, organization = options.get("key", sandbox.api_key), options.get("org")
    async with EnvoyClient(key, organization_id=organization, base_url=sandbox.base_url) as envoy:
        with pytest.raises(kind) as caught:
            await by_id(envoy)[name](next(iter(sandbox.store.calls)))
    assert caught.value.status == status
    assert "envai_live" not in f"{caught.value!r} {vars(caught.value)}"
    assert (len(sandbox.requests), sandbox.executions) == (1, [])


async def test_extra_fields_are_a_mapping(sandbox: Sandbox, envoy: EnvoyClient) -> None:
    """`extra` that is no mapping is refused here, naming the argument."""
    with pytest.raises(InvalidRequestError) as caught:
        await envoy.calls.create(extra=[("to_number", "x")])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert caught.value.param == "extra"
    assert not sandbox.requests
