"""Deliveries that fail are repeated on a schedule by the sandbox's clock, until they are given up or replayed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
from aiohttp import web

from envoy_async.sandbox import Sandbox
from envoy_async.sandbox.answers import seconds_of
from envoy_async.sandbox.events import emit
from tests.sandbox._receiver import ENDPOINTS, NOW, Clock, Delivery, Send, receiving, register, rows_of, small

DAY = 86_400.0


async def replay(sandbox: Sandbox, send: Send, message_id: str, endpoint_id: str) -> dict[str, Any]:
    """Replay a message, and give how it stands."""
    path, body = f"/webhooks/messages/{message_id}/replay", {"endpoint_id": endpoint_id}
    status, _, state = await send(sandbox, "POST", path, json=body)
    assert status == 200
    return dict(state)


async def patch(sandbox: Sandbox, send: Send, endpoint: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Update an endpoint, and give it as it is then."""
    status, _, shown = await send(sandbox, "PATCH", f"{ENDPOINTS}/{endpoint['id']}", json=changes)
    assert status == 200
    return dict(shown)


def signatures(got: Delivery) -> list[str]:
    """Give the signatures of a delivery."""
    return got.headers["webhook-signature"].split(" ")


def signed_by(got: Delivery, *secrets: str) -> list[str]:
    """Give what each secret makes of a delivery, by the public package."""
    moment = datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), UTC)
    return [standardwebhooks.Webhook(secret).sign(got.id, moment, got.body.decode()) for secret in secrets]


async def test_a_failing_delivery_is_repeated_on_the_schedule(send: Send) -> None:
    """At 0 s, 5 s, 5 min, 30 min, and 2 h after one another, not a moment earlier, and then never again."""
    clock = Clock()
    async with receiving(*[503] * 5) as receiver, small(clock) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        for number, delay in enumerate((5.0, 300.0, 1_800.0, 7_200.0), start=2):
            *_, last = sandbox.store.attempts.values()
            wait = seconds_of(last["next_attempt_at"]) - seconds_of(last["created_at"])
            assert last["status"] == "PENDING"
            assert wait == pytest.approx(delay, abs=1e-4)
            due = clock.now + delay
            for clock.now, came in ((due - 0.001, number - 1), (due, number)):
                await sandbox.deliver()
                assert len(receiver.got) == came
        clock.now += 30 * DAY
        await sandbox.deliver()
        expected = [(number, 5, "FAILED", None) for number in range(1, 5)] + [(5, 5, "DEAD", None)]
        assert rows_of(sandbox, "attempt", "max_attempts", "status", "next_attempt_at") == expected
        shown = (await send(sandbox, "GET", f"{ENDPOINTS}/{endpoint['id']}/messages"))[2]["data"]
        assert [row["attempt"] for row in shown] == [5, 4, 3, 2, 1]
    assert len({got.id for got in receiver.got}) == len({got.body for got in receiver.got}) == 1
    stamps = [int(got.headers["webhook-timestamp"]) - int(NOW) for got in receiver.got]
    assert stamps == [0, 5, 305, 2_105, 9_305]


async def test_the_first_success_ends_the_schedule(send: Send) -> None:
    """The attempts before it stay FAILED."""
    clock = Clock()
    async with receiving(500, 500) as receiver, small(clock) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        for _ in range(5):
            await sandbox.deliver()
            clock.now += DAY
        assert rows_of(sandbox, "status") == [("FAILED",), ("FAILED",), ("SUCCEEDED",)]
        assert len(receiver.got) == 3


async def test_repetitions_come_by_themselves(send: Send) -> None:
    """The clock is moved by hand, and the attempt that is due by then goes out a moment later."""
    clock = Clock()
    async with receiving(500) as receiver, small(clock) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        clock.now += 5.0
        await receiver.reach(2)


@pytest.mark.parametrize(("delays", "attempts"), [((), 1), ([0.0, 0], 3), ((0.0,) * 9, 10)])
async def test_the_schedule_can_be_set(send: Send, delays: Any, attempts: int) -> None:
    """There is one attempt more than pauses; without a pause all of them are due at once."""
    async with receiving(*[500] * 20) as receiver, small(Clock(), delivery_delays=delays) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        assert len(receiver.got) == attempts
        assert rows_of(sandbox, "status", "max_attempts")[-1] == ("DEAD", attempts)


def test_a_pause_below_zero_is_refused() -> None:
    """It is a ValueError when the sandbox is made."""
    with pytest.raises(ValueError, match="delays"):
        small(Clock(), delivery_delays=(5.0, -1.0))


@pytest.mark.parametrize("status", ["PAUSED", "DISABLED"])
async def test_what_waits_for_a_paused_endpoint_goes_out_once_it_is_active(send: Send, status: str) -> None:
    """It stays PENDING however late it gets, and needs no further step then."""
    clock = Clock()
    async with receiving(500) as receiver, small(clock) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {"number": 1})
        await sandbox.deliver()
        sandbox.store.endpoints[endpoint["id"]]["status"] = status
        emit(sandbox.store, "offer.created", {"number": 2})
        clock.now += DAY
        await sandbox.deliver()
        assert rows_of(sandbox, "attempt", "status") == [(1, "FAILED"), (2, "PENDING")]
        await patch(sandbox, send, endpoint, status="ACTIVE")
        await receiver.reach(2)
        await sandbox.deliver()
        assert rows_of(sandbox, "attempt", "status") == [(1, "FAILED"), (2, "SUCCEEDED")]
    assert len({got.id for got in receiver.got}) == 1


