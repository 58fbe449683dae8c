"""The client's settings: whose key, which address, what is refused at once, and what is never shown."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, strategies as st

import envoy_async
from envoy_async import ApiKey, BearerToken, EnvoyClient, Login, RetryPolicy, Timeouts
from envoy_async._credentials import Credentials
from envoy_async.client import BASE_URL, _base_url, _credentials
from envoy_async.errors import (
    ClientClosedError,
    ConfigurationError,
    EnvoyError,
    InvalidRequestError,
    NotAuthenticatedError,
    PermissionDeniedError,
)
from envoy_async.resources import GROUPS
from envoy_async.sandbox import Sandbox

CANARY = "canary-7f3a"
KEY = "envai_live_" + CANARY
NAMES = ("ENVOY_API_KEY", "ENVOY_BEARER_TOKEN", "ENVOY_ORGANIZATION_ID", "ENVOY_BASE_URL")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take the settings of the machine away, so that only what a test sets counts."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def python(program: str) -> str:
    """Run a program in a fresh interpreter without our settings; gives what it printed."""
    environ = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    assert run.stderr == ""
    return run.stdout.strip()


ENVIRON = {"ENVOY_API_KEY": "from-env", "ENVOY_BEARER_TOKEN": "token-from-env"}


@pytest.mark.parametrize(
    ("given", "environ", "found"),
    [
        ("key", ENVIRON, ApiKey("key")),
        (ApiKey("key"), ENVIRON, ApiKey("key")),
        (BearerToken("token"), ENVIRON, BearerToken("token")),
        (None, ENVIRON, ApiKey("from-env")),
        (None, ENVIRON | {"ENVOY_API_KEY": ""}, BearerToken("token-from-env")),
        (None, {"ENVOY_BEARER_TOKEN": "token-from-env"}, BearerToken("token-from-env")),
    ],
)
def test_what_is_passed_wins_over_the_environment(
    given: str | Credentials | None, environ: Mapping[str, str], found: Credentials
) -> None:
    """Argument, then ENVOY_API_KEY, then ENVOY_BEARER_TOKEN; an empty variable is none."""
    assert _credentials(given, environ) == found


@pytest.mark.parametrize("environ", [{}, dict.fromkeys(NAMES, "")], ids=["none", "empty"])
def test_without_a_key_the_error_names_the_variable(environ: Mapping[str, str]) -> None:
    """Nothing is sent without credentials; the message says what to set."""
    with pytest.raises(ConfigurationError, match="ENVOY_API_KEY"):
        _credentials(None, environ)


@pytest.mark.parametrize("value", [5, b"key", ["key"], {"key": 1}], ids=repr)
def test_credentials_of_another_kind_are_refused(value: Any) -> None:
    """Nothing is turned into text silently."""
    with pytest.raises(
        ConfigurationError, match="credentials must be text, ApiKey, BearerToken, Login, or an async callable, not "
    ):
        EnvoyClient(value)


BAD_KEYS = [f"{CANARY}\n", f"\r\n{CANARY}", f" {CANARY}", f"{CANARY} x", f"{CANARY}\t", f"{CANARY}\x00", f"{CANARY}é"]


@pytest.mark.parametrize("value", [*BAD_KEYS, "", f'"{CANARY}"', f"'{CANARY}'", f"{CANARY}\N{FULLWIDTH DIGIT ONE}"])
@pytest.mark.parametrize("kind", [str, ApiKey, BearerToken])
def test_a_malformed_key_is_refused_and_never_shown(value: str, kind: type[str | ApiKey | BearerToken]) -> None:
    """A line break, a blank, or quotes left over from a settings file: said so, without the key."""
    with pytest.raises(ConfigurationError) as caught:
        EnvoyClient(kind(value))
    assert CANARY not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


@given(st.text())
def test_a_key_is_a_header_value_or_refused(value: str) -> None:
    """No key whatever can start another header."""
    try:
        envoy = EnvoyClient(ApiKey(value))
    except ConfigurationError:
        return
    current = envoy._transport.access.current
    assert current is not None
    _, sent = current.header()
    assert sent == value
    assert sent.isascii()
    assert sent.isprintable()


async def test_the_environment_is_enough(sandbox: Sandbox, clean_environment: pytest.MonkeyPatch) -> None:
    """Key and address from the environment reach the server; the organization is really sent."""
    clean_environment.setenv("ENVOY_API_KEY", sandbox.api_key)
    clean_environment.setenv("ENVOY_BASE_URL", sandbox.base_url)
    async with EnvoyClient() as envoy:
        assert await envoy.calls.list(limit=3).collect()
    clean_environment.setenv("ENVOY_ORGANIZATION_ID", "org_of_somebody_else")
    async with EnvoyClient() as envoy:
        with pytest.raises(PermissionDeniedError):
            await envoy.calls.list().first()
    async with EnvoyClient(organization_id=sandbox.organization_id) as envoy:
        assert await envoy.calls.list().first()


async def test_a_bearer_token_opens_the_door_as_well(sandbox: Sandbox) -> None:
    """A token goes out as one; as a key it would be refused."""
    async with EnvoyClient(BearerToken(sandbox.bearer_token), base_url=sandbox.base_url) as envoy:
        assert await envoy.calls.list().first()
    async with EnvoyClient(sandbox.bearer_token, base_url=sandbox.base_url) as envoy:
        with pytest.raises(NotAuthenticatedError) as caught:
            await envoy.calls.list().first()
    assert sandbox.bearer_token not in f"{caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (BASE_URL, "https://tryenvoy.ai/api/v1"),
        ("https://tryenvoy.ai/api/v1/", "https://tryenvoy.ai/api/v1"),
        ("https://tryenvoy.ai/api/v1///", "https://tryenvoy.ai/api/v1"),
        ("https://tryenvoy.ai", "https://tryenvoy.ai"),
        ("https://tryenvoy.ai:8443/v1", "https://tryenvoy.ai:8443/v1"),
        ("http://127.0.0.1:8000/api/v1", "http://127.0.0.1:8000/api/v1"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8000/api/v1/", "http://[::1]:8000/api/v1"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://LOCALHOST/", "http://localhost"),
    ],
)
def test_a_good_address_is_kept_without_its_last_slash(text: str, address: str) -> None:
    """`https` anywhere, `http` on this machine."""
    assert _base_url(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "http://tryenvoy.ai/api/v1",
        "http://169.254.169.254/latest",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://[::]",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "https://user:canary-7f3a@tryenvoy.ai",
        "https://canary-7f3a@tryenvoy.ai",
        "https://tryenvoy.ai?key=canary-7f3a",
        "https://tryenvoy.ai?",
        "https://tryenvoy.ai#canary-7f3a",
        "https://tryenvoy.ai/#",
        "ftp://tryenvoy.ai",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "tryenvoy.ai/api/v1",
        "//tryenvoy.ai",
        "https://",
        "https:///api",
        "https:/tryenvoy.ai",
        "https://[::1",
        "https://[]@",
        "https://tryenvoy.ai:99999",
        "https://tryenvoy.ai:port",
        "https://try envoy.ai",
        "https://tryenvoy\n.ai",
        "https://tryenvoy.ai/\x00",
        " ",
        "\ud800",
    ],
    ids=ascii,
)
def test_a_bad_address_is_refused_before_anything_is_sent(text: str) -> None:
    """No key in clear, none to another host, and no address that is quietly read as another one."""
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        EnvoyClient(KEY, base_url=text)
    assert CANARY not in str(caught.value)


@given(st.text() | st.text().map("https://".__add__) | st.text().map("http://".__add__))
def test_any_address_is_good_or_refused(text: str) -> None:
    """There is no other exception, and what is kept is `https` or this machine."""
    try:
        kept = _base_url(text)
    except ConfigurationError:
        return
    assert kept.startswith(("https://", "http://127.", "http://[::1]", "http://localhost")) or ".localhost" in kept


@pytest.mark.parametrize("value", ["org\r\nX-Evil: 1", "org\n", "org\x00", " org", "örg", "\ud800"], ids=ascii)
def test_an_organization_that_would_break_a_header_is_refused(value: str) -> None:
    """At once, naming the setting, for a client and for a view; the value is not repeated."""
    with pytest.raises(InvalidRequestError) as first:
        EnvoyClient(KEY, organization_id=value)
    with pytest.raises(InvalidRequestError) as second:
        EnvoyClient(KEY).with_options(organization_id=value)
    for error in (first.value, second.value):
        assert error.param == "organization_id"
        assert "Evil" not in str(error)


async def test_views_share_pool_and_gate(sandbox: Sandbox) -> None:
    """A view has other settings and the same connections and quota gate; the original keeps its own."""
    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
        view = envoy.with_options(organization_id="org_other", deadline=5, retry=RetryPolicy(max_attempts=1))
        assert await envoy.calls.list().first()
        with pytest.raises(PermissionDeniedError):
            await view.calls.list().first()
        assert await envoy.calls.list().first()
        lane = envoy._transport.pool.lane()
        assert lane is not None
        assert view._transport.pool.lane() is lane
        assert view._transport.pool is envoy._transport.pool
    with pytest.raises(ClientClosedError):
        await view.calls.list().first()


def test_a_view_changes_only_what_it_names() -> None:
    """Each option is kept where it is not given, in views of views as well."""
    retry, timeouts = RetryPolicy(max_attempts=7), Timeouts(deadline=33, attempt=3)
    envoy = EnvoyClient(KEY, organization_id="org_1", base_url="https://h/v1", retry=retry, timeouts=timeouts)
    before = envoy._transport.settings
    third = envoy.with_options(deadline=5).with_options(organization_id="org_2").with_options(retry=RetryPolicy())
    after = third._transport.settings
    assert envoy._transport.settings is before
    assert (before.organization_id, before.timeouts.deadline, before.retry) == ("org_1", 33, retry)
    assert (after.organization_id, after.timeouts, after.retry) == (
        "org_2",
        Timeouts(deadline=5, attempt=3),
        RetryPolicy(),
    )
    assert after.base_url == "https://h/v1"
    assert third._transport.access is envoy._transport.access
    assert type(third) is EnvoyClient
    assert envoy.with_options()._transport.settings == before


class Office(EnvoyClient):
    """A client of the caller's own, with an `__init__` and attributes of its own."""

    def __init__(self, name: str, base_url: str, key: str) -> None:
        super().__init__(key, base_url=base_url)
        self.name = name
        self.seen: list[str] = []

    async def first(self) -> str:
        """Note the first call's id."""
        found = await self.calls.list().first()
        assert found is not None
        self.seen.append(f"{self.name} {found.id}")
        return found.id


