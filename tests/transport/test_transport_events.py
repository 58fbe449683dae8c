"""What a call tells while it runs: hooks, log lines, and what a middleware sees."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import attrs
import pytest

from envoy_async import EnvoyClient, EnvoyError, Login, RetryPolicy, errors
from envoy_async._transport import Transport
from envoy_async.errors import OutcomeUnknownError
from envoy_async.events import RateLimited, Retry
from envoy_async.middleware import Request, Response, Send
from tests.transport.conftest import (
    KEY,
    READS,
    UNSAFE,
    UUID,
    MisbehavingServer,
    SkippingClock,
    Step,
    answer,
    drop,
    failure_of,
    half_body,
    hang,
    html,
    refuse,
)

PHONE = "+14155550123"


class Heard:
    """Keeps what the hooks were told."""

    def __init__(self) -> None:
        self.retries: list[Retry] = []
        self.refusals: list[RateLimited] = []
        self.unknown: list[OutcomeUnknownError] = []


def listening(url: str, heard: Heard, **settings: object) -> EnvoyClient:
    """Make a client that does not sleep between attempts, and tells."""
    envoy = EnvoyClient(
        KEY,
        base_url=url,
        retry=RetryPolicy(base=0.01),
        on_retry=heard.retries.append,
        on_rate_limited=heard.refusals.append,
        on_outcome_unknown=heard.unknown.append,
        **settings,  # type: ignore[arg-type]
    )
    old, time = envoy._transport, SkippingClock()
    envoy._use(Transport(old.settings, old.access, old.pool, clock=time, sleep=time.sleep, random=Random(7)))
    return envoy


async def test_each_retry_is_told() -> None:
    """`on_retry` is told of every failed attempt that is followed by another, with its number, wait, and error."""
    heard = Heard()
    async with MisbehavingServer(drop, answer(503, {}), answer()) as server, listening(server.url, heard) as envoy:
        await envoy.calls.get(UUID)
    assert [(told.method, told.route, told.attempt, type(told.error)) for told in heard.retries] == [
        ("GET", "/calls/{call_id}", 1, errors.ConnectionLostError),
        ("GET", "/calls/{call_id}", 2, errors.ServerError),
    ]
    assert all(0 <= told.wait <= 0.02 for told in heard.retries)
    assert (heard.refusals, heard.unknown) == ([], [])


async def test_a_success_tells_nothing() -> None:
    """No hook hears of a call that went well at once."""
    heard = Heard()
    async with MisbehavingServer(answer()) as server, listening(server.url, heard) as envoy:
        for operation in (*READS.values(), *UNSAFE.values()):
            await operation(envoy)
    assert (heard.retries, heard.refusals, heard.unknown) == ([], [], [])


async def test_each_refusal_for_quota_is_told() -> None:
    """`on_rate_limited` is told how long the server asked to wait, and how long everybody does."""
    heard = Heard()
    async with MisbehavingServer(refuse("0.05"), answer()) as server, listening(server.url, heard) as envoy:
        await envoy.calls.create()
    [told] = heard.refusals
    assert (told.method, told.route, told.retry_after) == ("POST", "/calls", 0.05)
    assert 0.05 <= told.pause < 0.2
    assert [retry.error.status for retry in heard.retries] == [429]


@pytest.mark.parametrize("step", [drop, half_body(201), html, answer(500, {})], ids=str)
async def test_each_unknown_outcome_is_told(step: Step) -> None:
    """`on_outcome_unknown` is told the very error that the caller gets, also for a success that cannot be read."""
    heard = Heard()
    async with MisbehavingServer(step) as server, listening(server.url, heard) as envoy:
        assert [await failure_of(envoy.calls.create())] == heard.unknown
        assert (heard.unknown[0].method, heard.unknown[0].route) == ("POST", "/calls")
        await failure_of(envoy.request("POST", "/things", into=object))
        assert len(heard.unknown) == 2
        await failure_of(envoy.calls.get(UUID))
        assert len(heard.unknown) == 2


async def test_a_cancelled_phone_call_may_have_been_placed() -> None:
    """Cancelled on the wire, an unsafe call is told as unknown, and a read is not; in line, neither is."""
    heard = Heard()
    async with MisbehavingServer(answer(), hang) as server, listening(server.url, heard) as envoy:
        await envoy.calls.get(UUID)
        running = [asyncio.ensure_future(call) for call in (envoy.calls.create(), envoy.calls.get(UUID))]
        await server.until(3)
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        assert all(task.cancelled() for task in running)
        assert [told.route for told in heard.unknown] == ["/calls"]


async def test_a_cancelled_call_that_was_refused_did_not_run() -> None:
    """An unsafe call cancelled while the body of its refusal trickles in is no unknown outcome."""
    heard = Heard()
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000\r\n\r\n"

    async def run(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await asyncio.Event().wait()

    async with MisbehavingServer(Step("refusal", run)) as server, listening(server.url, heard) as envoy:
        running = asyncio.ensure_future(envoy.calls.create())
        await server.until(1)
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running])
        assert heard.unknown == []


async def test_a_hook_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A call that succeeds after a retry is a success, whatever a hook does; the log says what it did."""

    def broken(_: Retry) -> None:
        raise LookupError

    async with (
        MisbehavingServer(drop, answer()) as server,
        EnvoyClient(KEY, base_url=server.url, retry=RetryPolicy(base=0.01), on_retry=broken) as envoy,
    ):
        await envoy.calls.get(UUID)
    assert [record.exc_info and record.exc_info[0] for record in caplog.records if record.levelno >= 40] == [
        LookupError
    ]


