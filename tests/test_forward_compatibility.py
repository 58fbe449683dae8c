"""Every model against answers of today and tomorrow: what is new passes, what is wrong is named and never shown."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from envoy_async import models
from envoy_async._converter import encode, structure, unstructure
from envoy_async.errors import InvalidResponseError
from envoy_async.models import UNSET, InvalidItem, OpenEnum, Page, Timestamp, Unset

EXPORTED: list[Any] = [getattr(models, name) for name in sorted(models.__all__)]
OURS = {InvalidItem, Page}  # made of an answer, not read from one
MODELS: list[type[attrs.AttrsInstance]] = [kind for kind in EXPORTED if attrs.has(kind) and kind not in OURS]
ENUMS: set[type[OpenEnum]] = {kind for kind in EXPORTED if isinstance(kind, type) and issubclass(kind, OpenEnum)}
BOM = b"\xef\xbb\xbf"  # msgspec refuses it, so a body with it goes the slow way
CANARY = "canary-7f3a"
ABSENT = object()
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))) | st.just(UTC)
INSTANTS = st.datetimes(timezones=OFFSETS).map(datetime.isoformat)
ZULU = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.none() | st.booleans() | st.integers() | FLOATS
PLAIN = st.recursive(
    NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ODD: list[Any] = [[], {}, [{}], [None], [CANARY], {"id": CANARY}, {"city": None}, {"a": "b"}, {"a": 1}]
ANYTHING: st.SearchStrategy[Any] = NUMBERS | st.text() | INSTANTS | st.sampled_from(ODD)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    bool: st.booleans(),
    int: st.integers(),
    float: FLOATS | st.integers(-(2**53), 2**53),
    object: PLAIN,
    Timestamp: INSTANTS | ZULU,
    type(None): st.none(),
}


@cache
def hints_of(model: type) -> dict[str, Any]:
    """Give the annotations of a model, resolved."""
    return get_type_hints(model, include_extras=True)


def parts_of(hint: Any) -> tuple[Any, ...]:
    """Take a union apart; anything else is its only part."""
    return get_args(hint) if get_origin(hint) in {Union, UnionType} and hint != Timestamp else (hint,)


ANSWERS = [kind for kind in MODELS if all(Unset not in parts_of(hint) for hint in hints_of(kind).values())]
REQUESTS = [kind for kind in MODELS if kind not in ANSWERS]


@cache
def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Make the JSON values that an annotation allows."""
    if hint in LEAVES:
        return LEAVES[hint]
    if len(parts_of(hint)) > 1:
        return st.one_of(*[values_of(part) for part in parts_of(hint)])
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=3)
    if get_origin(hint) is dict:
        return st.dictionaries(*map(values_of, get_args(hint)), max_size=3)
    if issubclass(hint, OpenEnum):
        return st.sampled_from([member.value for member in hint]) | st.text()
    return records_of(hint)


