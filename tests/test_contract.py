"""The methods against the contract: the same operations, the same parameters, the same fields, the same honesty."""

from __future__ import annotations

import inspect
import re
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
from envoy_async._converter import _Pagination
from envoy_async._retry import KINDS, Kind, kind_of
from envoy_async._wire import Request, Response
from envoy_async.models import UNSET, EquipmentType, NewLoad, OpenEnum, Timestamp
from envoy_async.resources import Calls, Loads
from envoy_async.resources._base import Resource

CONTRACT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "contract" / "openapi.yaml").read_text(encoding="utf-8")
)
METHODS = {"get", "post", "put", "patch", "delete"}
GROUPS: dict[str, type[Resource]] = {"Calls": Calls, "Loads": Loads}
NOT_YET = {
    "API Keys": "comes with the second group of operations",
    "Auth": "comes with Login",
    "Carriers": "comes with the second group of operations",
    "Lane Preferences": "comes with Carriers",
    "Offers": "comes with the second group of operations",
    "Outreaches": "comes with the second group of operations",
    "Webhooks": "comes with the webhooks module",
}
UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
PLACEHOLDERS: dict[str, Any] = {
    "call_id": UUID,
    "load_id": UUID,
    "load": NewLoad(load_number="LD1", equipment_type="VAN", stops=()),
    "loads": [NewLoad(load_number="LD1", equipment_type="VAN", stops=())],
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


def of_group(group: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Give the operations of one tag by method and template."""
    return {(method, template): said for method, template, said in operations() if group in said["tags"]}


def public(kind: type[Resource]) -> list[str]:
    """Name the public methods of a group."""
    return [name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_")]


async def sent_by(group: str, name: str, **more: Any) -> Request:
    """Run a method of a group with placeholders for what it needs, and catch what it would send."""
    sent: list[Request] = []

    async def send(request: Request) -> Response:
        sent.append(request)
        raise SentError

    method = getattr(GROUPS[group](send), name)
    needed = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty]
    result = method(*[PLACEHOLDERS[name] for name in needed], **more)
    with pytest.raises(SentError):
        await (result.first() if isinstance(result, Pages) else result)
    return sent[0]


EVERY = [(group, name) for group, kind in GROUPS.items() for name in public(kind)]
LISTINGS = [(group, name) for group, name in EVERY if "Pages" in str(inspect.signature(getattr(GROUPS[group], name)))]


def test_every_tag_is_here_or_not_yet() -> None:
    """No group of operations is forgotten, and none stays listed as missing once it is there."""
    tags = {tag["name"] for tag in CONTRACT["tags"]}
    assert GROUPS.keys() | NOT_YET.keys() == tags
    assert GROUPS.keys() & NOT_YET.keys() == set()
    assert {tag for _, _, said in operations() for tag in said["tags"]} == tags


def test_every_group_is_on_the_client() -> None:
    """A group is reached under its own name."""
    envoy = EnvoyClient("key")
    for group, kind in GROUPS.items():
        assert type(getattr(envoy, group.lower())) is kind
    assert {name for name, value in vars(envoy).items() if isinstance(value, Resource)} == {"calls", "loads"}


@pytest.mark.parametrize("group", GROUPS)
async def test_methods_are_the_operations(group: str) -> None:
    """Each operation of the document has exactly one method, and no method sends anything else."""
    found = [await sent_by(group, name) for name in public(GROUPS[group])]
    assert sorted((request.method, request.template) for request in found) == sorted(of_group(group))


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_a_method_fills_its_template(group: str, name: str) -> None:
    """The path is the template with the ids in it; a GET has no body, and a listing waits for quota patiently."""
    request = await sent_by(group, name)
    assert request.path == re.sub(r"\{\w+\}", UUID, request.template)
    assert request.body is None or request.method != "GET"
    assert request.patient == ((group, name) in LISTINGS)
    has_body = "requestBody" in of_group(group)[request.method, request.template]
    assert (request.body is not None) == has_body


def test_the_retry_table_has_one_row_per_operation() -> None:
    """Every operation is judged by hand: none falls to a default, and no row is left over."""
    assert {tuple(key.split(" ")) for key in KINDS} == {key for group in GROUPS for key in of_group(group)}
    assert all(isinstance(kind, Kind) for kind in KINDS.values())


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_the_table_judges_what_is_sent(group: str, name: str) -> None:
    """A GET is a read, nothing else is; what places or joins a call is unsafe, and its docstring says so."""
    request = await sent_by(group, name)
    kind = kind_of(request)
    assert (kind is Kind.READ) == (request.method == "GET")
    assert (kind is Kind.UNSAFE) == ("Unsafe" in (getattr(GROUPS[group], name).__doc__ or ""))
    assert (kind is Kind.UNSAFE) == ((group, name) in {("Calls", "create"), ("Calls", "join")})


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


SAMPLES: dict[str, Any] = {"page": 3, "page_size": 7, "order_desc": False}


@pytest.mark.parametrize(("group", "name"), LISTINGS)
async def test_a_listing_sends_the_documented_query(group: str, name: str) -> None:
    """Every parameter of the document can be given and is sent under its name; nothing else is sent."""
    request = await sent_by(group, name)
    offered = documented_query(of_group(group)[request.method, request.template])
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
    """New filters can be added anywhere; `limit` is the one parameter that is ours."""
    method = getattr(GROUPS[group], name)
    parameters = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    request = await sent_by(group, name)
    assert positional == re.findall(r"\{(\w+)\}", request.template) + [
        name for name in ("load", "loads") if name in positional
    ]
    body = resolved(of_group(group)[request.method, request.template].get("requestBody", {}))
    schema = resolved(body["content"]["application/json"]["schema"]) if body else {}
    query = documented_query(of_group(group)[request.method, request.template])
    ours = {p.name for p in parameters} - set(positional) - query.keys() - set(schema.get("properties", {}))
    paged = "page" in query
    assert ours <= ({"limit"} if paged else {"extra"})
    assert "limit" in ours or not paged


@pytest.mark.parametrize(("group", "name"), EVERY)
async def test_a_docstring_names_its_evidence(group: str, name: str) -> None:
    """What the document knows of an operation is said in the method: seen, partial, or inferred, and where."""
    request = await sent_by(group, name)
    said = of_group(group)[request.method, request.template]
    mark, method = said["x-evidence"], getattr(GROUPS[group], name)
    text = method.__doc__ or ""
    print(f"{request.method:6} {request.template:36} {mark}")  # noqa: T201 - the list is read with -rP
    assert mark in {"seen", "partial", "inferred"}
    assert f"Source: `{request.method} {request.template}` ({mark}" in text
    assert [word for word in ("(seen", "(partial", "(inferred") if word in text] == [f"({mark}"]


SCHEMAS: dict[type[attrs.AttrsInstance], str] = {
    models.Call: "Call",
    models.CallRecording: "CallRecording",
    models.Carrier: "Carrier",
    models.CarrierVerification: "CarrierVerification",
    models.EndCallResult: "EndCallResult",
    models.Escalation: "Escalation",
    models.Load: "Load",
    models.LoadBatchItem: "LoadBatchResult.results",
    models.LoadBatchResult: "LoadBatchResult",
    models.LoadContact: "LoadContact",
    models.LoadIngestResult: "LoadIngestResult",
    models.LoadUpdate: "LoadUpdate",
    models.Location: "Location",
    models.NewLoad: "LoadCreate",
    models.Stop: "Stop",
    _Pagination: "Pagination",
}
NAMES = {schema: kind.__name__ for kind, schema in SCHEMAS.items()}

NO_LIST = "the schema has no list of required fields; an answer without it would be of no use"
ABSENT = "not nullable in the document, but may be absent, which reads as None"
OLDER = "the pagination guide does not know it, or a page may come without; the reader falls back"
EXCEPTIONS: dict[str, str] = {
    **dict.fromkeys(
        [
            *(f"Carrier.{name} required" for name in ("id", "name", "is_active", "created_at", "updated_at")),
            *(f"CallRecording.{name} required" for name in ("call_id", "url", "content_type", "expires_at")),
            "CallRecording.recording_status required",
            *(f"EndCallResult.{name} required" for name in ("success", "message", "call_id")),
            *(f"LoadIngestResult.{name} required" for name in ("success", "load_id")),
            *(f"LoadBatchItem.{name} required" for name in ("load_identifier", "success")),
            *(f"LoadBatchResult.{name} required" for name in ("success", "total_loads", "successful", "failed")),
            *(f"LoadBatchResult.{name} required" for name in ("created", "updated", "results", "processed_at")),
        ],
        NO_LIST,
    ),
    **dict.fromkeys(
        [
            "CarrierVerification.status nullable",
            "Load.mode nullable",
            "LoadContact.type nullable",
            "LoadIngestResult.message nullable",
            "LoadIngestResult.processed_at nullable",
        ],
        ABSENT,
    ),
    **dict.fromkeys(
        [
            "_Pagination.has_next nullable",
            "_Pagination.total_count nullable",
            "_Pagination.total_count required",
            "_Pagination.total_pages nullable",
            "_Pagination.total_pages required",
        ],
        OLDER,
    ),
    "_Pagination.has_prev missing": "a reader that goes forwards has no use for it; page.raw keeps it",
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
        kind = next((name for name, schema in schemas().items() if schema == node), "object")
    return {"date-time": "date-time"}.get(node.get("format", ""), kind), "null" in kinds


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """Give the schemas that models stand for, by the name of the model."""
    found = CONTRACT["components"]["schemas"]
    nested = found["LoadBatchResult"]["properties"]["results"]["items"]
    return {model: nested if "." in schema else found[schema] for schema, model in NAMES.items()}


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
    """No model is left out of the comparison, and each schema that an operation here uses has a model."""
    exported = {getattr(models, name) for name in models.__all__}
    shapes = {kind for kind in exported if attrs.has(kind)} - {models.Page}
    assert shapes | {_Pagination} == set(SCHEMAS)


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


def test_what_is_sent_is_left_out_unless_set() -> None:
    """An optional field of a request has UNSET as its default, one of an answer has None."""
    for model in SCHEMAS:
        for name, field in attrs.fields_dict(model).items():
            if model in {models.NewLoad, models.LoadUpdate}:
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
    ],
)
def test_known_values_are_those_met_in_the_document(kind: type[OpenEnum], model: str, name: str) -> None:
    """No value is invented, and none that was read is missing."""
    said = schemas()[model]["properties"][name]
    assert {member.value for member in kind} == set(said.get("enum") or said["examples"])


def test_known_equipment_is_that_met_in_the_document() -> None:
    """The list is longer in reality; only what was read is a member."""
    assert {member.value for member in EquipmentType} == set(
        CONTRACT["components"]["schemas"]["EquipmentType"]["examples"]
    )
