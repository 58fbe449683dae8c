"""OpenTelemetry: what a span, its events, and the metrics say about a call, and what they never say."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping

import attrs
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from envoy_async import EnvoyClient, EnvoyError, Login, RetryPolicy
from envoy_async._wire import Attempt, Request, Response, Send
from envoy_async.errors import (
    DeadlineExceededError,
    NotAuthenticatedError,
    NotFoundError,
    OutcomeUnknownError,
    at,
)
from envoy_async.otel import instrument
from envoy_async.sandbox import Fault, Sandbox
from tests.transport.conftest import KEY, UUID, MisbehavingServer, answer, hang, make_client

START = 1_763_740_800_000_000_000  # nanoseconds: 2025-11-21, 16:00 UTC
NEVER = "call_00000000-0000-0000-0000-000000000000"
PHONE = "+13125550123"
QUICK = RetryPolicy(base=0.001)


@attrs.frozen
class Told:
    """What OpenTelemetry was told, kept in memory."""

    spans: TracerProvider
    metrics: MeterProvider
    _exporter: InMemorySpanExporter
    _reader: InMemoryMetricReader

    def watch(self, client: EnvoyClient) -> EnvoyClient:
        """Instrument a client; each of its spans starts at the same moment."""
        return instrument(client, tracer_provider=self.spans, meter_provider=self.metrics, clock=lambda: START)

    @property
    def finished(self) -> list[ReadableSpan]:
        """The spans that have ended, in this order."""
        return list(self._exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        """The names of these spans."""
        return [span.name for span in self.finished]

    def points(self) -> dict[str, list[tuple[dict[str, object], object]]]:
        """Give what each metric holds by now: labels, and the value, or how many values there were."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: [
                (dict(point.attributes or {}), point.value if isinstance(point, NumberDataPoint) else point.count)
                for point in metric.data.data_points
            ]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def everything(self) -> str:
        """Give all of it as one text."""
        data = self._reader.get_metrics_data()
        return "\n".join([*(span.to_json() for span in self.finished), data.to_json() if data else ""])


@pytest.fixture
def told() -> Iterator[Told]:
    """Collect spans and metrics in memory."""
    exporter, reader, nobody = InMemorySpanExporter(), InMemoryMetricReader(), Resource({})
    spans = TracerProvider(resource=nobody, shutdown_on_exit=False)
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    metrics = MeterProvider([reader], resource=nobody, shutdown_on_exit=False)
    yield Told(spans, metrics, exporter, reader)
    spans.shutdown()
    metrics.shutdown()


def events(span: ReadableSpan) -> list[dict[str, object]]:
    """Give what a span says of its attempts, without seconds and the long names."""
    assert {event.name for event in span.events} <= {"envoy_async.attempt"}
    found = [dict(event.attributes or {}) for event in span.events]
    assert all(isinstance(each.pop("envoy_async.attempt.waited"), float) for each in found)
    return [{name.rpartition(".")[2]: value for name, value in each.items()} for each in found]


def place(sandbox: Sandbox) -> dict[str, object]:
    """Give the labels that name the server."""
    host, _, port = sandbox.base_url.removeprefix("http://").removesuffix("/api/v1").partition(":")
    return {"server.address": host, "server.port": int(port)}


def sender(told: Told, send: Send) -> Send:
    """Put a client's telemetry around a made-up transport."""
    client = told.watch(EnvoyClient("none", base_url="https://example.invalid/v1"))
    assert client._wrap is not None
    return client._wrap(send)


GET = Request(method="GET", template="/calls/{call_id}", path=f"/calls/{UUID}")


