"""The methods against the contract: the same operations, the same parameters, the same fields, the same honesty."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
import yaml

from envoy_async import EnvoyClient, Pages, models
from envoy_async._converter._pages import Pagination
from envoy_async._credentials import Login
from envoy_async._retry import KINDS, Kind, kind_of
from envoy_async._wire import Request, Response
from envoy_async.models import UNSET, EquipmentType, NewCarrier, NewLoad, OpenEnum, Timestamp
from envoy_async.resources import (
    ApiKeys,
    Auth,
    Calls,
    Carriers,
    LanePreferences,
    Loads,
    Offers,
    Outreaches,
    WebhookEndpoints,
    WebhookMessages,
)
from envoy_async.resources._base import Resource

CONTRACT: dict[str, Any] = yaml.load(
    (Path(__file__).parent / "contract" / "openapi.yaml").read_text(encoding="utf-8"),
    Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),  # noqa: S506 - both are safe
)
METHODS = {"get", "post", "put", "patch", "delete"}
GROUPS: dict[str, type[Resource]] = {
    "auth": Auth,
    "api_keys": ApiKeys,
    "loads": Loads,
    "offers": Offers,
    "carriers": Carriers,
    "lane_preferences": LanePreferences,
    "calls": Calls,
    "outreaches": Outreaches,
    "webhook_endpoints": WebhookEndpoints,
    "webhook_messages": WebhookMessages,
}
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
STOPS = [{"location": {"city": "Dallas", "state": "TX"}}, {"location": {"city": "Atlanta", "state": "GA"}}]
LOAD = NewLoad(load_number="LD1", equipment_type="VAN", stops=STOPS)
PLACEHOLDERS: dict[str, Any] = {
    "load": LOAD,
    "loads": [LOAD],
    "carriers": [NewCarrier(name="Two Rivers")],
    "email": "dana@example.com",
    "password": "correct horse",
    "name": "TMS",
    "offer_amount": 1250.75,
    "status": "accepted",
    "reason": "other",
    "is_active": False,
    "url": "https://example.com/hooks",
    "event_types": ["call.ended"],
    "extra": {},
}


class SentError(Exception):
    """What the recording sender raises instead of answering."""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give every operation of the document: method, template, and what is said about it."""
    for template, path in CONTRACT["paths"].items():
        for method in METHODS & path.keys():
            shared = path.get("parameters", [])
            yield (
                method.upper(),
                template,
                path[method] | {"parameters": [*shared, *path[method].get("parameters", [])]},
            )


OPERATIONS = {(method, template): said for method, template, said in operations()}


def public(kind: type[Resource]) -> list[str]:
    """Name the public methods of a group."""
    return [name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_")]


async def sent_by(group: str, name: str, /, **more: Any) -> Request:
    """Run a method of a group with placeholders for what it needs, and catch what it would send."""
    sent: list[Request] = []

    async def send(request: Request) -> Response:
        sent.append(request)
        raise SentError

    method = getattr(GROUPS[group](send), name)
    needed = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty]
    keyword = [p.name for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY]
    given = {name: UUID if name.endswith("_id") else PLACEHOLDERS[name] for name in needed} | more
    positional = [given.pop(name) for name in needed if name not in keyword]
    result = method(*positional, **given)
    with pytest.raises(SentError):
        await (result.first() if isinstance(result, Pages) else result)
    return sent[0]


UNSAFE = {
    "auth.login",
    "api_keys.create",
    "offers.create",
    "offers.update",
    "carriers.create",
    "carriers.create_batch",
    "calls.create",
    "calls.join",
    "outreaches.create",
    "webhook_endpoints.create",
    "webhook_endpoints.rotate_secret",
}
EVERY = [(group, name) for group, kind in GROUPS.items() for name in public(kind)]
LISTINGS = [(group, name) for group, name in EVERY if "Pages" in str(inspect.signature(getattr(GROUPS[group], name)))]


def test_every_group_is_on_the_client() -> None:
    """A group is reached under its own name, and there are no others."""
    envoy = EnvoyClient("key")
    found: dict[str, object] = {name: getattr(envoy, name) for name in dir(envoy)}
    assert {name: type(value) for name, value in found.items() if isinstance(value, Resource)} == GROUPS


