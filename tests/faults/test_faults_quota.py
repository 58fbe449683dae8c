"""Faults 22 to 27: the server refuses for quota, with or without a readable word on how long to wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import attrs
import pytest

from envoy_async import RetryPolicy, Timeouts, errors
from tests.faults.conftest import (
    ONE_EACH,
    READ,
    SHOWN,
    Waiting,
    assert_unknown,
    every_operation,
    fails,
    virtual,
)
from tests.transport.conftest import (
    REFUSED,
    MisbehavingServer,
    Operation,
    Step,
    answer,
    line_of,
    make_client,
    raw,
    refuse,
    settled,
)

SERVER_NOW = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
"""What the server's clock says: a quarter of a century behind ours."""
SINGLE = {name: operation for name, operation in ONE_EACH.items() if name != "listing"}
single = pytest.mark.parametrize("operation", SINGLE.values(), ids=list(SINGLE))
good = answer(200, SHOWN)


def noted(step: Step, times: list[float]) -> Step:
    """Do the same, and note when."""

    async def run(writer: asyncio.StreamWriter) -> None:
        times.append(asyncio.get_running_loop().time())
        await step.run(writer)

    return attrs.evolve(step, run=run)


def refuse_at(date: datetime | None, retry_after: str | None, **headers: str) -> Step:
    """Answer 429 for quota at this time of the server's clock."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    if date is not None:
        told["Date"] = format_datetime(date, usegmt=True)
    if retry_after is not None:
        told["Retry-After"] = retry_after
    return answer(429, REFUSED, headers=told)


async def waited(operation: Operation, refusal: Step) -> float:
    """Run an operation that is refused once; return the seconds between the refusal and the next request."""
    times: list[float] = []
    async with MisbehavingServer(noted(refusal, times), noted(good, times)) as server:
        async with make_client(server.url, retry=RetryPolicy(), timeouts=Timeouts(), clock=Waiting()) as envoy:
            await operation(envoy)
        assert len(server.executed) == len(times) == 2
    return times[1] - times[0]


@every_operation
@virtual
async def test_fault_022_refused_with_seconds(operation: Operation) -> None:
    """Every kind of operation waits as long as told, with a little on top, and runs once more."""
    assert 7 <= await waited(operation, refuse("7")) <= 8


@virtual
async def test_fault_022_everybody_waits() -> None:
    """One task's refusal holds for all: nobody sends before its time is over, who comes later included."""
    times: list[float] = []
    async with MisbehavingServer(good, noted(refuse("7"), times), noted(good, times)) as server:
        async with make_client(server.url, timeouts=Timeouts(), clock=Waiting()) as envoy:
            await READ(envoy)
            refused = asyncio.ensure_future(READ(envoy))
            await settled(lambda: line_of(envoy) == 1)
            later = [asyncio.ensure_future(operation(envoy)) for operation in ONE_EACH.values() for _ in range(2)]
            await asyncio.gather(refused, *later)
        assert len(server.executed) == 2 + 1 + len(later)
    assert min(times[1:]) - times[0] >= 7


@single
@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
@virtual
async def test_fault_023_refused_with_a_date(form: str, operation: Operation) -> None:
    """A date in each of the three forms counts from the server's own `Date`; the local clock is not asked."""
    later = SERVER_NOW + timedelta(seconds=30)
    assert 30 <= await waited(operation, refuse_at(SERVER_NOW, later.strftime(form))) <= 31


@pytest.mark.parametrize("zone", ["-0000", "", "+0000", "UTC"])
@virtual
async def test_fault_023_refused_with_a_date_in_a_doubtful_zone(zone: str) -> None:
    """A date that leaves its zone open is UTC, and no `TypeError`."""
    later = SERVER_NOW + timedelta(seconds=30)
    text = later.strftime(f"%a, %d %b %Y %H:%M:%S {zone}").strip()
    assert 30 <= await waited(READ, refuse_at(SERVER_NOW, text)) <= 31


@pytest.mark.parametrize("before", [timedelta(seconds=1), timedelta(days=9_000)], ids=str)
@virtual
async def test_fault_023_refused_with_a_date_in_the_past(before: timedelta) -> None:
    """A date that is over means now, and no negative sleep."""
    past = format_datetime(SERVER_NOW - before, usegmt=True)
    assert 0 <= await waited(READ, refuse_at(SERVER_NOW, past)) <= 1


@pytest.mark.parametrize(
    "value",
    [
        "-5",
        "nan",
        "inf",
        "-inf",
        "1e9",
        "1_000",
        "0x10",
        "soon",
        "",
        "\uff11\uff12",
        "\u0663\u0660",
        "1, 2",
        "7 7",
        "7s",
    ],
)
@virtual
async def test_fault_024_retry_after_that_makes_no_sense(value: str) -> None:
    """What is no time is ignored: the ordinary back-off is waited, never for ever, and never NaN."""
    assert 0 <= await waited(READ, refuse(value)) <= 1