async def test_one_line_for_each_call(caplog: pytest.LogCaptureFixture) -> None:
    """A call is one line at DEBUG, however it ends; an unknown outcome one at WARNING; a retry one at INFO."""
    caplog.set_level(logging.DEBUG, "envoy_async")
    async with (
        MisbehavingServer(answer(), drop, answer(), answer(404, {}), drop, hang) as server,
        listening(server.url, Heard()) as envoy,
    ):
        await envoy.calls.get(UUID)
        await envoy.calls.list(search=PHONE).collect()
        await failure_of(envoy.calls.get(UUID))
        await failure_of(envoy.calls.create(extra={"phone_number": PHONE}))
        running = asyncio.ensure_future(envoy.calls.get(UUID))
        await server.until(6)
        running.cancel()
        await asyncio.wait([running])
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "envoy_async"]
    assert [(level, text.split(" in ")[0]) for level, text in lines] == [
        ("DEBUG", "GET /calls/{call_id}: 200"),
        ("INFO", "GET /calls: attempt 1 ended"),
        ("DEBUG", "GET /calls: 200"),
        ("DEBUG", "GET /calls/{call_id}: NotFoundError"),
        ("WARNING", "POST /calls: OutcomeUnknownError"),
        ("DEBUG", "GET /calls/{call_id}: CancelledError"),
    ]
    shown = " ".join(str(vars(record)) for record in caplog.records if record.name == "envoy_async")
    assert not [secret for secret in (KEY, PHONE, PHONE[1:], UUID, "Authorization", "X-API-Key") if secret in shown]


async def test_a_log_that_nobody_reads_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    """At the usual level, calls and retries leave no line."""
    caplog.set_level(logging.WARNING, "envoy_async")
    async with MisbehavingServer(drop, answer()) as server, listening(server.url, Heard()) as envoy:
        await envoy.calls.get(UUID)
    assert [record for record in caplog.records if record.name == "envoy_async"] == []


async def test_structured_fields_of_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """A record has its parts as attributes, for handlers that write JSON."""
    caplog.set_level(logging.DEBUG, "envoy_async")
    refused = answer(404, {"error": {"code": "not_found", "message": PHONE}}, headers={"X-Request-ID": "req_1"})
    async with MisbehavingServer(refused) as server, listening(server.url, Heard()) as envoy:
        await failure_of(envoy.calls.get(UUID))
    [record] = [record for record in caplog.records if record.name == "envoy_async"]
    told = {name: vars(record)[name] for name in ("method", "route", "status", "error", "code", "request_id")}
    assert told == {
        "method": "GET",
        "route": "/calls/{call_id}",
        "status": 404,
        "error": "NotFoundError",
        "code": "not_found",
        "request_id": "req_1",
    }
    assert vars(record)["attempts"] == 1
    assert 0.0 <= vars(record)["waited"] <= vars(record)["seconds"]


