"""Credentials: what they show (nothing), how they go out, and which operation takes which."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
import yaml

from envoy_async import ApiKey, BearerToken
from envoy_async._credentials import ANONYMOUS, ASSUMED, NEEDS, Login, objection
from envoy_async._retry import KINDS

CONTRACT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "contract" / "openapi.yaml").read_text(encoding="utf-8")
)
METHODS = {"get", "post", "put", "patch", "delete"}
CANARY = "canary-7f3a"
Secret: TypeAlias = ApiKey | BearerToken | Login
SECRETS: list[Secret] = [ApiKey(CANARY), BearerToken(CANARY), Login(CANARY + "@example.com", CANARY)]


def kind_of(secret: object) -> str:
    """Name the class of a value."""
    return type(secret).__name__


def operations() -> Iterator[tuple[str, set[str]]]:
    """Give every operation of the document with the credentials it takes, each of which is enough alone."""
    for template, path in CONTRACT["paths"].items():
        for method in METHODS & path.keys():
            ways: list[dict[str, Any]] = path[method].get("security", CONTRACT["security"])
            assert all(len(way) == 1 for way in ways)
            yield f"{method.upper()} {template}", {name for way in ways for name in way}


TAKEN = dict(operations())
BOTH = {"bearerAuth", "apiKeyAuth"}
SCHEMES: dict[str, type[ApiKey | BearerToken]] = {"apiKeyAuth": ApiKey, "bearerAuth": BearerToken}


@pytest.mark.parametrize("secret", SECRETS, ids=kind_of)
def test_a_credential_shows_itself_nowhere(secret: Secret) -> None:
    """Not in repr, str, or a format, alone or inside something."""
    assert CANARY not in f"{secret!r} {secret} {secret!a} {[secret]} {{'a': {secret}}} {secret:}"
    assert repr(secret) == f"{kind_of(secret)}()"


@pytest.mark.parametrize("secret", SECRETS, ids=kind_of)
def test_a_credential_is_a_value(secret: Secret) -> None:
    """It equals another with the same content, and nothing else; it cannot be changed, nor given more."""
    fields = {name: getattr(secret, name) for name in attrs.fields_dict(type(secret))}
    assert secret == type(secret)(**fields)
    assert hash(secret) == hash(type(secret)(**fields))
    for name in fields:
        assert secret != type(secret)(**fields | {name: "other"})
    for name in (*fields, "stray"):
        with pytest.raises(AttributeError):
            setattr(secret, name, "other")
    assert not hasattr(secret, "__dict__")
    assert sum(secret == other for other in SECRETS) == 1


@pytest.mark.parametrize("secret", SECRETS, ids=kind_of)
def test_a_credential_does_not_travel(secret: Secret) -> None:
    """Pickling and copying are refused with a reason that shows nothing."""
    ways: list[Callable[[object], object]] = [copy.copy, copy.deepcopy]
    ways += [partial(pickle.dumps, protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for way in ways:
        with pytest.raises(TypeError, match=r"^credentials are not pickled; create the client where") as caught:
            way(secret)
        assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_credential_knows_its_header() -> None:
    """A key goes out as X-API-Key, a token as a bearer; e-mail and password never go into a header."""
    assert ApiKey(CANARY).header() == ("X-API-Key", CANARY)
    assert BearerToken(CANARY).header() == ("Authorization", f"Bearer {CANARY}")
    assert not hasattr(Login, "header")


def test_the_headers_are_those_of_the_contract() -> None:
    """The document names the same two ways of saying who calls."""
    schemes = CONTRACT["components"]["securitySchemes"]
    assert schemes.keys() == BOTH
    assert (schemes["apiKeyAuth"]["in"], schemes["apiKeyAuth"]["name"]) == ("header", ApiKey("x").header()[0])
    assert (schemes["bearerAuth"]["type"], schemes["bearerAuth"]["scheme"]) == ("http", "bearer")


def test_the_table_is_that_of_the_contract() -> None:
    """What the document restricts to one credential has a row with it; what it does not has none; no row is left."""
    narrow = {operation: SCHEMES[next(iter(taken))] for operation, taken in TAKEN.items() if len(taken) == 1}
    assert dict(NEEDS) == narrow
    assert {operation for operation, taken in TAKEN.items() if not taken} == {ANONYMOUS}
    assert {operation for operation, taken in TAKEN.items() if taken == BOTH} == TAKEN.keys() - narrow - {ANONYMOUS}
    assert TAKEN.keys() == KINDS.keys()


@pytest.mark.parametrize("operation", sorted(TAKEN))
@pytest.mark.parametrize("kind", [ApiKey, BearerToken])
def test_an_objection_says_what_is_needed_and_what_is_there(operation: str, kind: type[ApiKey | BearerToken]) -> None:
    """There is none where the contract allows the kind of credential; else it names both kinds, and how to give one."""
    allowed = not TAKEN[operation] or kind in {SCHEMES[name] for name in TAKEN[operation]}
    objects = objection(operation, kind)
    if allowed:
        assert objects is None
        return
    wanted = {
        ApiKey: "a bearer token (EnvoyClient(Login(…)) or EnvoyClient(BearerToken(…)), or ENVOY_BEARER_TOKEN)",
        BearerToken: "an API key (EnvoyClient(ApiKey(…)), or ENVOY_API_KEY)",
    }[kind]
    assert objects is not None
    doubt = "; that is assumed, and `request` sends it all the same" if operation in ASSUMED else ""
    assert objects == f"this operation needs {wanted}; the client has {kind.__name__}{doubt}"


def test_what_is_only_assumed_is_that_of_the_document() -> None:
    """Where the document marks a rule of one credential as inferred, the table does, and nowhere else."""
    inferred = {
        f"{method.upper()} {template}"
        for template, path in CONTRACT["paths"].items()
        for method in METHODS & path.keys()
        if path[method].get("x-security-evidence") == "inferred" and "security" in path[method]
    }
    assert inferred == ASSUMED


def test_an_unknown_operation_takes_whatever_there_is() -> None:
    """What has no row is for the server to judge."""
    for kind in (ApiKey, BearerToken):
        assert objection("POST /new", kind) is None


def test_a_kind_of_ones_own_counts_as_what_it_derives_from() -> None:
    """A subclass is let in where its parent is, and is named in the objection elsewhere."""
    own = type("RotatingKey", (ApiKey,), {})
    assert objection("POST /loads", own) is None
    assert (objection("GET /api-keys", own) or "").endswith("the client has RotatingKey")
