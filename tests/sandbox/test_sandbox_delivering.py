"""The sandbox sends its events over real sockets: signed, to this machine only, and each attempt once."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from base64 import b64decode
from collections import Counter

import pytest
import standardwebhooks
import svix
from aiohttp import web

from envoy_async.sandbox import delivering
from envoy_async.sandbox.events import emit
from envoy_async.sandbox.validation import need_record
from tests.sandbox._receiver import ENDPOINTS, NOW, Clock, Send, receiving, register, rows_of, small

ALL_KINDS = ["call.status_changed", "offer.created", "load.updated", "escalation.created"]


async def test_deliveries_verify_with_the_public_packages(send: Send) -> None:
    """Signatures are good for ``standardwebhooks`` and ``svix``; another secret or one changed byte is refused."""
    async with receiving() as receiver, small(time.time) as sandbox:
        endpoint = await register(sandbox, send, receiver.url)
        load_id = next(iter(sandbox.store.loads))
        await send(sandbox, "POST", "/offers", json={"load_id": load_id, "offer_amount": 1_850})
        (got,) = await receiver.reach(1)
    headers = dict(got.headers)
    event = standardwebhooks.Webhook(endpoint["signing_secret"]).verify(got.body, headers)
    svix.Webhook(endpoint["signing_secret"]).verify(got.body, headers)
    assert (event["type"], event["data"]["offer_amount"], event["data"]["load_id"]) == ("offer.created", 1_850, load_id)
    for body, secret in ((got.body + b" ", endpoint["signing_secret"]), (got.body, "whsec_" + "A" * 32)):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(secret).verify(body, headers)


async def test_a_delivery_is_the_event_as_compact_json(send: Send) -> None:
    """The body is the payload of the message, ``webhook-id`` its id, ``webhook-timestamp`` the clock in seconds."""
    async with receiving() as receiver, small(Clock(NOW + 0.75)) as sandbox:
        endpoint = await register(sandbox, send, receiver.url, headers={"X-Team": "spot"})
        emit(sandbox.store, "offer.created", {"notes": "1,850 \u20ac \ud83d"})
        await sandbox.deliver()
        ((message_id, message),) = sandbox.store.messages.items()
        (got,) = receiver.got
        assert got.body == json.dumps(message["payload"], separators=(",", ":")).encode()
        assert got.path == "/hooks"
        expected = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(NOW)),
            "Content-Type": "application/json",
            "User-Agent": "envoy-sandbox",
            "X-Team": "spot",
        }
        assert {name: got.headers[name] for name in expected} == expected
        (row,) = (await send(sandbox, "GET", f"{ENDPOINTS}/{endpoint['id']}/messages"))[2]["data"]
    assert (row["status"], row["response_status_code"], row["response_body_excerpt"]) == ("SUCCEEDED", 204, "")
    assert (row["error_message"], row["next_attempt_at"]) == (None, None)
    assert row["duration_ms"] >= 0
    assert row["delivered_at"] > row["created_at"]


async def test_an_endpoints_headers_never_stand_in_for_ours(send: Send) -> None:
    """Whatever the case of their names."""
    forged = {"Webhook-ID": "x", "WEBHOOK-SIGNATURE": "x", "webhook-timestamp": "0", "content-type": "text/plain"}
    async with receiving() as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url, headers=forged | {"Authorization": "Basic eA=="})
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        (got,) = receiver.got
    assert got.headers["Authorization"] == "Basic eA=="
    assert (got.id[:4], got.headers["webhook-timestamp"]) == ("msg_", str(int(NOW)))
    assert got.headers["webhook-signature"].startswith("v1,")
    assert [got.headers.getall(name) for name in ("webhook-id", "content-type")] == [[got.id], ["application/json"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [200, 202, 204, 299])
async def test_any_2xx_is_a_success(send: Send, status: int) -> None:
    """There is no further attempt."""
    async with receiving(status) as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        assert rows_of(sandbox, "status", "response_status_code") == [("SUCCEEDED", status)]


@pytest.mark.parametrize("status", [300, 304, 400, 410, 429, 500, 503])
async def test_everything_else_is_a_failure(send: Send, status: int) -> None:
    """The row tells the status, and the next attempt waits."""
    async with receiving(status) as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        assert rows_of(sandbox, "attempt", "status", "response_status_code", "error_message", "delivered_at") == [
            (1, "FAILED", status, f"The receiver answered {status}.", None),
            (2, "PENDING", None, None, None),
        ]


async def test_a_redirect_is_not_followed(send: Send) -> None:
    """Nothing of the event reaches the other address; the attempt failed."""

    async def elsewhere(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": other.url})

    async with receiving() as other, receiving(answer=elsewhere) as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        assert (len(receiver.got), other.got) == (1, [])
        assert rows_of(sandbox, "status", "response_status_code")[0] == ("FAILED", 307)


@pytest.mark.parametrize(
    "address",
    [
        *("http://tms.example", "https://tms.example/hooks", "http://192.0.2.1", "http://0.0.0.0", "http://128.0.0.1"),
        *("http://localhost.example", "http://localhost.", "http://127.1", "http://2130706433", "http://[::2]"),
        *("http://[::ffff:127.0.0.1]", "http://127.0.0.1@tms.example", "http://127.0.0.1.nip.example"),
    ],
)
async def test_nothing_leaves_this_machine(send: Send, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Another host is neither looked up nor connected to: the attempt is DEAD at once and says why."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the sandbox asked for another host")

    async with small(Clock()) as sandbox:
        await register(sandbox, send, address)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", refuse)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        assert rows_of(sandbox, "attempt", "status", "error_message", "next_attempt_at") == [
            (1, "DEAD", "The sandbox delivers to this machine only.", None)
        ]


@pytest.mark.parametrize(
    ("bound", "named"), [("127.0.0.1", "LOCALHOST"), ("127.0.0.2", "127.0.0.2"), ("::1", "[::1]"), ("::1", "localhost")]
)
async def test_every_name_of_this_machine_is_reached(send: Send, bound: str, named: str) -> None:
    """By its name and by its addresses, of which there are many; a name and password in the address are sent on."""
    async with receiving(host=bound) as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, f"http://tms:secret@{named}:{receiver.port}/a%2Fb?c=d%20e")
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        assert rows_of(sandbox, "status") == [("SUCCEEDED",)]
        assert b64decode(receiver.got[0].headers["Authorization"].removeprefix("Basic ")) == b"tms:secret"


async def test_proxies_of_the_environment_are_not_asked(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """The delivery goes straight to the receiver."""
    async with receiving() as proxy, receiving() as receiver, small(Clock()) as sandbox:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        assert (len(receiver.got), proxy.got) == (1, [])


async def test_events_go_out_by_themselves(send: Send) -> None:
    """Without a request and without `Sandbox.deliver`, also when told of from another thread."""
    async with receiving() as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {"number": 1})
        await receiver.reach(1)
        await asyncio.to_thread(emit, sandbox.store, "offer.created", {"number": 2})
        got = await receiver.reach(2)
    assert [json.loads(delivery.body)["data"]["number"] for delivery in got] == [1, 2]


async def test_the_background_and_deliver_never_send_the_same_attempt(send: Send) -> None:
    """Five callers of `Sandbox.deliver` and the task in the background share 60 events: each arrives once."""
    async with receiving() as receiver, small(Clock()) as sandbox:
        for _ in range(2):
            await register(sandbox, send, receiver.url)
        for number in range(30):
            emit(sandbox.store, "offer.created", {"number": number})
            await asyncio.sleep(0)
        await asyncio.gather(*(sandbox.deliver() for _ in range(5)))
        assert Counter(Counter(got.id for got in receiver.got).values()) == {2: 30}
        assert set(rows_of(sandbox, "status")) == {("SUCCEEDED",)}
        await sandbox.deliver()
        assert len(receiver.got) == 60


async def test_deliver_waits_for_what_is_already_under_way(send: Send) -> None:
    """Also when the task in the background sent it; and for what follows from it at the same time by the clock."""
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        if len(receiver.got) == 1:
            held.set()
            await go_on.wait()
            emit(sandbox.store, "offer.created", {})
        return web.Response()

    async with receiving(answer=hold) as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await held.wait()
        assert rows_of(sandbox, "status") == [("SENDING",)]
        delivering_all = asyncio.create_task(sandbox.deliver())
        await asyncio.sleep(0)
        assert not delivering_all.done()
        go_on.set()
        await delivering_all
        assert rows_of(sandbox, "status") == [("SUCCEEDED",)] * 2


async def test_a_slow_receiver_holds_up_nobody_but_itself(send: Send) -> None:
    """At most 16 deliveries are under way at one endpoint; another endpoint gets its own meanwhile."""
    go_on = asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response()

    async with receiving(answer=hold) as slow, receiving() as quick, small(Clock()) as sandbox:
        for receiver in (slow, quick):
            await register(sandbox, send, receiver.url)
        for _ in range(20):
            emit(sandbox.store, "offer.created", {})
        await quick.reach(20)
        await slow.reach(16)
        assert Counter(rows_of(sandbox, "status"))["SENDING",] >= 16
        assert (len(slow.got), sum(row["status"] == "PENDING" for row in sandbox.store.attempts.values())) == (16, 4)
        go_on.set()
        await sandbox.deliver()
        assert (len(slow.got), set(rows_of(sandbox, "status"))) == (20, {("SUCCEEDED",)})


async def test_no_answer_in_time_is_a_failure(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is an answer that does not come to an end of its first characters."""
    monkeypatch.setattr(delivering, "TIMEOUT", 0.05)
    for begin in (False, True):

        async def stall(request: web.Request, begin: bool = begin) -> web.StreamResponse:
            response = web.StreamResponse()
            if begin:
                await response.prepare(request)
            await asyncio.sleep(60)
            return response

        async with receiving(answer=stall) as receiver, small(Clock()) as sandbox:
            await register(sandbox, send, receiver.url)
            emit(sandbox.store, "offer.created", {})
            await sandbox.deliver()
            ((status, error, milliseconds), _) = rows_of(sandbox, "status", "error_message", "duration_ms")
            assert (status, error) == ("FAILED", "No answer within 0.05 seconds.")
            assert isinstance(milliseconds, int)
            assert milliseconds >= 40


