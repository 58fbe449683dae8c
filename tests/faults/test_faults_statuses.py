"""Faults 28 to 35, 49, 50, 111: what the server says no with, and what that means for sending again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from envoy_async import BearerToken, EnvoyClient, EnvoyError, Login, RetryPolicy, errors
from tests.faults.conftest import (
    ONE_EACH,
    READ,
    SHOWN,
    UNSAFE,
    Waiting,
    assert_final,
    assert_sent_again,
    assert_unknown,
    every_operation,
    fails,
    repeatable,
    virtual,
)
from tests.transport.conftest import (
    GOOD,
    KEY,
    UUID,
    MisbehavingServer,
    Operation,
    Step,
    answer,
    drop,
    half_body,
    make_client,
    raw,
    redirect,
    reset,
)

good = answer(200, SHOWN)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 599])
@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}], ids=["plain", "with Retry-After"])
async def test_fault_028_server_error_after_a_phone_call(status: int, headers: Mapping[str, str]) -> None:
    """A failing server may have placed the call: not placed again, outcome unknown, with the status."""
    await assert_unknown(answer(status, {}, headers=headers), errors.ServerError, status)


@repeatable
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_fault_029_server_error(status: int, operation: Operation) -> None:
    """A read or an idempotent write is sent again."""
    await assert_sent_again(operation, answer(status, {}))


@virtual
async def test_fault_029_server_error_that_stays() -> None:
    """A server that fails for ever gets a tenth more requests than there were calls, ten, and one a minute.

    Only what the server executed counts, whatever each call ends with.
    """
    async with MisbehavingServer(answer(500, {})) as server:
        began = asyncio.get_running_loop().time()
        async with make_client(server.url, retry=RetryPolicy(base=0.01), clock=Waiting()) as envoy:
            for _ in range(200):
                await fails(envoy.with_options(deadline=5.0).calls.get(UUID))
        minutes = (asyncio.get_running_loop().time() - began) / 60
        assert 1 < len(server.executed) <= 200 * 1.1 + 11 + minutes


@pytest.mark.parametrize("status", [408, 425])
async def test_fault_030_request_timeout_of_a_phone_call(status: int) -> None:
    """408 and 425 prove nothing: the outcome of an unsafe operation is unknown."""
    await assert_unknown(answer(status, {}), errors.StatusError, status)


@repeatable
async def test_fault_030_request_timeout(operation: Operation) -> None:
    """408 passes, so it is tried again."""
    await assert_sent_again(operation, answer(408, {}))


@repeatable
async def test_fault_030_too_early(operation: Operation) -> None:
    """425 is about TLS early data, which the SDK never sends: it is raised as it came."""
    error = await assert_final(operation, answer(425, {}), errors.StatusError)
    assert error.status == 425


EXISTS = {"error": {"code": "already_exists", "message": "there is one", "param": "load_number"}}


@every_operation
async def test_fault_031_conflict(operation: Operation) -> None:
    """There is such a record already: raised at once, and not presumed to be ours."""
    error = await assert_final(operation, answer(409, EXISTS), errors.AlreadyExistsError)
    assert (error.code, error.param) == ("already_exists", "load_number")
    assert getattr(error, "maybe_own", False) is False


AMBIGUOUS = [drop, reset, half_body(201), answer(500, {}), answer(502, {}), answer(504, {})]


@pytest.mark.parametrize("step", AMBIGUOUS, ids=str)
async def test_fault_032_conflict_with_what_was_probably_ours(step: Step) -> None:
    """After a first try that may have run, a 409 may be about our own record, and the error says so."""
    async with MisbehavingServer(step, answer(409, EXISTS)) as server, make_client(server.url) as envoy:
        error = await fails(ONE_EACH["idempotent"](envoy), errors.AlreadyExistsError)
        assert getattr(error, "maybe_own", False) is True
        assert len(server.executed) == 2


DELETIONS: dict[str, Operation] = {
    "webhook endpoint": lambda envoy: envoy.webhook_endpoints.delete(UUID),
    "api key": lambda envoy: envoy.api_keys.deactivate(UUID),
}


@pytest.mark.parametrize("step", AMBIGUOUS, ids=str)
@pytest.mark.parametrize("operation", DELETIONS.values(), ids=list(DELETIONS))
async def test_fault_032_deleted_by_the_first_try(operation: Operation, step: Step) -> None:
    """After a DELETE that may have run, a 404 is what was wanted: success."""
    async with MisbehavingServer(step, answer(404, {})) as server:
        async with make_client(server.url, credentials=BearerToken(KEY)) as envoy:
            await operation(envoy)
        assert len(server.executed) == 2


@pytest.mark.parametrize("operation", DELETIONS.values(), ids=list(DELETIONS))
async def test_fault_032_nothing_to_delete(operation: Operation) -> None:
    """A 404 on the first try is a plain 404."""
    async with MisbehavingServer(answer(404, {})) as server:
        async with make_client(server.url, credentials=BearerToken(KEY)) as envoy:
            await fails(operation(envoy), errors.NotFoundError)
        assert len(server.executed) == 1


@every_operation
async def test_fault_033_wrong_api_key(operation: Operation) -> None:
    """A refused API key is final: one request."""
    body = {"error": {"code": "not_authenticated", "message": f"unknown key {KEY}"}}
    await assert_final(operation, answer(401, body), errors.NotAuthenticatedError)


BEARER: dict[str, Operation] = {**ONE_EACH, "idempotent": lambda envoy: envoy.calls.end(UUID)}
"""Each kind of operation, of those that take a bearer token."""


@pytest.mark.parametrize("operation", BEARER.values(), ids=list(BEARER))
async def test_fault_033_bearer_token_that_ran_out(operation: Operation) -> None:
    """Many tasks with one token that ran out log in once more, all together, and each is sent once more."""
    async with MisbehavingServer(Step("none", _never)) as server:
        logins = 0

        async def run(writer: asyncio.StreamWriter) -> None:
            nonlocal logins
            received = server.executed[-1]
            if received.target.endswith("/auth/login"):
                logins += 1
                await answer(200, {"access_token": f"token-{logins}", "token_type": "bearer"}).run(writer)
            elif received.values("Authorization") == ["Bearer token-1"]:
                await answer(401, {"error": {"code": "not_authenticated", "message": "expired"}}).run(writer)
            else:
                await good.run(writer)

        server._script = [Step("by path", run)]
        login = Login("a@example.com", "password-canary")
        async with make_client(server.url, credentials=login) as envoy:
            await asyncio.gather(*(operation(envoy) for _ in range(30)))
        assert logins == 2
        assert len(server.executed) <= 2 + 2 * 30


async def _never(_: asyncio.StreamWriter) -> None:
    raise AssertionError


@every_operation
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "insufficient_permissions", errors.PermissionDeniedError),
        (404, "not_found", errors.NotFoundError),
        (422, "validation_error", errors.ValidationError),
        (400, "validation_error", errors.ValidationError),
        (400, "invalid_id_format", errors.InvalidIdFormatError),
    ],
)
async def test_fault_034_refusals(status: int, code: str, kind: type[EnvoyError], operation: Operation) -> None:
    """What is refused for good is raised as its class, with code and field, and not sent again."""
    body = {"error": {"code": code, "message": "no", "param": "loads[2].weight"}}
    error = await assert_final(operation, answer(status, body), kind)
    assert (error.status, error.code, error.message, error.param) == (status, code, "no", "loads[2].weight")


@every_operation
@pytest.mark.parametrize("status", [300, 301, 303, 307, 308, 399])
async def test_fault_035_redirect(status: int, operation: Operation) -> None:
    """No redirect is followed: the other host sees no connection, no key, and no body, and the error names the host."""
    async with MisbehavingServer(good) as other:
        place = f"http://localhost:{other.port}/v1/take?token=secret-in-the-query"
        async with MisbehavingServer(redirect(place, status)) as server, make_client(server.url) as envoy:
            error = await fails(operation(envoy), errors.RedirectError)
            assert len(server.executed) == 1
        assert (other.connections, other.executed) == (0, [])
    assert "localhost" in error.message
    assert not {"take", "secret-in-the-query"} & set(str(error).replace("?", " ").replace("=", " ").split())
    assert error.status == status


@every_operation
@pytest.mark.parametrize(
    "place", ["", "/v1/elsewhere", "//[", "\u00fc", "http://[::1", "file:///etc/passwd"], ids=ascii
)
async def test_fault_035_redirect_to_nowhere(place: str, operation: Operation) -> None:
    """A redirect to the same host, or to what is no address, is not followed either."""
    await assert_final(operation, redirect(place), errors.RedirectError)


UNSHAPED: list[object] = [
    b"",
    b"null",
    b"[]",
    b"5",
    b'"no"',
    b"<html><body>Bad gateway</body></html>",
    b"\xff\xfe\x00garbage",
    b"{" * 50_000,
    b'{"error": ' * 50_000,
    {},
    {"error": None},
    {"error": []},
    {"error": "no"},
    {"error": {}},
    {"error": {"code": 5, "message": ["x"], "param": {}}},
    {"error": {"code": None, "message": None}},
    {"error": {"code": "x" * 100_000, "message": "y" * 100_000}},
    {"detail": [{"loc": ["body"], "msg": "no"}]},
    {"error": {"code": "c", "message": "line\r\nbreak \x1b[31m \ud800 \x00 \u2028"}},
]


@pytest.mark.parametrize("status", [400, 404, 418])
@pytest.mark.parametrize("body", UNSHAPED, ids=lambda body: ascii(body)[:30])
async def test_fault_049_error_body_of_another_shape(status: int, body: object) -> None:
    """Whatever stands in its body, an error of the server becomes one of ours: by status, short, and in one line."""
    error = await assert_final(READ, answer(status, body), _KINDS[status])
    assert error.status == status
    assert len(repr(error)) < 2_500
    assert len(str(error).splitlines()) == 1
    assert str(error).isprintable()


_KINDS: dict[int, type[EnvoyError]] = {
    400: errors.ValidationError,
    404: errors.NotFoundError,
    418: errors.StatusError,
}


@pytest.mark.parametrize("body", UNSHAPED, ids=lambda body: ascii(body)[:30])
async def test_fault_049_error_body_of_another_shape_after_a_phone_call(body: object) -> None:
    """An unreadable 500 is an unknown outcome all the same."""
    await assert_unknown(answer(500, body), errors.ServerError, 500)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (451, errors.StatusError),
        (499, errors.StatusError),
        (501, errors.ServerError),
        (505, errors.ServerError),
        (599, errors.ServerError),
        (600, errors.ServerError),
        (999, errors.ServerError),
    ],
)
async def test_fault_050_strange_status(status: int, kind: type[EnvoyError]) -> None:
    """A status nobody knows counts by its hundreds, and is not asked for again."""
    error = await assert_final(READ, answer(status, {}), kind)
    assert error.status == status


@pytest.mark.parametrize("status", ["000", "099", "42", "1000", "-1", "2OO"])
@every_operation
async def test_fault_050_status_that_is_none(status: str, operation: Operation) -> None:
    """A status that HTTP does not have is no answer; after a phone call the outcome is unknown, and never a success."""
    step = raw("odd", f"HTTP/1.1 {status} Odd\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD)
    async with MisbehavingServer(step) as server:
        async with make_client(server.url, retry=RetryPolicy(max_attempts=1)) as envoy:
            error = await fails(operation(envoy))
        assert len(server.executed) == 1
    assert isinstance(getattr(error, "last_error", error), errors.InvalidResponseError | errors.ConnectionLostError)
    assert isinstance(error, errors.OutcomeUnknownError) is (operation is UNSAFE)


SECRETS: dict[str, Operation] = {
    "webhook_endpoints.create": lambda envoy: envoy.webhook_endpoints.create(
        url="https://example.com/hooks", event_types=["call.completed"]
    ),
    "webhook_endpoints.rotate_secret": lambda envoy: envoy.webhook_endpoints.rotate_secret(UUID),
    "api_keys.create": lambda envoy: envoy.api_keys.create(name="TMS"),
}
LOST_ANSWERS = [drop, reset, half_body(200), half_body(201), answer(200, b""), answer(201, b"null"), answer(502, {})]


@pytest.mark.parametrize("operation", SECRETS.values(), ids=list(SECRETS))
@pytest.mark.parametrize("step", LOST_ANSWERS, ids=str)
async def test_fault_111_the_answer_that_holds_a_secret_is_lost(step: Step, operation: Operation) -> None:
    """A secret that is shown once and was lost is not asked for by running the operation again: outcome unknown."""
    async with MisbehavingServer(step, good) as server:
        async with make_client(server.url, credentials=BearerToken(KEY)) as envoy:
            error = await fails(operation(envoy), errors.OutcomeUnknownError)
        assert len(server.executed) == 1
    assert isinstance(error, errors.OutcomeUnknownError)
    assert error.last_error is not None


@pytest.mark.parametrize("operation", SECRETS.values(), ids=list(SECRETS))
def test_fault_111_the_documentation_says_what_to_do(operation: Operation) -> None:
    """The operation's own documentation names the error, and what may have come of it."""
    name = next(name for name, other in SECRETS.items() if other is operation)
    group, method = name.split(".")
    said = str(getattr(getattr(EnvoyClient(KEY), group), method).__doc__)
    assert "OutcomeUnknownError" in said
    assert "secret" in said.split("Raises:")[1]