async def test_a_view_of_a_class_of_ones_own_keeps_its_attributes(sandbox: Sandbox) -> None:
    """The view is of the same class and shares what the client was given; its own settings are the view's alone."""
    async with Office("Dallas", sandbox.base_url, sandbox.api_key) as office:
        view = office.with_options(deadline=5).with_options(organization_id="org_other")
        assert type(view) is Office
        assert (view.name, view.seen) == ("Dallas", office.seen)
        assert view.calls is not office.calls
        found = await office.first()
        assert view.seen == [f"Dallas {found}"]
        with pytest.raises(PermissionDeniedError):
            await view.first()
        view.name = "Waco"
        assert office.name == "Dallas"
        assert await office.first() == found


@pytest.mark.parametrize(
    "parts",
    [("a@b", 5), ("a@b", None), ("a@b", b"canary-7f3a"), (5, "canary-7f3a"), ("", "canary-7f3a"), ("a@b", "")],
    ids=repr,
)
def test_a_login_that_cannot_work_is_refused_at_once(parts: Any) -> None:
    """Both parts are text and not empty; the message shows neither, and nothing waits for the first call to fail."""
    with pytest.raises(
        ConfigurationError, match=r"^the Login has no e-mail or no password, or one that is no"
    ) as caught:
        EnvoyClient(Login(*parts))
    assert CANARY not in f"{caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), -0.0, "5"], ids=repr)
