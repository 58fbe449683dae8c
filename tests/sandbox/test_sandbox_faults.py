"""Scripted faults hit the requests they name, and nothing that was not to run has run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import pytest

from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.faults import FaultBook

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NUMBER = {"phone_number": "+12145550123"}


async def test_a_dropped_request_did_not_run(sandbox: Sandbox, send: Send) -> None:
    """``drop="before"`` closes the connection; nothing ran and no quota was used."""
    sandbox.fail(Fault(method="POST", drop="before"))
    with pytest.raises(aiohttp.ClientConnectionError):
        await send(sandbox, "POST", "/calls", json=NUMBER)
    assert sandbox.executions == []
    assert [(received.method, received.path, received.status) for received in sandbox.requests] == [
        ("POST", "/api/v1/calls", 0)
    ]
    _, headers, _ = await send(sandbox, "POST", "/calls", json=NUMBER)
    assert headers["X-RateLimit-Remaining"] == "999999999"


async def test_a_lost_answer_did_run(sandbox: Sandbox, send: Send) -> None:
    """``drop="after"`` closes the connection after the operation ran."""
    sandbox.fail(Fault(method="POST", drop="after"))
    with pytest.raises(aiohttp.ClientConnectionError):
        await send(sandbox, "POST", "/calls", json=NUMBER)
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [("calls.create", NUMBER)]
    assert len(sandbox.store.calls) == 151


@pytest.mark.parametrize(
    "fault", [Fault(times=None, drop="after", status=500), Fault(times=None, drop="after", body=b"{}")]
)
async def test_a_scripted_answer_can_be_lost_too(sandbox: Sandbox, send: Send, fault: Fault) -> None:
    """A status or body together with ``drop="after"`` is not delivered, and nothing ran (aiohttp resends a GET)."""
    sandbox.fail(fault)
    with pytest.raises(aiohttp.ClientConnectionError):
        await send(sandbox, "GET", "/calls")
    assert sandbox.executions == []


@pytest.mark.parametrize("cut", [0, 1, 500])
async def test_a_cut_answer_promises_more_than_it_sends(sandbox: Sandbox, cut: int) -> None:
    """``cut`` announces the whole body, sends so many bytes of it, and closes the connection."""
    sandbox.fail(Fault(cut=cut))
    address = urlsplit(sandbox.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"GET /api/v1/calls HTTP/1.1\r\nHost: x\r\nX-API-Key: {sandbox.api_key}\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    promised = re.search(rb"Content-Length: (\d+)", head)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert promised is not None
    assert int(promised[1]) > 5_000
    assert len(body) == cut
    assert [ran.operation for ran in sandbox.executions] == ["calls.list"]


async def test_a_scripted_status_answers_with_the_envelope(sandbox: Sandbox, send: Send) -> None:
    """``status`` answers in place of the operation, with the code that belongs to it unless another is given."""
    sandbox.faults[:] = [Fault(status=503), Fault(nth=2, status=409), Fault(nth=3, status=400, code="strange")]
    answers = [await send(sandbox, "GET", "/calls") for _ in range(4)]
    assert [status for status, _, _ in answers] == [503, 409, 400, 200]
    codes = [body["error"]["code"] for status, _, body in answers if status != 200]
    assert codes == ["internal_error", "already_exists", "strange"]
    assert len(sandbox.executions) == 1


async def test_a_scripted_429_says_one_second_unless_told_otherwise(sandbox: Sandbox, send: Send) -> None:
    """Retry-After is 1, the fault's own headers win whatever their case, and no quota is used."""
    sandbox.faults[:] = [Fault(status=429), Fault(nth=2, status=429, headers={"retry-after": "7"})]
    _, first, body = await send(sandbox, "GET", "/calls")
    _, second, _ = await send(sandbox, "GET", "/calls")
    _, third, _ = await send(sandbox, "GET", "/calls")
    assert (first["Retry-After"], second["Retry-After"]) == ("1", "7")
    assert body["error"]["code"] == "rate_limit_exceeded"
    assert third["X-RateLimit-Remaining"] == "999999999"