async def test_a_middleware_around_every_attempt() -> None:
    """Each attempt passes the middlewares, the first outermost, and may carry a header more; the answer comes back."""
    order: list[str] = []

    async def outer(request: Request, send: Send) -> Response:
        order.append(f"outer {request.method} {request.template}")
        try:
            return await send(request.with_header("traceparent", f"00-{len(order)}"))
        except EnvoyError as error:
            order.append(type(error).__name__)
            raise

    async def inner(request: Request, send: Send) -> Response:
        response = await send(request.with_header("x-tenant", "7").with_header("X-Tenant", "8"))
        order.append(f"inner {response.status}")
        return response

    async with (
        MisbehavingServer(drop, answer()) as server,
        listening(server.url, Heard(), middleware=[outer, inner]) as envoy,
    ):
        await envoy.calls.get(UUID)
    assert order == [
        "outer GET /calls/{call_id}",
        "ConnectionLostError",
        "outer GET /calls/{call_id}",
        "inner 200",
    ]
    assert [sent.values("traceparent") for sent in server.executed] == [["00-1"], ["00-3"]]
    assert [sent.values("x-tenant") for sent in server.executed] == [["8"], ["8"]]
    assert [sent.values("x-api-key") for sent in server.executed] == [[KEY], [KEY]]


async def test_a_middleware_sends_once() -> None:
    """A middleware that sends an attempt twice is refused: a phone call is not placed by it a second time."""

    async def twice(request: Request, send: Send) -> Response:
        await send(request)
        return await send(request)

    async with MisbehavingServer(answer()) as server, listening(server.url, Heard(), middleware=[twice]) as envoy:
        error = await failure_of(envoy.calls.create())
        assert isinstance(error, OutcomeUnknownError)
        assert "twice" in str(error.__cause__)
        assert (error.route, len(error.attempts), len(server.executed)) == ("/calls", 1, 1)
        assert type(await failure_of(envoy.calls.get(UUID))) is errors.ConfigurationError
        assert len(server.executed) == 2


@pytest.mark.parametrize(
    "late", [LookupError("mine"), errors.ServerError("mine"), None], ids=["foreign", "of the SDK", "no answer"]
)
async def test_a_middleware_that_fails_after_a_phone_call(late: Exception | None) -> None:
    """A call that was placed does not look like one that failed, whatever a middleware does afterwards."""
    heard = Heard()

    async def failing(request: Request, send: Send) -> Response:
        await send(request)
        if late is not None:
            raise late
        return None  # type: ignore[return-value]

    async with MisbehavingServer(answer()) as server, listening(server.url, heard, middleware=[failing]) as envoy:
        error = await failure_of(envoy.calls.create())
        assert heard.unknown == [error]
        assert error.__cause__ is late
        with pytest.raises(errors.ConfigurationError if late is None else type(late)):
            await envoy.calls.get(UUID)
        assert len(server.executed) == 2


async def test_a_middleware_that_raises_an_old_error_again() -> None:
    """An error that the attempt at hand did not end with is not tried again: no second phone call, and no spinning."""
    kept: list[EnvoyError] = []

    async def keeping(request: Request, send: Send) -> Response:
        if kept and request.method == "GET":
            raise kept[0]
        try:
            await send(request)
        except EnvoyError as error:
            kept.append(error)
            raise
        raise kept[0]

    async with MisbehavingServer(refuse("0.01"), answer()) as server:
        envoy = listening(server.url, Heard(), middleware=[keeping])
        assert type(await failure_of(envoy.calls.create())) is OutcomeUnknownError
        assert len(server.executed) == 2
        assert type(await failure_of(envoy.calls.get(UUID))) is errors.RateLimitedError
        assert len(server.executed) == 2
        await envoy.close()


async def test_a_retry_keeps_no_answer_alive() -> None:
    """The error in an event has no frames, which would hold the body of the answer and the headers of the request."""
    heard = Heard()
    async with MisbehavingServer(answer(503, {}), answer()) as server, listening(server.url, heard) as envoy:
        await envoy.calls.get(UUID)
    assert [told.error.__traceback__ for told in heard.retries] == [None]