async def test_five_days_without_a_success_shut_an_endpoint_off(send: Send) -> None:
    """Not a second earlier; made ACTIVE again it has five days more, and what waited goes out."""
    clock = Clock()
    async with receiving(*[500] * 4) as receiver, small(clock, delivery_delays=(60.0, 60.0)) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)

        async def fail(later: float) -> tuple[str, str | None]:
            clock.now = NOW + later
            emit(sandbox.store, "offer.created", {})
            await sandbox.deliver()
            shown = (await send(sandbox, "GET", f"{ENDPOINTS}/{endpoint['id']}"))[2]
            return shown["status"], shown["disabled_reason"]

        assert await fail(0.0) == ("ACTIVE", None)
        receiver.statuses.extend([500] * 20)
        assert await fail(5 * DAY - 1) == ("ACTIVE", None)
        assert await fail(5 * DAY) == ("DISABLED", "No delivery has succeeded for 5 days.")
        count = len(receiver.got)
        assert await fail(6 * DAY) == ("DISABLED", "No delivery has succeeded for 5 days.")
        assert len(receiver.got) == count
        await patch(sandbox, send, endpoint, status="ACTIVE")
        assert await fail(6 * DAY + 60) == ("ACTIVE", None)
        assert len(receiver.got) > count
        assert "_failing" not in str((await send(sandbox, "GET", ENDPOINTS))[2])


async def test_a_success_in_between_keeps_an_endpoint_on(send: Send) -> None:
    """The five days count from the first failure after it."""
    clock = Clock()
    async with receiving(500, 204, 500, 500) as receiver, small(clock, delivery_delays=()) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        states: list[object] = []
        for later in (0.0, 1.0, 6.0, 10.0):
            clock.now = NOW + later * DAY
            emit(sandbox.store, "offer.created", {})
            await sandbox.deliver()
            states.append(sandbox.store.endpoints[endpoint["id"]]["status"])
        assert states == ["ACTIVE"] * 4


async def test_an_endpoint_paused_during_a_failing_delivery_stays_paused(send: Send) -> None:
    """However long it has been failing: it is shut off for failures only while it is active."""
    clock = Clock()
    async with receiving(500) as receiver, small(clock) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        row = sandbox.store.endpoints[endpoint["id"]]

        async def pause(_: object) -> Any:
            row["status"] = "PAUSED"
            raise ConnectionError

        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        clock.now += 6 * DAY
        receiver.answer = pause
        await sandbox.deliver()
        assert len(receiver.got) == 2
        assert (row["status"], row["disabled_reason"]) == ("PAUSED", None)


async def test_addresses_elsewhere_do_not_shut_an_endpoint_off(send: Send) -> None:
    """That nothing is sent there is the sandbox's doing, so it is no failure of the receiver."""
    clock = Clock()
    async with small(clock) as sandbox:
        endpoint = await register(sandbox, send, "https://tms.example")
        for _ in range(2):
            emit(sandbox.store, "offer.created", {})
            await sandbox.deliver()
            clock.now += 6 * DAY
        assert sandbox.store.endpoints[endpoint["id"]]["status"] == "ACTIVE"
        assert rows_of(sandbox, "status") == [("DEAD",)] * 2


async def test_a_replay_is_sent_at_once_with_the_same_id(send: Send) -> None:
    """And the same body; it is an attempt of its own, signed anew."""
    clock = Clock()
    async with receiving() as receiver, small(clock) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {"amount": 1_850})
        (message_id,) = sandbox.store.messages
        await sandbox.deliver()
        clock.now += 30 * DAY
        state = await replay(sandbox, send, message_id, endpoint["id"])
        assert (state["attempt_count"], state["last_response_status_code"]) == (2, 204)
        await sandbox.deliver()
        assert rows_of(sandbox, "attempt", "status") == [(1, "SUCCEEDED"), (2, "SUCCEEDED")]
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body) == (message_id, first.body)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 30 * DAY
    assert signatures(first) != signatures(second)


async def test_a_replay_past_the_last_attempt_is_not_repeated(send: Send) -> None:
    """It is counted on and ends DEAD when it fails; one within the number of attempts goes on with the schedule."""
    clock = Clock()
    async with receiving(500, 500, 500, 204, 500) as receiver, small(clock, delivery_delays=(5.0,)) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        (message_id,) = sandbox.store.messages
        for _ in range(2):
            await sandbox.deliver()
            clock.now += 5.0
        for _ in range(2):
            await replay(sandbox, send, message_id, endpoint["id"])
            await sandbox.deliver()
            clock.now += DAY
            await sandbox.deliver()
        expected = [(1, "FAILED"), (2, "DEAD"), (3, "DEAD"), (4, "SUCCEEDED")]
        assert rows_of(sandbox, "attempt", "status") == expected
        assert {got.id for got in receiver.got} == {message_id}


