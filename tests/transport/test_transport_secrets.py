"""The key shows in nothing that a failure leaves behind, and aiohttp's errors in no chain."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from envoy_async import BearerToken, EnvoyClient, EnvoyError, Login, RetryPolicy, Timeouts
from envoy_async.errors import (
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    OutcomeUnknownError,
    RedirectError,
)
from tests.faults._canary import CanaryLog, leaks
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
    raw,
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


async def test_a_key_in_the_id_of_a_refusal_that_breaks_off() -> None:
    """The request's id is kept when the body of an error is lost, and the key is taken out of it there as well."""
    head = f"HTTP/1.1 404 Scripted\r\nX-Request-ID: r-{KEY}-1\r\nContent-Length: 100\r\n\r\n{{".encode()
    error = await failed(raw("cut 404", head), OPERATIONS["read"])
    assert type(error) is NotFoundError
    assert error.request_id == "r-***-1"
    assert KEY not in traces(error)


@pytest.mark.parametrize("spell", [str, str.upper, str.title], ids=["as it is", "capitals", "title"])
@pytest.mark.parametrize(
    "place", ["https://{}.example/x", "//{}/", "https://u:p@x.{}:8443/", "https://x.example/?k={}"]
)
async def test_a_key_in_the_place_a_redirect_leads_to(place: str, spell: Callable[[str], str]) -> None:
    """The error names the host alone, and not even that when the key is in it, in whatever case."""
    key = KEY.replace("_", "-")
    step = redirect(place.format(spell(key)))
    async with MisbehavingServer(step) as server, make_client(server.url, credentials=key) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert type(error) is RedirectError
    assert key not in traces(error).lower()
    named = "x.example" if "?" in place else "a place with a secret in its name"
    assert error.message == f"the server redirects to {named}, which is never followed"


@pytest.mark.parametrize("place", ["https://[::1", "https://[]@", "http://[", "//[]@/"])
async def test_a_redirect_to_an_unreadable_place(place: str) -> None:
    """Whatever stands in the header, it ends in the SDK's own error."""
    async with MisbehavingServer(redirect(place)) as server, make_client(server.url) as envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert type(error) is RedirectError
    assert error.message == "the server redirects to an unreadable place, which is never followed"


E_MAIL, PASSWORD = "canary-9d1c@example.com", "pass-word-canary 9d1c"
LOGINS: dict[str, Operation] = {
    "by hand": lambda envoy: envoy.auth.login(E_MAIL, PASSWORD),
    "by itself": lambda envoy: envoy.calls.get(UUID),
}


@pytest.mark.parametrize("operation", LOGINS.values(), ids=list(LOGINS))
@pytest.mark.parametrize(
    "step",
    [*LOST, *CUT, *NOT_HTTP, answer(401, {"error": {"code": "c", "message": PASSWORD}}), answer(200, {}), hang],
    ids=str,
)
async def test_a_login_that_fails_shows_neither_password_nor_address(operation: Operation, step: Step) -> None:
    """Not in the error or what hangs on it, in no local variable of the SDK or a library, in no log of any level."""
    login = Login(E_MAIL, PASSWORD)
    with CanaryLog() as log:
        async with (
            MisbehavingServer(step) as server,
            make_client(server.url, credentials=login, timeouts=QUICK, retry=TWICE) as envoy,
        ):
            error = await failure_of(operation(envoy))
    assert leaks(error, PASSWORD, E_MAIL) == []
    assert log.leaks(PASSWORD, E_MAIL, KEY) == []
    assert not [part for part in chain(error) if type(part).__module__.startswith("aiohttp")]


@pytest.mark.parametrize("given", [(E_MAIL, None), (None, PASSWORD), (E_MAIL, "\ud800" + PASSWORD)], ids=ascii)
async def test_a_login_that_is_refused_before_sending_shows_neither(given: Any) -> None:
    """Nor does the refusal of what is no text, or cannot be written."""
    async with make_client("https://nowhere.invalid/v1") as envoy:
        error = await failure_of(envoy.auth.login(*given))
    assert type(error) is InvalidRequestError
    assert leaks(error, PASSWORD, E_MAIL) == []


FRESH = "envai_live_fresh_secret_0042"
UNREAD: dict[str, Operation] = {
    "create": lambda envoy: envoy.api_keys.create(name="TMS"),
    "request": lambda envoy: envoy.request("POST", "/api-keys", into=list[object], body={"name": "TMS"}),
    "get": lambda envoy: envoy.api_keys.get(UUID),
    "list": lambda envoy: envoy.api_keys.list().collect(),
}


def frames(error: BaseException | None) -> Iterator[FrameType]:
    """Give every frame that an error keeps alive, and those of its last error and of what it is chained to."""
    for part in chain(error):
        for frame, _ in traceback.walk_tb(part.__traceback__):
            yield frame
        yield from frames(getattr(part, "last_error", None))


@pytest.mark.parametrize("operation", UNREAD.values(), ids=list(UNREAD))
async def test_the_secret_of_an_answer_that_cannot_be_read_is_in_no_frame(operation: Operation) -> None:
    """A tool that reports every local variable finds no fresh key: not in the error, and not in its last error."""
    step, token = answer(200, {"id": 5, "key": FRESH, "api_key": FRESH}), BearerToken("token-canary")
    async with MisbehavingServer(step) as server, make_client(server.url, credentials=token) as envoy:
        error = await failure_of(operation(envoy))
    last = getattr(error, "last_error", None)
    assert {type(error), type(last)} <= {OutcomeUnknownError, InvalidResponseError, type(None)}
    assert InvalidResponseError in {type(error), type(last)}
    held = list(frames(error))
    assert held
    for frame in held:
        if frame.f_globals["__name__"].startswith("envoy_async"):
            assert FRESH not in repr(frame.f_locals), frame.f_code.co_qualname
    for part in (error, *chain(last)):
        assert FRESH not in traces(part)
