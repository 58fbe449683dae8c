"""Reads and idempotent writes are sent again, as often as promised and not once more."""

from __future__ import annotations

import asyncio

import pytest

from envoy_async import EnvoyError, RetryPolicy, errors
from tests.transport.conftest import (
    CUT,
    IDEMPOTENT,
    LOST,
    NOT_HTTP,
    READS,
    REFUSED,
    UNREADABLE,
    UUID,
    MisbehavingServer,
    Operation,
    SkippingClock,
    Step,
    answer,
    drop,
    failure_of,
    half_body,
    make_client,
    refuse,
    reset,
)

REPEATABLE = {**READS, **IDEMPOTENT}
operations = pytest.mark.parametrize("operation", REPEATABLE.values(), ids=list(REPEATABLE))
PASSING = tuple(answer(status, {}) for status in (408, 500, 502, 503, 504))


@operations
@pytest.mark.parametrize("step", [*LOST, *CUT, *PASSING, refuse()], ids=str)
async def test_sent_again_after_a_passing_fault(operation: Operation, step: Step) -> None:
    """A fault that may pass costs one more attempt, and the caller sees none of it."""
    async with MisbehavingServer(step, answer()) as server, make_client(server.url) as envoy:
        await operation(envoy)
        assert len(server.executed) == step.counted + 1
        assert len({(sent.method, sent.target, sent.body) for sent in server.executed}) == 1


@operations
@pytest.mark.parametrize("step", [drop, reset, half_body(), answer(503, {}), answer(429, {})], ids=str)
async def test_as_many_executions_as_attempts(operation: Operation, step: Step) -> None:
    """A fault that stays is executed once per attempt: aiohttp's own hidden resend is off."""
    async with MisbehavingServer(step) as server, make_client(server.url, retry=RetryPolicy(max_attempts=3)) as envoy:
        error = await failure_of(operation(envoy))
        assert len(server.executed) == len(error.attempts) == 3


async def test_four_attempts_by_default() -> None:
    """Nothing set, a call is tried four times."""
    async with MisbehavingServer(drop) as server, make_client(server.url) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
        assert isinstance(error, errors.ConnectionLostError)
        assert len(server.executed) == 4


async def test_one_attempt_when_told_so() -> None:
    """`max_attempts=1` switches retries off, on new and on reused connections."""
    once = RetryPolicy(max_attempts=1)
    async with MisbehavingServer(answer(), drop) as server, make_client(server.url, retry=once) as envoy:
        await envoy.calls.get(UUID)
        for expected in (2, 3):
            await failure_of(envoy.calls.get(UUID))
            assert len(server.executed) == expected


@operations
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, errors.ValidationError),
        (401, errors.NotAuthenticatedError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (409, errors.AlreadyExistsError),
        (418, errors.StatusError),
        (422, errors.ValidationError),
        (501, errors.ServerError),
    ],
)
async def test_a_refusal_is_final(operation: Operation, status: int, expected: type[EnvoyError]) -> None:
    """What the server refuses for good is raised at once, as its own class."""
    async with MisbehavingServer(answer(status, {})) as server, make_client(server.url) as envoy:
        error = await failure_of(operation(envoy))
        assert type(error) is expected
        assert error.status == status
        assert len(server.executed) == 1


@pytest.mark.parametrize("step", [*UNREADABLE, *NOT_HTTP], ids=str)
async def test_nonsense_is_final(step: Step) -> None:
    """An answer that is whole and of no use is not asked for again."""
    async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
        assert type(error) is errors.InvalidResponseError
        assert not error.cut
        assert len(server.executed) == 1


async def test_quota_refusals_do_not_use_up_attempts() -> None:
    """429s for quota are outwaited however many they are, since nothing ran."""
    script = [refuse("0.01")] * 6
    async with MisbehavingServer(*script, drop, answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        assert len(server.executed) == 8


async def test_ledger_of_a_success() -> None:
    """A success that took several attempts says when each began, what came of it, and the wait before it."""
    clock = SkippingClock()
    script = (drop, answer(503, {}), answer())
    async with MisbehavingServer(*script) as server, make_client(server.url, clock=clock) as envoy:
        response = await envoy._transport.send(envoy.calls.list()._request)
        rows = response.attempts
        assert [(row.status, row.cause) for row in rows] == [
            (None, "ConnectionLostError"),
            (503, "ServerError"),
            (200, None),
        ]
        assert [row.waited for row in rows] == pytest.approx([0.0, *clock.waits], abs=0.1)
        assert rows[0].started <= rows[1].started <= rows[2].started
        assert rows[2].started >= sum(clock.waits)


async def test_ledger_of_a_failure() -> None:
    """The error of the last attempt carries the rows of all, and where it happened."""
    script = (half_body(), answer(503, REFUSED["error"]), answer(404, {}))
    async with MisbehavingServer(*script) as server, make_client(server.url) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert (error.method, error.route) == ("GET", "/calls/{call_id}")
    assert [(row.status, row.cause) for row in error.attempts] == [
        (200, "InvalidResponseError"),
        (503, "ServerError"),
        (404, "NotFoundError"),
    ]
    assert "after 3 attempts" in str(error)


async def test_ledger_counts_the_wait_for_quota() -> None:
    """What the gate made a call wait after a 429 is in the row of the attempt that waited."""
    async with MisbehavingServer(refuse("0.2"), answer()) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list()
        await pages.collect()
        assert (pages.report.requests, pages.report.rate_limited) == (2, 1)
        assert pages.report.waited >= 0.2


async def test_many_calls_share_one_faulty_server() -> None:
    """Fifty calls at once, nine of them met by a fault, all succeed; those nine are executed twice."""
    script = [reset] * 9
    async with MisbehavingServer(*script, answer()) as server, make_client(server.url) as envoy:
        await asyncio.gather(*(envoy.calls.get(UUID) for _ in range(50)))
        assert len(server.executed) == 59