async def test_a_replay_of_a_first_success_has_the_rest_of_the_schedule(send: Send) -> None:
    """When it fails it is repeated after the pause that belongs to its number."""
    clock = Clock()
    async with receiving(204, 500) as receiver, small(clock) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        await replay(sandbox, send, next(iter(sandbox.store.messages)), endpoint["id"])
        await sandbox.deliver()
        clock.now += 299.0
        await sandbox.deliver()
        assert rows_of(sandbox, "attempt", "status") == [(1, "SUCCEEDED"), (2, "FAILED"), (3, "PENDING")]
        clock.now += 1.0
        await sandbox.deliver()
        assert rows_of(sandbox, "attempt", "status")[-1] == (3, "SUCCEEDED")


async def test_both_secrets_sign_for_24_hours_after_a_rotation(send: Send) -> None:
    """The new one first; from the 24th hour on the new one alone."""
    clock = Clock()
    async with receiving() as receiver, small(clock) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        path, old = f"{ENDPOINTS}/{endpoint['id']}/rotate-secret", endpoint["signing_secret"]
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        new = (await send(sandbox, "POST", path, json={}))[2]["signing_secret"]
        retired = seconds_of(sandbox.store.endpoints[endpoint["id"]]["_secrets"][1]["expires_at"])  # type: ignore[index]
        assert retired == pytest.approx(NOW + DAY, abs=1e-3)
        for clock.now in (NOW, NOW + 1, NOW + DAY - 1, retired - 1e-5, retired, NOW + DAY + 1):
            emit(sandbox.store, "offer.created", {})
            await sandbox.deliver()
    first, *during, edge, after = receiver.got
    assert signatures(first) == signed_by(first, old)
    assert len(during) == 4
    for got in during:
        assert signatures(got) == signed_by(got, new, old)
    for got in (edge, after):
        assert signatures(got) == signed_by(got, new)


async def test_a_repetition_is_signed_with_the_secrets_of_its_own_moment(send: Send) -> None:
    """Not with those of the event."""
    clock = Clock()
    async with receiving(500) as receiver, small(clock) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        path = f"{ENDPOINTS}/{endpoint['id']}/rotate-secret"
        new = (await send(sandbox, "POST", path, json={}))[2]["signing_secret"]
        clock.now += 5.0
        await sandbox.deliver()
    assert signatures(receiver.got[1]) == signed_by(receiver.got[1], new, endpoint["signing_secret"])


async def test_a_repetition_goes_to_the_address_of_its_own_moment(send: Send) -> None:
    """So a wrong address can be put right while attempts are left."""
    clock = Clock()
    async with receiving(404) as wrong, receiving() as right, small(clock) as sandbox:
        endpoint = await register(sandbox, send, wrong.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        await patch(sandbox, send, endpoint, url=right.url)
        clock.now += 5.0
        await sandbox.deliver()
        assert (len(wrong.got), len(right.got)) == (1, 1)


async def test_an_endpoint_deleted_during_a_delivery_gets_no_further_one(send: Send) -> None:
    """A failure is then DEAD at once, a success stays one, and what waited is given up."""
    clock = Clock()
    async with receiving() as receiver, small(clock) as sandbox:
        results: list[object] = []
        for status in (500, 204):
            endpoint = await register(sandbox, send, receiver.url)

            async def delete(_: object, path: str = f"{ENDPOINTS}/{endpoint['id']}", status: int = status) -> Any:
                assert (await send(sandbox, "DELETE", path))[0] == 200
                return web.Response(status=status)

            receiver.answer = delete
            emit(sandbox.store, "offer.created", {})
            await sandbox.deliver()
            results += rows_of(sandbox, "status")[-1]
        assert results == ["DEAD", "SUCCEEDED"]
        clock.now += DAY
        await sandbox.deliver()
        assert (len(receiver.got), len(sandbox.store.attempts)) == (2, 2)


async def test_attempts_may_be_changed_by_hand(send: Send) -> None:
    """One that was taken away or ended is not sent; those behind it are."""
    async with receiving() as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url)
        for number in range(3):
            emit(sandbox.store, "offer.created", {"number": number})
        gone, ended, left = sandbox.store.attempts.values()
        del sandbox.store.attempts[str(gone["id"])]
        ended["status"] = "DEAD"
        await sandbox.deliver()
        assert [got.id for got in receiver.got] == [left["message_id"]]


async def test_deliveries_begin_in_order_of_their_events(send: Send) -> None:
    """Those due at the same moment, too."""
    async with receiving() as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url)
        for number in range(10):
            emit(sandbox.store, "offer.created", {"number": number})
        began = [seconds_of(row["created_at"]) for row in sandbox.store.attempts.values()]
        taken = sorted(sandbox.store.queues[next(iter(sandbox.store.endpoints))])
        assert [entry[2] for entry in taken] == list(sandbox.store.attempts)
        assert began == sorted(began)
        await sandbox.deliver()
        assert len(receiver.got) == 10
