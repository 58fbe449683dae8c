"""Credentials that are fetched: once for everybody, once more after a 401, and nothing is sent under the wrong one."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest

from envoy_async import ApiKey, BearerToken, EnvoyClient, Login, Timeouts
from envoy_async._transport import Access
from envoy_async.errors import (
    AttemptTimeoutError,
    ClientClosedError,
    ConfigurationError,
    ConnectionLostError,
    DeadlineExceededError,
    EnvoyError,
    InvalidResponseError,
    NotAuthenticatedError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
)
from envoy_async.models import Call
from envoy_async.sandbox import Fault, Sandbox
from tests.transport.conftest import (
    NEW_LOAD,
    UUID,
    MisbehavingServer,
    SkippingClock,
    answer,
    failure_of,
    make_client,
    settled,
)

NOW = 1_763_740_800.0  # Friday 2025-11-21, 16:00 UTC
CANARY = "canary-7f3a-password"
IN_FLIGHT = 64  # requests under way at once


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run a small sandbox without a quota, at 2025-11-21T16:00:00Z for ever."""
    async with Sandbox(calls=30, loads=10, quota=None, clock=lambda: NOW) as running:
        yield running


def client_of(sandbox: Sandbox, **options: object) -> EnvoyClient:
    """Make a client that logs in by itself."""
    return make_client(sandbox.base_url, credentials=Login(sandbox.email, sandbox.password), **options)  # type: ignore[arg-type]


def sent(sandbox: Sandbox) -> Counter[tuple[str, int]]:
    """Count what came in, by path and status."""
    return Counter(
        (request.path.removeprefix("/api/v1").partition("?")[0], request.status) for request in sandbox.requests
    )


async def test_a_thousand_tasks_log_in_once(sandbox: Sandbox) -> None:
    """1,000 tasks that start together on one `Login` cause one `POST /auth/login`, and all get their answer."""
    call_id = next(iter(sandbox.store.calls))
    async with client_of(sandbox) as envoy:
        calls = await asyncio.gather(*[envoy.calls.get(call_id) for _ in range(1_000)])
    assert {call.id for call in calls} == {call_id}
    assert sent(sandbox) == {("/auth/login", 200): 1, (f"/calls/{call_id}", 200): 1_000}
    assert [ran.operation for ran in sandbox.executions].count("auth.login") == 1


async def test_nothing_is_sent_before_it_is_needed(sandbox: Sandbox) -> None:
    """Making, entering, and closing a client does not log in; views share one login."""
    async with client_of(sandbox) as envoy:
        assert sandbox.requests == []
        await envoy.with_options(deadline=5).loads.tab_counts()
        await envoy.loads.tab_counts()
    assert sent(sandbox) == {("/auth/login", 200): 1, ("/loads/tab-counts", 200): 2}


async def test_a_token_outlives_the_event_loop(sandbox: Sandbox) -> None:
    """A client closed and entered again goes on with the token it has."""
    envoy = client_of(sandbox)
    for _ in range(2):
        async with envoy:
            await envoy.loads.tab_counts()
    assert sent(sandbox)["/auth/login", 200] == 1


@pytest.mark.parametrize("tasks", [1, 1_000])
async def test_an_expired_token_is_replaced_once(sandbox: Sandbox, tasks: int) -> None:
    """After a 401 one new login serves all tasks, and each operation is sent once more."""
    call_id = next(iter(sandbox.store.calls))
    async with client_of(sandbox) as envoy:
        await envoy.calls.get(call_id)
        sandbox.expire_tokens()
        await asyncio.gather(*[envoy.calls.get(call_id) for _ in range(tasks)])
    counts = sent(sandbox)
    assert counts["/auth/login", 200] == 2
    assert counts[f"/calls/{call_id}", 200] == tasks + 1
    assert 1 <= counts[f"/calls/{call_id}", 401] <= min(tasks, IN_FLIGHT)  # who waited in line takes the new token


async def test_a_listing_goes_on_over_an_expired_token(sandbox: Sandbox) -> None:
    """The token may run out between two pages; no record is lost or repeated."""
    async with client_of(sandbox) as envoy:
        listing = envoy.calls.list(page_size=10)
        ids = [(await anext(listing)).id for _ in range(10)]
        sandbox.expire_tokens()
        ids += [call.id async for call in listing]
    assert len(ids) == len(set(ids)) == 30
    assert listing.report.proven


