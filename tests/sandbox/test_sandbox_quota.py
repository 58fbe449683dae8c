"""The sandbox counts requests exactly as it says, by either algorithm."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, cast

import pytest
from hypothesis import given, strategies as st

from envoy_async.sandbox import Sandbox
from envoy_async.sandbox.quota import Algorithm, FixedWindow, SlidingWindow, make_quota

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
