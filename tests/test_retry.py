"""The retry policy: pure decisions, checked row by row."""

from __future__ import annotations

from random import Random

import attrs
import pytest
from hypothesis import given, strategies as st

from envoy_async._retry import (
    KINDS,
    Budget,
    Failure,
    Kind,
    RetryPolicy,
    Timeouts,
    Verdict,
    again,
    backoff,
    is_quota_refusal,
    is_stranger,
    kind_of,
    outcome_unknown,
    verdict,
)
from envoy_async._transport._statuses import status_error
from envoy_async._wire import Response, build
from envoy_async.errors import (
    AttemptTimeoutError,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    DeadlineExceededError,
    EnvoyError,
    InvalidResponseError,
    PoolTimeoutError,
    RateLimitedError,
    RedirectError,
    TlsError,
)

RETRY, RAISE, UNKNOWN = Verdict.RETRY, Verdict.RAISE, Verdict.UNKNOWN


def status(code: int, error_code: str | None = None) -> EnvoyError:
    """Make the error of an answer with this status."""
    body = b"" if error_code is None else b'{"error": {"code": "%s", "message": "m"}}' % error_code.encode()
    return status_error(Response(code, {}, body))


def cut(*, whole: bool = False) -> EnvoyError:
    """Make the error of a body that broke off, or of one that is whole and wrong."""
    error = InvalidResponseError("the answer broke off")
    error.cut = not whole
    error.status = 200
    return error


@pytest.mark.parametrize(
    ("error", "read", "unsafe"),
    [
        (ConnectError("refused"), RETRY, RETRY),
        (PoolTimeoutError("full"), RETRY, RETRY),
        (TlsError("certificate"), RAISE, RAISE),
        (ConnectionLostError("dropped"), RETRY, UNKNOWN),
        (AttemptTimeoutError("slow"), RETRY, UNKNOWN),
        (cut(), RETRY, UNKNOWN),
        (cut(whole=True), RAISE, UNKNOWN),
        (RedirectError("elsewhere"), RAISE, RAISE),
        (ClientClosedError("closed"), RAISE, RAISE),
        (DeadlineExceededError("late"), RAISE, RAISE),
        (status(429, "rate_limit_exceeded"), RETRY, RETRY),
        (status(429), RETRY, UNKNOWN),
        (status(429, "other"), RETRY, UNKNOWN),
        (status(408), RETRY, UNKNOWN),
        (status(425), RAISE, UNKNOWN),
        (status(500, "internal_error"), RETRY, UNKNOWN),
        (status(501), RAISE, UNKNOWN),
        (status(502), RETRY, UNKNOWN),
        (status(503), RETRY, UNKNOWN),
        (status(504), RETRY, UNKNOWN),
        *((status(code), RAISE, RAISE) for code in (400, 401, 403, 404, 409, 410, 422, 451)),
    ],
)
def test_the_table_of_verdicts(error: EnvoyError, read: Verdict, unsafe: Verdict) -> None:
    """Reads and idempotent writes are sent again after passing faults; an unsafe operation never if it may have run."""
    assert verdict(Kind.READ, error) is read
    assert verdict(Kind.IDEMPOTENT, error) is read
    assert verdict(Kind.UNSAFE, error) is unsafe


def test_an_operation_without_a_row_is_unsafe_unless_it_is_a_get() -> None:
    """What the table does not know is not sent twice."""
    assert kind_of(build("GET", "/new")) is Kind.READ
    assert kind_of(build("POST", "/new")) is Kind.UNSAFE
    assert kind_of(build("DELETE", "/new")) is Kind.UNSAFE
    assert kind_of(build("POST", "/loads")) is Kind.IDEMPOTENT
    assert KINDS["POST /calls"] is Kind.UNSAFE


@pytest.mark.parametrize("operation", [*KINDS, "POST /new"])
def test_a_body_with_a_key_makes_its_operation_idempotent(operation: str) -> None:
    """Where the server finds the record again by a key in the body, sending twice makes one record."""
    method, template = operation.split(" ")
    request = attrs.evolve(build("GET", "/x"), method=method, template=template)
    assert kind_of(request) is KINDS.get(operation, Kind.UNSAFE)
    assert kind_of(attrs.evolve(request, keyed=True)) is Kind.IDEMPOTENT