async def test_an_unsafe_operation_runs_once_over_an_expired_token(sandbox: Sandbox) -> None:
    """A 401 with the documented code was refused before it ran: it is sent again, and runs once."""
    async with client_of(sandbox) as envoy:
        await envoy.loads.tab_counts()
        sandbox.expire_tokens()
        call = await envoy.calls.create(extra={"phone_number": "+14155550100"})
    assert type(call) is Call
    assert [ran.operation for ran in sandbox.executions].count("calls.create") == 1


async def test_an_unsafe_operation_is_not_sent_again_after_another_401(sandbox: Sandbox) -> None:
    """A 401 in other words than the documented ones does not prove that nothing ran."""
    sandbox.fail(Fault(method="POST", path="/calls", status=401, body=b"who are you?", content_type="text/plain"))
    async with client_of(sandbox) as envoy:
        error = await failure_of(envoy.calls.create())
    assert type(error) is NotAuthenticatedError
    assert (sent(sandbox)["/calls", 401], sent(sandbox)["/auth/login", 200]) == (1, 1)


async def test_a_token_refused_twice_is_the_answer(sandbox: Sandbox) -> None:
    """One refresh and one more try: a server that goes on refusing is not asked for ever."""
    sandbox.fail(Fault(method="GET", path="/loads/tab-counts", status=401, times=None))
    async with client_of(sandbox) as envoy:
        error = await failure_of(envoy.loads.tab_counts())
    assert type(error) is NotAuthenticatedError
    assert (error.route, [row.status for row in error.attempts]) == ("/loads/tab-counts", [401, 401])
    assert sent(sandbox) == {("/auth/login", 200): 2, ("/loads/tab-counts", 401): 2}


async def test_an_operation_that_refuses_everybody_does_not_use_up_the_logins(sandbox: Sandbox) -> None:
    """Where a fresh token was refused too, another is not fetched for a minute; other operations are not touched."""
    sandbox.fail(Fault(method="GET", path="/loads/stats", status=401, times=None))
    clock = SkippingClock()
    async with client_of(sandbox, clock=clock) as envoy:
        for _ in range(20):
            assert type(await failure_of(envoy.loads.statistics())) is NotAuthenticatedError
        await envoy.loads.tab_counts()
        assert sent(sandbox)["/auth/login", 200] == 2
        sandbox.expire_tokens()
        await envoy.loads.tab_counts()
        assert sent(sandbox)["/auth/login", 200] == 3
        clock.waits.append(61.0)
        await failure_of(envoy.loads.statistics())
        assert sent(sandbox)["/auth/login", 200] == 4


def test_a_token_that_ends_again_at_once_is_not_held_against_the_operation() -> None:
    """What has worked with a token and refuses it now, refuses it for its age; what never did, is left alone."""

    async def source() -> ApiKey:
        return ApiKey("key")

    access = Access(source)
    first = asyncio.run(access.fetch())
    access.worked(first, "GET /a")
    access.refused_again(first, "GET /a", 0.0)
    assert access.current is None
    assert access.renewable("GET /a", 0.0)
    second = asyncio.run(access.fetch())
    assert second is not first
    assert second == first
    access.refused_again(first, "GET /a", 0.0)  # somebody replaced it meanwhile
    assert access.renewable("GET /a", 0.0)
    access.refused_again(second, "GET /b", 0.0)
    assert access.current is second
    assert [access.renewable(name, at) for name, at in (("GET /a", 1.0), ("GET /b", 59.0), ("GET /b", 60.0))] == [
        True,
        False,
        True,
    ]


def test_what_is_noted_about_operations_stays_small() -> None:
    """Paths of `request` may hold ids, so that there is no end of them."""

    async def source() -> ApiKey:
        return ApiKey("key")

    access = Access(source)
    credential = asyncio.run(access.fetch())
    for number in range(1_000):
        access.worked(credential, f"GET /{number}")
        access.refused_again(credential, f"POST /{number}", 60.0 * number)
    assert (len(access._worked), len(access._vain)) == (100, 1)