async def test_methods_are_the_operations() -> None:
    """All 50 operations of the document have exactly one method each, and no method sends anything else."""
    found = [await sent_by(group, name) for group, name in EVERY]
    assert sorted((request.method, request.template) for request in found) == sorted(OPERATIONS)
    assert len(OPERATIONS) == len(EVERY) == 50


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_a_method_fills_its_template(group: str, name: str) -> None:
    """The path is the template with the ids in it; a GET has no body, and a listing waits for quota patiently."""
    request = await sent_by(group, name)
    assert request.path == re.sub(r"\{\w+\}", UUID, request.template)
    assert request.body is None or request.method not in {"GET", "DELETE"}
    assert request.patient == ((group, name) in LISTINGS)
    has_body = "requestBody" in OPERATIONS[request.method, request.template]
    assert (request.body is not None) == has_body


def test_the_retry_table_has_one_row_per_operation() -> None:
    """Every operation is judged by hand: none falls to a default, and no row is left over."""
    assert {tuple(key.split(" ")) for key in KINDS} == OPERATIONS.keys()
    assert all(isinstance(kind, Kind) for kind in KINDS.values())


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_the_table_judges_what_is_sent(group: str, name: str) -> None:
    """A GET is a read, nothing else is; what must not run twice is unsafe, and its docstring says so."""
    request = await sent_by(group, name)
    kind = kind_of(request)
    assert (kind is Kind.READ) == (request.method == "GET")
    assert (kind is Kind.UNSAFE) == ("Unsafe" in (getattr(GROUPS[group], name).__doc__ or ""))
    assert (kind is Kind.UNSAFE) == (f"{group}.{name}" in UNSAFE)


async def test_a_carrier_with_an_mc_number_is_found_again() -> None:
    """With it, creating a carrier twice makes one, so that it may be sent again; the same goes for a batch of them."""
    keyed = NewCarrier(name="A", mc_number="MC123456")
    assert kind_of(await sent_by("carriers", "create", name="A", mc_number="MC123456")) is Kind.IDEMPOTENT
    both = [keyed, {"carrier": {"name": "B", "mc_number": "MC2"}}]
    assert kind_of(await sent_by("carriers", "create_batch", carriers=both)) is Kind.IDEMPOTENT
    for batch in [keyed, NewCarrier(name="A")], [{"carrier": {"name": "B"}}, keyed]:
        assert kind_of(await sent_by("carriers", "create_batch", carriers=batch)) is Kind.UNSAFE


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_a_docstring_names_the_credential(group: str, name: str) -> None:
    """What takes only an API key or only a token says so, as the document does; a login takes neither."""
    request = await sent_by(group, name)
    said = OPERATIONS[request.method, request.template].get("security")
    text = getattr(GROUPS[group], name).__doc__ or ""
    assert ("Needs an API key." in text) == (said == [{"apiKeyAuth": []}])
    assert ("Needs a bearer token." in text) == (said == [{"bearerAuth": []}])
    assert ("No credential is sent." in text) == (said == [])
    assert said in (None, [], [{"apiKeyAuth": []}], [{"bearerAuth": []}])


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the document."""
    found: Any = node
    while "$ref" in found:
        found = CONTRACT
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return dict(found)


def documented_query(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the query parameters of an operation."""
    parameters = [resolved(node) for node in said["parameters"]]
    return {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "query"}


SAMPLES: dict[str, Any] = {"page": 3, "page_size": 7, "order_desc": False, "is_active": False}