def joined(record: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Put unknown fields behind the known ones."""
    return record | more


UNKNOWN = st.dictionaries(st.text().map(lambda name: "x_" + name), PLAIN, max_size=2)


@cache
def records_of(model: type[attrs.AttrsInstance]) -> st.SearchStrategy[dict[str, Any]]:
    """Make the JSON objects that a model allows: optional fields present, null, or absent, and unknown ones."""
    known = {field.name: values_of(hints_of(model)[field.name]) for field in attrs.fields(model)}
    required = {field.name: known[field.name] for field in attrs.fields(model) if field.default is attrs.NOTHING}
    optional = {name: values for name, values in known.items() if name not in required}
    return st.builds(joined, st.fixed_dictionaries(required, optional=optional), UNKNOWN)


def sample(hint: Any) -> object:
    """Give one JSON value that an annotation allows."""
    part = parts_of(hint)[0]
    if attrs.has(part):
        return smallest(part)
    empty: dict[Any, object] = {tuple: [], dict: {}, bool: True, int: 1, float: 1, Timestamp: "2025-11-21T16:00:00Z"}
    return empty.get(part, empty.get(get_origin(part), "text"))


def smallest(model: type[attrs.AttrsInstance]) -> dict[str, Any]:
    """Give the JSON object with the required fields alone."""
    required = [field.name for field in attrs.fields(model) if field.default is attrs.NOTHING]
    return {name: sample(hints_of(model)[name]) for name in required}


def body_of(value: object) -> bytes:
    """Write JSON."""
    return json.dumps(value).encode()


def read(body: bytes, type_: Any) -> tuple[object, str]:
    """Read a body; gives the value, or the text of the error."""
    try:
        return structure(body, type_), ""
    except InvalidResponseError as error:
        return ABSENT, str(error)


def taken_apart(value: Any) -> list[Any]:
    """Give what a value is made of; what is not made of anything has no parts."""
    kind: Any = value.__class__
    if attrs.has(kind):
        return [getattr(value, name) for name in attrs.fields_dict(kind)]
    if kind is dict:
        return [*value, *value.values()]
    if kind is datetime:
        return [value.utcoffset()]
    return [*value] if kind in {list, tuple} else []


def assert_same(one: Any, other: Any) -> None:
    """Insist on equal values of equal types, all the way down (`1 == 1.0 == True` is not enough)."""
    assert one.__class__ is other.__class__
    assert one == other
    for part, twin in zip(taken_apart(one), taken_apart(other), strict=True):
        assert_same(part, twin)


def is_leaf(hint: Any) -> bool:
    """Tell whether a field holds text, numbers, truth, or a free mapping, which come through unchanged."""
    unchanged = {str, bool, int, float, object, type(None), *ENUMS}
    return all(part in unchanged or get_origin(part) is dict for part in parts_of(hint))


def test_every_model_is_read_or_written_here() -> None:
    """All shapes but the page are fed to the tests below, those with nested ones among them."""
    assert len(ANSWERS) + len(REQUESTS) == len(MODELS) > 40
    assert {"Offer", "Outreach", "DisableForLoadResult", "ApiKeyWithSecret"} <= {kind.__name__ for kind in ANSWERS}
    assert {"NewLoad", "WebhookEndpointUpdate", "AuditNote"} <= {kind.__name__ for kind in REQUESTS}


@pytest.mark.parametrize("model", ANSWERS)
def test_both_ways_of_reading_agree(model: type[attrs.AttrsInstance]) -> None:
    """Fast and slow give equal objects, field by field with equal types, and both keep what was sent.

    What was read can be written as plain JSON, and gives the same object when that is read again.
    """

    @settings(max_examples=20)
    @given(records_of(model))
    def agree(record: dict[str, Any]) -> None:
        body = body_of(record)
        fast = structure(body, model)
        assert type(fast) is model
        assert_same(fast, structure(BOM + body, model))
        for name in attrs.fields_dict(model).keys() & record:
            if is_leaf(hints_of(model)[name]):
                assert getattr(fast, name) == record[name]
        plain: Any = unstructure(fast)
        assert set(attrs.fields_dict(model)) == set(plain)
        assert_same(structure(json.dumps(plain, allow_nan=False).encode(), model), fast)

    agree()


@pytest.mark.parametrize("model", ANSWERS)
def test_both_ways_of_reading_refuse_alike(model: type[attrs.AttrsInstance]) -> None:
    """Any JSON value in any field: both take it with the same result, or neither does, for the same reason."""

    @settings(max_examples=30)
    @given(st.sampled_from(sorted(attrs.fields_dict(model))), ANYTHING)
    def agree(name: str, value: object) -> None:
        body = body_of(smallest(model) | {name: value})
        fast, slow = read(body, model), read(BOM + body, model)
        assert fast[1] == slow[1]
        assert_same(fast[0], slow[0])

    agree()


@pytest.mark.parametrize("model", ANSWERS)
def test_a_field_of_tomorrow_changes_nothing(model: type[attrs.AttrsInstance]) -> None:
    """Whatever the server adds to an answer, the fields known today are read as before."""
    known = structure(body_of(smallest(model)), model)

    @settings(max_examples=10)
    @given(UNKNOWN)
    def ignored(more: dict[str, Any]) -> None:
        body = body_of(more | smallest(model))
        assert structure(body, model) == structure(BOM + body, model) == known

    ignored()


FIELDS = [(model, name) for model in ANSWERS for name in attrs.fields_dict(model)]
NESTED = [(*pair, part) for pair in FIELDS for part in parts_of(hints_of(pair[0])[pair[1]]) if attrs.has(part)]
CHOICES = [
    (model, name, kind)
    for model, name in FIELDS
    for part in parts_of(hints_of(model)[name])
    for kind in [*get_args(part), part]
    if kind in ENUMS
]


def label(part: Any) -> str:
    """Name a row of a table."""
    return part if isinstance(part, str) else str(part.__name__)


def test_every_enum_is_a_choice_in_some_answer_or_request() -> None:
    """No enum is left out of the test below, but the two that are only sent or only inherited from."""
    sent = {models.AuditReason, OpenEnum}
    assert {kind for _, _, kind in CHOICES} == ENUMS - sent


@pytest.mark.parametrize(("model", "name", "kind"), CHOICES, ids=label)
def test_a_choice_of_tomorrow_is_kept(model: type[attrs.AttrsInstance], name: str, kind: type[OpenEnum]) -> None:
    """A value that no list knew becomes a value of the same type that says that it is unknown."""
    several = "tuple" in str(hints_of(model)[name])

    @settings(max_examples=10)
    @given(st.text().map(lambda text: "NEW_" + text))
    def kept(text: str) -> None:
        body = body_of(smallest(model) | {name: [text] if several else text})
        for form in (body, BOM + body):
            found = getattr(structure(form, model), name)
            value = found[0] if several else found
            assert type(value) is kind
            assert (value, value.is_known) == (text, False)

    kept()


def wrong_for(hint: Any) -> list[Any]:
    """Give JSON values that an annotation does not allow, each with the canary where there is room for it."""
    kinds: set[Any] = {get_origin(part) or part for part in parts_of(hint)}
    if object in kinds:
        return []
    wrong: list[Any] = [] if dict in kinds or any(attrs.has(kind) for kind in kinds) else [{CANARY: CANARY}]
    wrong += [] if tuple in kinds else [[CANARY], []]
    wrong += [] if kinds & {str, *ENUMS} else [CANARY, ""]
    wrong += [] if bool in kinds else [True]
    wrong += [] if float in kinds else [77.5]
    wrong += [] if kinds & {int, float} else [7_777]
    wrong += [{"name": 77}, {"name": [CANARY]}, {"name": None}] if "dict[str, str]" in str(hint) else []
    return wrong + ([] if type(None) in kinds else [None])


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=label)
def test_a_wrong_value_is_named_by_its_place_and_never_shown(model: type[attrs.AttrsInstance], name: str) -> None:
    """Every wrong type in every field is an error that holds the JSON path and nothing of what was found."""
    for wrong in wrong_for(hints_of(model)[name]):
        with pytest.raises(InvalidResponseError) as caught:
            structure(body_of(smallest(model) | {name: wrong}), model)
        assert f"@ $.{name}" in str(caught.value), wrong
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert CANARY not in shown
        assert "77" not in str(caught.value)


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=label)
def test_a_missing_field_is_named_when_it_is_required(model: type[attrs.AttrsInstance], name: str) -> None:
    """Left out: the default where there is one, else an error with the path; null is never the word None."""
    field = attrs.fields_dict(model)[name]
    record = {key: value for key, value in smallest(model).items() if key != name}
    if field.default is not attrs.NOTHING:
        assert getattr(structure(body_of(record), model), name) is field.default
        return
    for body in (body_of(record), BOM + body_of(record)):
        with pytest.raises(InvalidResponseError, match=rf"^required field missing @ \$\.{name}$"):
            structure(body, model)


@pytest.mark.parametrize(("model", "name", "inner"), NESTED, ids=label)
def test_a_place_in_a_nested_record_is_named(
    model: type[attrs.AttrsInstance], name: str, inner: type[attrs.AttrsInstance]
) -> None:
    """The path leads into the inner record: a wrong value there, and a field missing there."""
    for key in attrs.fields_dict(inner):
        for wrong in wrong_for(hints_of(inner)[key]):
            with pytest.raises(InvalidResponseError, match=rf"@ \$\.{name}\.{key}") as caught:
                structure(body_of(smallest(model) | {name: smallest(inner) | {key: wrong}}), model)
            assert CANARY not in "".join(traceback.format_exception(caught.value))
    for key in smallest(inner):
        rest = {other: value for other, value in smallest(inner).items() if other != key}
        with pytest.raises(InvalidResponseError, match=rf"^required field missing @ \$\.{name}\.{key}$"):
            structure(body_of(smallest(model) | {name: rest}), model)


def test_a_wrong_header_is_named_by_its_own_name() -> None:
    """The path leads into a mapping; the other headers' values are not in it."""
    record = smallest(models.WebhookEndpoint) | {"headers": {"X-Good": CANARY, "X-Bad": 7}}
    with pytest.raises(InvalidResponseError, match=r"^expected string @ \$\.headers\['X-Bad'\]$"):
        structure(body_of(record), models.WebhookEndpoint)


INSTANT_FIELDS = [(model, name) for model, name in FIELDS if Timestamp in parts_of(hints_of(model)[name])]
ZONELESS = [
    "2025-11-21T16:00:00",
    "2025-11-21",
    "16:00:00Z",
    "2016-12-31T23:59:60Z",
    "2025-02-30T00:00:00Z",
    CANARY,
    "",
]


@pytest.mark.parametrize(("model", "name"), INSTANT_FIELDS, ids=label)
def test_an_instant_without_a_zone_is_no_instant(model: type[attrs.AttrsInstance], name: str) -> None:
    """Its zone would be a guess; garbage and days that do not exist are refused as well."""
    for text in [*ZONELESS, 1_763_740_800]:
        expected = rf"^expected datetime with a time zone @ \$\.{name}$"
        with pytest.raises(InvalidResponseError, match=expected) as caught:
            structure(body_of(smallest(model) | {name: text}), model)
        assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("type_", ANSWERS)
def test_an_answer_that_is_no_object_is_named_as_such(type_: Any) -> None:
    """The place is the whole answer, not a field of it that is not there; and text is never an empty object."""
    for body in (b"null", b"5", b"true", b'"text"', b'"id"', b"[]", b"[{}]"):
        for form in (body, BOM + body):
            with pytest.raises(InvalidResponseError, match=r"^expected object @ \$$"):
                structure(form, type_)


INPUTS = LEAVES | {Unset: st.just(UNSET), Timestamp: st.datetimes(timezones=OFFSETS)}


@cache
def inputs_of(hint: Any) -> st.SearchStrategy[Any]:
    """Make the Python values that a field of a request takes."""
    if hint in INPUTS:
        return INPUTS[hint]
    if len(parts_of(hint)) > 1:
        return st.one_of(*[inputs_of(part) for part in parts_of(hint)])
    if get_origin(hint) is Sequence:
        items = st.lists(inputs_of(get_args(hint)[0]), max_size=3)
        return items | items.map(tuple)
    if get_origin(hint) is Mapping:
        return st.dictionaries(*map(inputs_of, get_args(hint)), max_size=3)
    return records_of(hint).map(lambda record: structure(body_of(record), hint))


@pytest.mark.parametrize("model", REQUESTS)
def test_a_request_holds_what_was_set_and_nothing_else(model: type[attrs.AttrsInstance]) -> None:
    """A field left alone is not sent, None is sent as null, all else as itself; the word UNSET never leaves."""
    hints = hints_of(model)

    @settings(max_examples=30)
    @given(st.fixed_dictionaries({name: inputs_of(hints[name]) for name in attrs.fields_dict(model)}))
    def written(fields: dict[str, Any]) -> None:
        plain: Any = unstructure(model(**fields))
        assert plain.keys() == {name for name, value in fields.items() if value is not UNSET}
        assert json.loads(encode(model(**fields))) == plain
        for name, value in plain.items():
            given_value = fields[name]
            if isinstance(given_value, datetime):
                assert datetime.fromisoformat(value) == given_value
            else:
                assert value == unstructure(given_value)
                assert (value is None) == (given_value is None)

    written()


@pytest.mark.parametrize("model", REQUESTS)
def test_an_untouched_request_has_its_required_fields_alone(model: type[attrs.AttrsInstance]) -> None:
    """What is optional is left out unless it is given, and then also when it is null."""
    fields = attrs.fields_dict(model)
    needed = {name: CANARY for name, field in fields.items() if field.default is attrs.NOTHING}
    assert unstructure(model(**needed)) == needed
    for name in fields.keys() - needed:
        assert fields[name].default is UNSET
        assert unstructure(model(**needed, **{name: None})) == needed | {name: None}
