"""Time: attempts end, calls end, and what the server asks to wait is waited."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from envoy_async import EnvoyClient, RetryPolicy, Timeouts, errors
from tests.transport.conftest import (
    IDEMPOTENT,
    KEY,
    READS,
    UNSAFE,
    UUID,
    MisbehavingServer,
    Operation,
    SkippingClock,
    Step,
    answer,
    drop,
    failure_of,
    hang,
    line_of,
    make_client,
    refuse,
    settled,
    slow,
    trickle,
    trickle_headers,
)

SHORT = Timeouts(deadline=20.0, attempt=0.4, connect=5.0)
SILENT = pytest.mark.parametrize("step", [hang, trickle, trickle_headers], ids=str)
SINGLE: dict[str, Operation] = {"calls.get": READS["calls.get"], **IDEMPOTENT, **UNSAFE}


@SILENT
async def test_an_attempt_ends(step: Step) -> None:
    """An attempt that does not end in time is tried again; bytes that trickle in do not prolong it."""
    async with MisbehavingServer(step, answer()) as server, make_client(server.url, timeouts=SHORT) as envoy:
        await envoy.calls.get(UUID)
        assert len(server.executed) == 2


@SILENT
async def test_attempts_run_out(step: Step) -> None:
    """When all attempts take too long, the error says so, and the ledger has a row for each."""
    twice = RetryPolicy(max_attempts=2, base=0.01)
    async with MisbehavingServer(step) as server, make_client(server.url, timeouts=SHORT, retry=twice) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
        assert type(error) is errors.AttemptTimeoutError
        assert [row.cause for row in error.attempts] == ["AttemptTimeoutError"] * 2
        await server.until(2)


@SILENT
async def test_the_deadline_ends_an_attempt(step: Step) -> None:
    """The deadline falls into an attempt: the call ends there, late, with the attempt as its last error."""
    patience = Timeouts(deadline=0.5, attempt=30.0)
    async with MisbehavingServer(step) as server, make_client(server.url, timeouts=patience) as envoy:
        began = time.perf_counter()
        error = await failure_of(envoy.calls.get(UUID))
        assert time.perf_counter() - began < 5
        assert isinstance(error, errors.DeadlineExceededError)
        assert isinstance(error.last_error, errors.AttemptTimeoutError)
        assert len(server.executed) == len(error.attempts) == 1


async def test_the_deadline_covers_attempts_and_waits() -> None:
    """Retries and back-offs together stay below the deadline; a back-off that would pass it is not begun."""
    clock, many = SkippingClock(), RetryPolicy(max_attempts=1_000, base=0.5, cap=20)
    patience = Timeouts(deadline=30.0)
    async with MisbehavingServer(drop) as server:
        async with make_client(server.url, retry=many, timeouts=patience, clock=clock) as envoy:
            error = await failure_of(envoy.calls.get(UUID))
        assert isinstance(error, errors.DeadlineExceededError)
        assert isinstance(error.last_error, errors.ConnectionLostError)
        assert "30 s" in str(error)
        assert 0 < sum(clock.waits) < 30
        assert len(server.executed) == len(clock.waits) + 1 == len(error.attempts)


async def test_the_deadline_of_a_view() -> None:
    """`with_options(deadline=…)` bounds the calls of the view, and no others."""
    async with MisbehavingServer(hang, answer()) as server, make_client(server.url) as envoy:
        assert isinstance(
            await failure_of(envoy.with_options(deadline=0.1).calls.get(UUID)), errors.DeadlineExceededError
        )
        await envoy.calls.get(UUID)


async def test_the_real_sleep_waits() -> None:
    """The client users make sleeps for real between attempts: about the back-off, and not less."""
    policy = RetryPolicy(max_attempts=2, base=0.2)
    async with MisbehavingServer(drop) as server, EnvoyClient(KEY, base_url=server.url, retry=policy) as envoy:
        began = time.perf_counter()
        error = await failure_of(envoy.calls.get(UUID))
        assert error.attempts[1].waited == pytest.approx(error.attempts[1].started, abs=0.1)
        assert time.perf_counter() - began >= error.attempts[1].waited


@pytest.mark.parametrize("operation", SINGLE.values(), ids=list(SINGLE))
async def test_retry_after_is_never_shortened(operation: Operation) -> None:
    """After a 429 for quota nobody sends before the server's time is over."""
    async with MisbehavingServer(refuse("0.1"), answer()) as server, make_client(server.url) as envoy:
        began = time.perf_counter()
        await operation(envoy)
        assert time.perf_counter() - began >= 0.1
        assert len(server.executed) == 2