@pytest.mark.parametrize(("group", "name"), LISTINGS)
async def test_a_listing_sends_the_documented_query(group: str, name: str) -> None:
    """Every parameter of the document can be given and is sent under its name; nothing else is sent."""
    request = await sent_by(group, name)
    offered = documented_query(OPERATIONS[request.method, request.template])
    assert {key for key, _ in request.query} <= set(offered)
    days = {key: "2025-11-21" for key, said in offered.items() if said["schema"].get("format") == "date"}
    given = {key: SAMPLES.get(key, "x") for key in offered.keys() - days.keys()}
    asked = given | {key: date.fromisoformat(day) for key, day in days.items()}
    full = await sent_by(group, name, **asked)
    expected = {key: str(value).lower() for key, value in given.items()} | days
    assert dict(full.query) == expected
    assert len(full.query) == len(expected)


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_a_method_takes_ids_by_position_and_the_rest_by_name(group: str, name: str) -> None:
    """New filters can be added anywhere; a listing's `limit`, `strategy`, and `on_invalid` are ours."""
    method = getattr(GROUPS[group], name)
    parameters = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    request = await sent_by(group, name)
    assert positional == re.findall(r"\{(\w+)\}", request.template) + [
        name for name in ("email", "password", "load", "loads", "carriers") if name in positional
    ]
    body = resolved(OPERATIONS[request.method, request.template].get("requestBody", {}))
    schema = resolved(body["content"]["application/json"]["schema"]) if body else {}
    query = documented_query(OPERATIONS[request.method, request.template])
    ours = {p.name for p in parameters} - set(positional) - query.keys() - set(schema.get("properties", {}))
    paged = "page" in query
    if (group, name) in LISTINGS:
        assert ours == {"on_invalid"} | ({"limit", "strategy"} if paged else set())
        assert parameters[-1].name == "on_invalid"
    else:
        assert ours <= {"extra"}


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_a_docstring_names_its_evidence(group: str, name: str) -> None:
    """What the document knows of an operation is said in the method: seen, partial, or inferred, and where."""
    request = await sent_by(group, name)
    said = OPERATIONS[request.method, request.template]
    mark, method = said["x-evidence"], getattr(GROUPS[group], name)
    text = " ".join((method.__doc__ or "").split())
    assert mark in {"seen", "partial", "inferred"}
    assert f"Source: `{request.method} {request.template}` ({mark}" in text
    assert [word for word in ("(seen", "(partial", "(inferred") if word in text] == [f"({mark}"]


async def test_the_evidence_of_all_operations(capsys: pytest.CaptureFixture[str]) -> None:
    """What is known of each of the 50 operations is printed: 14 pages were seen whole, 27 in part, 9 not at all."""
    sent = {f"{group}.{name}": await sent_by(group, name) for group, name in EVERY}
    marks = {name: OPERATIONS[request.method, request.template]["x-evidence"] for name, request in sent.items()}
    with capsys.disabled():
        print()  # noqa: T201 - the list is what this test is for
        for name, request in sent.items():
            print(f"{name:32} {request.operation:88} {marks[name]}")  # noqa: T201
    assert Counter(marks.values()) == {"seen": 14, "partial": 27, "inferred": 9}


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_an_open_body_takes_further_fields(group: str, name: str) -> None:
    """Where the document says that more fields exist, `extra` sends them, in a batch a mapping does."""
    request = await sent_by(group, name)
    content = OPERATIONS[request.method, request.template].get("requestBody", {"content": {}})["content"]
    schema = resolved(content.get("application/json", {"schema": {}})["schema"])
    takes = "extra" in inspect.signature(getattr(GROUPS[group], name)).parameters
    open_ = schema.get("additionalProperties", False) and (group, name) != ("webhook_endpoints", "rotate_secret")
    assert takes == (open_ or (group, name) == ("calls", "join"))  # no word about a body; one that is always {}