@pytest.mark.parametrize("pair", [("1", "7"), ("7", "1"), ("nan", "7"), ("7", "soon")], ids=str)
@virtual
async def test_fault_024_two_retry_afters(pair: tuple[str, str]) -> None:
    """Two headers that contradict each other are no reason to fail, or to wait for longer than one of them says."""
    lines = "".join(f"Retry-After: {value}\r\n" for value in pair)
    body = b'{"error": {"code": "rate_limit_exceeded", "message": "x"}}'
    head = f"HTTP/1.1 429 Scripted\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
    assert 0 <= await waited(READ, raw("429 twice", head + body, stay=True)) <= 8


@single
@pytest.mark.parametrize("value", ["1000000000", "121", "9999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
@virtual
async def test_fault_024_retry_after_that_is_too_long(value: str, operation: Operation) -> None:
    """More than two minutes are not waited for: the error says at once how long it would be."""
    async with MisbehavingServer(refuse_at(SERVER_NOW, value), good) as server:
        patience = Timeouts(deadline=1e6)
        async with make_client(server.url, retry=RetryPolicy(), timeouts=patience, clock=Waiting()) as envoy:
            began = asyncio.get_running_loop().time()
            error = await fails(operation(envoy), errors.RateLimitedError)
            assert asyncio.get_running_loop().time() - began < 1
        assert (error.retry_after or 0) > 120
        assert len(server.executed) == 1


@single
@virtual
async def test_fault_025_retry_after_beyond_the_deadline(operation: Operation) -> None:
    """A wait that would end after the deadline is not begun: the error comes now, and says how long it would be."""
    clock = Waiting()
    async with MisbehavingServer(refuse("100"), good) as server:
        async with make_client(server.url, retry=RetryPolicy(), timeouts=Timeouts(), clock=clock) as envoy:
            began = asyncio.get_running_loop().time()
            error = await fails(operation(envoy), errors.RateLimitedError)
            assert asyncio.get_running_loop().time() - began < 1
        assert (error.retry_after, clock.waits, len(server.executed)) == (100, [], 1)


@virtual
async def test_fault_025_a_listing_waits_for_any() -> None:
    """A listing has nobody waiting for it: it waits as long as the server says, however long that is."""
    assert 600 <= await waited(ONE_EACH["listing"], refuse("600")) <= 601


@every_operation
@virtual
async def test_fault_026_refused_without_a_word(operation: Operation) -> None:
    """With nothing said, a second is waited, or a little less."""
    assert 0.9 <= await waited(operation, refuse_at(None, None)) <= 1


@virtual
async def test_fault_026_refused_with_rate_limit_headers_alone() -> None:
    """Without `Retry-After`, nobody sends before the end of the window that the quota headers tell."""
    reset = str(int(SERVER_NOW.timestamp()) + 20)
    told = {"X_RateLimit_Limit": "100", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": reset}
    assert 20 <= await waited(READ, refuse_at(SERVER_NOW, None, **told)) <= 23


NONSENSE = ["", "-1", "nan", "inf", "1e3", "many", "\uff11\uff10", "9" * 13, "9" * 400, "1, 2", "0x64", "12.5"]


@pytest.mark.parametrize("name", ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Date"])
@virtual
async def test_fault_026_rate_limit_headers_that_make_no_sense(name: str) -> None:
    """Unreadable quota headers are ignored, one by one: no error, and no wait of more than a window."""
    told = {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "99",
        "X-RateLimit-Reset": str(int(SERVER_NOW.timestamp()) + 60),
        "Date": format_datetime(SERVER_NOW, usegmt=True),
    }
    for value in NONSENSE:
        step = answer(200, SHOWN, headers={**told, name: value})
        async with MisbehavingServer(step) as server, make_client(server.url, clock=Waiting()) as envoy:
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(READ(envoy) for _ in range(5)))
            assert asyncio.get_running_loop().time() - began < 65, value
            assert len(server.executed) == 5


@pytest.mark.parametrize("ahead", [-(10**9), -60, -1, 0, 365 * 86_400], ids=str)
@virtual
async def test_fault_026_reset_in_the_past_or_a_year_ahead(ahead: int) -> None:
    """A `Reset` that lies in the past means soon, and one that lies years ahead is believed for an hour at most."""
    reset = str(int(SERVER_NOW.timestamp()) + ahead)
    told = {"X_RateLimit_Limit": "100", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": reset}
    step = refuse_at(SERVER_NOW, None, **told)
    assert 0 <= await waited(ONE_EACH["listing"], step) <= (65 if ahead <= 0 else 3_665)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "busy", "message": "try later"}},
        {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "try later"}},
        {"error": {"code": ["rate_limit_exceeded"], "message": "try later"}},
        {"error": "rate_limit_exceeded"},
        b"<html>slow down</html>",
        b"",
    ],
    ids=str,
)
async def test_fault_027_refusal_of_another_making(body: object) -> None:
    """A 429 that does not say `rate_limit_exceeded` proves nothing: a phone call is not placed again after it."""
    step = answer(429, body, headers={"Retry-After": "0"})
    await assert_unknown(step, errors.RateLimitedError, 429)


@virtual
async def test_fault_027_refusal_of_another_making_of_a_read() -> None:
    """A read is sent again after it, no earlier than told."""
    busy = {"error": {"code": "busy", "message": "try later"}}
    assert 7 <= await waited(READ, answer(429, busy, headers={"Retry-After": "7"})) <= 8.5