@pytest.mark.parametrize("credentials", [BearerToken("stale"), ApiKey("envai_live_stale")], ids=["token", "key"])
async def test_a_fixed_credential_is_not_tried_again(sandbox: Sandbox, credentials: ApiKey | BearerToken) -> None:
    """There is no other, so a 401 is raised at once."""
    async with make_client(sandbox.base_url, credentials=credentials) as envoy:
        error = await failure_of(envoy.loads.tab_counts())
    assert type(error) is NotAuthenticatedError
    assert len(sandbox.requests) == 1


async def test_a_wrong_password_is_told_to_everybody_who_waited(sandbox: Sandbox) -> None:
    """One login for all of them, each gets an error of its own that names the login; who comes later tries anew."""
    envoy = make_client(sandbox.base_url, credentials=Login(sandbox.email, CANARY))
    async with envoy:
        results = await asyncio.gather(*[envoy.loads.tab_counts() for _ in range(50)], return_exceptions=True)
        assert sent(sandbox) == {("/auth/login", 401): 1}
        await failure_of(envoy.loads.tab_counts())
    errors = [result for result in results if isinstance(result, NotAuthenticatedError)]
    assert len({id(error) for error in errors}) == 50
    assert {(error.method, error.route, len(error.attempts)) for error in errors} == {("POST", "/auth/login", 1)}
    assert CANARY not in "".join(map(repr, errors))
    assert sent(sandbox) == {("/auth/login", 401): 2}


async def test_a_password_the_server_echoes_is_taken_out(sandbox: Sandbox) -> None:
    """A server that repeats the password in its message does not get it into the logs."""
    body = f'{{"error": {{"code": "not_authenticated", "message": "{CANARY} is wrong"}}}}'.encode()
    sandbox.fail(Fault(method="POST", path="/auth/login", status=401, body=body))
    async with make_client(sandbox.base_url, credentials=Login(sandbox.email, CANARY)) as envoy:
        error = await failure_of(envoy.loads.tab_counts())
    assert "*** is wrong" in str(error)
    assert CANARY not in repr(error)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(method="POST", path="/auth/login", times=None, drop="after"), ConnectionLostError),
        (Fault(method="POST", path="/auth/login", times=None, status=500), ServerError),
        (Fault(method="POST", path="/auth/login", times=None, body=b"{}"), InvalidResponseError),
    ],
    ids=["lost", "500", "no token"],
)
@pytest.mark.parametrize("operation", ["read", "unsafe"])
async def test_a_login_that_fails_says_nothing_about_the_operation(
    sandbox: Sandbox, fault: Fault, kind: type[EnvoyError], operation: str
) -> None:
    """No call was placed, so its outcome is not unknown; the error is the login's, and the login is not repeated."""
    sandbox.fail(fault)
    async with client_of(sandbox) as envoy:
        error = await failure_of(envoy.calls.create() if operation == "unsafe" else envoy.calls.get(UUID))
    assert type(error) is kind
    assert error.route == "/auth/login"
    assert len(sandbox.requests) == 1


async def test_a_login_may_have_run_is_said_when_it_was_asked_for(sandbox: Sandbox) -> None:
    """`auth.login` itself is unsafe: what may have run is not sent again."""
    sandbox.fail(Fault(method="POST", path="/auth/login", drop="after"))
    async with make_client(sandbox.base_url, credentials=sandbox.api_key) as envoy:
        with pytest.raises(OutcomeUnknownError):
            await envoy.auth.login(sandbox.email, sandbox.password)
        assert (await envoy.auth.login(sandbox.email, sandbox.password)).token_type == "bearer"


async def test_a_login_sends_no_credential() -> None:
    """Neither key nor organization goes to the login, whatever the client has."""
    async with (
        MisbehavingServer(answer(200, {"access_token": "t"})) as server,
        make_client(server.url, organization_id="org_1") as envoy,
    ):
        await envoy.auth.login("dana@example.com", CANARY)
    received = server.executed[0]
    assert [received.values(name) for name in ("X-API-Key", "Authorization", "X-Organization-ID")] == [[], [], []]
    assert json.loads(received.body) == {"email": "dana@example.com", "password": CANARY}