SCHEMAS: dict[type[attrs.AttrsInstance], str] = {
    models.ApiKeyInfo: "ApiKey",
    models.ApiKeyWithSecret: "ApiKeyWithSecret",
    models.AuditNote: "OptionalReason",
    models.Call: "Call",
    models.CallRecording: "CallRecording",
    models.Carrier: "Carrier",
    models.CarrierBatchItem: "CarrierBatchResult.results",
    models.CarrierBatchResult: "CarrierBatchResult",
    models.CarrierVerification: "CarrierVerification",
    models.DisableForLoad: "DisableForLoadRequest",
    models.DisableForLoadResult: "DisableForLoadResult",
    models.EndCallResult: "EndCallResult",
    models.Escalation: "Escalation",
    models.LanePreference: "LanePreference",
    models.LanePreferenceUpdate: "LanePreferenceUpdate",
    models.LanePreferenceWithLane: "LanePreferenceWithLane",
    models.Load: "Load",
    models.LoadBatchItem: "LoadBatchResult.results",
    models.LoadBatchResult: "LoadBatchResult",
    models.LoadContact: "LoadContact",
    models.LoadIngestResult: "LoadIngestResult",
    models.LoadUpdate: "LoadUpdate",
    models.Location: "Location",
    models.LoginResult: "LoginResponse",
    models.NewApiKey: "ApiKeyCreate",
    models.NewCarrier: "CarrierCreate",
    models.NewLoad: "LoadCreate",
    models.NewOffer: "OfferCreate",
    models.NewOutreach: "OutreachCreate",
    models.NewWebhookEndpoint: "WebhookEndpointCreate",
    models.Offer: "Offer",
    models.OfferUpdate: "OfferUpdate",
    models.Outreach: "Outreach",
    models.Stop: "Stop",
    models.WebhookAttempt: "WebhookAttempt",
    models.WebhookEndpoint: "WebhookEndpoint",
    models.WebhookEndpointUpdate: "WebhookEndpointUpdate",
    models.WebhookEndpointWithSecret: "WebhookEndpointWithSecret",
    models.WebhookEventType: "WebhookEventType",
    models.WebhookMessageState: "WebhookMessageState",
    models.WebhookReplay: "WebhookReplayRequest",
    Login: "LoginRequest",
    Pagination: "Pagination",
}
NAMES = {schema: kind.__name__ for kind, schema in SCHEMAS.items()}
WITHOUT_MODEL = {
    "AuditReason": "an open enum",
    "CallCreate": "no field is known; `extra` is the body",
    "CarrierBatchCreate": "made of the NewCarriers given",
    "CarrierUpdate": "no field is known; `extra` is the body",
    "EquipmentType": "an open enum",
    "ErrorEnvelope": "becomes an error",
    "LoadBatchCreate": "made of the NewLoads given",
    "RequiredReason": "AuditNote, with a reason that the methods insist on",
    "WebhookAttemptStatus": "an open enum",
    "WebhookEndpointStatus": "an open enum",
    "WebhookEventPayload": "what is received comes with the webhooks module",
}

NO_LIST = "the schema has no list of required fields; an answer without it would be of no use"
ABSENT = "not nullable in the document, but may be absent, which reads as None"
OLDER = "the pagination guide does not know it, or a page may come without; the reader falls back"


def of(model: str, names: str, aspect: str) -> list[str]:
    """Name one aspect of several fields of a model."""
    return [f"{model}.{name} {aspect}" for name in names.split()]


EXCEPTIONS: dict[str, str] = {
    **dict.fromkeys(
        [
            *of("CallRecording", "call_id url content_type expires_at recording_status", "required"),
            *of("Carrier", "id name is_active created_at updated_at", "required"),
            *of("CarrierBatchItem", "identifier success", "required"),
            *of("CarrierBatchResult", "success total successful failed created updated", "required"),
            *of("CarrierBatchResult", "results processed_at", "required"),
            *of("DisableForLoadResult", "preference created", "required"),
            *of("EndCallResult", "success message call_id", "required"),
            *of("LanePreference", "id carrier_id lane_id is_active", "required"),
            *of("LanePreferenceWithLane", "id carrier_id lane_id is_active", "required"),
            *of("LoadBatchItem", "load_identifier success", "required"),
            *of("LoadBatchResult", "success total_loads successful failed created updated", "required"),
            *of("LoadBatchResult", "results processed_at", "required"),
            *of("LoadIngestResult", "success load_id", "required"),
            *of("LoginResult", "access_token", "required"),
            *of("WebhookAttempt", "id message_id endpoint_id attempt status created_at", "required"),
            *of("WebhookEventType", "name", "required"),
            *of("WebhookMessageState", "id endpoint_id latest_status", "required"),
        ],
        NO_LIST,
    ),
    **dict.fromkeys(
        [
            *of("CarrierBatchItem", "lanes_created", "nullable"),
            *of("CarrierVerification", "status", "nullable"),
            *of("LanePreference", "preference_type updated_at", "nullable"),
            *of("LanePreferenceWithLane", "preference_type updated_at", "nullable"),
            *of("Load", "mode", "nullable"),
            *of("LoadContact", "type", "nullable"),
            *of("LoadIngestResult", "message processed_at", "nullable"),
            *of("LoginResult", "token_type", "nullable"),
            *of("WebhookAttempt", "max_attempts", "nullable"),
            *of("WebhookEventType", "description payload_schema", "nullable"),
            *of("WebhookMessageState", "attempt_count created_at", "nullable"),
        ],
        ABSENT,
    ),
    **dict.fromkeys(
        [
            "Pagination.has_next nullable",
            "Pagination.total_count nullable",
            "Pagination.total_count required",
            "Pagination.total_pages nullable",
            "Pagination.total_pages required",
        ],
        OLDER,
    ),
    "Pagination.has_prev missing": "a reader that goes forwards has no use for it; page.raw keeps it",
    "Login.email type": "held as a Secret, which is text that never prints",
    "Login.password type": "the same",
    "NewLoad.stops type": "callers may pass a mapping for a stop, since its further fields are not known",
}