@pytest.mark.parametrize(
    "change", [{"method": "DELETE"}, {"path": "/calls/other"}, {"body": b"[]"}, {"query": (("a", "b"),)}]
)
async def test_a_middleware_changes_headers_only(change: dict[str, object]) -> None:
    """A middleware that changes anything else of a request is refused, and nothing is sent."""

    async def other(request: Request, send: Send) -> Response:
        return await send(attrs.evolve(request, **change))  # type: ignore[arg-type]

    async with MisbehavingServer(answer()) as server:
        async with listening(server.url, Heard(), middleware=[other]) as envoy:
            assert type(await failure_of(envoy.calls.create())) is errors.ConfigurationError
        assert server.executed == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer x"),
        ("x-api-KEY", "x"),
        ("Host", "elsewhere"),
        ("Content-Length", "0"),
        ("Proxy-Authorization", "x"),
        ("bad name", "x"),
        ("", "x"),
        ("x-fine", "a\r\nb"),
        ("x-fine", ""),
    ],
)
def test_headers_that_cannot_be_set(name: str, value: str) -> None:
    """Headers of HTTP, of credentials, of the SDK, and what is no header are refused."""
    with pytest.raises(ValueError, match="header"):
        Request(method="GET", template="/x", path="/x").with_header(name, value)


async def test_a_middleware_may_answer_itself() -> None:
    """A middleware that does not send takes no permit; its answer is read like any other."""

    async def cached(request: Request, send: Send) -> Response:
        return Response(200, {}, b'{"a": 1}')

    async with MisbehavingServer(answer()) as server:
        async with listening(server.url, Heard(), middleware=[cached]) as envoy:
            assert await envoy.request("GET", "/x", into=dict) == {"a": 1}
        assert server.executed == []


@pytest.mark.parametrize("error", [LookupError("mine"), errors.ConnectError("mine")], ids=["foreign", "of the SDK"])
async def test_what_a_middleware_raises_is_not_retried(error: Exception) -> None:
    """An error of the middleware's own reaches the caller, and nothing is sent again for it."""

    async def broken(request: Request, send: Send) -> Response:
        raise error

    async with MisbehavingServer(answer()) as server:
        async with listening(server.url, Heard(), middleware=[broken]) as envoy:
            with pytest.raises(type(error)):
                await envoy.calls.get(UUID)
        assert server.executed == []


async def test_no_middleware_sees_a_login() -> None:
    """The request that holds the password passes no middleware; those it is for do."""
    seen: list[str] = []

    async def watching(request: Request, send: Send) -> Response:
        seen.append(request.template)
        return await send(request)

    token = answer(200, {"access_token": "t0ken", "token_type": "bearer", "expires_in": 3600})
    async with MisbehavingServer(token, answer()) as server:
        login = Login("a@b.example", "pass-word")
        async with EnvoyClient(login, base_url=server.url, middleware=[watching]) as envoy:
            await envoy.calls.get(UUID)
    assert seen == ["/calls/{call_id}"]
    assert [sent.target for sent in server.executed] == ["/v1/auth/login", f"/v1/calls/{UUID}"]


async def test_the_retry_budget_of_a_client_is_shared() -> None:
    """When the first ten retries are used up, further failures are raised at once, and say so; views share it."""
    async with MisbehavingServer(answer(408, {})) as server, listening(server.url, Heard()) as envoy:
        views = [envoy, envoy.with_options(deadline=60)]
        found = [await failure_of(views[n % 2].calls.get(UUID)) for n in range(6)]
    assert [len(error.attempts) for error in found] == [4, 4, 4, 2, 1, 1]
    assert [error.retry_suppressed for error in found] == [False] * 3 + [True] * 3
    assert {type(error) for error in found} == {errors.StatusError}


async def test_a_conflict_after_an_ambiguous_attempt_may_be_our_own() -> None:
    """409 after an answer that was lost says so; on the first try it does not."""
    conflict = answer(409, {"error": {"code": "already_exists", "message": "exists"}})
    for script, maybe in (([drop, conflict], True), ([conflict], False), ([refuse("0.01"), conflict], False)):
        async with MisbehavingServer(*script) as server, listening(server.url, Heard()) as envoy:
            error = await failure_of(envoy.loads.update(UUID, is_posted=True))
        assert isinstance(error, errors.AlreadyExistsError)
        assert error.maybe_own is maybe


async def test_deleted_by_an_attempt_whose_answer_was_lost() -> None:
    """404 for a DELETE whose first answer was lost is a success; on the first try it is `NotFoundError`."""
    missing = answer(404, {"error": {"code": "not_found", "message": "gone"}})
    async with MisbehavingServer(drop, missing) as server, listening(server.url, Heard()) as envoy:
        await envoy.webhook_endpoints.delete(UUID)
        assert len(server.executed) == 2
    async with MisbehavingServer(missing) as server, listening(server.url, Heard()) as envoy:
        assert type(await failure_of(envoy.webhook_endpoints.delete(UUID))) is errors.NotFoundError