async def test_a_login_outlives_who_asked_for_it(sandbox: Sandbox) -> None:
    """Who came first may be cancelled, or run out of time: the login goes on for the others, and is not repeated."""
    sandbox.fail(Fault(method="POST", path="/auth/login", delay=0.6))
    async with client_of(sandbox) as envoy:
        hasty = asyncio.create_task(envoy.with_options(deadline=0.1).loads.tab_counts())
        tasks = [asyncio.create_task(envoy.loads.tab_counts()) for _ in range(5)]
        await settled(lambda: envoy._transport.pool._windows["auth"].in_flight)
        tasks[0].cancel()
        await asyncio.gather(*tasks[1:])
        assert tasks[0].cancelled()
        assert type(await failure_of(hasty)) is DeadlineExceededError
    assert sent(sandbox)["/auth/login", 200] == 1


async def test_a_login_nobody_waits_for_any_more_is_of_use_to_the_next(sandbox: Sandbox) -> None:
    """Its token is kept, so that short patience does not use up the quota of logins."""
    sandbox.fail(Fault(method="POST", path="/auth/login", delay=0.5))
    async with client_of(sandbox) as envoy:
        for _ in range(4):
            await failure_of(envoy.with_options(deadline=0.05).loads.tab_counts())
        await envoy.loads.tab_counts()
    assert sent(sandbox)["/auth/login", 200] == 1


async def test_a_login_nobody_waits_for_may_fail_unheard(sandbox: Sandbox) -> None:
    """No warning about an error that nobody asked for; the next operation logs in anew."""
    sandbox.fail(Fault(method="POST", path="/auth/login", delay=0.3, status=500))
    async with client_of(sandbox) as envoy:
        await failure_of(envoy.with_options(deadline=0.05).loads.tab_counts())
        fetching = envoy._transport.pool._lane and envoy._transport.pool._lane._fetching
        await settled(lambda: fetching and fetching.done())
        await envoy.loads.tab_counts()


async def test_a_cancelled_wait_for_a_login_shows_no_password(sandbox: Sandbox) -> None:
    """The user's own timeout goes through no frame that holds the password or the token."""
    sandbox.fail(Fault(method="POST", path="/auth/login", delay=0.4))
    async with make_client(sandbox.base_url, credentials=Login(sandbox.email, CANARY)) as envoy:
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(envoy.loads.tab_counts(), 0.05)
    error: BaseException | None = caught.value
    while error is not None:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert CANARY not in "".join(shown.format())
        error = error.__cause__ or error.__context__


async def test_waiting_for_a_login_ends_with_the_deadline(sandbox: Sandbox) -> None:
    """A call's own deadline covers the login it waits for."""
    sandbox.fail(Fault(method="POST", path="/auth/login", delay=0.9, times=None))
    async with EnvoyClient(Login(sandbox.email, sandbox.password), base_url=sandbox.base_url) as envoy:
        error = await failure_of(envoy.with_options(deadline=0.4).loads.tab_counts())
        assert type(error) is DeadlineExceededError
        assert error.route == "/loads/tab-counts"


async def test_closing_ends_a_login(sandbox: Sandbox) -> None:
    """Everybody who waits for it gets `ClientClosedError`."""
    sandbox.fail(Fault(method="POST", path="/auth/login", delay=0.9))
    envoy = client_of(sandbox)
    async with envoy:
        tasks = [asyncio.create_task(envoy.loads.tab_counts()) for _ in range(3)]
        await settled(lambda: envoy._transport.pool._windows["auth"].in_flight)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {ClientClosedError}


async def test_the_quota_of_logins_is_kept(sandbox: Sandbox) -> None:
    """The 10 logins a minute of the rate-limit guide are a quota of their own: the 11th waits for it."""
    async with (
        Sandbox(calls=1, loads=1, clock=lambda: NOW) as polite,
        make_client(polite.base_url, credentials=polite.api_key) as envoy,
    ):
        for _ in range(10):
            await envoy.auth.login(polite.email, polite.password)
        error = await failure_of(envoy.with_options(deadline=0.4).auth.login(polite.email, polite.password))
        await envoy.loads.tab_counts()  # the general quota is another
    assert type(error) in {DeadlineExceededError, RateLimitedError}
    assert sent(polite) == {("/auth/login", 200): 10, ("/loads/tab-counts", 200): 1}


