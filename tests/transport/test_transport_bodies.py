"""Bodies: whole ones are read, whatever their packing; anything else is an error, and never half an answer."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys

import pytest

from envoy_async import RetryPolicy, errors
from envoy_async._transport._body import Body
from tests.transport.conftest import (
    CUT,
    GOOD,
    KEY,
    NOT_HTTP,
    RECORD,
    UNREADABLE,
    UUID,
    MisbehavingServer,
    Step,
    answer,
    bom,
    bomb,
    endless_chunks,
    failure_of,
    half_body,
    make_client,
    packed,
    raw,
)

ONCE = RetryPolicy(max_attempts=1)
ZIPPED = gzip.compress(GOOD)
CLOSED = raw("until closed", b"HTTP/1.1 200 OK\r\n\r\n" + GOOD)
SLICED = [bytes([byte]) for byte in ZIPPED]
SLICES = b"".join(b"1\r\n%s\r\n" % byte for byte in SLICED) + b"0\r\n\r\n"
SLICED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(answer(), id="length"),
        pytest.param(answer(chunked=True), id="chunked"),
        pytest.param(CLOSED, id="until closed"),
        pytest.param(packed(ZIPPED), id="gzip"),
        pytest.param(packed(ZIPPED, "GZIP"), id="gzip in capitals"),
        pytest.param(packed(ZIPPED, "x-gzip"), id="x-gzip"),
        pytest.param(packed(GOOD, "identity"), id="identity"),
        pytest.param(answer(200, ZIPPED, headers={"Content-Encoding": "gzip"}, chunked=True), id="gzip chunked"),
        pytest.param(raw("slices", SLICED_HEAD + SLICES), id="gzip byte by byte"),
        pytest.param(bom, id="byte order mark"),
        pytest.param(answer(headers={"Content-Type": "text/html; charset=rot13"}), id="nonsense charset"),
        pytest.param(answer(201), id="created"),
    ],
)
async def test_whole_bodies_are_read(step: Step) -> None:
    """However a whole body is framed, packed, or labelled, it gives the same record."""
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        call = await envoy.calls.get(UUID)
        assert call.id == RECORD["id"]
        assert len(server.executed) == 1


@pytest.mark.parametrize("step", [*CUT, *UNREADABLE], ids=str)
async def test_bad_bodies_are_invalid(step: Step) -> None:
    """A body that is cut, damaged, or packed in a way nobody asked for is never taken for an answer."""
    async with MisbehavingServer(step) as server, make_client(server.url, retry=ONCE) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
        assert type(error) is errors.InvalidResponseError
        assert error.cut is (step in CUT)
        assert error.status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON (0 bytes)"),
        (b"null", "expected"),
        (b"[]", "expected"),
        (b"{}", "required field missing"),
        (b"<!doctype html>", "HTML"),
        (b'{"id": NaN}', "not JSON"),
        (GOOD + b"x", "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
async def test_wrong_json_is_invalid(body: bytes, said: str) -> None:
    """Bytes that are not the promised JSON are an `InvalidResponseError` that says why and quotes nothing."""
    async with MisbehavingServer(answer(200, body)) as server, make_client(server.url) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
        assert type(error) is errors.InvalidResponseError
        assert said in str(error)
        assert (error.status, error.route, len(error.attempts)) == (200, "/calls/{call_id}", 1)


@pytest.mark.parametrize("step", NOT_HTTP, ids=str)
async def test_answers_that_are_not_http(step: Step) -> None:
    """What is not HTTP is no answer; the status 400 that aiohttp makes up for it does not show."""
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
        assert type(error) is errors.InvalidResponseError
        assert f"127.0.0.1:{server.port} did not answer in HTTP" in str(error)
        assert error.status is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, errors.ValidationError),
        (401, errors.NotAuthenticatedError),
        (404, errors.NotFoundError),
        (409, errors.AlreadyExistsError),
    ],
)
async def test_a_refusal_with_a_cut_body_is_still_that_refusal(status: int, expected: type[errors.StatusError]) -> None:
    """The status says it all: the body of a refusal may be lost."""
    for step in (half_body(status), answer(status, ZIPPED[:20], headers={"Content-Encoding": "gzip"})):
        async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
            error = await failure_of(envoy.calls.get(UUID))
            assert type(error) is expected
            assert error.status == status
            assert len(server.executed) == 1


async def test_a_refusal_for_quota_with_a_cut_body_keeps_its_wait() -> None:
    """A 429 whose body is lost is still waited out as long as its header asks."""
    head = b"HTTP/1.1 429 Scripted\r\nRetry-After: 0.2\r\nContent-Length: 100\r\n\r\n"
    async with MisbehavingServer(raw("cut 429", head), answer()) as server, make_client(server.url) as envoy:
        response = await envoy._transport.send(envoy.calls.list()._request)
        assert [row.status for row in response.attempts] == [429, 200]
        assert response.attempts[1].waited >= 0.2


@pytest.mark.parametrize("status", [999, 600, 101])
async def test_strange_statuses(status: int) -> None:
    """A status nobody knows is an error of the SDK, with that status or none."""
    script = raw("strange", f"HTTP/1.1 {status} Odd\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    async with MisbehavingServer(script) as server, make_client(server.url, retry=ONCE) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
        assert error.status in {status, None}


async def test_the_envelope_of_an_error_is_read() -> None:
    """Code, message, param, and request id of a refusal are attributes of the error."""
    body = {"error": {"code": "validation_error", "message": "too long", "param": "loads[0].id"}}
    step = answer(
        400, gzip.compress(json.dumps(body).encode()), headers={"Content-Encoding": "gzip", "X-Request-ID": "r1"}
    )
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert (error.code, error.message, error.param) == ("validation_error", "too long", "loads[0].id")
    assert error.request_id == "r1"


async def test_a_lost_body_is_asked_for_again() -> None:
    """After a chunked answer without an end the next attempt gets the whole."""
    async with MisbehavingServer(endless_chunks, answer()) as server, make_client(server.url) as envoy:
        assert (await envoy.calls.get(UUID)).id == RECORD["id"]


MEASURED = """
import asyncio, pathlib, resource, sys, time
from envoy_async import EnvoyClient, errors
import aiohttp, envoy_async._converter