@pytest.mark.parametrize("name", ["deadline", "attempt", "connect"])
def test_a_timeout_is_a_positive_number(name: str, value: Any) -> None:
    """Anything else is refused at once, naming the setting, and never waits for ever."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be a positive number of seconds"):
        Timeouts(**{name: value})


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "5"], ids=repr)
@pytest.mark.parametrize("name", ["base", "cap", "max_retry_after"])
def test_a_wait_of_the_policy_is_a_positive_number(name: str, value: Any) -> None:
    """A retry policy that cannot work is refused when it is made."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be a positive number of seconds"):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize("value", [0, -1, 1.5, float("nan"), "3"], ids=repr)
def test_the_number_of_attempts_is_a_whole_number(value: Any) -> None:
    """One attempt is the least there is."""
    with pytest.raises(ConfigurationError, match=r"^max_attempts must be at least 1"):
        RetryPolicy(max_attempts=value)
    assert RetryPolicy(max_attempts=1).max_attempts == 1


def test_a_bad_deadline_of_a_view_is_refused() -> None:
    """A view is checked like a client."""
    with pytest.raises(ConfigurationError, match="deadline"):
        EnvoyClient(KEY).with_options(deadline=0)


def test_policies_are_plain_values() -> None:
    """They compare, copy, and pickle, since a worker fleet sends them around."""
    for value in (Timeouts(deadline=5), RetryPolicy(max_attempts=2)):
        assert copy.deepcopy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes
        assert value != type(value)()