@pytest.mark.parametrize(
    "operation",
    [
        "POST /auth/login",
        "POST /api-keys",
        "POST /offers",
        "PATCH /offers/{offer_id}",
        "POST /carriers",
        "POST /carriers/batch",
        "POST /calls",
        "POST /calls/{call_id}/join",
        "POST /outreaches",
        "POST /webhooks/endpoints",
        "POST /webhooks/endpoints/{endpoint_id}/rotate-secret",
    ],
)
def test_what_does_harm_twice_is_unsafe(operation: str) -> None:
    """Phone calls, records without a key, and secrets that are shown once are never made twice."""
    assert KINDS[operation] is Kind.UNSAFE


def test_the_table_tells_reads_by_their_method() -> None:
    """Every GET is a read and nothing else is; exactly the eleven operations above are unsafe."""
    assert len(KINDS) == 50
    assert {key for key, kind in KINDS.items() if kind is Kind.READ} == {key for key in KINDS if key[:4] == "GET "}
    assert sum(kind is Kind.UNSAFE for kind in KINDS.values()) == 11


@pytest.mark.parametrize(
    ("code", "error_code", "read", "unsafe"),
    [
        (401, "not_authenticated", True, True),
        (401, None, True, False),
        (401, "other", True, False),
        (403, "not_authenticated", False, False),
        (403, "insufficient_permissions", False, False),
        (400, None, False, False),
        (500, "not_authenticated", False, False),
    ],
)
def test_a_refused_credential_is_told_by_401(code: int, error_code: str | None, read: bool, unsafe: bool) -> None:
    """Another credential is tried after a 401; for an unsafe operation only when the code proves that nothing ran."""
    assert is_stranger(Kind.READ, status(code, error_code)) is read
    assert is_stranger(Kind.IDEMPOTENT, status(code, error_code)) is read
    assert is_stranger(Kind.UNSAFE, status(code, error_code)) is unsafe


def test_an_error_without_an_answer_refuses_no_credential() -> None:
    """A connection that failed says nothing about who called."""
    for error in (ConnectError("refused"), ConnectionLostError("dropped"), DeadlineExceededError("late")):
        assert not any(is_stranger(kind, error) for kind in Kind)


@given(st.integers(1, 2_000), st.integers(0))
def test_backoff_is_full_jitter_within_its_bounds(failures: int, seed: int) -> None:
    """The wait lies between nothing and the doubling bound, which is capped."""
    policy = RetryPolicy()
    wait = backoff(policy, ConnectError("refused"), failures, Random(seed))
    assert 0 <= wait <= min(20.0, 0.5 * 2 ** min(failures - 1, 30))


def test_backoff_is_spread_evenly() -> None:
    """Jitter is uniform: the mean of many waits is half the bound."""
    rng = Random(1)
    waits = [backoff(RetryPolicy(), ConnectError("refused"), 3, rng) for _ in range(10_000)]
    assert sum(waits) / len(waits) == pytest.approx(1.0, rel=0.05)
    assert max(waits) > 1.9


@given(st.floats(0, 10_000), st.integers(0))
def test_retry_after_is_never_shortened(asked: float, seed: int) -> None:
    """What the server asks for is a floor, with at most half a second of jitter on top."""
    error = RateLimitedError("slow down")
    error.retry_after = asked
    assert asked <= backoff(RetryPolicy(), error, 1, Random(seed)) <= asked + 0.5


@given(st.integers(1, 2_000), st.integers(0))
def test_a_refusal_that_asks_for_nothing_is_waited_out(failures: int, seed: int) -> None:
    """A second after the first 429 without `Retry-After`, twice as long after each next one, up to the cap."""
    bound = min(20.0, 0.5 * 2 ** min(failures, 30))
    assert 0.95 * bound <= backoff(RetryPolicy(), RateLimitedError("slow down"), failures, Random(seed)) <= bound


def test_a_retry_after_of_nothing_still_backs_off() -> None:
    """A server that says `Retry-After: 0` for ever is asked ever more rarely."""
    error = RateLimitedError("slow down")
    error.retry_after = 0.0
    waits = [backoff(RetryPolicy(), error, 8, Random(seed)) for seed in range(100)]
    assert sum(waits) / 100 > 5


@pytest.mark.parametrize(
    ("failures", "wait", "left", "expected"),
    [(1, 1.0, 90.0, True), (3, 1.0, 90.0, True), (4, 1.0, 90.0, False), (1, 5.0, 5.0, False), (1, 5.0, 5.1, True)],
)
def test_attempts_and_deadline_end_the_retries(failures: int, wait: float, left: float, expected: bool) -> None:
    """Four attempts are made, and no wait begins that would pass the deadline."""
    assert again(RetryPolicy(), Failure(Kind.READ, ConnectError("refused"), failures, wait, left)) is expected