async def test_a_scripted_body_is_sent_as_it_is(sandbox: Sandbox, send: Send) -> None:
    """``body`` answers 200, or the status given, with these bytes and this content type."""
    sandbox.faults[:] = [
        Fault(body=b"<html>", content_type="text/html"),
        Fault(nth=2, body=b"[1]", status=502, headers={"X-RateLimit-Limit": "5"}),
    ]
    status, headers, body = await send(sandbox, "GET", "/calls")
    assert (status, headers["Content-Type"], body) == (200, "text/html", b"<html>")
    status, headers, body = await send(sandbox, "GET", "/calls")
    assert (status, headers["X-RateLimit-Limit"], body) == (502, "5", [1])
    assert sandbox.executions == []


async def test_a_delay_alone_changes_nothing_else(sandbox: Sandbox, send: Send) -> None:
    """``delay`` holds the answer back; the operation runs, and the fault's headers are laid over its own."""
    sandbox.fail(Fault(delay=0.01, headers={"X-RateLimit-Remaining": "3"}))
    status, headers, _ = await send(sandbox, "GET", "/calls")
    assert (status, headers["X-RateLimit-Remaining"]) == (200, "3")
    assert len(sandbox.executions) == 1


async def test_a_hanging_request_does_not_hold_up_the_close(send: Send) -> None:
    """The sandbox closes while a delayed answer is still owed."""
    async with Sandbox(calls=1, loads=1, faults=[Fault(delay=600)]) as sandbox:
        with pytest.raises(TimeoutError):
            await send(sandbox, "GET", "/calls", timeout=aiohttp.ClientTimeout(total=0.05))


@pytest.mark.parametrize("fault", [Fault(delay=0.1, drop="after"), Fault(delay=0.1, cut=9), Fault(delay=0.1)])
async def test_a_caller_who_has_left_is_no_trouble(
    sandbox: Sandbox, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    """The operation runs all the same, and nothing is logged about the connection that is gone."""
    sandbox.fail(fault)
    address = urlsplit(sandbox.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"GET /api/v1/calls HTTP/1.1\r\nHost: x\r\nX-API-Key: {sandbox.api_key}\r\n\r\n".encode())
    with pytest.raises(TimeoutError):  # the request is on its way by now, however busy the machine is
        async with asyncio.timeout(0.03):
            await reader.read(1)
    writer.close()
    while not sandbox.requests:  # noqa: ASYNC110 - the sandbox has no reason to tell
        await asyncio.sleep(0.01)
    await sandbox.close()
    assert len(sandbox.executions) == 1
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


async def test_a_caller_who_leaves_in_mid_body_is_no_trouble(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing ran, and the request is written down as dropped."""
    address = urlsplit(sandbox.base_url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST /api/v1/calls HTTP/1.1\r\nHost: x\r\nX-API-Key: {sandbox.api_key}\r\nContent-Length: 99\r\n\r\n"
    writer.write(head.encode() + b"{")
    await asyncio.sleep(0.05)
    writer.close()
    while not sandbox.requests:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await sandbox.close()
    assert (sandbox.requests[0].status, sandbox.executions) == (0, [])
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


async def test_the_path_of_a_fault_is_a_template(sandbox: Sandbox, send: Send) -> None:
    """``/calls/{call_id}`` means every call, and a star every path and method."""
    call_id = next(iter(sandbox.store.calls))
    sandbox.faults[:] = [Fault(path="/calls/{call_id}", status=500), Fault(method="*", path="*", nth=3, status=502)]
    statuses = [(await send(sandbox, "GET", path))[0] for path in ("/calls", f"/calls/{call_id}", "/loads", "/loads")]
    assert statuses == [200, 500, 502, 200]


def test_a_fault_applies_to_the_requests_it_names() -> None:
    """Each fault counts its own matches: nth to nth + times - 1, or for ever; the first that hits wins."""
    second, always = Fault(nth=2, times=2, status=500), Fault(times=None, status=503)
    book = FaultBook([second, always])
    assert [book.take("GET", "/calls") for _ in range(4)] == [always, second, second, always]
    assert book.take("GET", "/loads") is None
    assert FaultBook([Fault()]).take("POST", "/calls") is None


async def test_a_request_the_quota_refuses_is_not_counted_by_faults(send: Send) -> None:
    """Faults stand behind the quota, so ``nth`` counts requests that would have run."""
    now = [1_763_740_800.0]
    async with Sandbox(calls=1, loads=1, quota=1, faults=[Fault(nth=2, status=500)], clock=lambda: now[0]) as sandbox:
        statuses = [(await send(sandbox, "GET", "/calls"))[0] for _ in range(2)]
        now[0] += 60
        statuses.append((await send(sandbox, "GET", "/calls"))[0])
    assert statuses == [200, 429, 500]