@pytest.mark.parametrize("secret", [KEY, ApiKey(KEY), BearerToken(KEY)], ids=["text", "key", "token"])
def test_no_repr_shows_a_secret(secret: str | Credentials) -> None:
    """Neither the client nor anything it is made of prints the key."""
    envoy = EnvoyClient(secret, organization_id="org_1")
    shown = f"{envoy!r} {envoy} {vars(envoy)} {vars(envoy._transport)} {envoy._transport.settings!r}"
    assert CANARY not in shown
    assert repr(envoy) == "EnvoyClient(base_url='https://tryenvoy.ai/api/v1')"


def test_making_a_client_opens_nothing() -> None:
    """No event loop is needed, no file is opened, no thread started; letting the client go warns of nothing."""
    program = f"""
import asyncio, gc, os, threading
from envoy_async import EnvoyClient
import envoy_async.client
def held():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
before = held(), threading.active_count()
client = EnvoyClient({KEY!r}); view = client.with_options(deadline=1)
listing = view.calls.list()
assert (held(), threading.active_count()) == before
assert client._transport.pool._lane is None
try:
    asyncio.get_running_loop()
except RuntimeError:
    print("no loop")
del client, view, listing
gc.collect()
"""
    assert python(program) == "no loop"


async def test_a_listing_sends_nothing_before_its_first_step(sandbox: Sandbox) -> None:
    """Neither the client nor a listing reaches the server until something is awaited."""
    envoy = EnvoyClient(sandbox.api_key, base_url=sandbox.base_url)
    listing = envoy.calls.list(limit=1)
    assert sandbox.requests == []
    assert envoy._transport.pool._lane is None
    assert len(await listing.collect()) == 1
    assert len(sandbox.requests) == 1
    await envoy.close()
    await envoy.close()


async def test_a_client_may_be_entered_again(sandbox: Sandbox) -> None:
    """Closed it says so; entered again it works."""
    envoy = EnvoyClient(sandbox.api_key, base_url=sandbox.base_url)
    for _ in range(2):
        async with envoy as entered:
            assert entered is envoy
            assert await envoy.calls.list().first()
        with pytest.raises(ClientClosedError):
            await envoy.calls.list().first()


async def test_a_session_passed_in_is_used_and_left_open(sandbox: Sandbox) -> None:
    """It belongs to the caller, who closes it."""
    async with aiohttp.ClientSession(headers={"User-Agent": "mine"}) as session:
        async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, session=session) as envoy:
            assert await envoy.calls.list().first()
        assert not session.closed
    assert len(sandbox.requests) == 1


