"""Every method of `envoy.api_keys` against a sandbox over a real socket: what it answers, runs, and refuses."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from envoy_async import EnvoyClient
from envoy_async.errors import InvalidRequestError, NotAuthenticatedError, ValidationError
from envoy_async.models import ApiKeyInfo, ApiKeyWithSecret
from envoy_async.sandbox import Sandbox
from tests.resources.conftest import (
    NOBODY,
    assert_lost_is_sent_again,
    assert_lost_is_unknown,
    assert_not_found,
    assert_one_page,
    assert_refused_here,
    assert_shows,
    assert_wrong_ids_refused,
    newest,
)

TOMORROW = datetime(2025, 11, 22, 16, tzinfo=UTC)  # the sandbox's clock stands at 16:00 UTC of the day before


def without_secret(made: ApiKeyWithSecret) -> ApiKeyInfo:
    """Give the same key as every later answer shows it."""
    return ApiKeyInfo(**{name: getattr(made, name) for name in attrs.fields_dict(ApiKeyInfo)})


async def test_create_gives_a_key_that_opens_a_client(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """The answer alone holds the secret; a second client with it is let in, until the key is deactivated."""
    made = await bearer.api_keys.create(name="TMS")
    assert type(made) is ApiKeyWithSecret
    assert_shows(without_secret(made), sandbox.store.api_keys[made.id])
    assert (made.is_active, made.description, made.expires_at, made.last_used_at) == (True, None, None, None)
    async with EnvoyClient(made.key, base_url=sandbox.base_url) as second:
        assert await second.loads.list().first()
        assert (await bearer.api_keys.get(made.id)).last_used_at == TOMORROW - timedelta(days=1)
        await bearer.api_keys.deactivate(made.id)
        with pytest.raises(NotAuthenticatedError) as caught:
            await second.loads.list().first()
    assert (caught.value.status, made.key in f"{caught.value!r} {vars(caught.value)}") == (401, False)


async def test_a_secret_is_shown_to_nobody_by_accident(bearer: EnvoyClient) -> None:
    """The new key can be used, but it neither prints nor pickles its secret."""
    made = await bearer.api_keys.create(name="TMS")
    assert made.key.startswith("envai_live_")
    assert made.key not in f"{made!r} {made}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(made)


async def test_later_answers_hold_no_secret(bearer: EnvoyClient) -> None:
    """Neither reading nor listing gives it back, not in the bytes either."""
    made = await bearer.api_keys.create(name="TMS", description="Nightly import")
    found = await bearer.api_keys.get(made.id)
    assert type(found) is ApiKeyInfo
    assert found == without_secret(made)
    (page,) = [page async for page in bearer.api_keys.list().by_page()]
    assert made.id.encode() in page.raw
    assert made.key.encode() not in page.raw


async def test_create_sends_what_was_given(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """What is left out is not sent, `None` is sent as null, and a moment keeps its zone on the way."""
    central = TOMORROW.astimezone(timezone(timedelta(hours=-6)))
    await bearer.api_keys.create(name="A")
    await bearer.api_keys.create(name="B", description=None, expires_at=None)
    made = await bearer.api_keys.create(name="C", description="Nightly import", expires_at=central)
    assert [ran.body for ran in sandbox.executions] == [
        {"name": "A"},
        {"name": "B", "description": None, "expires_at": None},
        {"name": "C", "description": "Nightly import", "expires_at": "2025-11-22T10:00:00-06:00"},
    ]
    assert {ran.operation for ran in sandbox.executions} == {"api_keys.create"}
    assert (made.description, made.expires_at) == ("Nightly import", TOMORROW)


async def test_an_expired_key_opens_nothing(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """Its record still says that it is active; only its moment has passed."""
    made = await bearer.api_keys.create(name="Old", expires_at=TOMORROW - timedelta(days=2))
    assert made.is_active
    async with EnvoyClient(made.key, base_url=sandbox.base_url) as second:
        with pytest.raises(NotAuthenticatedError):
            await second.calls.list().first()


async def test_list_delivers_every_key_in_one_page(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """The inactive ones too, in the server's order, although the answer is a bare array."""
    made = [await bearer.api_keys.create(name=f"Key {i}") for i in range(3)]
    await bearer.api_keys.deactivate(made[1].id)
    await assert_one_page(bearer.api_keys.list(), ApiKeyInfo, newest(sandbox.store.api_keys.values()))
    assert sandbox.requests[-1].path == "/api/v1/api-keys"
    keys = await bearer.api_keys.list().collect()
    assert {key.name: key.is_active for key in keys} == {
        "Sandbox": True,
        "Key 0": True,
        "Key 1": False,
        "Key 2": True,
    }