async def test_a_call_is_one_client_span(told: Told, envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Named by method and path template; it says where the call went, how it was answered, and its one attempt."""
    await told.watch(envoy).calls.get(next(iter(sandbox.store.calls)))
    (span,) = told.finished
    assert (span.name, span.kind, span.status.status_code) == (
        "GET /calls/{call_id}",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    labels = dict(span.attributes or {})
    assert isinstance(labels.pop("envoy_async.waited"), float)
    named: dict[str, object] = {
        "http.request.method": "GET",
        "url.template": "/calls/{call_id}",
        "http.response.status_code": 200,
        **place(sandbox),
    }
    assert labels == named
    assert events(span) == [{"number": 1, "status_code": 200}]
    points = told.points()
    assert points["http.client.request.duration"] == [(named, 1)]
    del named["http.response.status_code"]
    assert points["envoy_async.quota.wait"] == [(named, 1)]
    assert not points.keys() & {"envoy_async.retries", "envoy_async.rate_limited"}


async def test_a_retry_is_an_event_of_the_same_span(told: Told, sandbox: Sandbox) -> None:
    """Each attempt says how it ended; the span counts what was sent again, and so does a metric, by cause."""
    sandbox.fail(Fault(path="/loads/tab-counts", status=503, headers={"X-Request-ID": "req_0123456789abcdef"}))
    sandbox.fail(Fault(path="/loads/tab-counts", nth=2, drop="before"))
    sandbox.fail(Fault(path="/loads/tab-counts", nth=3, headers={"X-Request-ID": UUID}))
    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, retry=QUICK) as envoy:
        await told.watch(envoy).loads.tab_counts()
    (span,) = told.finished
    assert events(span) == [
        {"number": 1, "status_code": 503, "type": "ServerError"},
        {"number": 2, "type": "ConnectionLostError"},
        {"number": 3, "status_code": 200},
    ]
    assert span.attributes is not None
    assert span.attributes["http.request.resend_count"] == 2
    assert span.attributes["envoy_async.request_id"] == UUID
    assert "error.type" not in span.attributes
    same = {"http.request.method": "GET", "url.template": "/loads/tab-counts", **place(sandbox)}
    assert told.points()["envoy_async.retries"] == [
        ({**same, "http.response.status_code": 503, "error.type": "ServerError"}, 1),
        ({**same, "error.type": "ConnectionLostError"}, 1),
    ]


async def test_a_refusal_for_quota_is_counted(told: Told) -> None:
    """A 429 counts as refusal and retry, the wait after it as one for quota; the last answer says what is left."""
    async with Sandbox(calls=1, quota=40) as sandbox:
        sandbox.fail(Fault(status=429, headers={"Retry-After": "0"}))
        async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
            await told.watch(envoy).calls.list().first()
        points = told.points()
        same = {"http.request.method": "GET", "url.template": "/calls", **place(sandbox)}
        assert points["envoy_async.rate_limited"] == [(same, 1)]
        assert points["envoy_async.quota.wait"] == [(same, 2)]
        why = {"http.response.status_code": 429, "error.type": "RateLimitedError"}
        assert points["envoy_async.retries"] == [({**same, **why}, 1)]
        assert points["envoy_async.quota.remaining"] == [({**place(sandbox), "envoy_async.quota": "general"}, 39)]
    assert [each["number"] for each in events(told.finished[0])] == [1, 2]


async def test_a_failure_names_its_class_and_no_more(told: Told, envoy: EnvoyClient) -> None:
    """A 404 is an error with status and class; the server's text and the traceback are not there."""
    with pytest.raises(NotFoundError) as caught:
        await told.watch(envoy).calls.get(NEVER)
    (span,) = told.finished
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.attributes is not None
    assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (404, "NotFoundError")
    assert events(span) == [{"number": 1, "status_code": 404, "type": "NotFoundError"}]
    ((labels, count),) = told.points()["http.client.request.duration"]
    assert (labels["http.response.status_code"], labels["error.type"], count) == (404, "NotFoundError", 1)
    assert caught.value.message not in told.everything()


async def test_an_unknown_outcome_shows_in_the_span(told: Told, envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """What may have run says so, and its one attempt says why."""
    sandbox.fail(Fault(method="POST", path="/calls", drop="after"))
    with pytest.raises(OutcomeUnknownError):
        await told.watch(envoy).calls.create(extra={"phone_number": PHONE})
    (span,) = told.finished
    assert span.name == "POST /calls"
    assert span.attributes is not None
    assert span.attributes["error.type"] == "OutcomeUnknownError"
    assert events(span) == [{"number": 1, "type": "ConnectionLostError"}]


async def test_a_cancelled_call_ends_its_span(told: Told) -> None:
    """The cancellation passes; the span says so, and is no error. The caller's own span is current again."""
    async with MisbehavingServer(hang) as server, make_client(server.url) as envoy:
        told.watch(envoy)

        async def cancelled() -> trace.Span:
            with told.spans.get_tracer("test").start_as_current_span("caller"):
                with pytest.raises(asyncio.CancelledError):
                    await envoy.calls.get(UUID)
                return trace.get_current_span()

        task = asyncio.create_task(cancelled())
        await server.until(1)
        task.cancel()
        left = await task
    call, caller = told.finished
    assert left.get_span_context() == caller.get_span_context()
    assert (call.name, call.status.status_code) == ("GET /calls/{call_id}", StatusCode.UNSET)
    assert call.attributes is not None
    assert call.attributes["error.type"] == "CancelledError"
    assert told.points()["http.client.request.duration"][0][0]["error.type"] == "CancelledError"


async def test_each_page_of_a_listing_is_a_call(told: Told, envoy: EnvoyClient) -> None:
    """There are as many spans as requests, under the template, whatever page was asked for."""
    pages = told.watch(envoy).calls.list(page_size=100)
    assert len(await pages.collect()) == 250
    assert told.names == ["GET /calls"] * pages.report.requests
    assert pages.report.requests >= 3


async def test_a_login_has_a_span_below_the_call_that_needed_it(told: Told, sandbox: Sandbox) -> None:
    """The client's own login shows, once."""
    async with EnvoyClient(Login(sandbox.email, sandbox.password), base_url=sandbox.base_url) as envoy:
        told.watch(envoy)
        for _ in range(2):
            await envoy.loads.tab_counts()
    login, first, second = told.finished
    assert told.names == ["POST /auth/login", "GET /loads/tab-counts", "GET /loads/tab-counts"]
    assert login.parent is not None
    assert first.context is not None
    assert login.parent.span_id == first.context.span_id
    assert second.parent is None
    assert sandbox.password not in told.everything()
    assert sandbox.email not in told.everything()


async def test_a_failed_login_is_told_once(told: Told, sandbox: Sandbox) -> None:
    """The call that needed it fails by that class; status and attempts stand with the login alone."""
    async with EnvoyClient(Login(sandbox.email, "wrong"), base_url=sandbox.base_url) as envoy:
        with pytest.raises(NotAuthenticatedError):
            await told.watch(envoy).loads.tab_counts()
    login, call = told.finished
    assert events(login) == [{"number": 1, "status_code": 401, "type": "NotAuthenticatedError"}]
    assert events(call) == []
    assert call.attributes is not None
    assert "http.response.status_code" not in call.attributes
    assert (call.attributes["error.type"], call.status.status_code) == ("NotAuthenticatedError", StatusCode.ERROR)


async def test_a_path_by_hand_is_not_told(told: Told, envoy: EnvoyClient) -> None:
    """It may hold ids, so the span is named by the method; an operation the SDK knows keeps its template."""
    told.watch(envoy)
    with pytest.raises(EnvoyError):
        await envoy.request("GET", f"/things/{UUID}", into=dict)
    await envoy.request("GET", "/loads/tab-counts", into=dict)
    assert told.names == ["GET", "GET /loads/tab-counts"]
    assert "url.template" not in (told.finished[0].attributes or {})
    assert UUID not in told.everything()


async def test_views_are_covered_and_twice_is_once(told: Told, envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """`instrument` gives the client back; what `with_options` makes of it is watched too, and nothing doubly."""
    assert told.watch(told.watch(envoy)) is envoy
    await envoy.with_options(organization_id=sandbox.organization_id).loads.tab_counts()
    await envoy.offers.list().first()
    assert told.names == ["GET /loads/tab-counts", "GET /offers"]
    assert sandbox.organization_id not in told.everything()


async def test_clients_share_the_metrics_of_a_provider(
    told: Told, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Two clients count together, and OpenTelemetry has nothing to complain of."""
    threads = threading.enumerate()
    for _ in range(2):
        async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
            await told.watch(envoy).loads.tab_counts()
    assert [count for _, count in told.points()["http.client.request.duration"]] == [2]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert set(threading.enumerate()) <= set(threads)


async def test_without_a_provider_nothing_changes(envoy: EnvoyClient) -> None:
    """Where a program has set up no OpenTelemetry, calls go on as before."""
    assert await instrument(envoy).loads.tab_counts() == await envoy.loads.tab_counts()


async def test_the_span_is_current_while_the_call_runs(told: Told) -> None:
    """What runs inside a call finds its span; it is a child of the caller's, which is current again afterwards."""
    inside: list[trace.Span] = []

    async def send(_: Request) -> Response:
        inside.append(trace.get_current_span())
        return Response(200, {}, b"")

    with told.spans.get_tracer("test").start_as_current_span("caller") as caller:
        await sender(told, send)(GET)
        assert trace.get_current_span() is caller
    span, _ = told.finished
    assert [found.get_span_context() for found in inside] == [span.context]
    assert span.parent == caller.get_span_context()
    assert span.attributes is not None
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("example.invalid", 443)


@pytest.mark.looptime
async def test_attempts_stand_where_they_were_in_time(told: Told) -> None:
    """Span, events, and metrics go by the ledger: seconds since the span began, and seconds waited."""
    ledger = (
        Attempt(0.25, 0.25, 429, "RateLimitedError"),
        Attempt(3.5, 3.0, 503, "ServerError"),
        Attempt(5.0, 1.0, 404, "NotFoundError"),
    )

    async def send(request: Request) -> Response:
        await asyncio.sleep(6)
        raise at(NotFoundError("gone"), request, ledger)

    with pytest.raises(NotFoundError):
        await sender(told, send)(GET)
    (span,) = told.finished
    second = 1_000_000_000
    assert (span.start_time, span.end_time) == (START, START + 6 * second)
    assert [event.timestamp - START for event in span.events] == [second // 4, second * 7 // 2, 5 * second]
    assert [(event.attributes or {})["envoy_async.attempt.waited"] for event in span.events] == [0.25, 3.0, 1.0]
    assert span.attributes is not None
    assert span.attributes["envoy_async.waited"] == 4.25
    points = told.points()
    assert [count for _, count in points["envoy_async.quota.wait"]] == [2]  # the third wait was a back-off
    assert [count for _, count in points["envoy_async.retries"]] == [1, 1]
    assert [count for _, count in points["envoy_async.rate_limited"]] == [1]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DeadlineExceededError("late"), StatusCode.ERROR, None),
        (RuntimeError("a bug"), StatusCode.ERROR, None),
        (KeyboardInterrupt(), StatusCode.UNSET, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_any_end_ends_the_span(told: Told, error: BaseException, status: StatusCode, code: None) -> None:
    """Whatever comes out of a call passes unchanged, and its class is told, never its text."""

    async def send(_: Request) -> Response:
        raise error

    running = sender(told, send)(GET)
    with pytest.raises(type(error)) as caught:
        await running
    assert caught.value is error
    (span,) = told.finished
    assert (span.status.status_code, span.status.description) == (status, code)
    assert (span.attributes or {})["error.type"] == type(error).__name__
    assert span.events == ()


async def test_a_call_whose_loop_is_gone_ends_quietly(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine that is thrown away, in whatever context, ends its span without a word in the log."""

    async def send(_: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, {}, b"")

    running = sender(told, send)(GET)
    step = running.__await__()
    contextvars.copy_context().run(next, step)
    step.close()
    (span,) = told.finished
    assert (span.attributes or {})["error.type"] == "GeneratorExit"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("headers", "shown", "left"),
    [
        ({"X-Request-ID": UUID, "X-RateLimit-Remaining": "7"}, UUID, [7]),
        ({"X-Request-ID": "req_9F86D081884C7D65"}, "req_9F86D081884C7D65", []),
        ({"X-Request-ID": KEY, "X-RateLimit-Remaining": KEY}, None, []),
        ({"X-Request-ID": "13125550123", "X-RateLimit-Remaining": "-1"}, None, []),
    ],
    ids=["uuid", "prefixed", "key", "phone"],
)
async def test_only_what_looks_like_it_is_taken_from_a_header(
    told: Told, headers: Mapping[str, str], shown: str | None, left: list[int]
) -> None:
    """A request id and a number of requests are taken, not whatever a server writes there."""

    async def send(_: Request) -> Response:
        return Response(200, headers, b"")

    await sender(told, send)(GET)
    assert (told.finished[0].attributes or {}).get("envoy_async.request_id") == shown
    assert [value for _, value in told.points().get("envoy_async.quota.remaining", ())] == left


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
async def test_nothing_secret_or_personal_is_told(told: Told, status: int) -> None:
    """No key, number, id, query, or organization shows in spans, events, or metrics, even if the server echoes them."""
    echo = {"error": {"code": "x", "message": f"{KEY} {PHONE} {UUID}", "param": PHONE}}
    headers = {"X-Request-ID": KEY, "X-RateLimit-Remaining": PHONE, "X-Echo": PHONE, "Retry-After": "0"}
    step = answer(status, headers=headers) if status == 200 else answer(status, echo, headers=headers)
    retry = RetryPolicy(max_attempts=2, base=0.001)
    async with (
        MisbehavingServer(step) as server,
        make_client(server.url, organization_id="org_7", retry=retry) as envoy,
    ):
        told.watch(envoy)
        quick = envoy.with_options(deadline=0.5)
        calls = [
            quick.calls.get(UUID),
            quick.calls.create(extra={"phone_number": PHONE}),
            quick.request("POST", f"/things/{UUID}", query={"phone": PHONE}, body={"phone": PHONE}),
            quick.request("GET", "/calls", query={"search": PHONE, "token": "canary-query"}),
        ]
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(status == 200 or isinstance(end, EnvoyError) for end in ends)
    assert sorted(told.names) == ["GET /calls", "GET /calls/{call_id}", "POST", "POST /calls"]
    text = told.everything()
    assert "http.client.request.duration" in text
    for secret in (KEY, "7f3a91c2", PHONE, PHONE[1:], UUID, "canary", "org_7", "things", "search", "Traceback"):
        assert secret not in text


def test_nothing_of_it_loads_by_itself() -> None:
    """Neither the package nor the client imports OpenTelemetry."""
    program = "import sys, envoy_async; envoy_async.EnvoyClient; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "envoy_async.client" in loaded
    assert [name for name in loaded if name.startswith(("opentelemetry", "envoy_async.otel"))] == []


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """An `ImportError` with the line to paste."""
    monkeypatch.delitem(sys.modules, "envoy_async.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r'pip install "envoy-async\[otel\]"'):
        importlib.import_module("envoy_async.otel")