def test_a_group_loads_when_it_is_first_used() -> None:
    """Making a client reads no models; a group reads its own, not those of another; cattrs waits for a doubt."""
    program = """
import sys
from envoy_async import EnvoyClient
from envoy_async._converter import structure

def loaded():
    ours = [name.removeprefix("envoy_async.") for name in sys.modules if name.startswith("envoy_async.")]
    return [name for name in ours if name in {"models.calls", "models.loads", "resources._base", "resources.loads"}]

envoy = EnvoyClient("key")
assert loaded() == [], loaded()
envoy.calls
assert sorted(loaded()) == ["models.calls", "resources._base"], loaded()
envoy.loads
assert "resources.loads" in loaded()
structure(b"5", int)
print("cattrs" in sys.modules)
structure(b"\\xef\\xbb\\xbf5", int)
assert "cattrs" in sys.modules
"""
    assert python(program) == "False"


def test_a_group_is_made_once() -> None:
    """It is the same object each time, `dir` shows it before it is used, and a view has its own."""
    envoy = EnvoyClient(KEY)
    assert set(GROUPS) <= set(dir(envoy))
    assert [getattr(envoy, name) for name in GROUPS] == [getattr(envoy, name) for name in GROUPS]
    view = envoy.with_options(deadline=5)
    assert all(getattr(view, name) is not getattr(envoy, name) for name in GROUPS)
    assert view.loads is view.loads


@pytest.mark.parametrize("name", ["call", "Calls", "_calls", "GROUPS", ""])
def test_an_unknown_group_is_an_attribute_error(name: str) -> None:
    """As of any object, naming both; `hasattr` works, and Python suggests the name that was meant."""
    envoy = EnvoyClient(KEY)
    with pytest.raises(AttributeError, match=f"^'EnvoyClient' object has no attribute '{name}'$") as caught:
        getattr(envoy, name)
    assert not hasattr(envoy, name)
    assert (caught.value.name, caught.value.obj) == (name, envoy)


def test_the_top_level_loads_its_names_on_first_use() -> None:
    """A bare import has none of them, `dir` shows all of them, and each is the thing from its own module."""
    program = """
import sys, envoy_async
assert "EnvoyClient" not in vars(envoy_async)
assert set(envoy_async.__all__) <= set(dir(envoy_async)), set(envoy_async.__all__) - set(dir(envoy_async))
print("aiohttp" in sys.modules)
assert envoy_async.errors is sys.modules["envoy_async.errors"]
"""
    assert python(program) == "False"


def test_top_level_names_are_the_real_ones() -> None:
    """A name is one object wherever it is imported from, and is looked up only once."""
    from envoy_async import client, errors, models

    assert envoy_async.EnvoyClient is client.EnvoyClient
    assert envoy_async.EnvoyError is EnvoyError
    assert (envoy_async.errors, envoy_async.models) == (errors, models)
    assert (envoy_async.UNSET, envoy_async.Page) == (models.UNSET, models.Page)
    assert {"EnvoyClient", "EnvoyError", "UNSET", "Page"} <= set(vars(envoy_async))


@pytest.mark.parametrize("name", ["Client", "_HOME", "client2", "__path2__", ""])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    """As of any module, naming both; `hasattr` and `getattr` with a default work."""
    with pytest.raises(AttributeError, match=f"^module 'envoy_async' has no attribute '{name}'$"):
        getattr(envoy_async, name)
    assert not hasattr(envoy_async, name)


def test_a_name_that_is_not_there_cannot_be_imported() -> None:
    """`from envoy_async import Nothing` is an ImportError that names it."""
    source = Path(envoy_async.__file__).name
    with pytest.raises(ImportError, match=f"cannot import name 'Nothing' from 'envoy_async' .*{source}"):
        exec("from envoy_async import Nothing", {})  # noqa: S102 - type checkers would refuse the plain form