def property_type(node: dict[str, Any]) -> tuple[str, bool]:
    """Give the type of a property, in one word, and whether null is allowed."""
    node = resolved(node)
    if "anyOf" in node:
        parts = [property_type(part) for part in node["anyOf"]]
        return "|".join(sorted({kind for kind, _ in parts} - {"null"})), any(nullable for _, nullable in parts)
    kinds = [node["type"]] if isinstance(node.get("type"), str) else node.get("type", ["anything", "null"])
    (kind,) = set(kinds) - {"null"} or {"null"}
    if kind == "array":
        kind = f"[{property_type(node['items'])[0]}]"
    if kind == "object":
        kind = next((name for name, schema in schemas().items() if schema == node), "") or mapping_type(node)
    return {"date-time": "date-time"}.get(node.get("format", ""), kind), "null" in kinds


def mapping_type(node: dict[str, Any]) -> str:
    """Give the word for an object of any keys."""
    values = node["additionalProperties"]
    return "{anything}" if values is True else f"{{{property_type(values)[0]}}}"


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """Give the schemas that models stand for, by the name of the model."""
    found = CONTRACT["components"]["schemas"]
    result: dict[str, dict[str, Any]] = {}
    for schema, model in NAMES.items():
        name, _, nested = schema.partition(".")
        whole = flat(found[name])
        result[model] = whole["properties"][nested]["items"] if nested else whole
    return result