async def test_everybody_waits_after_a_refusal() -> None:
    """One task's 429 stops the others, too: none sends before its time is over."""
    script = (answer(), refuse("1"), answer())
    async with MisbehavingServer(*script) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        refused = asyncio.create_task(envoy.calls.end(UUID))
        await settled(lambda: line_of(envoy) == 1)
        began = time.perf_counter()
        await asyncio.gather(*(envoy.calls.get(UUID) for _ in range(5)))
        assert time.perf_counter() - began >= 0.5
        await refused


async def test_nobody_in_line_slips_out_after_a_refusal() -> None:
    """Tasks that stood in line when another one was refused wait as well, also without quota headers."""
    async with MisbehavingServer(refuse("0.3"), answer()) as server, make_client(server.url) as envoy:
        began = time.perf_counter()
        line = [asyncio.create_task(envoy.calls.end(UUID)) for _ in range(5)]
        await server.until(2)
        assert time.perf_counter() - began >= 0.3
        await asyncio.gather(*line)
        assert len(server.executed) == 6


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_a_floor_for_other_failures(status: int) -> None:
    """A failing server's `Retry-After` is the least that is waited, with little on top."""
    clock = SkippingClock()
    step = answer(status, {}, headers={"Retry-After": "2"})
    async with MisbehavingServer(step, answer()) as server, make_client(server.url, clock=clock) as envoy:
        running = asyncio.create_task(envoy.loads.tab_counts())
        await server.until(1)
        if status == 503:
            await running
        else:  # the gate's own pause is real time
            await settled(lambda: clock.waits)
            running.cancel()
            await asyncio.wait({running})
    assert len(clock.waits) == 1
    assert 2 <= clock.waits[0] <= 2.5


@pytest.mark.parametrize("operation", SINGLE.values(), ids=list(SINGLE))
async def test_a_wait_longer_than_allowed_is_raised_at_once(operation: Operation) -> None:
    """A `Retry-After` beyond `max_retry_after` is not waited for: the error says how long it is."""
    patience, short = Timeouts(deadline=1_000.0), RetryPolicy(max_retry_after=10.0)
    step = refuse("60")
    async with MisbehavingServer(step) as server:
        async with make_client(server.url, retry=short, timeouts=patience) as envoy:
            error = await failure_of(operation(envoy))
        assert type(error) is errors.RateLimitedError
        assert error.retry_after == 60
        assert len(server.executed) == len(error.attempts) == 1


@pytest.mark.parametrize("operation", SINGLE.values(), ids=list(SINGLE))
async def test_a_wait_beyond_the_deadline_is_raised_at_once(operation: Operation) -> None:
    """A `Retry-After` that ends after the deadline is not waited for."""
    async with MisbehavingServer(refuse("60")) as server:
        async with make_client(server.url, timeouts=Timeouts(deadline=30.0)) as envoy:
            began = time.perf_counter()
            error = await failure_of(operation(envoy))
        assert type(error) is errors.RateLimitedError
        assert time.perf_counter() - began < 2
        assert len(server.executed) == 1


@pytest.mark.parametrize("form", ["date", "asctime"])
async def test_retry_after_as_a_date(form: str) -> None:
    """A date is read against the server's own `Date`, so a wrong local clock changes nothing."""
    server_now = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    then = server_now + timedelta(seconds=77)
    text = format_datetime(then, usegmt=True) if form == "date" else then.strftime("%a %b %d %H:%M:%S %Y")
    headers = {"Date": format_datetime(server_now, usegmt=True), "Retry-After": text}
    step = answer(429, {"error": {"code": "rate_limit_exceeded", "message": "x"}}, headers=headers)
    async with MisbehavingServer(step) as server:
        async with make_client(server.url, timeouts=Timeouts(deadline=10.0)) as envoy:
            error = await failure_of(envoy.calls.get(UUID))
        assert error.retry_after == 77


