"""The user has several organizations: a token chooses among them, a key opens its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import pytest

from envoy_async.sandbox import Sandbox, Store

Send: TypeAlias = Callable[..., Awaitable[tuple[int, Mapping[str, str], Any]]]

NOW = 1_763_740_800.0
UNKNOWN = "org_00000000-0000-4000-8000-000000000000"


def bearer(sandbox: Sandbox, organization_id: str | None = None) -> dict[str, str]:
    """Give the headers that show the token of the start, and name an organization when one is given."""
    headers = {"Authorization": f"Bearer {sandbox.bearer_token}"}
    return headers if organization_id is None else headers | {"X-Organization-ID": organization_id}


def contents(store: Store) -> str:
    """Give what a store holds, as one text."""
    rows = (store.calls, store.loads, store.verifications, store.escalations, store.carriers, store.lanes)
    market = (store.lane_preferences, store.offers, store.outreaches)
    return json.dumps([store.organization_id, store.phone_number, *rows, *market])


async def test_a_token_chooses_among_the_organizations_of_the_user(sandbox: Sandbox, send: Send) -> None:
    """Naming one gives its data, naming none the first one's, naming an unknown one is a 403."""
    first, second = sandbox.organization_ids
    for named, meant in ((None, first), (first, first), (second, second)):
        _, _, body = await send(sandbox, "GET", "/calls?page_size=100", headers=bearer(sandbox, named))
        assert {call["organization_id"] for call in body["data"]} == {meant}
        assert body["pagination"]["total_count"] == len(sandbox.stores[meant].calls)
    for named in (UNKNOWN, "", first.removeprefix("org_")):
        status, _, body = await send(sandbox, "GET", "/calls", headers=bearer(sandbox, named))
        assert (status, body["error"]["code"]) == (403, "insufficient_permissions")


async def test_a_key_opens_its_own_organization_only(sandbox: Sandbox, send: Send) -> None:
    """It may name its own; another one of the same user is a 403, on known and unknown paths."""
    first, second = sandbox.organization_ids
    for path in ("/calls", "/nowhere"):
        headers = {"X-API-Key": sandbox.api_key, "X-Organization-ID": second}
        assert (await send(sandbox, "GET", path, headers=headers))[0] == 403
    headers = {"X-API-Key": sandbox.api_key, "X-Organization-ID": first}
    assert (await send(sandbox, "GET", "/calls", headers=headers))[0] == 200


async def test_a_key_belongs_to_the_organization_it_was_made_in(sandbox: Sandbox, send: Send) -> None:
    """It opens that one without naming it, and no other; only that one lists it."""
    first, second = sandbox.organization_ids
    body = {"name": "of the second"}
    made = (await send(sandbox, "POST", "/api-keys", headers=bearer(sandbox, second), json=body))[2]
    key = {"X-API-Key": made["key"]}
    assert made["organization_id"] == second
    calls = (await send(sandbox, "GET", "/calls", headers=key))[2]["data"]
    assert {call["organization_id"] for call in calls} == {second}
    assert (await send(sandbox, "GET", "/calls", headers=key | {"X-Organization-ID": first}))[0] == 403
    listed = (await send(sandbox, "GET", "/api-keys", headers=bearer(sandbox, second)))[2]
    assert [(row["id"], row["last_used_at"] is not None) for row in listed] == [(made["id"], True)]
    assert (await send(sandbox, "GET", f"/api-keys/{made['id']}", headers=bearer(sandbox)))[0] == 404


async def test_what_is_made_in_one_is_not_in_another(sandbox: Sandbox, send: Send) -> None:
    """A call made in the second organization is not found in the first."""
    _, second = sandbox.organization_ids
    made = (await send(sandbox, "POST", "/calls", headers=bearer(sandbox, second), json={}))[2]
    assert made["organization_id"] == second
    assert (await send(sandbox, "GET", f"/calls/{made['id']}", headers=bearer(sandbox, second)))[0] == 200
    assert (await send(sandbox, "GET", f"/calls/{made['id']}", headers=bearer(sandbox)))[0] == 404


async def test_recording_links_of_every_organization_work(sandbox: Sandbox, send: Send) -> None:
    """Each link is good for its own file, and a forged one is a 403."""
    for organization_id in sandbox.organization_ids:
        calls = sandbox.stores[organization_id].calls.values()
        call_id = next(call["id"] for call in calls if call["recording_status"] == "AVAILABLE")
        path = f"/calls/{call_id}/recording"
        link = (await send(sandbox, "GET", path, headers=bearer(sandbox, organization_id)))[2]["url"]
        assert (await send(sandbox, "GET", link, headers={}))[0] == 200
        assert (await send(sandbox, "GET", f"{link}0", headers={}))[0] == 403


async def test_further_organizations_are_made_when_first_used(sandbox: Sandbox, send: Send) -> None:
    """Neither the start, nor counting and naming them, nor a refused request makes one; a request that runs does."""
    first, second = sandbox.organization_ids
    made = sandbox._gateway.organizations
    await send(sandbox, "GET", "/nowhere", headers=bearer(sandbox, second))
    assert (list(sandbox.stores), len(sandbox.stores), second in sandbox.stores) == ([first, second], 2, True)
    assert UNKNOWN not in sandbox.stores
    assert [store.organization_id for store in made.filled] == [first]
    await send(sandbox, "GET", "/calls", headers=bearer(sandbox, second))
    assert [store.organization_id for store in made.filled] == [first, second]
    assert sandbox.stores[first] is sandbox.store
    with pytest.raises(KeyError):
        assert sandbox.stores[UNKNOWN].calls


