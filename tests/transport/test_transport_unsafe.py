"""Unsafe operations run at most once, and what may have happened is said plainly."""

from __future__ import annotations

import asyncio
import socket

import pytest

from envoy_async import EnvoyError, Timeouts, errors
from envoy_async._transport import Settings, Transport
from tests.transport.conftest import (
    CUT,
    KEY,
    LOST,
    NOT_HTTP,
    REFUSED,
    UNREADABLE,
    UNSAFE,
    UUID,
    MisbehavingServer,
    Operation,
    SkippingClock,
    Step,
    answer,
    drop,
    failure_of,
    half_body,
    hang,
    make_client,
    redirect,
    refuse,
    trickle,
)

operations = pytest.mark.parametrize("operation", UNSAFE.values(), ids=list(UNSAFE))
IMPATIENT = Timeouts(deadline=20.0, attempt=0.4, connect=5.0)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def unknown_outcome(operation: Operation, step: Step, timeouts: Timeouts) -> errors.OutcomeUnknownError:
    """Run *operation* against *step*; check that it was executed at most once and that its outcome is unknown."""
    async with MisbehavingServer(step, answer()) as server, make_client(server.url, timeouts=timeouts) as envoy:
        error = await failure_of(operation(envoy))
        assert len(server.executed) == int(step.counted)
        assert server.connections == 1
    assert type(error) is errors.OutcomeUnknownError
    assert error.last_error is not None
    assert len(error.attempts) == 1
    assert error.method == "POST"
    assert error.route in {"/calls", "/calls/{call_id}/join"}
    return error


@operations
@pytest.mark.parametrize("step", LOST, ids=str)
async def test_unknown_when_the_connection_breaks(operation: Operation, step: Step) -> None:
    """Once sending began, a broken connection leaves the outcome unknown; it is not sent again."""
    error = await unknown_outcome(operation, step, Timeouts())
    assert type(error.last_error) is errors.ConnectionLostError
    assert error.status is None


@operations
@pytest.mark.parametrize("step", [*CUT, half_body(201), *UNREADABLE], ids=str)
async def test_unknown_when_the_success_cannot_be_read(operation: Operation, step: Step) -> None:
    """A success whose body is lost or useless did run: unknown, with the status, never sent again."""
    error = await unknown_outcome(operation, step, Timeouts())
    assert type(error.last_error) is errors.InvalidResponseError
    assert error.status == (201 if step.name == "half body 201" else 200)


@operations
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b'"text"', b"\xff\xfe"])
async def test_unknown_when_the_success_has_the_wrong_shape(operation: Operation, body: bytes) -> None:
    """A success of the wrong shape did run; it is neither a plain error nor taken for a result."""
    error = await unknown_outcome(operation, answer(200, body), Timeouts())
    assert type(error.last_error) is errors.InvalidResponseError
    assert error.status == 200


@operations
@pytest.mark.parametrize("step", NOT_HTTP, ids=str)
async def test_unknown_when_the_answer_is_not_http(operation: Operation, step: Step) -> None:
    """Something answered, so something ran, perhaps; aiohttp's made-up status 400 does not show."""
    error = await unknown_outcome(operation, step, Timeouts())
    assert error.status is None


@operations
@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
async def test_unknown_when_the_server_fails(operation: Operation, status: int) -> None:
    """A failing server may have run it; a 429 of unknown making too."""
    error = await unknown_outcome(operation, answer(status, {}), Timeouts())
    assert error.status == status
    assert isinstance(error.last_error, errors.StatusError)


@operations
async def test_unknown_when_a_failing_server_speaks_of_quota(operation: Operation) -> None:
    """`rate_limit_exceeded` proves something with status 429 alone: a 500 that says so may have run."""
    error = await unknown_outcome(operation, answer(500, REFUSED), IMPATIENT)
    assert error.status == 500


@operations
@pytest.mark.parametrize("body", [b"<html>slow down</html>", {"error": {"code": "busy", "message": "x"}}])
async def test_unknown_when_somebody_else_says_429(operation: Operation, body: object) -> None:
    """Only `rate_limit_exceeded` proves that nothing ran; a proxy's own 429 does not."""
    error = await unknown_outcome(operation, answer(429, body), Timeouts())
    assert error.status == 429


@operations
@pytest.mark.parametrize("step", [hang, trickle], ids=str)
async def test_unknown_when_no_answer_comes_in_time(operation: Operation, step: Step) -> None:
    """An attempt that took too long may have run."""
    error = await unknown_outcome(operation, step, IMPATIENT)
    assert type(error.last_error) is errors.AttemptTimeoutError


