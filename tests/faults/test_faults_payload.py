"""Faults 36 to 48, 51, 52: a success whose body is not what the API promises: never half an answer, never a guess."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import time
import tracemalloc
from datetime import UTC, datetime

import pytest

from envoy_async import errors
from envoy_async.models import CallStatus, NewLoad
from tests.faults.conftest import (
    READ,
    SHOWN,
    assert_final,
    assert_unknown,
    every_operation,
    fails,
    repeatable,
)
from tests.transport.conftest import (
    GOOD,
    NOT_HTTP,
    PAGINATION,
    RECORD,
    STOPS,
    UUID,
    MisbehavingServer,
    Operation,
    Step,
    answer,
    bomb,
    html,
    make_client,
    packed,
    raw,
)

SELDOM: dict[str, Operation] = {
    "model": READ,
    "listing": lambda envoy: envoy.calls.list().collect(),
    "mapping": lambda envoy: envoy.loads.tab_counts(),
    "anything": lambda envoy: envoy.request("GET", "/loads/tab-counts", into=object),
}
every_shape = pytest.mark.parametrize("operation", SELDOM.values(), ids=list(SELDOM))


def body_with(**fields: object) -> bytes:
    """Make a call's record with these fields changed; `...` leaves one out."""
    return json.dumps({name: value for name, value in {**RECORD, **fields}.items() if value is not ...}).encode()


def page_of(*records: bytes) -> bytes:
    """Make a page of these records."""
    told = json.dumps({**PAGINATION, "total_count": len(records)}).encode()
    return b'{"data": [%s], "pagination": %s}' % (b", ".join(records), told)


@repeatable
async def test_fault_036_html(operation: Operation) -> None:
    """The page of a portal or proxy is not data, whatever its status says."""
    error = await assert_final(operation, html, errors.InvalidResponseError)
    assert (error.status, "HTML" in error.message) == (200, True)


async def test_fault_036_html_after_a_phone_call() -> None:
    """Whether the request came through to the server nobody knows."""
    await assert_unknown(html, errors.InvalidResponseError, 200)


BLANKS = [b"", b" ", b"null", b"[]", b"[null]", b"{}", b"5", b"true", b'"text"', b'{"data": {}}', b'{"data": null}']


@pytest.mark.parametrize("body", BLANKS, ids=str)
async def test_fault_037_another_shape(body: bytes) -> None:
    """Nothing, null, or another shape is an error that names the place; no `None` gets through."""
    await assert_final(READ, answer(200, body), errors.InvalidResponseError)


@pytest.mark.parametrize("body", [body for body in BLANKS if body != b"[]"], ids=str)
async def test_fault_037_another_shape_of_a_listing(body: bytes) -> None:
    """A listing does not end quietly because its page has another shape."""
    await assert_final(SELDOM["listing"], answer(200, body), errors.InvalidResponseError)


@pytest.mark.parametrize("body", BLANKS, ids=str)
async def test_fault_037_another_shape_after_a_phone_call(body: bytes) -> None:
    """A success of another shape did run: unknown, with the status."""
    await assert_unknown(answer(201, body), errors.InvalidResponseError, 201)


async def test_fault_037_what_is_tolerated() -> None:
    """A bare array is one whole page, and where no answer is promised none is needed."""
    script = (answer(200, b"[%s]" % body_with()), answer(200, b"[]"), answer(204, b""), answer(200, b"whatever"))
    async with MisbehavingServer(*script) as server, make_client(server.url) as envoy:
        assert [call.id for call in await envoy.calls.list().collect()] == [RECORD["id"]]
        assert await envoy.calls.list().collect() == []
        await envoy.webhook_endpoints.delete(UUID)
        await envoy.webhook_endpoints.delete(UUID)


@pytest.mark.parametrize(
    "kind", ["text/html", "text/plain; charset=utf-8", "application/octet-stream", "", "\u00e9", "application/json;;;"]
)
@every_operation
async def test_fault_038_another_content_type(kind: str, operation: Operation) -> None:
    """JSON is read by what it is, not by what its label says."""
    step = answer(200, SHOWN, headers={"Content-Type": kind})
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        await operation(envoy)
        assert len(server.executed) == 1


