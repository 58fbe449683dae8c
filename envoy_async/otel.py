"""OpenTelemetry: one span per call, and metrics of what retries and the quota cost.

The rule: what is told is known beforehand or counted here. Method, path template, address, statuses, seconds,
and names of classes are; a header, body, query, id of a record, or text of the server is not, and neither is
the full address, since ids stand in it. All of it comes from the values that pass `Send`: the ledger says how
each attempt went, so that the transport knows nothing of this module.

A span is what the caller waits for: its attempts are events on it, and a page of a listing is a call of its own.
This module needs the extra `otel`, and loads only when it is imported by name.
"""
# pyright: reportPrivateUsage=false
# ruff: noqa: SLF001 - beside the client itself, this module alone reaches into it

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextvars import Token
from functools import partial
from itertools import pairwise
from typing import TypeVar

import attrs
from yarl import URL

from . import __version__
from ._gate import category
from ._headers import whole
from ._retry import KINDS
from ._wire import Attempt, Request, Response, Send
from .client import EnvoyClient
from .errors import EnvoyError, RateLimitedError

try:
    from opentelemetry import context, metrics, trace
except ModuleNotFoundError as missing:
    raise ImportError('envoy_async.otel needs one more package: pip install "envoy-async[otel]"') from missing

__all__ = ["instrument"]

T = TypeVar("T", bound=EnvoyClient)
_NAME = "envoy_async"
_REFUSED = RateLimitedError.__name__
_SECOND = 1_000_000_000  # nanoseconds
# Those of the HTTP conventions, and further ones: a call may wait for quota.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120, 300)
# The vendor's form is not documented where we could read. What could be a key, a number, or a sentence is not told.
_REQUEST_ID = re.compile(r"([a-z]{1,8}_)?[0-9a-f-]{16,64}", re.ASCII | re.IGNORECASE)

Labels = Mapping[str, str | int | float]


