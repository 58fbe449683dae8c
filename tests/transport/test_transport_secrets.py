"""The key shows in nothing that a failure leaves behind, and aiohttp's errors in no chain."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback

import pytest

from envoy_async import EnvoyClient, EnvoyError, RetryPolicy, Timeouts
from tests.transport.conftest import (
    CUT,
    KEY,
    LOST,
    NOT_HTTP,
    UNREADABLE,
    UUID,
    MisbehavingServer,
    Operation,
    Step,
    answer,
    failure_of,
    half_body,
    hang,
    make_client,
    redirect,
    trickle,
)

STATUSES = tuple(answer(status, {}) for status in (400, 401, 403, 404, 408, 409, 418, 422, 429, 500, 503))
STEPS = (
    *LOST,
    *CUT,
    *UNREADABLE,
    *NOT_HTTP,
    *STATUSES,
    half_body(404),
    hang,
    trickle,
    redirect("https://elsewhere.example/"),
)
OPERATIONS: dict[str, Operation] = {
    "read": lambda envoy: envoy.calls.get(UUID),
    "listing": lambda envoy: envoy.with_options(retry=RetryPolicy(max_attempts=1), deadline=0.2).calls.list().first(),
    "unsafe": lambda envoy: envoy.calls.create(),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
QUICK = Timeouts(deadline=5.0, attempt=0.1)
TWICE = RetryPolicy(max_attempts=2, base=0.01)


async def failed(step: Step, operation: Operation) -> EnvoyError:
    """Run an operation against a server that misbehaves for ever."""
    async with MisbehavingServer(step) as server, make_client(server.url, timeouts=QUICK, retry=TWICE) as envoy:
        return await failure_of(operation(envoy))


def chain(error: BaseException | None) -> list[BaseException]:
    """Return an exception with all that hang on it."""
    if error is None:
        return []
    return [error, *chain(error.__cause__), *chain(error.__context__)]


def traces(error: BaseException) -> str:
    """Return all that a nosy log would write: the traceback with every local variable, and every view of the error."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    views = [repr(error), str(error), repr(error.args), repr(error.__dict__), pickle.dumps(error).decode("latin-1")]
    return "\n".join([*shown.format(chain=True), *views])


@every_operation
@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_the_key_is_nowhere(operation: Operation, step: Step, caplog: pytest.LogCaptureFixture) -> None:
    """No failure shows the key: not in its text, its attributes, its pickle, its traceback's locals, or a log."""
    caplog.set_level(logging.DEBUG)
    error = await failed(step, operation)
    for part in chain(error):
        assert KEY not in traces(part)
        assert not type(part).__module__.startswith("aiohttp")
    assert KEY not in caplog.text


@every_operation
@pytest.mark.parametrize("step", [*LOST, *CUT, *NOT_HTTP, answer(404, {}), hang, answer(503, {})], ids=str)
async def test_errors_travel(operation: Operation, step: Step) -> None:
    """A real failure survives pickling with all that it says."""
    error = await failed(step, operation)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert (str(copy), repr(copy), copy.attempts) == (str(error), repr(error), error.attempts)
    assert (copy.status, copy.code, copy.method, copy.route) == (error.status, error.code, error.method, error.route)
    assert repr(getattr(copy, "last_error", None)) == repr(getattr(error, "last_error", None))


async def test_an_unreachable_host_shows_no_key() -> None:
    """Nor does a connection that never came about."""
    async with make_client("https://nowhere.invalid/v1") as envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert KEY not in traces(error)
    assert not [part for part in chain(error) if type(part).__module__.startswith("aiohttp")]


def test_the_client_shows_no_key() -> None:
    """Nor does the client, nor anything it holds."""
    envoy = EnvoyClient(KEY, base_url="https://api.example")
    transport = envoy._transport
    assert KEY not in "".join(map(repr, (envoy, transport, transport.settings, transport.access)))


async def test_the_users_own_timeout_shows_no_key() -> None:
    """Nor does a cancellation that went through a call: aiohttp's frames, which hold headers, are not in it."""
    for step in (hang, trickle):
        async with MisbehavingServer(step) as server, make_client(server.url) as envoy:
            with pytest.raises(TimeoutError) as caught:
                await asyncio.wait_for(envoy.calls.get(UUID), 0.1)
        for part in chain(caught.value):
            assert KEY not in traces(part)


@pytest.mark.parametrize("body", [{"error": {"code": "x", "message": f"bad key {KEY}"}}, f"your key {KEY}".encode()])
async def test_a_key_that_the_server_echoes(body: object) -> None:
    """A server or proxy that repeats the key in its message does not get it into the logs."""
    error = await failed(answer(401, body), OPERATIONS["read"])
    assert KEY not in str(error)
