"""The operations of the group Calls answer as documented."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import aiohttp
import pytest

from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.answers import timestamp
from envoy_async.sandbox.recordings import recording_bytes

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOON = 1_763_740_800.0  # Unix seconds: 2025-11-21, 16:00 UTC
NOBODY = "00000000-0000-4000-8000-000000000000"
CALL_FIELDS = {
    *("id", "status", "call_time", "created_at", "updated_at", "call_direction", "phone_number", "to_number"),
    *("from_number", "call_start_time", "call_end_time", "call_type", "load_id", "organization_id", "created_by_id"),
    *("recording_status", "load_number"),
}
FILTERS: list[tuple[dict[str, str], Callable[[Any], bool]]] = [
    ({"status": "COMPLETED"}, lambda call: call["status"] == "COMPLETED"),
    ({"status": "UNHEARD_OF"}, lambda _: False),
    ({"time_period": "today"}, lambda call: call["created_at"] >= "2025-11-21"),
    ({"time_period": "yesterday"}, lambda call: call["created_at"][:10] == "2025-11-20"),
    ({"time_period": "last_7_days"}, lambda call: call["created_at"] >= "2025-11-15"),
    ({"time_period": "last_30_days"}, lambda call: call["created_at"] >= "2025-10-23"),
    (
        {"time_period": "custom", "start_date": "2025-09-01", "end_date": "2025-09-30"},
        lambda call: call["created_at"][:7] == "2025-09",
    ),
    ({"start_date": "2025-11-01"}, lambda call: call["created_at"] >= "2025-11-01"),
    ({"end_date": "2025-07-31"}, lambda call: call["created_at"][:10] <= "2025-07-31"),
    ({"status": "", "start_date": "null", "end_date": "", "search": ""}, lambda _: True),
    ({"search": "TRACE"}, lambda call: call["call_type"] == "Track and Trace"),
    ({"search": "+1214555"}, lambda call: call["phone_number"].startswith("+1214555")),
]


def some_call(sandbox: Sandbox, **wanted: object) -> dict[str, object]:
    """Give a call of the store with these values."""
    return next(call for call in sandbox.store.calls.values() if wanted.items() <= call.items())


async def test_pages_follow_each_other_without_gap_or_repeat(sandbox: Sandbox, send: Send) -> None:
    """All pages together are all calls, newest first, and ``has_next`` ends exactly at the last one."""
    rows, page, more = list[dict[str, Any]](), 1, True
    while more:
        _, _, body = await send(sandbox, "GET", "/calls", params={"page": page, "page_size": 40})
        rows += body["data"]
        assert body["pagination"]["has_prev"] is (page > 1)
        page, more = page + 1, body["pagination"]["has_next"]
    assert page == 5
    assert [row["id"] for row in rows] == list(sandbox.store.calls)[::-1]
    assert all(set(row) == CALL_FIELDS for row in rows)


async def test_a_page_past_the_end_is_empty(sandbox: Sandbox, send: Send) -> None:
    """It says so in its envelope; the defaults are page 1 of 20."""
    _, _, first = await send(sandbox, "GET", "/calls")
    _, _, past = await send(sandbox, "GET", "/calls?page=9")
    envelope = {"page_size": 20, "total_count": 150, "total_pages": 8}
    assert first["pagination"] == {**envelope, "page": 1, "has_next": True, "has_prev": False}
    assert past == {"data": [], "pagination": {**envelope, "page": 9, "has_next": False, "has_prev": True}}


@pytest.mark.parametrize(("query", "expected"), FILTERS)
async def test_filters_keep_what_they_name(
    sandbox: Sandbox, send: Send, query: dict[str, str], expected: Callable[[Any], bool]
) -> None:
    """Status, period, days (both included), and search keep exactly the matching calls."""
    _, _, body = await send(sandbox, "GET", "/calls", params={**query, "page_size": "100"})
    wanted = [call["id"] for call in reversed(sandbox.store.calls.values()) if expected(call)]
    assert [call["id"] for call in body["data"]] == wanted[:100]
    assert body["pagination"]["total_count"] == len(wanted)


async def test_a_search_finds_the_calls_of_a_load(sandbox: Sandbox, send: Send) -> None:
    """By its number and by its id."""
    call = next(call for call in sandbox.store.calls.values() if call["load_id"])
    by_number = (await send(sandbox, "GET", "/calls", params={"search": call["load_number"]}))[2]
    by_id = (await send(sandbox, "GET", "/calls", params={"search": call["load_id"]}))[2]
    assert by_number == by_id
    assert call in by_number["data"]


@pytest.mark.parametrize("down", ["true", "false"])
async def test_any_field_sorts_either_way_with_empty_values_last(sandbox: Sandbox, send: Send, down: str) -> None:
    """Calls without an end come after all others, upwards and downwards."""
    query = {"order_by": "call_end_time", "order_desc": down, "page_size": 100}
    ends = list[str | None]()
    for page in (1, 2):
        ends += [
            call["call_end_time"]
            for call in (await send(sandbox, "GET", "/calls", params={**query, "page": page}))[2]["data"]
        ]
    filled = [end for end in ends if end is not None]
    assert filled == sorted(filled, reverse=down == "true")
    assert 0 < len(filled) < len(ends)
    assert set(ends[len(filled) :]) == {None}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("page=0", "page"),
        ("page=two", "page"),
        ("page=", "page"),
        ("page=1e3", "page"),
        ("page=-1", "page"),
        ("page=%D9%A1", "page"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("order_by=mood", "order_by"),
        ("order_desc=maybe", "order_desc"),
        ("order_desc=null", "order_desc"),
        ("order_by=", "order_by"),
        ("time_period=", "time_period"),
        ("time_period=ages", "time_period"),
        ("time_period=custom&end_date=2025-01-01", "start_date"),
        ("time_period=custom&start_date=2025-01-01", "end_date"),
        ("start_date=21.11.2025", "start_date"),
        ("end_date=20251121", "end_date"),
        ("start_date=0000-01-01", "start_date"),
        ("end_date=2025-02-30", "end_date"),
        ("end_date=2025-11-21%0A", "end_date"),
    ],
)
async def test_a_bad_query_names_its_parameter(sandbox: Sandbox, send: Send, query: str, param: str) -> None:
    """It is a 422 validation_error."""
    status, _, body = await send(sandbox, "GET", f"/calls?{query}")
    assert (status, body["error"]["code"], body["error"]["param"]) == (422, "validation_error", param)


@pytest.mark.parametrize("search", ["\u0000", "\U0001f69a", "' OR 1=1 --", "%", "(", "\u0130"])
async def test_an_odd_search_finds_nothing(sandbox: Sandbox, send: Send, search: str) -> None:
    """Whatever characters it is made of, it is plain text."""
    status, _, body = await send(sandbox, "GET", "/calls", params={"search": search})
    assert (status, body["data"]) == (200, [])


async def test_a_page_far_beyond_the_end_is_empty_too(sandbox: Sandbox, send: Send) -> None:
    """Its number may have more digits than any machine counts with."""
    status, _, body = await send(sandbox, "GET", f"/calls?page={10**40}")
    assert (status, body["data"], body["pagination"]["page"]) == (200, [], 10**40)


async def test_a_call_is_found_by_its_id_or_bare_uuid(sandbox: Sandbox, send: Send) -> None:
    """All forms give the same record; the digits of the uuid may be capitals."""
    call = some_call(sandbox)
    bare = str(call["id"]).removeprefix("call_")
    for call_id in (call["id"], bare, bare.upper(), "call_" + bare.upper()):
        assert (await send(sandbox, "GET", f"/calls/{call_id}"))[2] == call


@pytest.mark.parametrize(
    "call_id", [f"load_{NOBODY}", "call_1", "1", f"CALL_{NOBODY}", f"call_call_{NOBODY}", "call_%00"]
)
async def test_an_id_of_the_wrong_shape_is_a_400(sandbox: Sandbox, send: Send, call_id: str) -> None:
    """Another prefix, one in capitals, two, or no uuid are invalid_id_format."""
    status, _, body = await send(sandbox, "GET", f"/calls/{call_id}")
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_id_format", "call_id")


@pytest.mark.parametrize(
    ("method", "action"), [("GET", ""), ("POST", "/join"), ("POST", "/end"), ("GET", "/recording")]
)
async def test_an_unknown_call_is_a_404(sandbox: Sandbox, send: Send, method: str, action: str) -> None:
    """Whatever is asked of it; nothing counts as having run."""
    status, _, body = await send(sandbox, method, f"/calls/call_{NOBODY}{action}")
    assert (status, body) == (404, {"error": {"code": "not_found", "message": "Call not found", "param": "id"}})
    assert sandbox.executions == []


async def test_a_created_call_is_scheduled_and_listed_first(sandbox: Sandbox, send: Send) -> None:
    """It belongs to the load it names, goes out, and can be read back."""
    load_id, load = next(iter(sandbox.store.loads.items()))
    status, _, call = await send(
        sandbox, "POST", "/calls", json={"to_number": "+12145550123", "load_id": load_id, "x": 1}
    )
    assert (status, set(call)) == (200, CALL_FIELDS)
    assert (call["status"], call["call_direction"], call["phone_number"]) == ("SCHEDULED", "OUTBOUND", "+12145550123")
    assert (call["load_id"], call["load_number"]) == (load_id, load["load_number"])
    assert (await send(sandbox, "GET", "/calls"))[2]["data"][0] == call
    assert sandbox.executions[0].body == {"to_number": "+12145550123", "load_id": load_id, "x": 1}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 422, None),
        (b"[]", 422, None),
        (b"{", 422, None),
        (b'{"x": NaN}', 422, None),
        (b"\xff", 422, None),
        ('{"x": "\u00e9"}'.encode("utf-16"), 422, None),
        (rb'{"x": "\ud800"}', 422, None),
        (rb'{"\udfff": 1}', 422, None),
        (b'{"x": "\xed\xa0\x80"}', 422, None),
        (b'{"x": [1e400]}', 422, None),
        (b'{"x": -1' + b"0" * 400 + b"}", 422, None),
        (b'{"x": 1' + b"0" * 5_000 + b"}", 422, None),
        (b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}", 422, None),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422, None),
        (b'{"phone_number": "214-555-0123"}', 422, "phone_number"),
        (b'{"to_number": 12145550123}', 422, "to_number"),
        (b'{"load_id": "call_1"}', 400, "load_id"),
        (b'{"load_id": 5}', 400, "load_id"),
        (f'{{"load_id": "{NOBODY}"}}'.encode(), 422, "load_id"),
    ],
)
async def test_a_bad_call_is_refused(sandbox: Sandbox, send: Send, body: bytes, status: int, param: str | None) -> None:
    """Not JSON, not an object, beyond what every reader takes, not E.164, or of an unknown load: nothing is created."""
    answer = await send(sandbox, "POST", "/calls", data=body)
    assert (answer[0], answer[2]["error"]["param"]) == (status, param)
    assert len(sandbox.store.calls) == 150
    assert sandbox.executions == []


@pytest.mark.parametrize(
    "body",
    [
        rb'{"x": "\u0000", "\u0000": 1}',
        rb'{"x": "\ud83d\ude9a"}',
        b'{"x": 1, "x": 2, "load_id": "call_1", "load_id": null}',
        b'{"x": 1.5e308, "y": -12345678901234567890123}',
        b'{"x": ' + b"[" * 98 + b"]" * 98 + b"}",
        b'{"phone_number": null, "to_number": null, "load_id": null}',
    ],
)
async def test_odd_but_valid_json_is_accepted(sandbox: Sandbox, send: Send, body: bytes) -> None:
    """NUL, emoji, repeated keys (the last counts), large numbers, deep nesting, and nulls do no harm."""
    status, _, call = await send(sandbox, "POST", "/calls", data=body)
    assert (status, call["load_id"], call["phone_number"]) == (200, None, None)


async def test_a_call_is_answered_and_ends_by_itself(send: Send) -> None:
    """It is scheduled for 2 seconds and in progress for 120 more, whoever looks, and then can be listened to."""
    now = [NOON]
    async with Sandbox(calls=20, loads=5, quota=None, clock=lambda: now[0]) as sandbox:
        load_id = next(iter(sandbox.store.loads))
        call_id = (await send(sandbox, "POST", "/calls", json={"load_id": load_id}))[2]["id"]
        statuses = list[str]()
        for moment in (1.9, 2.0, 121.9, 122.0, 9_999.0):
            now[0] = NOON + moment
            statuses.append((await send(sandbox, "GET", f"/calls/{call_id}"))[2]["status"])
        assert statuses == ["SCHEDULED", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED", "COMPLETED"]
        _, _, recording = await send(sandbox, "GET", f"/calls/{call_id}/recording")
    call = sandbox.store.calls[call_id]
    assert (call["call_start_time"], call["call_end_time"]) == (timestamp(NOON + 2), timestamp(NOON + 122))
    assert call["updated_at"] == call["call_end_time"]
    assert recording["duration_seconds"] == 120.0


@pytest.mark.parametrize("path", ["/calls?page_size=1", "/loads/{load_id}/calls"])
async def test_listings_show_how_far_a_call_is(send: Send, path: str) -> None:
    """The first look may come long after everything happened."""
    now = [NOON]
    async with Sandbox(calls=0, loads=5, quota=None, clock=lambda: now[0]) as sandbox:
        load_id = next(iter(sandbox.store.loads))
        await send(sandbox, "POST", "/calls", json={"load_id": load_id})
        now[0] += 3_600
        body = (await send(sandbox, "GET", path.format(load_id=load_id)))[2]
    call = (body if path.endswith("/calls") else body["data"])[0]
    assert (call["status"], call["call_end_time"]) == ("COMPLETED", timestamp(NOON + 122))


async def test_seeded_calls_stay_as_they_are(send: Send) -> None:
    """Time passes for calls made through the API only."""
    now = [NOON]
    async with Sandbox(calls=300, loads=5, quota=None, clock=lambda: now[0]) as sandbox:
        before = json.dumps(sandbox.store.calls)
        now[0] += 86_400
        await send(sandbox, "GET", "/calls")
    assert json.dumps(sandbox.store.calls) == before


async def test_a_talk_that_somebody_ends_is_recorded(send: Send) -> None:
    """A call ended before its answer is cancelled for good; one ended after it lasted as long as the talk."""
    now = [NOON]
    async with Sandbox(calls=0, loads=0, quota=None, clock=lambda: now[0]) as sandbox:
        early, late = [(await send(sandbox, "POST", "/calls", json={}))[2]["id"] for _ in range(2)]
        await send(sandbox, "POST", f"/calls/{early}/end")
        now[0] += 32
        ended = (await send(sandbox, "POST", f"/calls/{late}/end"))[2]
        recording = (await send(sandbox, "GET", f"/calls/{late}/recording"))[2]
        now[0] += 1_000
        await send(sandbox, "GET", "/calls")
    assert (ended["previous_status"], recording["duration_seconds"]) == ("IN_PROGRESS", 30.0)
    assert [sandbox.store.calls[key]["status"] for key in (early, late)] == ["CANCELLED", "COMPLETED"]
    assert sandbox.store.calls[early]["recording_status"] is None


async def test_a_joined_call_ends_by_itself_too(send: Send) -> None:
    """120 seconds after it was joined; and a call that vanished meanwhile is in nobody's way."""
    now = [NOON]
    async with Sandbox(calls=0, loads=0, quota=None, clock=lambda: now[0]) as sandbox:
        call_id, gone = [(await send(sandbox, "POST", "/calls", json={}))[2]["id"] for _ in range(2)]
        sandbox.store.delete_call(gone)
        now[0] += 1
        await send(sandbox, "POST", f"/calls/{call_id}/join")
        statuses = list[str]()
        for moment in (120.9, 121.0):
            now[0] = NOON + moment
            statuses += [row["status"] for row in (await send(sandbox, "GET", "/calls"))[2]["data"]]
    assert statuses == ["IN_PROGRESS", "COMPLETED"]