def instrument(
    client: T,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> T:
    """Tell OpenTelemetry about every call of this client, and return the same client.

    Groups and views made from it afterwards are covered, and so is the login it does by itself. Those taken before
    are not. Doing it twice is doing it once, with the latter settings.

    Args:
        client: the client to watch.
        tracer_provider: where spans go; else the global one.
        meter_provider: where metrics go; else the global one.
        clock: tells when a span starts, in nanoseconds since 1970.
    """
    address = URL(client._transport.settings.base_url)
    where = _known({"server.address": address.host, "server.port": address.port})
    tracer = trace.get_tracer(_NAME, __version__, tracer_provider)
    meter = metrics.get_meter(_NAME, __version__, meter_provider)
    client._wrap = _Telemetry(tracer, _Instruments.of(meter), where, clock)
    client._use(client._transport)
    return client


def _known(labels: Mapping[str, str | float | None]) -> dict[str, str | int | float]:
    return {name: value for name, value in labels.items() if value is not None}


def _ending(status: int | None, error: str | None) -> dict[str, str | int | float]:
    return _known({"http.response.status_code": status, "error.type": error})


@attrs.frozen
class _Outcome:
    """How a call ended, as far as it is told."""

    status: int | None = None
    error: str | None = None
    failed: bool = False
    attempts: tuple[Attempt, ...] = ()
    request_id: str | None = None
    remaining: int | None = None

    @classmethod
    def of_answer(cls, response: Response) -> _Outcome:
        return cls(
            status=response.status,
            attempts=response.attempts,
            request_id=response.headers.get("X-Request-ID"),
            remaining=whole(response.headers.get("X-RateLimit-Remaining")),
        )

    @classmethod
    def of_error(cls, request: Request, error: BaseException) -> _Outcome:
        """Read an error; one of another operation (the login that this one waited for) lends its class alone."""
        name, failed = type(error).__name__, isinstance(error, Exception)  # a cancelled call did not fail
        if isinstance(error, EnvoyError) and (error.method, error.route) == (request.method, request.template):
            return cls(error.status, name, failed, error.attempts, error.request_id)
        return cls(error=name, failed=failed)

    @property
    def summary(self) -> Labels:
        """What the span says at its end."""
        told = self.request_id is not None and _REQUEST_ID.fullmatch(self.request_id) is not None
        return {
            **_ending(self.status, self.error),
            **_known(
                {
                    "http.request.resend_count": len(self.attempts) - 1 if len(self.attempts) > 1 else None,
                    "envoy_async.waited": sum(attempt.waited for attempt in self.attempts),
                    "envoy_async.request_id": self.request_id if told else None,
                }
            ),
        }


@attrs.frozen
class _Running:
    """A call under way."""

    span: trace.Span
    token: Token[context.Context]
    labels: Labels
    started: int
    """Nanoseconds since 1970."""
    now: Callable[[], float]
    began: float

    def at(self, seconds: float) -> int:
        """Return the moment so long after the start, in nanoseconds since 1970."""
        return self.started + int(seconds * _SECOND)

    def end(self, outcome: _Outcome, seconds: float) -> None:
        """Write attempts and outcome onto the span, and end it."""
        for number, attempt in enumerate(outcome.attempts, 1):
            told: Labels = {
                "envoy_async.attempt.number": number,
                "envoy_async.attempt.waited": attempt.waited,
                **_ending(attempt.status, attempt.cause),
            }
            self.span.add_event("envoy_async.attempt", told, self.at(attempt.started))
        self.span.set_attributes(outcome.summary)
        if outcome.failed:
            self.span.set_status(trace.StatusCode.ERROR)
        self.span.end(self.at(seconds))


@attrs.frozen
class _Instruments:
    """The metrics; a provider gives the same ones to every client."""

    duration: metrics.Histogram
    retries: metrics.Counter
    refusals: metrics.Counter
    wait: metrics.Histogram
    remaining: Callable[[int, Labels], None]

    @classmethod
    def of(cls, meter: metrics.Meter) -> _Instruments:
        return cls(
            meter.create_histogram(
                "http.client.request.duration",
                "s",
                "Duration of a call, with its retries and waits.",
                explicit_bucket_boundaries_advisory=_BUCKETS,
            ),
            meter.create_counter("envoy_async.retries", "{retry}", "Attempts after the first; error.type says why."),
            meter.create_counter("envoy_async.rate_limited", "{refusal}", "Attempts refused with 429."),
            meter.create_histogram(
                "envoy_async.quota.wait",
                "s",
                "Wait for quota before a first attempt, and before one after a 429.",
                explicit_bucket_boundaries_advisory=_BUCKETS,
            ),
            meter.create_gauge("envoy_async.quota.remaining", "{request}", "Requests left, by the last answer.").set,
        )

    def note(self, labels: Labels, outcome: _Outcome, seconds: float) -> None:
        """Count a call."""
        self.duration.record(seconds, {**labels, **_ending(outcome.status, outcome.error)})
        for attempt in outcome.attempts[:1]:
            self.wait.record(attempt.waited, labels)
        for attempt, following in pairwise(outcome.attempts):
            self.retries.add(1, {**labels, **_ending(attempt.status, attempt.cause)})
            if attempt.cause == _REFUSED:
                self.wait.record(following.waited, labels)
        refused = sum(attempt.cause == _REFUSED for attempt in outcome.attempts)
        if refused:
            self.refusals.add(refused, labels)


@attrs.frozen
class _Telemetry:
    """Puts itself around `Send`."""

    tracer: trace.Tracer
    instruments: _Instruments
    where: Labels
    clock: Callable[[], int]

    def __call__(self, send: Send) -> Send:
        return partial(self._follow, send)

    async def _follow(self, send: Send, request: Request) -> Response:
        call = self._begin(request)
        try:
            response = await send(request)
        except GeneratorExit as left:  # the loop is gone, and the context with it
            self._end(call, request, _Outcome.of_error(request, left))
            raise
        except BaseException as error:
            self._end(call, request, _Outcome.of_error(request, error))
            context.detach(call.token)
            raise
        self._end(call, request, _Outcome.of_answer(response))
        context.detach(call.token)
        return response

    def _begin(self, request: Request) -> _Running:
        """Start the span and make it the current one; a path by hand may hold ids, so its method stands for it."""
        known = request.operation in KINDS
        template = request.template if known else None
        labels = _known({"http.request.method": request.method, "url.template": template, **self.where})
        name, started = request.operation if known else request.method, self.clock()
        span = self.tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=labels, start_time=started)
        now = asyncio.get_running_loop().time
        return _Running(span, context.attach(trace.set_span_in_context(span)), labels, started, now, now())

    def _end(self, call: _Running, request: Request, outcome: _Outcome) -> None:
        seconds = call.now() - call.began
        call.end(outcome, seconds)
        self.instruments.note(call.labels, outcome, seconds)
        if outcome.remaining is not None:
            self.instruments.remaining(
                outcome.remaining, {**self.where, "envoy_async.quota": category(request.template)}
            )