@operations
async def test_unknown_when_the_deadline_ends_it(operation: Operation) -> None:
    """A deadline that falls into the only attempt leaves the outcome unknown, not just late."""
    await unknown_outcome(operation, hang, Timeouts(deadline=0.5))


@operations
@pytest.mark.parametrize(("status", "body"), [(400, {}), (401, {}), (403, {}), (404, {}), (409, {}), (422, {})])
async def test_a_refusal_is_certain(operation: Operation, status: int, body: object) -> None:
    """What the server refused did not run: the plain error, executed once."""
    async with MisbehavingServer(answer(status, body)) as server, make_client(server.url) as envoy:
        error = await failure_of(operation(envoy))
        assert isinstance(error, errors.StatusError)
        assert error.status == status
        assert len(server.executed) == 1


@operations
async def test_a_redirect_is_certain(operation: Operation) -> None:
    """A redirect did not run it, and is not followed."""
    async with MisbehavingServer(redirect("https://elsewhere.example/")) as server, make_client(server.url) as envoy:
        assert type(await failure_of(operation(envoy))) is errors.RedirectError
        assert len(server.executed) == 1


@operations
async def test_sent_again_after_a_refusal_for_quota(operation: Operation) -> None:
    """429 `rate_limit_exceeded` is decided before running, so it is waited out."""
    async with MisbehavingServer(refuse(), refuse(), answer()) as server, make_client(server.url) as envoy:
        await operation(envoy)
        assert len(server.executed) == 3


@operations
async def test_unknown_after_a_refusal_for_quota(operation: Operation) -> None:
    """The attempt after a refusal for quota is as unsafe as the first: its loss ends the call."""
    async with MisbehavingServer(refuse(), drop, answer()) as server, make_client(server.url) as envoy:
        error = await failure_of(operation(envoy))
        assert type(error) is errors.OutcomeUnknownError
        assert [row.status for row in error.attempts] == [429, None]
        assert len(server.executed) == 2


@operations
async def test_sent_again_when_the_connection_was_refused(operation: Operation) -> None:
    """What was never sent did not run: a server that starts listening later gets it, once."""
    server = MisbehavingServer(answer(), port=free_port())

    class StartsServer(SkippingClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            await server.__aenter__()

    async with make_client(server.url, clock=StartsServer()) as envoy:
        try:
            await operation(envoy)
        finally:
            await server.__aexit__()
        assert len(server.executed) == 1


@operations
async def test_a_fresh_connection_each_time(operation: Operation) -> None:
    """Unsafe operations never ride on a pooled connection, which may have gone stale; reads do."""
    async with MisbehavingServer(answer()) as server, make_client(server.url) as envoy:
        await envoy.calls.get(UUID)
        for _ in range(3):
            await operation(envoy)
        await envoy.calls.get(UUID)
        assert [sent.connection for sent in server.executed] == [1, 2, 3, 4, 1]


async def test_parallel_unsafe_calls_are_each_sent_once() -> None:
    """Nine calls placed at once into a failing server are nine executions."""
    async with MisbehavingServer(drop) as server, make_client(server.url) as envoy:
        found = await asyncio.gather(*(failure_of(envoy.calls.create()) for _ in range(9)))
        assert {type(error) for error in found} == {errors.OutcomeUnknownError}
        assert len(server.executed) == 9


async def test_the_key_of_an_unknown_outcome_stays_hidden() -> None:
    """The last error is there to look at, and shows no secret."""
    async with MisbehavingServer(answer(500, {})) as server, make_client(server.url) as envoy:
        error: EnvoyError = await failure_of(envoy.calls.create())
        assert isinstance(error, errors.OutcomeUnknownError)
        assert KEY not in repr(error) + repr(error.last_error) + repr(error.__dict__)


async def test_an_operation_without_a_row_counts_as_unsafe() -> None:
    """A POST the table does not know is not sent twice."""
    async with MisbehavingServer(drop, answer()) as server, make_client(server.url) as envoy:
        sender: Transport = envoy._transport
        assert isinstance(sender.settings, Settings)
        request = envoy.calls.list()._request
        unknown = type(request)(method="POST", template="/new", path="/new", body=b"{}")
        assert type(await failure_of(sender.send(unknown))) is errors.OutcomeUnknownError
        assert len(server.executed) == 1