def peak():
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent had before exec
        return int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    async with EnvoyClient(sys.argv[2], base_url=sys.argv[1]) as envoy:
        await envoy.loads.tab_counts()
        before, began = peak(), time.perf_counter()
        try:
            await envoy.loads.tab_counts()
        except errors.InvalidResponseError as error:
            print(peak() - before, time.perf_counter() - began, error.status, len(error.attempts), error.cut)

asyncio.run(main())
"""


async def measured(url: str) -> list[str]:
    """Run one good and one bad call in another process: KiB grown, seconds, status, attempts, cut."""
    command = (sys.executable, "-P", "-W", "error", "-c", MEASURED, url, KEY)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await process.communicate()
    assert err == b""
    return out.decode().split()


async def test_a_bomb_stops_within_bounds() -> None:
    """1 GiB packed into 1 MiB is given up at the bound: at most 32 MiB more memory, 5 seconds, one attempt."""
    async with MisbehavingServer(answer(), bomb) as server:
        kib, seconds, status, attempts, cut = await measured(server.url)
    assert int(kib) <= 32 * 1024
    assert float(seconds) < 5
    assert (status, attempts, cut) == ("200", "1", "False")


async def test_an_endless_plain_body_stops_within_bounds() -> None:
    """The same bound holds for a body that is not packed."""
    step = raw("endless", b"HTTP/1.1 200 OK\r\n\r\n" + bytes(40 << 20))
    async with MisbehavingServer(answer(), step) as server:
        kib, _, status, attempts, cut = await measured(server.url)
    assert int(kib) <= 32 * 1024
    assert (status, attempts, cut) == ("200", "1", "False")


def test_the_bound_is_exact() -> None:
    """As many bytes as allowed are an answer, one more is none; packed and plain alike."""
    for encoding, pack in (("gzip", gzip.compress), (None, bytes)):
        body = Body(encoding, largest=1000)
        body.feed(pack(bytes(1000)))
        assert body.end() == bytes(1000)
        with pytest.raises(errors.InvalidResponseError, match="larger than 1000 bytes"):
            Body(encoding, largest=1000).feed(pack(bytes(1001)))


def test_nothing_is_a_whole_body() -> None:
    """An answer without a body, such as a 204, is whole even where gzip was announced."""
    assert Body("gzip").end() == b""
    assert Body(None).end() == b""
