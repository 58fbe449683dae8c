"""The sandbox counts requests exactly as it says, by either algorithm."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, cast

import pytest
from hypothesis import given, strategies as st

from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.quota import Algorithm, FixedWindow, Ledger, SlidingWindow, category_of, make_quota

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOW = 1_763_740_800.0
# quarters of a second are exact in binary, so no expectation here rests on rounding
GAPS = st.lists(st.integers(0, 40).map(lambda quarters: quarters / 4), min_size=1, max_size=80)


def accepted_instants(quota: FixedWindow | SlidingWindow, gaps: list[float]) -> list[float]:
    """Send one request after each gap (seconds) and give the instants of the accepted ones."""
    now, accepted = NOW, list[float]()
    for gap in gaps:
        now += gap
        if quota.look(now).wait == 0:
            quota.spend(now)
            accepted.append(now)
    return accepted


@given(gaps=GAPS, limit=st.integers(1, 6), window=st.sampled_from([0.5, 5.0, 10.0]))
def test_no_trailing_window_exceeds_a_sliding_quota(gaps: list[float], limit: int, window: float) -> None:
    """Whatever the arrivals, any window seconds hold at most the limit of accepted requests."""
    accepted = accepted_instants(SlidingWindow(limit, window), gaps)
    for end in accepted:
        assert sum(end - window < instant <= end for instant in accepted) <= limit


@given(gaps=GAPS, limit=st.integers(1, 6), window=st.sampled_from([0.5, 5.0, 10.0]))
def test_no_aligned_window_exceeds_a_fixed_quota(gaps: list[float], limit: int, window: float) -> None:
    """Whatever the arrivals, each window aligned to the epoch holds at most the limit."""
    accepted = accepted_instants(FixedWindow(limit, window), gaps)
    windows = [instant // window for instant in accepted]
    assert all(windows.count(index) <= limit for index in windows)


@given(gaps=GAPS, limit=st.integers(1, 6), algorithm=st.sampled_from(["fixed", "sliding"]))
def test_waiting_as_told_is_enough_and_less_is_not(gaps: list[float], limit: int, algorithm: Algorithm) -> None:
    """After exactly ``wait`` a request is accepted, a quarter second earlier it is not."""
    quota = make_quota(limit, 10.0, algorithm)
    now = NOW
    for gap in gaps:
        now += gap
        quota.spend(now)
    standing = quota.look(now)
    if standing.wait > 0:
        assert quota.look(now + standing.wait - 0.25).wait > 0
        assert quota.look(now + standing.wait).wait == 0
        assert standing.retry_after == math.ceil(standing.wait)


def test_headers_of_a_fixed_window() -> None:
    """Reset is the end of the aligned window in whole seconds, rounded down."""
    quota = FixedWindow(3, 0.75)
    quota.spend(100.0, 2)
    assert quota.look(100.0).headers == {
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "1",
        "X-RateLimit-Reset": "100",
    }


def test_headers_of_a_sliding_window() -> None:
    """Reset is when the oldest request leaves; with none it is now."""
    quota = SlidingWindow(3, 60.0)
    assert quota.look(100.9).headers["X-RateLimit-Reset"] == "100"
    quota.spend(100.9)
    quota.spend(130.0)
    assert quota.look(131.0).headers["X-RateLimit-Reset"] == "160"
    assert quota.look(160.9).remaining == 2


def test_nobody_can_spend_more_than_remains() -> None:
    """Spending stops at the limit, by either algorithm."""
    for quota in (FixedWindow(3, 60.0), SlidingWindow(3, 60.0)):
        quota.spend(NOW, 5)
        assert quota.look(NOW).remaining == 0


@pytest.mark.parametrize(
    ("limit", "window", "algorithm"), [(0, 60.0, "fixed"), (None, 0.0, "fixed"), (5, 60.0, "leaky")]
)
def test_senseless_settings_are_refused(limit: int | None, window: float, algorithm: str) -> None:
    """A quota of nothing, a window of nothing, and an unknown algorithm are a ValueError."""
    with pytest.raises(ValueError, match="must be"):
        make_quota(limit, window, cast("Algorithm", algorithm))


@pytest.mark.parametrize("algorithm", ["fixed", "sliding"])
async def test_a_refused_request_says_when_to_come_back(send: Send, algorithm: Algorithm) -> None:
    """The third of two allowed requests is a 429 with Retry-After, runs nothing, and uses nothing up."""
    now = [NOW + 0.5]
    async with Sandbox(calls=3, loads=1, quota=2, window=60.0, algorithm=algorithm, clock=lambda: now[0]) as sandbox:
        statuses = [(await send(sandbox, "GET", "/calls"))[0] for _ in range(3)]
        status, headers, body = await send(sandbox, "GET", "/calls")
        assert statuses == [200, 200, 429]
        assert status == 429
        assert headers["Retry-After"] == "60"
        assert headers["X-RateLimit-Remaining"] == "0"
        assert headers["X-RateLimit-Reset"] == str(int(NOW) + 60)
        assert headers["Date"] == "Fri, 21 Nov 2025 16:00:00 GMT"
        assert body["error"] == {
            "code": "rate_limit_exceeded",
            "message": "Rate limit exceeded. Retry after 60 seconds.",
            "param": None,
        }
        assert len(sandbox.executions) == 2
        now[0] += 60
        assert (await send(sandbox, "GET", "/calls"))[0] == 200


async def test_every_answer_shows_the_quota(send: Send) -> None:
    """Successes and errors carry the three headers; a 401 shows a full quota and counts against nobody."""
    async with Sandbox(calls=1, loads=1, quota=10, clock=lambda: NOW) as sandbox:
        remaining = [
            (await send(sandbox, method, path, headers=headers))[1]["X-RateLimit-Remaining"]
            for method, path, headers in (
                ("GET", "/calls", None),
                ("GET", "/nowhere", None),
                ("GET", "/calls", {}),
                ("DELETE", "/calls", None),
                ("GET", "/calls?page=0", None),
                ("GET", "/calls", {"Authorization": f"Bearer {sandbox.bearer_token}"}),
            )
        ]
    assert remaining == ["9", "8", "10", "7", "6", "9"]


async def test_foreign_traffic_uses_the_same_quota(send: Send) -> None:
    """What somebody else spends with the key is missing here."""
    async with Sandbox(calls=1, loads=1, quota=10, clock=lambda: NOW) as sandbox:
        sandbox.spend(9)
        _, headers, _ = await send(sandbox, "GET", "/calls")
        assert headers["X-RateLimit-Remaining"] == "0"
        assert (await send(sandbox, "GET", "/calls"))[0] == 429


async def test_without_a_quota_the_limit_is_out_of_reach(sandbox: Sandbox, send: Send) -> None:
    """``quota=None`` still sends the headers, with a limit nobody reaches."""
    _, headers, _ = await send(sandbox, "GET", "/calls")
    assert int(headers["X-RateLimit-Remaining"]) > 100_000_000


@pytest.mark.parametrize(
    ("path", "category"),
    [
        ("/auth/login", "auth"),
        ("/auth/nowhere", "auth"),
        ("/auth", "general"),
        ("/author", "general"),
        ("/api-keys", "api keys"),
        ("/api-keys/key_1", "api keys"),
        ("/api-keysmith", "general"),
        ("/calls", "general"),
        ("/calls/api-keys/auth/", "general"),
    ],
)
def test_the_path_tells_the_category(path: str, category: str) -> None:
    """Only what lies below ``/auth/``, and ``/api-keys`` with all below it, counts apart from the rest."""
    assert category_of(path) == category


def test_each_caller_has_a_quota_for_each_category() -> None:
    """Spending in one touches no other, and only spending opens a quota."""
    ledger = Ledger(3, 60.0, "fixed")
    ledger.spend("general", "a", NOW, 2)
    assert ledger.look("general", "a", NOW).remaining == 1
    assert [ledger.look(category, "a", NOW).remaining for category in ("auth", "api keys")] == [10, 1_000]
    assert ledger.look("general", "b", NOW).remaining == 3
    assert list(ledger._quotas) == [("general", "a")]


async def test_logins_are_counted_by_address(send: Send) -> None:
    """Ten in a window, wrong ones too, whatever credential is shown; then all below ``/auth/`` is a 429."""
    async with Sandbox(calls=1, loads=1, quota=100, clock=lambda: NOW) as sandbox:
        good = {"email": sandbox.email, "password": sandbox.password}
        shown = [{}, {"X-API-Key": sandbox.api_key}, {"Authorization": f"Bearer {sandbox.bearer_token}"}, {}]
        bodies = [good, good | {"password": "x"}, {}, good]
        answers = [
            await send(sandbox, "POST", "/auth/login", headers=headers, json=body)
            for headers, body in zip(shown, bodies, strict=True)
        ]
        assert [status for status, _, _ in answers] == [200, 401, 422, 200]
        assert [headers["X-RateLimit-Remaining"] for _, headers, _ in answers] == ["9", "8", "7", "6"]
        for _ in range(6):
            await send(sandbox, "POST", "/auth/login", headers={}, json=good)
        status, headers, body = await send(sandbox, "POST", "/auth/login", headers={}, json=good)
        assert (status, body["error"]["code"], headers["Retry-After"]) == (429, "rate_limit_exceeded", "60")
        assert headers["X-RateLimit-Limit"] == "10"
        assert (await send(sandbox, "GET", "/calls"))[1]["X-RateLimit-Remaining"] == "99"
        assert len([ran for ran in sandbox.executions if ran.operation == "auth.login"]) == 8
        assert (await send(sandbox, "GET", "/auth/login"))[0] == 429


async def test_api_key_operations_have_a_quota_of_their_own(send: Send) -> None:
    """A thousand for each credential, whatever the general quota is."""
    async with Sandbox(calls=1, loads=1, quota=2, clock=lambda: NOW) as sandbox:
        bearer = {"Authorization": f"Bearer {sandbox.bearer_token}"}
        shown = [
            (status, headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"])
            for path, credential in (
                ("/api-keys", bearer),
                ("/api-keys/nowhere/else", bearer),
                ("/calls", bearer),
                ("/api-keys", None),
                ("/api-keys", {}),
            )
            for status, headers, _ in [await send(sandbox, "GET", path, headers=credential)]
        ]
    assert shown == [
        (200, "1000", "999"),
        (404, "1000", "998"),
        (200, "2", "1"),
        (403, "1000", "999"),
        (401, "1000", "1000"),
    ]


async def test_without_a_quota_no_category_has_a_limit(sandbox: Sandbox, send: Send) -> None:
    """``quota=None`` lets everybody log in as often as they like."""
    good = {"email": sandbox.email, "password": sandbox.password}
    statuses = {(await send(sandbox, "POST", "/auth/login", headers={}, json=good))[0] for _ in range(12)}
    assert statuses == {200}
    bearer = {"Authorization": f"Bearer {sandbox.bearer_token}"}
    _, headers, _ = await send(sandbox, "GET", "/api-keys", headers=bearer)
    assert int(headers["X-RateLimit-Remaining"]) > 100_000_000


async def test_each_new_credential_has_a_full_quota(send: Send) -> None:
    """A new token and a new key do not share with those before them; what is unknown opens no quota at all."""
    async with Sandbox(calls=1, loads=1, quota=5, clock=lambda: NOW) as sandbox:
        sandbox.spend(5)
        good = {"email": sandbox.email, "password": sandbox.password}
        token = (await send(sandbox, "POST", "/auth/login", headers={}, json=good))[2]["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        key = (await send(sandbox, "POST", "/api-keys", headers=bearer, json={"name": "TMS"}))[2]["key"]
        for number in range(4):
            assert (await send(sandbox, "GET", "/calls", headers={"X-API-Key": f"unknown {number}"}))[0] == 401
        left = [
            (await send(sandbox, "GET", "/calls", headers=headers))[1]["X-RateLimit-Remaining"]
            for headers in (bearer, {"X-API-Key": key}, None)
        ]
        assert left == ["4", "4", "0"]
        assert len(sandbox._gateway.ledger._quotas) == 5  # the address, two of the token, two keys


async def test_a_login_refused_by_a_fault_uses_no_quota(send: Send) -> None:
    """A scripted 429 answers it in place of the operation, and the next one finds the quota untouched."""
    faults = [Fault(method="POST", path="/auth/login", status=429)]
    async with Sandbox(calls=1, loads=1, faults=faults, clock=lambda: NOW) as sandbox:
        good = {"email": sandbox.email, "password": sandbox.password}
        answers = [await send(sandbox, "POST", "/auth/login", headers={}, json=good) for _ in range(2)]
    assert [(status, headers["X-RateLimit-Remaining"]) for status, headers, _ in answers] == [(429, "10"), (200, "9")]