def flat(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the parts of an `allOf` together; anything else stays as it is."""
    if "allOf" not in schema:
        return schema
    parts = [resolved(part) for part in schema["allOf"]]
    required = [name for part in parts for name in part.get("required", [])]
    properties = {name: said for part in parts for name, said in part["properties"].items()}
    return {"type": "object", "required": required, "properties": properties}


LEAVES: dict[Any, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    object: "anything",
    Timestamp: "date-time",
}


def field_type(hint: Any) -> tuple[str, bool]:
    """Give the type of a field, in the same words, and whether None is allowed."""
    parts = set(get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,))
    nullable = type(None) in parts or object in parts
    words: list[str] = []
    for part in parts - {type(None), models.Unset}:
        items = get_args(part)
        if part in LEAVES:
            words.append(LEAVES[part])
        elif len(items) == 2 and items[1] is not ...:
            words.append(f"{{{field_type(items[1])[0]}}}")
        elif items:
            words.append(f"[{field_type(items[0])[0]}]")
        else:
            words.append("string" if issubclass(part, OpenEnum) else part.__name__)
    return "|".join(sorted(words)), nullable


def differences(model: type[attrs.AttrsInstance]) -> Iterator[str]:
    """Compare a model with its schema and name whatever differs."""
    schema, hints = schemas()[model.__name__], get_type_hints(model, include_extras=True)
    fields, properties = attrs.fields_dict(model), schema["properties"]
    yield from (f"{model.__name__}.{name} missing" for name in properties.keys() - fields.keys())
    yield from (f"{model.__name__}.{name} invented" for name in fields.keys() - properties.keys())
    for name in fields.keys() & properties.keys():
        mine, theirs = field_type(hints[name]), property_type(properties[name])
        required = fields[name].default is attrs.NOTHING
        for aspect, differs in {
            "type": mine[0] != theirs[0],
            "nullable": mine[1] != theirs[1],
            "required": required != (name in schema.get("required", [])),
        }.items():
            if differs:
                yield f"{model.__name__}.{name} {aspect}"


def test_every_model_stands_for_a_schema() -> None:
    """No model is left out of the comparison, and each schema has a model or a reason to have none."""
    exported = {getattr(models, name) for name in models.__all__}
    shapes = {kind for kind in exported if attrs.has(kind)} - {models.InvalidItem, models.Page}
    assert shapes | {Login, Pagination} == set(SCHEMAS)
    whole = {name for name, said in CONTRACT["components"]["schemas"].items() if "pattern" not in said}
    envelopes = {name for name in whole if name.endswith("Page")}
    assert whole - envelopes == {name.partition(".")[0] for name in SCHEMAS.values()} | WITHOUT_MODEL.keys()


def test_models_are_the_schemas() -> None:
    """Names, types, nullability, and what is required are the document's, but for what is listed with its reason."""
    found = {difference for model in SCHEMAS for difference in differences(model)}
    assert found - EXCEPTIONS.keys() == set()
    assert EXCEPTIONS.keys() - found == set()
    assert all(EXCEPTIONS.values())


def test_defaults_of_the_document_are_the_models() -> None:
    """A value the document says is assumed when missing is the model's default."""
    for model, schema in ((model, schemas()[model.__name__]) for model in SCHEMAS):
        for name, said in schema["properties"].items():
            if "default" in said:
                assert attrs.fields_dict(model)[name].default == said["default"]
    assert attrs.fields_dict(models.Load)["is_posted"].default is False


REQUESTS = {
    models.AuditNote,
    models.DisableForLoad,
    models.LanePreferenceUpdate,
    models.LoadUpdate,
    models.NewApiKey,
    models.NewCarrier,
    models.NewLoad,
    models.NewOffer,
    models.NewOutreach,
    models.NewWebhookEndpoint,
    models.OfferUpdate,
    models.WebhookEndpointUpdate,
    models.WebhookReplay,
    Login,
}


def test_what_is_sent_is_left_out_unless_set() -> None:
    """An optional field of a request has UNSET as its default, one of an answer has None."""
    for model in SCHEMAS:
        for name, field in attrs.fields_dict(model).items():
            if model in REQUESTS:
                assert field.default in {attrs.NOTHING, UNSET}, name
            else:
                assert field.default is not UNSET, name


@pytest.mark.parametrize(
    ("kind", "model", "name"),
    [
        (models.CallStatus, "Call", "status"),
        (models.CallDirection, "Call", "call_direction"),
        (models.LoadMode, "Load", "mode"),
        (models.EscalationStatus, "Escalation", "status"),
        (models.LanePreferenceType, "LanePreference", "preference_type"),
        (models.OfferStatus, "Offer", "status"),
        (models.WebhookAttemptStatus, "WebhookAttempt", "status"),
        (models.WebhookEndpointStatus, "WebhookEndpoint", "status"),
    ],
)
def test_known_values_are_those_met_in_the_document(kind: type[OpenEnum], model: str, name: str) -> None:
    """No value is invented, and none that was read is missing."""
    said = resolved(schemas()[model]["properties"][name])
    assert {member.value for member in kind} == set(said.get("enum") or said["examples"])


@pytest.mark.parametrize("kind", [models.AuditReason, EquipmentType])
def test_known_words_are_those_met_in_the_document(kind: type[OpenEnum]) -> None:
    """The list is longer in reality; only what was read is a member."""
    assert {member.value for member in kind} == set(CONTRACT["components"]["schemas"][kind.__name__]["examples"])