async def test_ending_is_harmless_when_repeated(sandbox: Sandbox, send: Send) -> None:
    """A scheduled call is cancelled once; the second time only says so."""
    call_id = (await send(sandbox, "POST", "/calls", json={}))[2]["id"]
    first = (await send(sandbox, "POST", f"/calls/{call_id}/end"))[2]
    second = (await send(sandbox, "POST", f"/calls/{call_id}/end"))[2]
    assert first == {"success": True, "message": "Call ended", "call_id": call_id, "previous_status": "SCHEDULED"}
    assert (second["message"], second["previous_status"]) == ("Call already ended", "CANCELLED")


async def test_a_joined_call_is_live_until_it_is_ended(sandbox: Sandbox, send: Send) -> None:
    """Joining starts a scheduled call, joining again changes nothing, and ending completes it."""
    call_id = (await send(sandbox, "POST", "/calls", json={}))[2]["id"]
    previous = [(await send(sandbox, "POST", f"/calls/{call_id}/join"))[2]["previous_status"] for _ in range(2)]
    assert previous == ["SCHEDULED", "IN_PROGRESS"]
    await send(sandbox, "POST", f"/calls/{call_id}/end")
    call = sandbox.store.calls[call_id]
    assert (call["status"], call["recording_status"]) == ("COMPLETED", "AVAILABLE")
    assert str(call["created_at"]) < str(call["call_start_time"]) < str(call["call_end_time"])
    assert (await send(sandbox, "POST", f"/calls/{call_id}/join"))[0] == 422


