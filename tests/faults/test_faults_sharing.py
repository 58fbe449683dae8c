"""Faults of sharing a quota: crowds, outages, others on the key, a quota that changes, a line that people leave.

The numbers are those of the catalogue of faults. All of it runs in virtual time against a modelled server; the whole
client is in between, but for aiohttp. 72 to 76 and 79 are about Redis: test_faults_redis.py.
"""

from __future__ import annotations

import asyncio
import uuid
from random import Random

import pytest

from envoy_async import EnvoyClient, EnvoyError
from tests.faults._modelled import ModelledServer, make_modelled
from tests.transport.conftest import UUID

pytestmark = pytest.mark.looptime


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def saturate(envoy: EnvoyClient, until: float) -> None:
    """Send one request after another until the loop's clock shows this; what fails is let go."""
    while now() < until:
        try:
            await envoy.calls.get(UUID)
        except EnvoyError:
            continue


async def crowd(envoy: EnvoyClient, workers: int, until: float) -> None:
    """Send from this many tasks until the loop's clock shows this."""
    async with asyncio.timeout_at(until):
        await asyncio.gather(*(saturate(envoy, until) for _ in range(workers)))


async def test_fault_067_a_thousand_workers_start_in_one_tick() -> None:
    """They go first come, first served, and none is refused, since the server never sees more than its quota."""
    server = ModelledServer(600)
    async with make_modelled(server, deadline=3600.0) as envoy:
        ids = [str(uuid.UUID(int=number)) for number in range(1_000)]
        await asyncio.gather(*(envoy.calls.get(call_id) for call_id in ids))
    arrived = {arrival.path.rpartition("/")[2]: arrival.at for arrival in server.arrivals}
    times = [arrived[call_id] for call_id in ids]
    assert times == sorted(times)
    assert server.refused == 0
    assert server.most_within(60.0) <= 600
    assert now() <= 110.0


async def test_fault_067_a_hundred_workers_and_a_quota_nobody_tells() -> None:
    """500 requests at 50 per second, of which no header tells: all succeed, at most 20 are refused, in 12 s."""
    server, left = ModelledServer(50, latency=0.002, silent=True), iter(range(500))
    async with make_modelled(server) as envoy:

        async def work() -> None:
            for _ in left:
                await envoy.calls.get(UUID)

        began = now()
        await asyncio.gather(*(work() for _ in range(100)))
    assert now() - began <= 12.0
    assert len(server.accepted) == 500
    assert server.refused <= 20


async def test_fault_068_an_outage_ends() -> None:
    """While the server is down hardly anything is sent; when it is back there is no herd, and soon full speed."""
    server, per_second = ModelledServer(1_200), 20
    async with make_modelled(server) as envoy:

        async def fail() -> None:
            await asyncio.sleep(60.0)
            server.down = True
            await asyncio.sleep(60.0)
            server.down = False

        failing = asyncio.create_task(fail())
        with pytest.raises(TimeoutError):
            await crowd(envoy, 40, 165.0)
        await failing
    assert sum(65.0 <= arrival.at < 120.0 for arrival in server.arrivals) <= 55 / 1.5  # a probe now and then
    assert server.most_within(1.0, since=120.0) <= 1.1 * per_second
    assert sum(135.0 <= arrival.at < 165.0 for arrival in server.accepted) >= 0.9 * 30 * per_second


async def test_fault_069_foreign_traffic_on_the_key() -> None:
    """While somebody else uses 30 % of the quota, at most 1.5 % is refused, and 90 % of the rest is used."""
    server, rng = ModelledServer(200), Random(69)

    async def others() -> None:
        while True:
            await asyncio.sleep(rng.uniform(0.5, 1.5))
            server.use(1)

    foreign = asyncio.create_task(others())
    await asyncio.sleep(60.0)
    async with make_modelled(server, deadline=3600.0) as envoy:
        with pytest.raises(TimeoutError):
            await crowd(envoy, 20, 360.0)
    foreign.cancel()
    assert server.refused <= 0.015 * len(server.arrivals)
    assert len(server.accepted) >= 0.9 * 0.7 * 200 * 5


@pytest.mark.parametrize("quota", [50, 200], ids=["halved", "doubled"])
async def test_fault_070_the_quota_changes_at_run_time(quota: int) -> None:
    """A new `X-RateLimit-Limit` holds within one window: no more than 1 % is refused, and 90 % of it is used."""
    server = ModelledServer(100)
    async with make_modelled(server, deadline=3600.0) as envoy:

        async def change() -> None:
            await asyncio.sleep(150.0)
            server.quotas["general"] = quota

        changing = asyncio.create_task(change())
        with pytest.raises(TimeoutError):
            await crowd(envoy, 10, 450.0)
        await changing
    assert server.refused <= 0.01 * len(server.arrivals)
    late = [arrival for arrival in server.accepted if 270.0 <= arrival.at < 450.0]
    assert 0.9 * 3 * quota <= len(late) <= 3 * quota


async def test_fault_071_each_category_has_a_quota_of_its_own() -> None:
    """Thirty logins in a line under ten per minute keep no other operation waiting."""
    server = ModelledServer(100)
    async with make_modelled(server, deadline=3600.0) as envoy:
        logins = [asyncio.create_task(envoy.auth.login("ann@example.com", "pass-word")) for _ in range(30)]
        await asyncio.sleep(5.0)
        began = now()
        await asyncio.gather(*(envoy.calls.get(UUID) for _ in range(10)))
        assert now() - began < 1.0
        assert not all(login.done() for login in logins)
        await asyncio.gather(*logins)
    assert server.refused == 0
    assert now() > 60.0


async def test_fault_077_waiters_that_are_cancelled() -> None:
    """Their permits go to the next in line: the others get through as fast as if those had never been there."""
    took: list[float] = []
    for count, leave in ((450, 200), (250, 0)):
        server, rng, began = ModelledServer(100), Random(77), now()
        async with make_modelled(server, deadline=3600.0) as envoy:
            tasks = [asyncio.create_task(envoy.calls.get(UUID)) for _ in range(count)]
            for number in rng.sample(range(100, count), leave):
                await asyncio.sleep(rng.uniform(0.0, 0.25))
                tasks[number].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
        took.append(now() - began)
        left = [each for each in found if isinstance(each, BaseException)]
        assert {type(each) for each in left} <= {asyncio.CancelledError}
        assert len(left) == leave
        assert len(server.arrivals) == count - leave
    assert took[0] <= took[1] * 1.02 + 0.5


async def test_fault_078_bulk_work_does_not_starve_a_call_in_person() -> None:
    """Ending a call while listings use the whole quota starts within a second, and nothing is refused for it."""
    server, rng, waits = ModelledServer(100), Random(78), list[float]()
    async with make_modelled(server, deadline=3600.0) as envoy:
        bulk = [asyncio.create_task(envoy.calls.list().collect(limit=10**6)) for _ in range(8)]
        await asyncio.sleep(90.0)
        for _ in range(25):
            await asyncio.sleep(rng.uniform(1.0, 45.0))
            began = now()
            await envoy.calls.end(UUID)
            waits.append(now() - began)
        used = sum(arrival.at >= now() - 600.0 for arrival in server.accepted)
        for task in bulk:
            task.cancel()
        await asyncio.wait(bulk)
    assert sorted(waits)[12] <= 1.0 + server.latency
    assert server.refused == 0
    assert used >= 0.85 * 1_000