@pytest.mark.parametrize("charset", ["rot13", "latin-1", "utf-16", "utf-8-sig", "nonsense", "hex", '"', "ascii"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
async def test_fault_039_charset_and_byte_order_mark(charset: str, mark: bytes) -> None:
    """Text is UTF-8 whatever the label says, and a byte order mark is no part of it."""
    body = mark + json.dumps({**RECORD, "load_number": "Łódź"}, ensure_ascii=False).encode()
    step = answer(200, body, headers={"Content-Type": f"application/json; charset={charset}"})
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        assert (await envoy.calls.get(UUID)).load_number == "Łódź"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp037"])
async def test_fault_039_bytes_that_are_not_utf_8(encoding: str) -> None:
    """What is not UTF-8 is an error, not a guess."""
    step = answer(
        200, GOOD.decode().encode(encoding), headers={"Content-Type": f"application/json; charset={encoding}"}
    )
    await assert_final(READ, step, errors.InvalidResponseError)


NOT_NUMBERS = ["NaN", "-NaN", "Infinity", "-Infinity"]
TOO_LARGE = ["1e999", "-1e999", "9" * 5_000, "1" + "0" * 400 + ".5"]
PLAIN = {name: SELDOM[name] for name in ("mapping", "anything")}


def recording(number: str) -> Step:
    """Answer with a recording that lasts so long."""
    body = {"call_id": "c", "url": "https://x.example", "content_type": "audio/mpeg", "recording_status": "READY"}
    whole = json.dumps({**body, "expires_at": "2026-01-01T00:00:00Z"}).encode()
    return answer(200, whole[:-1] + b', "duration_seconds": %s}' % number.encode())


@every_shape
@pytest.mark.parametrize("number", NOT_NUMBERS)
async def test_fault_040_no_numbers(number: str, operation: Operation) -> None:
    """NaN and Infinity are no JSON, wherever they stand."""
    body = GOOD[:-1] + b', "brand_new": %s}' % number.encode()
    await assert_final(operation, answer(200, body), errors.InvalidResponseError)


@pytest.mark.parametrize("operation", PLAIN.values(), ids=list(PLAIN))
@pytest.mark.parametrize("number", TOO_LARGE, ids=lambda number: number[:9])
async def test_fault_040_numbers_too_large(number: str, operation: Operation) -> None:
    """No infinity and no endless digits get into a plain mapping."""
    await assert_final(operation, answer(200, b'{"rate": %s}' % number.encode()), errors.InvalidResponseError)


@pytest.mark.parametrize("number", [*NOT_NUMBERS, *TOO_LARGE], ids=lambda number: number[:9])
async def test_fault_040_numbers_in_a_known_field(number: str) -> None:
    """A recording is not NaN or infinitely many seconds long, and the error does not quote the digits."""
    error = await assert_final(
        lambda envoy: envoy.calls.recording(UUID), recording(number), errors.InvalidResponseError
    )
    assert number[:20] not in str(error).replace("NaN or", "")


@every_shape
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"data": [', b'[{"id": ['], ids=str)
async def test_fault_041_depth_bomb(opening: bytes, operation: Operation) -> None:
    """A body nested 200,000 deep is an error of the answer, not a crash."""
    await assert_final(operation, answer(200, opening * 200_000), errors.InvalidResponseError)


async def test_fault_041_depth_bomb_after_a_phone_call() -> None:
    """The call was placed, by the status."""
    await assert_unknown(answer(200, b"[" * 200_000), errors.InvalidResponseError, 200)


async def _never_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(64 * 1024))
        await writer.drain()


endless = Step("endless", _never_end)
zipped_endless = packed(gzip.compress(bytes(17 << 20), compresslevel=1))


async def assert_bounded(step: Step) -> errors.EnvoyError:
    """Check that an answer is given up at 16 MiB: little memory, little time, one attempt."""
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        began = time.perf_counter()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        error = await fails(envoy.loads.tab_counts(), errors.InvalidResponseError)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak - before < 32 << 20
        assert time.perf_counter() - began < 10
        assert len(server.executed) == 1
        assert not error.cut  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("step", [bomb, zipped_endless], ids=str)
async def test_fault_042_decompression_bomb(step: Step) -> None:
    """1 GiB packed into 1 MiB is given up after 16 MiB."""
    error = await assert_bounded(step)
    assert "larger than 16777216 bytes" in error.message


async def test_fault_042_decompression_bomb_after_a_phone_call() -> None:
    """The call was placed, by the status; it is not placed again to get a smaller answer."""
    await assert_unknown(zipped_endless, errors.InvalidResponseError, 200)


async def test_fault_043_endless_body() -> None:
    """The same bound holds for a body that is not packed."""
    error = await assert_bounded(endless)
    assert "larger than 16777216 bytes" in error.message


async def test_fault_043_huge_page() -> None:
    """A page of more records than were asked for is read whole, once, within the same bound on its bytes."""
    records = [body_with(id=f"call_{number}") for number in range(5_000)]
    async with MisbehavingServer(answer(200, page_of(*records))) as server, make_client(server.url) as envoy:
        found = await envoy.calls.list(page_size=10).collect()
        assert len({call.id for call in found}) == len(found) == 5_000
        assert len(await envoy.calls.list(page_size=10, limit=25).collect()) == 25
        assert len(server.executed) == 2


async def test_fault_044_unknown_field_and_unknown_value() -> None:
    """A field the SDK does not know does no harm, and a value it does not know stays usable, in all records."""
    records = [body_with(id=str(number), brand_new={"a": [1, None]}, status="ASCENDED") for number in range(3)]
    async with MisbehavingServer(answer(200, page_of(*records))) as server, make_client(server.url) as envoy:
        pages = [page async for page in envoy.calls.list().by_page()]
    (page,) = pages
    assert [call.status for call in page.items] == ["ASCENDED"] * 3
    assert not any(call.status.is_known for call in page.items)
    assert all(isinstance(call.status, CallStatus) for call in page.items)
    assert b"brand_new" in page.raw


@pytest.mark.parametrize(("field", "value"), [("id", ...), ("id", None), ("status", None), ("created_at", ...)])
async def test_fault_045_required_field_missing_or_null(field: str, value: object) -> None:
    """A record without what is required is named by its place, and never becomes the text "None"."""
    step = answer(200, page_of(body_with(), body_with(**{"id": "second", field: value})))
    error = await assert_final(SELDOM["listing"], step, errors.InvalidResponseError)
    assert f"$.data[1].{field}" in error.message


WRONG: list[tuple[str, object]] = [
    ("id", 5),
    ("id", ["a"]),
    ("id", True),
    ("load_number", 5.5),
    ("load_number", {"a": "b"}),
    ("status", 5),
    ("status", ["COMPLETED"]),
    ("created_at", 1_763_740_800),
    ("created_at", True),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=str)
async def test_fault_046_wrong_type(field: str, value: object) -> None:
    """A wrong type is an error, not a silent change."""
    error = await assert_final(READ, answer(200, body_with(**{field: value})), errors.InvalidResponseError)
    assert f"$.{field}" in error.message


@pytest.mark.parametrize("value", ["5", 5.9, True, False, [5], {"a": 5}, "", "1e3"], ids=str)
async def test_fault_046_wrong_number(value: object) -> None:
    """Text, a fraction, or a boolean is no whole number."""
    pagination = {**PAGINATION, "total_count": value}
    body = json.dumps({"data": [RECORD], "pagination": pagination}).encode()
    await assert_final(SELDOM["listing"], answer(200, body), errors.InvalidResponseError)


SAME = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T10:00:00Z", SAME),
        ("2026-11-21T10:00:00+00:00", SAME),
        ("2026-11-21T10:00:00-00:00", SAME),
        ("2026-11-21T12:00:00+02:00", SAME),
        ("2026-11-21T10:00:00.000000000Z", SAME),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
async def test_fault_047_dates(text: str, moment: datetime) -> None:
    """A moment is read with its zone, however that is spelled."""
    async with MisbehavingServer(answer(200, body_with(created_at=text))) as server, make_client(server.url) as envoy:
        found = (await envoy.calls.get(UUID)).created_at
    assert found == moment
    assert found.utcoffset() is not None


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:00:00",
        "2016-12-31T23:59:60Z",
        "10000-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-21T25:00:00Z",
        "2026-11-21",
        "Sat, 21 Nov 2026 10:00:00 GMT",
        "1763740800",
        "yesterday",
        "",
    ],
)
async def test_fault_047_dates_that_are_none(text: str) -> None:
    """A moment without a zone, a leap second, and what is no date are errors that name the field."""
    error = await assert_final(READ, answer(200, body_with(created_at=text)), errors.InvalidResponseError)
    assert "$.created_at" in error.message


@pytest.mark.parametrize("text", [r"\ud800", r"a\udfffb", r"\u0000", r"\u001b[31m", r"\u2028", r"\r\nX: 1"], ids=str)
async def test_fault_048_odd_text(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """Text that is no Unicode, or holds control signs, is kept as data, and can be logged in UTF-8, in one line."""
    body = body_with().replace(b'"LD1"', b'"%s"' % text.encode())
    async with MisbehavingServer(answer(200, body)) as server, make_client(server.url) as envoy:
        call = await envoy.calls.get(UUID)
    assert call.load_number == json.loads(f'"{text}"')
    logging.getLogger("users.own").warning("%s", call)
    assert caplog.messages
    for said in (caplog.messages[-1], repr(call)):
        assert len(said.encode().splitlines()) == 1


both = raw(
    "length and chunked",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
)
same_length_twice = raw("same length twice", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}")
null_in_header = raw("NUL in a header", b"HTTP/1.1 200 OK\r\nX-Odd: a\x00b\r\nContent-Length: 2\r\n\r\n{}")
negative = raw("negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}")
odd_chunk = raw("odd chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")
FRAMING = (*NOT_HTTP, both, same_length_twice, null_in_header, negative, odd_chunk)


@repeatable
@pytest.mark.parametrize("step", FRAMING, ids=str)
async def test_fault_051_framing_conflict(step: Step, operation: Operation) -> None:
    """What contradicts itself is not HTTP; the status 400 that aiohttp makes up for it does not show."""
    error = await assert_final(operation, step, errors.InvalidResponseError)
    assert error.status is None
    assert "did not answer in HTTP" in error.message


@pytest.mark.parametrize("step", FRAMING, ids=str)
async def test_fault_051_framing_conflict_after_a_phone_call(step: Step) -> None:
    """Something answered, so the call may have been placed: unknown, without a made-up status."""
    await assert_unknown(step, errors.InvalidResponseError)


LOADS = [NewLoad(load_number=name, equipment_type="VAN", stops=STOPS) for name in ("LD1", "LD2", "LD3")]


def batch(*results: tuple[str, bool], **changes: object) -> bytes:
    """Make the answer to a batch."""
    good = sum(success for _, success in results)
    body: dict[str, object] = {
        "success": good > 0,
        "total_loads": len(results),
        "successful": good,
        "failed": len(results) - good,
        "created": good,
        "updated": 0,
        "results": [{"load_identifier": name, "success": success} for name, success in results],
        "processed_at": "2026-11-21T10:00:00Z",
    }
    return json.dumps({**body, **changes}).encode()


@pytest.mark.parametrize("order", [("LD1", "LD2", "LD3"), ("LD3", "LD1", "LD2")], ids=str)
async def test_fault_052_batch_that_went_through_in_part(order: tuple[str, ...]) -> None:
    """Each load has its own result, in the order sent, whatever the order of the answer."""
    step = answer(200, batch(*((name, name != "LD2") for name in order)))
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        found = await envoy.loads.create_batch(LOADS)
    assert [(item.load_identifier, item.success) for item in found.results] == [
        ("LD1", True),
        ("LD2", False),
        ("LD3", True),
    ]
    assert (found.successful, found.failed) == (2, 1)


MISMATCHES: dict[str, bytes] = {
    "too few results": batch(("LD1", True), ("LD2", True)),
    "too many results": batch(*((name, True) for name in ("LD1", "LD2", "LD3", "LD4"))),
    "no results": batch(("LD1", True), ("LD2", True), ("LD3", True), results=[]),
    "total too small": batch(("LD1", True), ("LD2", True), ("LD3", True), total_loads=2),
    "successes do not add up": batch(("LD1", True), ("LD2", True), ("LD3", True), successful=2),
    "negative failures": batch(("LD1", True), ("LD2", True), ("LD3", True), failed=-1),
}


@pytest.mark.parametrize("body", MISMATCHES.values(), ids=list(MISMATCHES))
async def test_fault_052_batch_that_does_not_match(body: bytes) -> None:
    """Counts or results that do not match what was sent are an error: no result could stand for another load."""
    async with MisbehavingServer(answer(200, body)) as server, make_client(server.url) as envoy:
        error = await fails(envoy.loads.create_batch(LOADS), errors.InvalidResponseError)
        assert len(server.executed) == 1
    assert "do not match" in error.message