@pytest.mark.parametrize(
    ("patient", "wait", "left", "expected"),
    [
        (False, 30.0, 90.0, True),
        (False, 95.0, 90.0, False),
        (False, 120.0, 1000.0, True),
        (False, 120.1, 1000.0, False),
        (True, 9000.0, 1.0, True),
    ],
)
def test_refusals_for_quota_are_bounded_by_time(patient: bool, wait: float, left: float, expected: bool) -> None:
    """A 429 uses up no attempt; single calls wait within deadline and policy, listings as long as it takes."""
    failure = Failure(Kind.UNSAFE, status(429, "rate_limit_exceeded"), 99, wait, left, patient)
    assert again(RetryPolicy(), failure) is expected


@pytest.mark.parametrize(("asked", "expected"), [(120.0, True), (121.0, False)])
def test_the_jitter_is_not_held_against_the_server(asked: float, expected: bool) -> None:
    """What the server asked for is compared with `max_retry_after`, not what jitter made of it."""
    error = status(429, "rate_limit_exceeded")
    error.retry_after = asked
    assert again(RetryPolicy(), Failure(Kind.READ, error, 1, asked + 0.5, 1000.0)) is expected


def test_a_verdict_against_a_retry_is_final() -> None:
    """However much time is left, what must not be sent again is not."""
    assert not again(RetryPolicy(), Failure(Kind.UNSAFE, ConnectionLostError("dropped"), 1, 0.0, 90.0))
    assert not again(RetryPolicy(), Failure(Kind.READ, status(404), 1, 0.0, 90.0))


def test_the_budget_by_hand() -> None:
    """Ten retries to begin with; a call earns its share, a minute one more; what is saved up is worth twenty."""
    budget = Budget()
    assert [budget.spend(0.0) for _ in range(11)] == [True] * 10 + [False]
    for _ in range(10):
        budget.earn(0.1)
    assert [budget.spend(0.0) for _ in range(2)] == [True, False]
    assert [budget.spend(61.0) for _ in range(2)] == [True, False]
    assert not budget.spend(10.0)  # a clock that goes back takes nothing away, and gives nothing
    budget.earn(1_000.0)
    assert [budget.spend(10.0) for _ in range(21)] == [True] * 20 + [False]


@given(st.lists(st.floats(0, 5), max_size=200), st.floats(0, 1))
def test_the_budget_bounds_the_load(gaps: list[float], share: float) -> None:
    """However calls fail, retries are at most the share of the calls, ten, and one a minute."""
    budget, now, retries = Budget(), 0.0, 0
    for calls, gap in enumerate(gaps, start=1):
        now += gap
        budget.earn(share)
        while budget.spend(now):
            retries += 1
        assert retries <= 10 + share * calls + now / 60 + 1e-6


@pytest.mark.parametrize("budget", [-0.1, float("nan"), float("inf"), "much"])
def test_a_budget_that_makes_no_sense(budget: object) -> None:
    """The share is a finite number, not below zero."""
    with pytest.raises(ConfigurationError, match="budget"):
        RetryPolicy(budget=budget)  # type: ignore[arg-type]


def test_an_unknown_outcome_says_what_went_wrong() -> None:
    """The error keeps status, code, and the failure behind it, and says that it was not sent again."""
    unknown = outcome_unknown(status(500, "internal_error"))
    assert (unknown.status, unknown.code) == (500, "internal_error")
    assert unknown.last_error is not None
    assert "not sent again" in str(unknown)


def test_only_the_documented_code_is_a_refusal_for_quota() -> None:
    """A 429 from something in between, such as a proxy, does not prove that nothing ran."""
    assert is_quota_refusal(status(429, "rate_limit_exceeded"))
    assert not is_quota_refusal(status(429))
    assert not is_quota_refusal(None)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_settings_that_cannot_work_are_refused(value: float) -> None:
    """A time must be a positive number of seconds, and there is at least one attempt."""
    for make in (lambda: Timeouts(deadline=value), lambda: RetryPolicy(base=value)):
        with pytest.raises(ConfigurationError):
            make()
    with pytest.raises(ConfigurationError):
        RetryPolicy(max_attempts=0)