async def test_a_recording_is_served_without_credentials(sandbox: Sandbox, send: Send) -> None:
    """Its link lies outside the API on the sandbox's own origin, and size and type are as announced."""
    call = some_call(sandbox, recording_status="AVAILABLE")
    _, _, recording = await send(sandbox, "GET", f"/calls/{call['id']}/recording")
    status, headers, body = await send(sandbox, "GET", recording["url"], headers={})
    assert (status, headers["Content-Type"], len(body)) == (200, "audio/mp4", recording["file_size_bytes"])
    assert recording["url"].startswith(sandbox.base_url.removesuffix("/api/v1") + "/recordings/")
    assert recording["expires_at"] == "2025-11-21T17:00:00.000000Z"
    assert recording["recording_start_time"] == call["call_start_time"]
    assert recording["duration_seconds"] > 0
    assert "X-RateLimit-Limit" not in headers


async def test_a_forged_or_expired_link_is_refused(sandbox: Sandbox, send: Send) -> None:
    """403 in plain text."""
    now = [NOON]
    async with Sandbox(calls=150, loads=1, clock=lambda: now[0]) as other:
        call = some_call(other, recording_status="AVAILABLE")
        url = (await send(other, "GET", f"/calls/{call['id']}/recording"))[2]["url"]
        now[0] += 3_600
        statuses = [(await send(other, "GET", link, headers={}))[0] for link in (url, url + "0", url.split("?")[0])]
    assert statuses == [403, 403, 403]


