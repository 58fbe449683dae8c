"""`envoy.auth` against a sandbox over a real socket, and which operation takes which credential."""

from __future__ import annotations

import json
import pickle
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest

from envoy_async import ApiKey, BearerToken, EnvoyClient, Login
from envoy_async._credentials import NEEDS
from envoy_async.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from envoy_async.models import Load, LoginResult, NewCarrier, NewLoad, Page
from envoy_async.sandbox import Fault, Sandbox
from tests.resources.conftest import UUID, assert_lost_is_unknown, assert_shows, newest

LOAD = NewLoad(
    load_number="LD-NEW-1", equipment_type="VAN", stops=[{"location": {"city": "Dallas", "state": "TX"}}] * 2
)
Caller = Callable[[EnvoyClient], Awaitable[object]]
CALLERS: Mapping[str, Caller] = MappingProxyType(
    {
        "POST /api-keys": lambda envoy: envoy.api_keys.create(name="TMS"),
        "GET /api-keys": lambda envoy: envoy.api_keys.list().collect(),
        "GET /api-keys/{api_key_id}": lambda envoy: envoy.api_keys.get(UUID),
        "DELETE /api-keys/{api_key_id}": lambda envoy: envoy.api_keys.deactivate(UUID),
        "POST /loads": lambda envoy: envoy.loads.create(LOAD),
        "POST /loads/batch": lambda envoy: envoy.loads.create_batch([LOAD]),
        "POST /carriers/batch": lambda envoy: envoy.carriers.create_batch([NewCarrier(name="A")]),
        "PATCH /carriers/{carrier_id}": lambda envoy: envoy.carriers.update(UUID, extra={}),
        "POST /carriers/{carrier_id}/enable": lambda envoy: envoy.carriers.enable(UUID),
        "POST /carriers/{carrier_id}/disable": lambda envoy: envoy.carriers.disable(UUID, reason="other"),
        "GET /carriers/{carrier_id}/lane-preferences": lambda envoy: envoy.lane_preferences.list(UUID).collect(),
        "PATCH /carriers/{carrier_id}/lane-preferences/{preference_id}": lambda envoy: envoy.lane_preferences.update(
            UUID, UUID, is_active=True
        ),
        "POST /carriers/{carrier_id}/lane-preferences/{preference_id}/restrict": lambda envoy: (
            envoy.lane_preferences.restrict(UUID, UUID, reason="other")
        ),
        "POST /carriers/{carrier_id}/lane-preferences/{preference_id}/unrestrict": lambda envoy: (
            envoy.lane_preferences.unrestrict(UUID, UUID)
        ),
        "POST /carriers/{carrier_id}/lane-preferences/disable-for-load": lambda envoy: (
            envoy.lane_preferences.disable_for_load(UUID, load_id=UUID)
        ),
    }
)