@pytest.mark.parametrize(
    ("calls", "loads", "smaller"), [(150, 60, (15, 6)), (9, 11, (1, 2)), (1, 0, (1, 0)), (0, 1, (0, 1))]
)
def test_further_organizations_are_smaller(calls: int, loads: int, smaller: tuple[int, int]) -> None:
    """A tenth of the calls and loads, rounded up, so at least one where the first has any."""
    sandbox = Sandbox(calls=calls, loads=loads, organizations=3, clock=lambda: NOW)
    first, *others = sandbox.stores.values()
    assert (len(first.calls), len(first.loads)) == (calls, loads)
    assert [(len(store.calls), len(store.loads)) for store in others] == [smaller] * 2


def test_every_organization_has_ids_and_data_of_its_own() -> None:
    """None shares an id with another; the same seed gives the same, another seed something else."""
    sandbox, again, other = (Sandbox(seed=seed, calls=40, organizations=4, clock=lambda: NOW) for seed in (7, 7, 8))
    assert sandbox.organization_ids == again.organization_ids
    assert not {*sandbox.organization_ids} & {*other.organization_ids}
    stores = list(sandbox.stores.values())
    ids = [record_id for store in stores for record_id in (store.organization_id, *store.calls, *store.loads)]
    assert len(ids) == len(set(ids)) == 4 + 40 + 3 * 4 + 400 + 3 * 40
    assert [contents(store) for store in again.stores.values()] == [contents(store) for store in stores]


def test_the_user_is_known_in_every_organization() -> None:
    """Beside the one whose token it is, each organization has people of its own."""
    sandbox = Sandbox(calls=1, loads=1, organizations=3)
    people = [identity.user_ids for identity in sandbox._gateway.organizations._identities.values()]
    assert {users[0] for users in people} == {sandbox._gateway.accounts.access.user_ids[0]}
    assert len({user for users in people for user in users}) == 1 + 3 * 5


def test_it_does_not_matter_when_an_organization_is_first_used() -> None:
    """Its data is as of the start, whatever was used before it and however late."""
    now = [NOW]
    early, late = (Sandbox(calls=40, loads=20, organizations=3, clock=lambda: now[0]) for _ in range(2))
    _, second, third = early.organization_ids
    expected = [contents(early.stores[organization_id]) for organization_id in (second, third)]
    now[0] = NOW + 1_000_000
    late.store.insert_call()
    assert [contents(late.stores[organization_id]) for organization_id in (third, second)] == expected[::-1]


def test_the_first_organization_does_not_depend_on_the_others() -> None:
    """Its key, token, login, and data are those of a sandbox that knows no other, also once others were used."""
    told: list[object] = []
    for organizations in (1, 5):
        sandbox = Sandbox(calls=40, loads=20, organizations=organizations, clock=lambda: NOW)
        assert len(list(sandbox.stores.values())) == organizations
        assert sandbox.organization_ids[0] == sandbox.organization_id == sandbox.store.organization_id
        sandbox.store.insert_call()
        credentials = (sandbox.api_key, sandbox.bearer_token, sandbox.email, sandbox.password)
        told.append((credentials, contents(sandbox.store), sandbox.store.api_keys))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("seed", "organization", "call", "inserted"),
    [
        (7, "4d6cc587-f131-4168-b6a8-c33385597c68", "d3faca2a-e750-4e99-8a38-7b2dd741de9a", "2a50f977-709d-4cfa-ad9e"),
        (3, "ae85b314-50bb-4d8b-abfb-7ed35d7e3bbd", "ff7e92a6-25ad-417d-be3e-8e33048e313b", "677d2700-e701-45e1-8e8c"),
    ],
)
def test_a_seed_stays_what_it_was(seed: int, organization: str, call: str, inserted: str) -> None:
    """Ids that somebody has written down for a seed are still those of its first organization."""
    sandbox = Sandbox(seed=seed, calls=40, loads=20, clock=lambda: NOW)
    assert sandbox.organization_id == f"org_{organization}"
    assert next(iter(sandbox.store.calls)) == f"call_{call}"
    assert str(sandbox.store.insert_call()["id"]).startswith(f"call_{inserted}-")


async def test_each_organization_counts_its_own_listings_for_drift(send: Send) -> None:
    """A drift is called with the store that is listed and the number of this listing there."""
    seen: list[tuple[str, int]] = []
    async with Sandbox(
        calls=10, loads=1, quota=None, clock=lambda: NOW, drift=lambda store, n: seen.append((store.organization_id, n))
    ) as sandbox:
        first, second = sandbox.organization_ids
        for organization_id in (first, second, first):
            await send(sandbox, "GET", "/calls", headers=bearer(sandbox, organization_id))
    assert seen == [(first, 1), (second, 1), (first, 2)]


def test_at_least_one_organization_is_needed() -> None:
    """None at all is a ValueError."""
    with pytest.raises(ValueError, match="organizations must be at least 1"):
        Sandbox(calls=1, loads=1, organizations=0)