RANGES = [
    ("bytes=0-", 206, slice(0, None)),
    ("bytes=4119-", 206, slice(4119, None)),
    ("bytes=5-9", 206, slice(5, 10)),
    ("bytes=5-9999", 206, slice(5, None)),
    ("bytes=-20", 206, slice(-20, None)),
    ("bytes=-9999", 206, slice(0, None)),
    ("bytes=4120-", 416, slice(0, 0)),
    ("bytes=-0", 416, slice(0, 0)),
    ("bytes=0-1,5-6", 200, slice(0, None)),
    ("items=0-1", 200, slice(0, None)),
]


@pytest.mark.parametrize(("wanted", "expected", "part"), RANGES)
async def test_a_recording_is_served_in_parts(
    sandbox: Sandbox, send: Send, wanted: str, expected: int, part: Any
) -> None:
    """One range gives that part and says where it lies; one behind the end is a 416; what is no range is ignored."""
    call = some_call(sandbox, recording_status="AVAILABLE")
    url = (await send(sandbox, "GET", f"/calls/{call['id']}/recording"))[2]["url"]
    file = recording_bytes(str(call["id"]))
    status, headers, body = await send(sandbox, "GET", url, headers={"Range": wanted})
    assert (status, body or b"", headers["Accept-Ranges"]) == (expected, file[part], "bytes")
    first = part.indices(len(file))[0]
    told = {200: None, 206: f"bytes {first}-{first + len(body or b'') - 1}/4120", 416: "bytes */4120"}
    assert headers.get("Content-Range") == told[expected]


