"""A login gives a token that opens the sandbox for a while, and only the right login does."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import aiohttp
import pytest

from envoy_async.sandbox import Fault, Sandbox

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOW = 1_763_740_800.0
WRONG = {"code": "not_authenticated", "message": "Wrong e-mail address or password.", "param": None}


def right(sandbox: Sandbox) -> dict[str, str]:
    """Give the body of a good login."""
    return {"email": sandbox.email, "password": sandbox.password}


def bearer(token: str) -> dict[str, str]:
    """Give the headers that show a token."""
    return {"Authorization": f"Bearer {token}"}


async def log_in(sandbox: Sandbox, send: Send) -> str:
    """Log in and give the token."""
    token = (await send(sandbox, "POST", "/auth/login", headers={}, json=right(sandbox)))[2]["access_token"]
    assert isinstance(token, str)
    return token


async def test_a_login_gives_a_token_that_is_let_in(sandbox: Sandbox, send: Send) -> None:
    """The answer holds the token and its type, and nothing else."""
    status, _, body = await send(sandbox, "POST", "/auth/login", headers={}, json=right(sandbox))
    assert (status, body) == (200, {"access_token": body["access_token"], "token_type": "bearer"})
    assert re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", body["access_token"])
    assert (await send(sandbox, "GET", "/calls", headers=bearer(body["access_token"])))[0] == 200
    assert [ran.operation for ran in sandbox.executions] == ["auth.login", "calls.list"]


async def test_every_login_gives_a_new_token(sandbox: Sandbox, send: Send) -> None:
    """The earlier ones stay good; another sandbox of the same seed gives the same tokens in the same order."""
    tokens = [await log_in(sandbox, send) for _ in range(3)]
    assert len({*tokens, sandbox.bearer_token}) == 4
    assert {(await send(sandbox, "GET", "/calls", headers=bearer(token)))[0] for token in tokens} == {200}
    async with Sandbox(calls=1, loads=1, clock=lambda: NOW + 5) as again:
        assert [await log_in(again, send) for _ in range(3)] == tokens


@pytest.mark.parametrize("change", [{"password": "x"}, {"email": "nobody@example.com"}, {"password": ""}])
async def test_a_wrong_login_is_a_401(sandbox: Sandbox, send: Send, change: dict[str, str]) -> None:
    """Which of the two was wrong is not told, and nothing ran."""
    status, _, body = await send(sandbox, "POST", "/auth/login", headers={}, json=right(sandbox) | change)
    assert (status, body["error"]) == (401, WRONG)
    assert sandbox.executions == []


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"password": "x"}, "email", "field required"),
        ({"email": "x"}, "password", "field required"),
        ({"email": 1, "password": "x"}, "email", "must be a string"),
        ({"email": "x", "password": None}, "password", "must be a string"),
        ([], None, "a JSON object is required"),
        (None, None, "a JSON object is required"),
    ],
)
async def test_a_login_without_its_two_texts_is_a_422(
    sandbox: Sandbox, send: Send, body: object, param: str | None, message: str
) -> None:
    """The answer names the field."""
    status, _, answer = await send(sandbox, "POST", "/auth/login", headers={}, json=body)
    assert (status, answer["error"]) == (422, {"code": "validation_error", "message": message, "param": param})


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "unknown"},
        {"Authorization": "Bearer unknown"},
        {"X-Organization-ID": "org_00000000-0000-4000-8000-000000000000"},
    ],
)
async def test_a_login_looks_at_no_other_credential(sandbox: Sandbox, send: Send, headers: dict[str, str]) -> None:
    """A bad key, a bad token, or an unknown organization does not stop it."""
    assert (await send(sandbox, "POST", "/auth/login", headers=headers, json=right(sandbox)))[0] == 200


async def test_only_the_login_itself_is_open(sandbox: Sandbox, send: Send) -> None:
    """Other paths beside it ask for a credential first; what is wrong with its own method may be known to all."""
    assert (await send(sandbox, "POST", "/auth/logout", headers={}))[0] == 401
    assert (await send(sandbox, "POST", "/auth/logout"))[0] == 404
    status, headers, _ = await send(sandbox, "GET", "/auth/login", headers={})
    assert (status, headers["Allow"]) == (405, "POST")


async def test_a_token_lives_as_long_as_it_is_told_to(send: Send) -> None:
    """Let in until just before the end of its time, a 401 from then on; a new login helps."""
    now = [NOW]
    async with Sandbox(calls=1, loads=1, quota=None, token_lifetime=60.0, clock=lambda: now[0]) as sandbox:
        token = await log_in(sandbox, send)
        now[0] = NOW + 59.75
        late = await log_in(sandbox, send)
        assert (await send(sandbox, "GET", "/calls", headers=bearer(token)))[0] == 200
        now[0] = NOW + 60
        status, _, body = await send(sandbox, "GET", "/calls", headers=bearer(token))
        assert (status, body["error"]["message"]) == (401, "Missing or invalid authentication credentials.")
        assert (await send(sandbox, "GET", "/calls", headers=bearer(late)))[0] == 200


async def test_a_token_lives_eight_hours_unless_told_otherwise(send: Send) -> None:
    """The token of the start does not end with time; nor does the key."""
    now = [NOW]
    async with Sandbox(calls=1, loads=1, quota=None, clock=lambda: now[0]) as sandbox:
        token = await log_in(sandbox, send)
        for hours, status in ((7.99, 200), (8, 401), (100_000, 401)):
            now[0] = NOW + hours * 3_600
            assert (await send(sandbox, "GET", "/calls", headers=bearer(token)))[0] == status
            assert (await send(sandbox, "GET", "/calls", headers=bearer(sandbox.bearer_token)))[0] == 200
            assert (await send(sandbox, "GET", "/calls"))[0] == 200


async def test_all_tokens_can_be_ended_at_once(sandbox: Sandbox, send: Send) -> None:
    """`expire_tokens` ends every token issued so far; the key, and tokens issued afterwards, are let in."""
    tokens = [sandbox.bearer_token, await log_in(sandbox, send)]
    sandbox.expire_tokens()
    assert {(await send(sandbox, "GET", "/calls", headers=bearer(token)))[0] for token in tokens} == {401}
    new = await log_in(sandbox, send)
    assert new not in tokens
    assert (await send(sandbox, "GET", "/calls", headers=bearer(new)))[0] == 200
    assert (await send(sandbox, "GET", "/calls"))[0] == 200


async def test_one_good_credential_of_two_is_enough(sandbox: Sandbox, send: Send) -> None:
    """A good key counts first; with a bad key the token is looked at."""
    token, wrong = bearer(sandbox.bearer_token), {"X-API-Key": "unknown"}
    key = {"X-API-Key": sandbox.api_key}
    assert (await send(sandbox, "GET", "/api-keys", headers=wrong | token))[0] == 200
    assert (await send(sandbox, "GET", "/api-keys", headers=key | token))[0] == 403
    assert (await send(sandbox, "GET", "/calls", headers=key | bearer("unknown")))[0] == 200


@pytest.mark.parametrize("header", ["{0}", "bearer {0}", "Bearer  {0}", "Basic {0}", "Bearer ", ""])
async def test_a_token_counts_only_as_a_bearer(sandbox: Sandbox, send: Send, header: str) -> None:
    """The word ``Bearer``, one blank, and the token; anything else is a 401."""
    headers = {"Authorization": header.format(sandbox.bearer_token)}
    assert (await send(sandbox, "GET", "/calls", headers=headers))[0] == 401


def test_a_lifetime_of_nothing_is_refused() -> None:
    """A token must live some time."""
    with pytest.raises(ValueError, match="token_lifetime must be positive"):
        Sandbox(calls=1, loads=1, token_lifetime=0)


def test_the_login_comes_from_the_seed() -> None:
    """The same seed gives the same e-mail address and password, another one another; the password is long."""
    first, again, other = (Sandbox(seed=seed, calls=1, loads=1) for seed in (7, 7, 8))
    assert (first.email, first.password) == (again.email, again.password)
    assert first.password != other.password
    assert re.fullmatch(r"[a-z]+\.[a-z]+@example\.com", first.email)
    assert re.fullmatch(r"[A-Za-z0-9]{32}", first.password)


async def test_no_repr_shows_a_password(sandbox: Sandbox, send: Send) -> None:
    """What was executed keeps the body to look at, but does not print it."""
    await log_in(sandbox, send)
    (ran,) = sandbox.executions
    assert ran.body == right(sandbox)
    shown = repr((sandbox.executions, sandbox.requests, sandbox._gateway.accounts.access))
    assert sandbox.password not in shown


async def test_scripted_faults_hit_a_login_too(sandbox: Sandbox, send: Send) -> None:
    """A status in place of the login, a lost request, and a lost answer."""
    sandbox.faults[:] = [
        Fault(method="POST", path="/auth/login", status=401),
        Fault(method="POST", path="/auth/login", nth=2, status=503),
        Fault(method="POST", path="/auth/login", nth=3, drop="before"),
        Fault(method="POST", path="/auth/login", nth=4, drop="after"),
    ]
    for expected in (401, 503):
        status, _, body = await send(sandbox, "POST", "/auth/login", headers={}, json=right(sandbox))
        assert (status, body["error"]["message"]) == (expected, f"Scripted fault: status {expected}.")
    for executions in (0, 1):
        with pytest.raises(aiohttp.ClientConnectionError):
            await log_in(sandbox, send)
        assert len(sandbox.executions) == executions
    assert (await send(sandbox, "GET", "/calls", headers=bearer(await log_in(sandbox, send))))[0] == 200


async def test_a_scripted_401_hits_any_path(sandbox: Sandbox, send: Send) -> None:
    """Whatever was shown."""
    sandbox.fail(Fault(method="*", path="*", times=3, status=401))
    for headers in (None, bearer(sandbox.bearer_token)):
        status, _, body = await send(sandbox, "GET", "/loads", headers=headers)
        assert (status, body["error"]["code"]) == (401, "not_authenticated")
    assert (await send(sandbox, "POST", "/auth/login", headers={}, json=right(sandbox)))[0] == 401
    assert (await send(sandbox, "GET", "/loads"))[0] == 200