@pytest.mark.parametrize("value", ["-5", "nan", "inf", "1e9", "soon", "", "\uff11\uff12", "1, 2"])
async def test_unreadable_retry_after(value: str) -> None:
    """A `Retry-After` that is no time is ignored: the ordinary back-off is waited, never for ever."""
    async with MisbehavingServer(refuse(value), answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        assert len(server.executed) == 2


async def test_listings_wait_for_quota_past_the_deadline() -> None:
    """A listing waits for quota as long as it takes; its deadline stands still meanwhile, so the answer has time."""
    patience, short = Timeouts(deadline=1.0), RetryPolicy(max_retry_after=0.1)
    script = (refuse("0.6"), refuse("0.6"), slow(answer(), 0.1))
    async with MisbehavingServer(*script) as server:
        async with make_client(server.url, retry=short, timeouts=patience) as envoy:
            assert len(await envoy.calls.list().collect()) == 1
        assert len(server.executed) == 3


async def test_a_single_call_does_not_wait_in_vain() -> None:
    """While everybody waits for quota longer than its deadline, a single call says so at once; nothing was sent."""
    async with MisbehavingServer(refuse("30"), answer()) as server, make_client(server.url) as envoy:
        await failure_of(envoy.with_options(deadline=0.5).calls.get(UUID))
        error = await failure_of(envoy.with_options(deadline=20).calls.create())
        assert type(error) is errors.RateLimitedError
        assert 20 < (error.retry_after or 0) <= 31
        assert (error.status, error.attempts) == (None, ())
        assert len(server.executed) == 1


async def test_a_single_call_waits_at_the_gate_until_its_deadline() -> None:
    """While the first request has no answer, a second gives up at its deadline; nothing was sent for it."""
    async with MisbehavingServer(hang) as server, make_client(server.url) as envoy:
        first = asyncio.create_task(envoy.calls.get(UUID))
        await server.until(1)
        error = await failure_of(envoy.with_options(deadline=0.2).calls.create())
        assert type(error) is errors.DeadlineExceededError
        assert error.last_error is None
        first.cancel()
        await asyncio.wait([first])
        assert len(server.executed) == 1


async def test_no_free_place_in_the_pool() -> None:
    """When a call never gets a place in the pool, its error says that this was the reason."""
    async with MisbehavingServer(answer(), hang) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        holding = [asyncio.create_task(envoy.calls.get(UUID)) for _ in range(20)]
        await settled(lambda: line_of(envoy) > 0)
        places = 20 - line_of(envoy)
        await server.until(1 + places)
        error = await failure_of(envoy.with_options(deadline=0.1).calls.get(UUID))
        assert isinstance(error, errors.DeadlineExceededError)
        assert isinstance(error.last_error, errors.PoolTimeoutError)
        for task in holding:
            task.cancel()
        await asyncio.wait(holding)
        assert len(server.executed) == 1 + places


@pytest.mark.parametrize("step", [hang, trickle, drop, refuse("30")], ids=str)
async def test_the_users_own_timeout_stays_a_timeout(step: Step) -> None:
    """`asyncio.timeout` around a call raises `TimeoutError`, whether it falls into an attempt or into a wait."""
    policy = RetryPolicy(max_attempts=1_000)
    async with MisbehavingServer(step) as server, EnvoyClient(KEY, base_url=server.url, retry=policy) as envoy:
        for operation in (envoy.calls.list().collect, lambda: envoy.with_options(deadline=60).calls.end(UUID)):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await operation()


async def test_the_users_own_timeout_around_an_unsafe_call() -> None:
    """The user's timeout is theirs even when a call was placed; it is not sent again."""
    async with MisbehavingServer(hang) as server, make_client(server.url) as envoy:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(envoy.calls.create(), 0.5)
        assert len(server.executed) == 1