async def test_a_part_of_another_version_is_the_whole(sandbox: Sandbox, send: Send) -> None:
    """A range under the condition of a tag holds for the file of that tag alone."""
    call = some_call(sandbox, recording_status="AVAILABLE")
    url = (await send(sandbox, "GET", f"/calls/{call['id']}/recording"))[2]["url"]
    tag = (await send(sandbox, "GET", url, headers={}))[1]["ETag"]
    for condition, expected in ((tag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=9-", "If-Range": condition}
        assert (await send(sandbox, "GET", url, headers=headers))[0] == expected


async def test_faults_hit_files_of_recordings_too(sandbox: Sandbox, send: Send) -> None:
    """A script may cut, refuse, delay, or drop a file under the path `/recordings/{call_id}.mp4`."""
    call = some_call(sandbox, recording_status="AVAILABLE")
    url = (await send(sandbox, "GET", f"/calls/{call['id']}/recording"))[2]["url"]
    path = "/recordings/{call_id}.mp4"
    sandbox.fail(Fault(path=path, status=503))
    sandbox.fail(Fault(path=path, nth=2, delay=0.001, headers={"ETag": '"other"'}))
    sandbox.fail(Fault(path=path, nth=3, cut=10))
    sandbox.fail(Fault(path=path, nth=4, times=2, drop="before"))  # aiohttp asks a second time by itself
    assert (await send(sandbox, "GET", url, headers={}))[0] == 503
    assert (await send(sandbox, "GET", url, headers={}))[1]["ETag"] == '"other"'
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await send(sandbox, "GET", url, headers={})
    assert (await send(sandbox, "GET", url, headers={}))[0] == 200


async def test_a_call_without_recording_is_a_404(sandbox: Sandbox, send: Send) -> None:
    """The message tells that it is the recording that is missing."""
    call = some_call(sandbox, recording_status=None)
    status, _, body = await send(sandbox, "GET", f"/calls/{call['id']}/recording")
    assert (status, body["error"]["message"]) == (404, "Recording not found")


async def test_a_page_of_100_is_quick(send: Send) -> None:
    """The fastest of fifty large pages out of 2,500 calls is far below 20 ms (2 ms is usual)."""
    took = list[float]()
    async with (
        Sandbox(quota=None) as sandbox,
        aiohttp.ClientSession(headers={"X-API-Key": sandbox.api_key}) as session,
    ):
        for page in range(50):
            start = time.perf_counter()
            async with session.get(f"{sandbox.base_url}/calls?page_size=100&page={page % 25 + 1}") as answer:
                await answer.read()
            took.append(time.perf_counter() - start)
    assert min(took) < 0.02