async def test_login_gives_a_token_that_opens_a_client(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The answer is a fresh bearer token; exactly e-mail and password were sent."""
    found = await envoy.auth.login(sandbox.email, sandbox.password)
    assert type(found) is LoginResult
    assert found.token_type == "bearer"
    assert found.access_token != sandbox.bearer_token
    assert [(ran.operation, ran.body) for ran in sandbox.executions] == [
        ("auth.login", {"email": sandbox.email, "password": sandbox.password})
    ]
    async with EnvoyClient(BearerToken(found.access_token), base_url=sandbox.base_url) as admin:
        assert len(await admin.api_keys.list().collect()) == 1


async def test_a_token_is_shown_to_nobody_by_accident(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """The answer holds it and can be used, but neither prints nor pickles it."""
    found = await envoy.auth.login(sandbox.email, sandbox.password)
    assert found.access_token not in f"{found!r} {found}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(found)


async def test_each_login_gives_another_token(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """An earlier token goes on working beside the new one."""
    tokens = [(await envoy.auth.login(sandbox.email, sandbox.password)).access_token for _ in range(2)]
    assert len({*tokens, sandbox.bearer_token}) == 3
    for token in tokens:
        async with EnvoyClient(BearerToken(token), base_url=sandbox.base_url) as client:
            assert await client.calls.list().first()


async def test_wrong_ones_are_refused_without_telling_the_password(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """A typed 401, asked once and never again, with no trace of what was typed in."""
    for email, password in [(sandbox.email, "correct horse"), ("nobody@example.com", sandbox.password)]:
        with pytest.raises(NotAuthenticatedError, match="Wrong e-mail address or password") as caught:
            await envoy.auth.login(email, password)
        assert (caught.value.status, caught.value.code) == (401, "not_authenticated")
        assert (caught.value.method, caught.value.route) == ("POST", "/auth/login")
        assert len(caught.value.attempts) == 1
        assert password not in f"{caught.value!r} {vars(caught.value)}"
    assert [request.status for request in sandbox.requests] == [401, 401]
    assert sandbox.executions == []


async def test_a_server_that_quotes_the_password_is_not_quoted(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """What comes back of the body is taken out of the error; what the server says besides stays."""
    body = json.dumps({"error": {"code": "validation_error", "message": f"bad: {sandbox.password}!", "param": None}})
    sandbox.fail(Fault(method="POST", path="/auth/login", status=422, body=body.encode()))
    with pytest.raises(ValidationError) as caught:
        await envoy.auth.login(sandbox.email, sandbox.password)
    assert caught.value.message == "bad: ***!"
    assert sandbox.password not in f"{caught.value!r} {vars(caught.value)}"
    assert sandbox.executions == []


async def test_login_needs_no_credential_that_works(sandbox: Sandbox) -> None:
    """A client with a wrong key can log in, since none is sent, and is no wiser afterwards."""
    async with EnvoyClient("envai_live_wrong", base_url=sandbox.base_url) as stranger:
        assert (await stranger.auth.login(sandbox.email, sandbox.password)).access_token
        with pytest.raises(NotAuthenticatedError):
            await stranger.calls.list().first()


async def test_a_lost_login_is_not_sent_again(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """It may have run, and its answer been a token nobody knows; the caller decides what then."""
    await assert_lost_is_unknown(
        sandbox, "POST", "/auth/login", lambda: envoy.auth.login(sandbox.email, sandbox.password)
    )


async def test_a_password_json_cannot_hold_is_refused_here(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """Half of a surrogate pair is no text; the error names the field and not its value."""
    with pytest.raises(InvalidRequestError) as caught:
        await envoy.auth.login("a@example.com", "canary\ud800")
    assert caught.value.param == "password"
    assert "canary" not in f"{caught.value!r} {vars(caught.value)}"
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("email", "password", "param"),
    [("a@b", 5, "password"), ("a@b", None, "password"), ("a@b", b"canary", "password"), (["canary"], "x", "email")],
    ids=repr,
)
async def test_email_and_password_are_text(
    envoy: EnvoyClient, sandbox: Sandbox, email: Any, password: Any, param: str
) -> None:
    """Anything else is refused with the argument's name and without its value; nothing is sent."""
    with pytest.raises(InvalidRequestError, match=rf"{param} must be text$") as caught:
        await envoy.auth.login(email, password)
    assert caught.value.param == param
    assert "canary" not in f"{caught.value!r} {vars(caught.value)}"
    assert sandbox.requests == []


def test_every_operation_with_a_need_is_tried() -> None:
    """The table of the SDK and the callers of these tests name the same operations."""
    assert set(CALLERS) == set(NEEDS)


@pytest.mark.parametrize("operation", NEEDS)
async def test_the_other_credential_is_refused_here(
    envoy: EnvoyClient, bearer: EnvoyClient, sandbox: Sandbox, operation: str
) -> None:
    """What takes a token only does not take a key, and the other way round; nothing is sent to find out."""
    unfit, needed, has = {
        ApiKey: (bearer, "needs an API key", "has BearerToken"),
        BearerToken: (envoy, "needs a bearer token", "has ApiKey"),
    }[NEEDS[operation]]
    with pytest.raises(ConfigurationError, match=needed) as caught:
        await CALLERS[operation](unfit)
    assert has in caught.value.message
    assert f"{caught.value.method} {caught.value.route}" == operation
    assert not {sandbox.api_key, sandbox.bearer_token} & set(str(caught.value).split())
    assert sandbox.requests == []


@pytest.mark.parametrize("operation", NEEDS)
async def test_the_needed_credential_is_let_in(
    envoy: EnvoyClient, bearer: EnvoyClient, sandbox: Sandbox, operation: str
) -> None:
    """The server lets in what the table names: the operation runs, or there is no such record."""
    fit = {ApiKey: envoy, BearerToken: bearer}[NEEDS[operation]]
    with suppress(NotFoundError):
        await CALLERS[operation](fit)
    assert [request.status for request in sandbox.requests] in ([200], [404])
    assert len(sandbox.executions) == (sandbox.requests[0].status == 200)


async def test_what_takes_either_takes_both(envoy: EnvoyClient, bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """Key and token of the same organization see the same records."""
    by_key, by_token = await envoy.carriers.list().collect(), await bearer.carriers.list().collect()
    assert by_key == by_token
    assert len(by_key) == len(sandbox.store.carriers)


async def test_a_token_sees_the_organization_it_names(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A view with another organization sees other loads, over the same connections; the client itself does not."""
    first, second = sandbox.organization_ids
    view = bearer.with_options(organization_id=second)
    assert_shows(tuple(await view.loads.list().collect()), newest(sandbox.stores[second].loads.values()))
    assert_shows(tuple(await bearer.loads.list().collect()), newest(sandbox.stores[first].loads.values()))
    assert not sandbox.stores[first].loads.keys() & sandbox.stores[second].loads.keys()
    made = await view.carriers.create(name="Second Wind Freight")
    assert (made.id in sandbox.stores[second].carriers, made.id in sandbox.stores[first].carriers) == (True, False)


async def test_a_token_cannot_name_any_organization(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """One the user does not belong to is a typed 403."""
    with pytest.raises(PermissionDeniedError) as caught:
        await bearer.with_options(organization_id=f"org_{UUID}").loads.list().first()
    assert (caught.value.status, caught.value.code) == (403, "insufficient_permissions")
    assert sandbox.executions == []


async def test_a_key_belongs_to_one_organization(envoy: EnvoyClient, sandbox: Sandbox) -> None:
    """It may name its own; another one, also of the same user, is a typed 403."""
    own, other = (envoy.with_options(organization_id=name) for name in sandbox.organization_ids)
    assert (await own.request("GET", "/loads", into=Page[Load])).items
    with pytest.raises(PermissionDeniedError) as caught:
        await other.loads.list().first()
    assert (caught.value.status, caught.value.route) == (403, "/loads")
    assert [ran.operation for ran in sandbox.executions] == ["loads.list"]


async def test_a_login_as_credentials_runs_bearer_only_operations(sandbox: Sandbox) -> None:
    """E-mail and password are enough: the client exchanges them once and goes on."""
    async with EnvoyClient(Login(sandbox.email, sandbox.password), base_url=sandbox.base_url) as client:
        keys = await client.api_keys.list().collect()
        assert_shows(tuple(keys), list(sandbox.store.api_keys.values()))
        assert await client.api_keys.get(keys[0].id) == keys[0]
    assert [ran.operation for ran in sandbox.executions] == ["auth.login", "api_keys.list", "api_keys.get"]