async def test_no_connection_and_no_answer_are_failures(send: Send) -> None:
    """A port nobody listens on, a receiver that hangs up, one that speaks no HTTP, and a header that cannot be sent."""

    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def gibberish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0\r\n\r\n")
        writer.close()

    async with receiving() as gone:
        pass
    speaking = await asyncio.start_server(gibberish, "127.0.0.1", 0)
    nonsense = f"http://127.0.0.1:{speaking.sockets[0].getsockname()[1]}"
    async with speaking, receiving(answer=hang_up) as rude, receiving() as good, small(Clock()) as sandbox:
        for url in (gone.url, rude.url, nonsense, good.url.replace("http:", "https:")):
            await register(sandbox, send, url)
        await register(sandbox, send, good.url, headers={"X-Team": "a\r\nb"})
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        rows = rows_of(sandbox, "status", "response_status_code", "error_message")
    assert {row[:2] for row in rows[:5]} == {("FAILED", None)}
    kinds = [str(row[2]).split(":")[0] for row in rows[:5]]
    assert kinds[0] == "ClientConnectorError"
    assert kinds[1] == "ServerDisconnectedError"
    assert "ValueError" in kinds[4]
    assert good.got == []


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        (b"x" * 501, "x" * 500),
        ("\u20ac".encode() * 501, "\u20ac" * 500),
        (b"\xff\x00", "\ufffd\x00"),
        (b"x" * 10_000_000, "x" * 500),
    ],
)
async def test_only_the_beginning_of_an_answer_is_kept(send: Send, body: bytes, excerpt: str) -> None:
    """500 characters, whatever the bytes; the rest of a long answer is not waited for."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with receiving(answer=answer) as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await sandbox.deliver()
        assert rows_of(sandbox, "status", "response_body_excerpt") == [("SUCCEEDED", excerpt)]


async def test_closing_breaks_a_delivery_off_and_leaves_nothing_behind(send: Send) -> None:
    """No task stays; the attempt waits, and goes out with the same id when the sandbox is started once more."""
    before = asyncio.all_tasks()
    go_on = asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response()

    sandbox = small(Clock())
    async with receiving(answer=hold) as receiver:
        async with sandbox:
            await register(sandbox, send, receiver.url)
            emit(sandbox.store, "offer.created", {})
            emit(sandbox.store, "offer.created", {})
            waiting = asyncio.create_task(sandbox.deliver())
            await receiver.reach(2)
        await waiting
        assert rows_of(sandbox, "status") == [("PENDING",)] * 2
        go_on.set()
        async with sandbox:
            await sandbox.deliver()
        assert Counter(Counter(got.id for got in receiver.got).values()) == {2: 2}
    assert rows_of(sandbox, "status") == [("SUCCEEDED",)] * 2
    assert asyncio.all_tasks() == before


async def test_deliver_needs_a_running_sandbox() -> None:
    """Before the start and after the close it is a RuntimeError; what happens then waits for the next start."""
    sandbox = small(Clock())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not running"):
            await sandbox.deliver()
        async with sandbox:
            await sandbox.deliver()


async def test_it_costs_nothing_while_there_is_nothing_to_do(send: Send) -> None:
    """The clock is not even read, with an endpoint registered and all delivered as before that."""
    reads: list[float] = []

    def clock() -> float:
        reads.append(NOW)
        return NOW

    async def idle() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = len(reads)
        await asyncio.sleep(2.5 * delivering.LOOK)
        assert len(reads) == before

    async with receiving() as receiver, small(clock) as sandbox:
        await send(sandbox, "POST", "/calls", json={})  # whose events nobody wants
        await idle()
        sandbox.store.agenda.clear()
        await register(sandbox, send, receiver.url)
        emit(sandbox.store, "offer.created", {})
        await receiver.reach(1)
        await sandbox.deliver()
        await idle()


async def test_each_organization_delivers_its_own_events(send: Send) -> None:
    """To its own endpoints, also when its records were made after the start."""
    async with receiving() as first, receiving() as second, small(Clock()) as sandbox:
        receivers = dict(zip(sandbox.organization_ids, (first, second), strict=True))
        for organization_id, receiver in receivers.items():
            headers = {"Authorization": f"Bearer {sandbox.bearer_token}", "X-Organization-ID": organization_id}
            body = {"url": receiver.url, "event_types": ["offer.created"]}
            assert (await send(sandbox, "POST", ENDPOINTS, json=body, headers=headers))[0] == 200
        for organization_id in sandbox.organization_ids:
            emit(sandbox.stores[organization_id], "offer.created", {"of": organization_id})
        await sandbox.deliver()
    for organization_id, receiver in receivers.items():
        assert [json.loads(got.body)["data"]["of"] for got in receiver.got] == [organization_id]


async def test_a_call_tells_of_its_life_without_being_asked(send: Send) -> None:
    """It is planned, answered, and over as the clock moves on; no request comes in meanwhile."""
    clock = Clock()
    async with receiving() as receiver, small(clock) as sandbox:
        await register(sandbox, send, receiver.url, "call.status_changed")
        call = (await send(sandbox, "POST", "/calls", json={"phone_number": "+12145550123"}))[2]
        for count, later in ((1, 0.0), (2, 2.0), (3, 122.0)):
            clock.now = NOW + later
            await receiver.reach(count)
        assert len(sandbox.requests) == 2
        await sandbox.deliver()
    events = [json.loads(got.body) for got in receiver.got]
    assert [event["data"]["status"] for event in events] == ["SCHEDULED", "IN_PROGRESS", "COMPLETED"]
    assert {(event["type"], event["data"]["id"]) for event in events} == {("call.status_changed", call["id"])}


async def test_an_endpoint_that_comes_late_hears_how_a_call_goes_on(send: Send) -> None:
    """A call that was made before it was registered is answered by the clock all the same."""
    clock = Clock()
    async with receiving() as receiver, small(clock) as sandbox:
        await send(sandbox, "POST", "/calls", json={})
        await register(sandbox, send, receiver.url, "call.status_changed")
        clock.now += 2.0
        (got,) = await receiver.reach(1)
    assert json.loads(got.body)["data"]["status"] == "IN_PROGRESS"


async def test_an_escalation_is_an_event_and_stands_under_its_load(send: Send) -> None:
    """It is about the newest call of the load, or about none; an unknown load is a KeyError."""
    async with receiving() as receiver, small(Clock()) as sandbox:
        await register(sandbox, send, receiver.url, "escalation.created")
        load_id = next(iter(sandbox.store.loads))
        for call in sandbox.store.calls.values():
            call["load_id"] = None
        alone = sandbox.store.insert_escalation(load_id)
        *_, newest = sandbox.store.calls.values()
        newest["load_id"] = load_id
        during = sandbox.store.insert_escalation(load_id)
        assert (alone["call_id"], during["call_id"]) == (None, newest["id"])
        shown = (await send(sandbox, "GET", f"/loads/{load_id}/escalations"))[2]
        assert shown[:2] == [during, alone]
        await sandbox.deliver()
        with pytest.raises(KeyError):
            sandbox.store.insert_escalation("load_x")
    events = {json.loads(got.body)["data"]["id"]: json.loads(got.body) for got in receiver.got}
    assert {key: event["data"] for key, event in events.items()} == {row["id"]: row for row in (alone, during)}
    assert {event["type"] for event in events.values()} == {"escalation.created"}


async def test_rows_that_appear_behind_the_api_are_no_event(send: Send) -> None:
    """A call that drift lets appear or vanish is not told of."""
    async with small(Clock()) as sandbox:
        await register(sandbox, send, "http://127.0.0.1:9", *ALL_KINDS)
        call = sandbox.store.insert_call()
        sandbox.store.delete_call(str(call["id"]))
        await sandbox.deliver()
        assert sandbox.store.messages == {}


async def test_every_change_made_through_the_api_tells_what_it_is_about(send: Send) -> None:
    """The data of an event is the record as the API shows it."""
    async with receiving() as receiver, small(Clock()) as sandbox:
        await register(
            sandbox, send, receiver.url, "offer.created", "offer.updated", "load.updated", "carrier.disabled"
        )
        load_id, carrier_id = next(iter(sandbox.store.loads)), next(iter(sandbox.store.carriers))
        load = sandbox.store.loads[load_id]
        load["load_status"] = "Open"
        offer = (await send(sandbox, "POST", "/offers", json={"load_id": load_id, "offer_amount": 900}))[2]
        updated = (await send(sandbox, "PATCH", f"/offers/{offer['id']}", json={"status": "accepted"}))[2]
        bearer = {"Authorization": f"Bearer {sandbox.bearer_token}"}
        reason = {"reason": "other"}
        sandbox.store.carriers[carrier_id]["is_active"] = True
        answer = await send(sandbox, "POST", f"/carriers/{carrier_id}/disable", json=reason, headers=bearer)
        await sandbox.deliver()
        told = {need_record(json.loads(got.body))["type"]: json.loads(got.body)["data"] for got in receiver.got}
        assert answer[0] == 200, answer
        assert told["offer.created"]["id"] == offer["id"]
        assert told["offer.updated"] == updated
        assert (told["load.updated"]["id"], told["load.updated"]["load_status"]) == (load_id, "Covered")
        assert (told["carrier.disabled"]["id"], told["carrier.disabled"]["is_active"]) == (carrier_id, False)