async def test_get_takes_both_forms_of_an_id(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """With its prefix or as a plain uuid; the answer carries the prefix."""
    ((key_id, record),) = sandbox.store.api_keys.items()
    for given in (key_id, key_id.removeprefix("key_")):
        found = await bearer.api_keys.get(given)
        assert found.id == key_id
        assert_shows(found, record)


async def test_deactivate_is_harmless_the_second_time(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """The key stays in the list as inactive; both times there is no answer to read, and no body is sent."""
    made = await bearer.api_keys.create(name="TMS")
    for _ in range(2):
        await bearer.api_keys.deactivate(made.id)
        assert (await bearer.api_keys.get(made.id)).is_active is False
    ran = [(run.operation, run.body) for run in sandbox.executions if run.operation != "api_keys.get"]
    assert ran[1:] == [("api_keys.deactivate", None)] * 2


async def test_a_lost_answer(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A key whose secret was lost is not made twice; deactivating is simply done again."""
    await assert_lost_is_unknown(sandbox, "POST", "/api-keys", lambda: bearer.api_keys.create(name="TMS"))
    (made,) = [key for key in await bearer.api_keys.list().collect() if key.name == "TMS"]
    await assert_lost_is_sent_again(
        sandbox, "DELETE", "/api-keys/{api_key_id}", lambda: bearer.api_keys.deactivate(made.id)
    )
    assert (await bearer.api_keys.get(made.id)).is_active is False


async def test_a_moment_without_a_zone_is_refused_here(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """When a key ends is never guessed; the error names the field, and nothing is sent."""
    naive = TOMORROW.replace(tzinfo=None)
    await assert_refused_here(sandbox, "expires_at", lambda: bearer.api_keys.create(name="A", expires_at=naive))


async def test_what_the_server_refuses_is_typed(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A 422 names the parameter; no key was made."""
    with pytest.raises(ValidationError, match="must not be empty") as caught:
        await bearer.api_keys.create(name="")
    assert (caught.value.status, caught.value.param, caught.value.route) == (422, "name", "/api-keys")
    assert (len(sandbox.store.api_keys), sandbox.executions) == (1, [])


METHODS: dict[str, Callable[[EnvoyClient, str], Awaitable[object]]] = {
    "get": lambda envoy, api_key_id: envoy.api_keys.get(api_key_id),
    "deactivate": lambda envoy, api_key_id: envoy.api_keys.deactivate(api_key_id),
}


@pytest.mark.parametrize("name", METHODS)
async def test_an_unknown_key_is_not_found(bearer: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """A typed 404; nothing ran."""
    await assert_not_found(sandbox, "API key not found", METHODS[name](bearer, f"key_{NOBODY}"))


@pytest.mark.parametrize("name", METHODS)
async def test_a_wrong_id_is_refused_here(bearer: EnvoyClient, sandbox: Sandbox, name: str) -> None:
    """Nothing is sent: not to another endpoint, and not to find out."""
    await assert_wrong_ids_refused(sandbox, "api_key_id", "key", lambda wrong: METHODS[name](bearer, wrong))


async def test_keys_of_another_organization_are_not_seen(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """A key belongs to the organization it was made in, and opens that one alone."""
    view = bearer.with_options(organization_id=sandbox.organization_ids[1])
    assert await view.api_keys.list().collect() == []
    made = await view.api_keys.create(name="Second")
    assert made.organization_id == sandbox.organization_ids[1]
    await assert_not_found(sandbox, "API key not found", bearer.api_keys.get(made.id))
    async with EnvoyClient(made.key, base_url=sandbox.base_url) as second:
        loads = {load.id for load in await second.loads.list().collect()}
    assert loads == set(sandbox.stores[made.organization_id].loads)


async def test_a_secret_is_no_id(bearer: EnvoyClient, sandbox: Sandbox) -> None:
    """Passing the secret where the id belongs sends it nowhere and shows it nowhere."""
    with pytest.raises(InvalidRequestError) as caught:
        await bearer.api_keys.get(sandbox.api_key)
    assert sandbox.api_key not in f"{caught.value!r} {vars(caught.value)}"
    assert sandbox.requests == []