async def test_a_callable_gives_the_credential(sandbox: Sandbox) -> None:
    """An async callable is asked on first use, once for all tasks, and again after a 401."""
    asked: list[str] = []

    async def vault() -> BearerToken:
        asked.append("")
        await asyncio.sleep(0)
        token = await envoy.auth.login(sandbox.email, sandbox.password)
        return BearerToken(token.access_token)

    envoy = make_client(sandbox.base_url, credentials=vault)
    async with envoy:
        await asyncio.gather(*[envoy.loads.tab_counts() for _ in range(20)])
        assert len(asked) == 1
        sandbox.expire_tokens()
        await envoy.loads.tab_counts()
    assert len(asked) == 2


async def test_a_callable_may_change_the_key(sandbox: Sandbox) -> None:
    """A key that was rotated away is replaced like a token."""
    keys = ["envai_live_old", sandbox.api_key]

    async def vault() -> ApiKey:
        return ApiKey(keys.pop(0))

    async with make_client(sandbox.base_url, credentials=vault) as envoy:
        await envoy.loads.tab_counts()
    assert [request.status for request in sandbox.requests] == [401, 200]


@pytest.mark.parametrize("given", [False, True], ids=["own session", "session given"])
async def test_closing_ends_a_callable(sandbox: Sandbox, given: bool) -> None:
    """Who waits for it gets `ClientClosedError`, the callable is cancelled, and nothing is sent afterwards."""
    ended: list[str] = []

    async def vault() -> ApiKey:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("")
        raise AssertionError

    async with aiohttp.ClientSession() as session:
        envoy = make_client(sandbox.base_url, credentials=vault, session=session if given else None)
        async with envoy:
            tasks = [asyncio.create_task(envoy.loads.tab_counts()) for _ in range(3)]
            await settled(lambda: envoy._transport.pool._lane and envoy._transport.pool._lane._fetching)
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {ClientClosedError}
    assert (ended, sandbox.requests) == ([""], [])


async def test_a_callable_that_ends_as_cancelled(sandbox: Sandbox) -> None:
    """That is its own affair: nobody who waits is cancelled by it."""

    async def vault() -> ApiKey:
        raise asyncio.CancelledError

    async with make_client(sandbox.base_url, credentials=vault) as envoy:
        error = await failure_of(envoy.loads.tab_counts())
    assert (type(error), error.message) == (ConfigurationError, "the credentials callable was cancelled")


class StopError(BaseException):
    """What is no error of a program, such as a debugger's quitting."""


async def test_what_is_no_error_passes_through(sandbox: Sandbox) -> None:
    """It is not turned into an error of the SDK."""

    async def vault() -> ApiKey:
        raise StopError

    async with make_client(sandbox.base_url, credentials=vault) as envoy:
        with pytest.raises(StopError):
            await envoy.loads.tab_counts()


async def test_a_callable_that_needs_what_it_is_to_give(sandbox: Sandbox) -> None:
    """It is told at once that it waits for itself."""

    async def vault() -> ApiKey:
        await envoy.loads.tab_counts()
        raise AssertionError

    envoy = make_client(sandbox.base_url, credentials=vault)
    async with envoy:
        error = await failure_of(envoy.calls.get(UUID))
    assert type(error) is ConfigurationError
    assert "waits for itself" in str(error)
    assert sandbox.requests == []


async def test_a_callable_that_gives_the_same_again(sandbox: Sandbox) -> None:
    """It is asked again for the tasks under way together, not once for each, and then no more for a while."""
    stale, asked = BearerToken("stale"), list[str]()

    async def vault() -> BearerToken:
        asked.append("")
        return stale

    async with make_client(sandbox.base_url, credentials=vault) as envoy:
        results = await asyncio.gather(*[envoy.loads.tab_counts() for _ in range(200)], return_exceptions=True)
    assert {type(result) for result in results} == {NotAuthenticatedError}
    assert len(asked) < IN_FLIGHT


class VaultError(Exception):
    """What a callable of the user's may raise."""


async def test_what_a_callable_raises_is_seen(sandbox: Sandbox) -> None:
    """It comes as `ConfigurationError` with the callable's own exception as its cause; nothing is sent."""

    async def vault() -> ApiKey:
        raise VaultError

    async with make_client(sandbox.base_url, credentials=vault) as envoy:
        results = await asyncio.gather(*[envoy.loads.tab_counts(), envoy.loads.statistics()], return_exceptions=True)
    errors = [result for result in results if isinstance(result, ConfigurationError)]
    assert [error.route for error in errors] == ["/loads/tab-counts", "/loads/stats"]
    assert "the credentials callable raised VaultError" in str(errors[0])
    assert [type(error.__cause__) for error in errors] == [VaultError, VaultError]
    assert sandbox.requests == []


@pytest.mark.parametrize("given", ["envai_live_text", None, BearerToken("two words"), ApiKey("")], ids=repr)
async def test_a_callable_that_gives_no_credential(sandbox: Sandbox, given: object) -> None:
    """Only an `ApiKey` or a `BearerToken` that fits into a header is taken; nothing is sent."""

    async def vault() -> object:
        return given

    async with make_client(sandbox.base_url, credentials=vault) as envoy:  # type: ignore[arg-type]
        error = await failure_of(envoy.loads.tab_counts())
    assert type(error) is ConfigurationError
    assert "envai_live_text" not in str(error)
    assert sandbox.requests == []


async def test_the_wrong_credential_is_refused_here(sandbox: Sandbox) -> None:
    """What takes a token only, or a key only, says so before anything is sent, and names both."""
    async with make_client(sandbox.base_url, credentials=sandbox.api_key) as envoy:
        error = await failure_of(envoy.api_keys.list().first())
    assert type(error) is ConfigurationError
    assert "needs a bearer token" in str(error)
    assert "the client has ApiKey" in str(error)
    assert (error.method, error.route) == ("GET", "/api-keys")
    assert sandbox.requests == []


@pytest.mark.parametrize("password", ["right", "wrong"])
async def test_no_login_for_what_takes_a_key(sandbox: Sandbox, password: str) -> None:
    """A login gives a token, so what takes a key only is refused before anybody logs in."""
    login = Login(sandbox.email, sandbox.password if password == "right" else CANARY)
    async with make_client(sandbox.base_url, credentials=login) as envoy:
        error = await failure_of(envoy.loads.create(NEW_LOAD))
    assert type(error) is ConfigurationError
    assert "needs an API key" in str(error)
    assert sandbox.requests == []


@pytest.mark.parametrize("token", ["", "two words", "é", "t" * 10_000], ids=["empty", "blank", "not ASCII", "huge"])
async def test_a_login_that_gives_an_odd_token(token: str) -> None:
    """What cannot go into a header is a wrong answer of the login, and goes nowhere."""
    async with (
        MisbehavingServer(answer(200, {"access_token": token})) as server,
        make_client(server.url, credentials=Login("dana@example.com", CANARY)) as envoy,
    ):
        error = await failure_of(envoy.loads.tab_counts())
        assert len(server.executed) == 1
    assert (type(error), error.route) == (InvalidResponseError, "/auth/login")


async def test_a_login_that_times_out_once(sandbox: Sandbox) -> None:
    """A login that was never answered is raised as its time-out, and the next operation logs in anew."""
    sandbox.fail(Fault(method="POST", path="/auth/login", delay=6.0))
    login = Login(sandbox.email, sandbox.password)
    envoy = make_client(sandbox.base_url, credentials=login, timeouts=Timeouts(deadline=30, attempt=2.0))
    async with envoy:
        error = await failure_of(envoy.loads.tab_counts())
        assert type(error) is AttemptTimeoutError
        await envoy.loads.tab_counts()


async def test_closing_over_a_credentials_function_that_does_not_end() -> None:
    """A function that is cancelled and goes on holds up the close for a second at most, and none of those who wait."""
    release = asyncio.Event()

    async def stubborn() -> ApiKey:
        try:
            await asyncio.sleep(60)
        finally:
            await release.wait()
        return ApiKey("envai_live_1")

    async with MisbehavingServer(answer()) as server:
        envoy = make_client(server.url, credentials=stubborn)
        waiting = asyncio.ensure_future(envoy.calls.get(UUID))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(envoy.close(grace=0), 5)
        assert type(await failure_of(waiting)) is ClientClosedError
        assert server.executed == []
        release.set()
