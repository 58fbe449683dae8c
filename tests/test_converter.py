"""JSON to models and back: two ways to read that agree, and one way to write that never sends rubbish."""

from __future__ import annotations

import json
import math
import traceback
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from envoy_async._converter import encode, structure, unstructure
from envoy_async._wire import BadInput
from envoy_async.errors import InvalidResponseError
from envoy_async.models import (
    UNSET,
    Call,
    CallDirection,
    CallRecording,
    CallStatus,
    Carrier,
    CarrierVerification,
    EndCallResult,
    EquipmentType,
    Escalation,
    EscalationStatus,
    Load,
    LoadBatchItem,
    LoadBatchResult,
    LoadContact,
    LoadIngestResult,
    LoadMode,
    LoadUpdate,
    Location,
    NewLoad,
    OpenEnum,
    Page,
    Stop,
    Timestamp,
)

ANSWERS: list[type[attrs.AttrsInstance]] = [
    Call,
    CallRecording,
    Carrier,
    CarrierVerification,
    EndCallResult,
    Escalation,
    Load,
    LoadBatchItem,
    LoadBatchResult,
    LoadContact,
    LoadIngestResult,
    Location,
    Stop,
]
BOM = b"\xef\xbb\xbf"  # msgspec refuses it, so a body with it goes the slow way
ENUMS = {CallDirection, CallStatus, EquipmentType, EscalationStatus, LoadMode}
CANARY = "canary-7f3a"
ABSENT = object()
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(timezones=OFFSETS | st.just(UTC)).map(datetime.isoformat)
ZULU = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
ODD: list[Any] = [[], {}, [{}], [None], [CANARY], {"id": CANARY}, {"city": None}]
ANYTHING: st.SearchStrategy[Any] = NUMBERS | st.text() | INSTANTS | st.sampled_from(ODD)
SAMPLES: dict[Any, object] = {
    str: "text",
    bool: True,
    int: 1,
    Timestamp: "2025-11-21T16:00:00Z",
    Location: {"city": "Dallas", "state": "TX"},
}


@cache
def hints_of(model: type) -> dict[str, Any]:
    """Give the annotations of a model, resolved."""
    return get_type_hints(model, include_extras=True)


def parts_of(hint: Any) -> tuple[Any, ...]:
    """Take a union apart; anything else is its only part."""
    return get_args(hint) if get_origin(hint) in {Union, UnionType} and hint != Timestamp else (hint,)


LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
    object: PLAIN,
    Timestamp: INSTANTS | ZULU,
    type(None): st.none(),
}


@cache
def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Make the JSON values that an annotation allows."""
    if hint in LEAVES:
        return LEAVES[hint]
    if len(parts_of(hint)) > 1:
        return st.one_of(*[values_of(part) for part in parts_of(hint)])
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=3)
    if issubclass(hint, OpenEnum):
        return st.sampled_from([member.value for member in hint]) | st.text()
    return records_of(hint)


def joined(record: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Put unknown fields behind the known ones."""
    return record | more


@cache
def records_of(model: type[attrs.AttrsInstance]) -> st.SearchStrategy[dict[str, Any]]:
    """Make the JSON objects that a model allows: optional fields present, null, or absent, and unknown ones."""
    known = {field.name: values_of(hints_of(model)[field.name]) for field in attrs.fields(model)}
    required = {field.name: known[field.name] for field in attrs.fields(model) if field.default is attrs.NOTHING}
    optional = {name: values for name, values in known.items() if name not in required}
    extra = st.dictionaries(st.text().map(lambda name: "x_" + name), PLAIN, max_size=2)
    return st.builds(joined, st.fixed_dictionaries(required, optional=optional), extra)


def smallest(model: type[attrs.AttrsInstance]) -> dict[str, Any]:
    """Give the JSON object with the required fields alone."""
    required = [field.name for field in attrs.fields(model) if field.default is attrs.NOTHING]
    hints = {name: hints_of(model)[name] for name in required}
    return {name: SAMPLES.get(hint, [] if get_origin(hint) is tuple else "NEW") for name, hint in hints.items()}


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
    """Tell whether a field holds text, numbers, or truth, which come through unchanged."""
    return all(part in {str, bool, int, float, type(None)} or part in ENUMS for part in parts_of(hint))


@pytest.mark.parametrize("model", ANSWERS)
def test_both_ways_of_reading_agree(model: type[attrs.AttrsInstance]) -> None:
    """Fast and slow give equal objects, field by field with equal types, and both keep what was sent."""

    @settings(max_examples=30)
    @given(records_of(model))
    def agree(record: dict[str, Any]) -> None:
        body = body_of(record)
        fast = structure(body, model)
        assert type(fast) is model
        assert_same(fast, structure(BOM + body, model))
        for name in attrs.fields_dict(model).keys() & record:
            if is_leaf(hints_of(model)[name]):
                assert getattr(fast, name) == record[name]

    agree()


@pytest.mark.parametrize("model", ANSWERS)
def test_both_ways_of_reading_refuse_alike(model: type[attrs.AttrsInstance]) -> None:
    """Any JSON value in any field: both take it with the same result, or neither does, for the same reason."""

    @settings(max_examples=40)
    @given(st.sampled_from(sorted(attrs.fields_dict(model))), ANYTHING)
    def agree(name: str, value: object) -> None:
        body = body_of(smallest(model) | {name: value})
        fast, slow = read(body, model), read(BOM + body, model)
        assert fast[1] == slow[1]
        assert_same(fast[0], slow[0])

    agree()


def wrong_for(hint: Any) -> list[Any]:
    """Give JSON values that an annotation does not allow, each with the canary where there is room for it."""
    kinds: set[Any] = {get_origin(part) or part for part in parts_of(hint)}
    if object in kinds:
        return []
    wrong: list[Any] = [] if any(attrs.has(kind) for kind in kinds) else [{CANARY: CANARY}]
    wrong += [] if tuple in kinds else [[CANARY], []]
    wrong += [] if kinds & {str, *ENUMS} else [CANARY, ""]
    wrong += [] if bool in kinds else [True]
    wrong += [] if float in kinds else [77.5]
    wrong += [] if kinds & {int, float} else [7_777]
    return wrong + ([] if type(None) in kinds else [None])


FIELDS = [(model, name) for model in ANSWERS for name in attrs.fields_dict(model)]


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_a_wrong_value_is_named_by_its_place_and_never_shown(model: type[attrs.AttrsInstance], name: str) -> None:
    """Every wrong type in every field is an error that holds the JSON path and nothing of what was found."""
    for wrong in wrong_for(hints_of(model)[name]):
        with pytest.raises(InvalidResponseError) as caught:
            structure(body_of(smallest(model) | {name: wrong}), model)
        assert f"@ $.{name}" in str(caught.value), wrong
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert CANARY not in shown
        assert "77" not in str(caught.value)


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda part: part if isinstance(part, str) else part.__name__)
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


@pytest.mark.parametrize(
    ("model", "name"), INSTANT_FIELDS, ids=lambda part: part if isinstance(part, str) else part.__name__
)
def test_an_instant_without_a_zone_is_no_instant(model: type[attrs.AttrsInstance], name: str) -> None:
    """Its zone would be a guess; garbage and days that do not exist are refused as well."""
    for text in [*ZONELESS, 1_763_740_800]:
        expected = rf"^expected datetime with a time zone @ \$\.{name}$"
        with pytest.raises(InvalidResponseError, match=expected) as caught:
            structure(body_of(smallest(model) | {name: text}), model)
        assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_place_deep_inside_is_named() -> None:
    """The path leads through arrays and objects, also through a page's own envelope."""
    record = smallest(Load) | {"stops": [{"location": SAMPLES[Location]}, {"location": {"city": 7, "state": "TX"}}]}
    with pytest.raises(InvalidResponseError, match=r"^expected string @ \$\.stops\[1\]\.location\.city$"):
        structure(body_of(record), Load)
    page = {"data": [smallest(Load), record], "pagination": PAGINATION}
    with pytest.raises(InvalidResponseError, match=r"^expected string @ \$\.data\[1\]\.stops\[1\]\.location\.city$"):
        structure(body_of(page), Page[Load])


def test_an_answer_wrong_in_many_places_names_three() -> None:
    """The text stays short however bad the answer is."""
    with pytest.raises(InvalidResponseError) as caught:
        structure(b"{}", Call)
    assert str(caught.value).split("; ") == [
        "required field missing @ $.id",
        "required field missing @ $.status",
        "required field missing @ $.call_time",
    ]


@pytest.mark.parametrize("type_", [*ANSWERS, dict[str, object]], ids=lambda type_: type_.__name__)
def test_an_answer_that_is_no_object_is_named_as_such(type_: Any) -> None:
    """The place is the whole answer, not a field of it that is not there; and text is never an empty object."""
    for body in (b"null", b"5", b"true", b'"text"', b'"id"', b"[]", b"[{}]"):
        for form in (body, BOM + body):
            with pytest.raises(InvalidResponseError, match=r"^expected \w+ @ \$$"):
                structure(form, type_)


@pytest.mark.parametrize("type_", [*ANSWERS, Page[Call], dict[str, object], tuple[Call, ...]], ids=str)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON (0 bytes)"),
        (b"  ", "not JSON (2 bytes)"),
        (b"<html><b>canary-7f3a</b></html>", "HTML, not JSON"),
        (b"\n <!doctype html>canary-7f3a", "HTML, not JSON"),
        (b"canary-7f3a", "not JSON (11 bytes)"),
        (b"{", "not JSON (1 bytes)"),
        (b'{"id": "canary-7f3a"', "not JSON (20 bytes)"),
        (b'"\xff\xfe canary-7f3a"', "not JSON (16 bytes)"),
        (b"{} {}", "not JSON (5 bytes)"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (b'{"id":' * 100_000, "JSON nested too deeply"),
    ],
    ids=lambda part: repr(part[:24]),
)
def test_a_body_that_is_no_json_is_refused(type_: Any, body: bytes, message: str) -> None:
    """Portal pages, broken text, and nesting bombs end in one kind of error, whose text shows nothing of them."""
    with pytest.raises(InvalidResponseError) as caught:
        structure(body, type_)
    assert str(caught.value) == message
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "7.31e999", "-7.31e999", "7" * 5_000])
@pytest.mark.parametrize("mark", [b"", BOM], ids=["fast", "slow"])
@pytest.mark.parametrize("place", ["weight", "context"])
def test_a_number_that_is_none_is_refused(number: str, mark: bytes, place: str) -> None:
    """NaN, infinities, overflows, and endless integers never become a price, nor a part of a free field."""
    body = body_of(smallest(Load))[:-1] + f',"{place}":{number}}}'.encode()
    with pytest.raises(InvalidResponseError):
        structure(mark + body, Load)


@pytest.mark.parametrize("number", ["7.31e999", "7" * 5_000, "9" * 400])
def test_a_refused_number_is_not_in_the_traceback(number: str) -> None:
    """No value of the answer enters an error, nor an error chained to it."""
    body = body_of(smallest(Load))[:-1] + f',"weight":{number}}}'.encode()
    with pytest.raises(InvalidResponseError) as caught:
        structure(body, Load)
    assert number[:8] not in "".join(traceback.format_exception(caught.value))


def test_text_that_is_not_unicode_is_kept_as_data() -> None:
    """Half a surrogate pair and NUL are what the server sent; a page with them is not lost, and logs take them."""
    body = body_of(smallest(Load) | {"commodity": "a\ud800\x00b"})
    load = structure(body, Load)
    assert load.commodity == "a\ud800\x00b"
    assert repr(load).isprintable()


@pytest.mark.parametrize("type_", [Call, tuple[Call, ...], dict[str, object]], ids=str)
def test_a_byte_order_mark_is_stripped(type_: Any) -> None:
    """Some proxies put one there; it changes nothing."""
    record = smallest(Call)
    body = body_of([record] if type_ == tuple[Call, ...] else record)
    assert_same(structure(BOM + body, type_), structure(body, type_))


@pytest.mark.parametrize("bare", [False, True], ids=["envelope", "bare"])
def test_a_byte_order_mark_changes_no_page(bare: bool) -> None:
    """An envelope and a bare array are told apart behind it as well."""
    body = body_of([smallest(Call)]) if bare else page_of()
    assert structure(BOM + body, Page[Call]) == structure(body, Page[Call])


PAGINATION = {"page": 2, "page_size": 50, "total_count": 150, "total_pages": 3, "has_next": True, "has_prev": True}


def page_of(**changes: object) -> bytes:
    """Write a page of one call; a field given as ABSENT is left out."""
    pagination = {name: value for name, value in (PAGINATION | changes).items() if value is not ABSENT}
    return body_of({"data": [smallest(Call)], "pagination": pagination})


def test_a_page_is_read_with_its_numbers_and_its_bytes() -> None:
    """Every number of the envelope, the records, and the body as it came."""
    page = structure(page_of(), Page[Call])
    assert (page.number, page.size, page.total_count, page.total_pages, page.has_next) == (2, 50, 150, 3, True)
    assert page.items == (structure(body_of(smallest(Call)), Call),)
    assert page.raw == page_of()
    assert not structure(page_of(has_next=False), Page[Call]).has_next


@pytest.mark.parametrize(("number", "more"), [(1, True), (2, True), (3, False), (4, False)])
@pytest.mark.parametrize("unsaid", [ABSENT, None], ids=["absent", "null"])
def test_without_has_next_the_numbers_say_whether_more_follows(number: int, more: bool, unsaid: object) -> None:
    """The pagination guide does not know `has_next`; `page < total_pages` stands in for it."""
    assert structure(page_of(page=number, has_next=unsaid), Page[Call]).has_next is more


@pytest.mark.parametrize("told", [True, False])
def test_has_next_wins_over_the_numbers(told: bool) -> None:
    """What the server says outright counts, also where its counts are missing or disagree."""
    counts: dict[str, object] = {"total_count": ABSENT, "total_pages": ABSENT}
    assert structure(page_of(has_next=told, **counts), Page[Call]).has_next is told
    assert structure(page_of(has_next=told, page=99), Page[Call]).has_next is told


def test_a_page_that_does_not_say_whether_more_follows_is_an_error() -> None:
    """Neither `has_next` nor `total_pages`: never a guess."""
    with pytest.raises(InvalidResponseError, match=r"^neither has_next nor total_pages @ \$\.pagination$"):
        structure(page_of(has_next=ABSENT, total_pages=None), Page[Call])


@pytest.mark.parametrize("name", ["page", "page_size"])
@pytest.mark.parametrize("value", [0, -1, -(2**70)])
def test_a_page_has_a_positive_number_and_size(name: str, value: int) -> None:
    """Anything else would send the reader backwards."""
    with pytest.raises(InvalidResponseError, match=r"^page and page_size must be positive @ \$\.pagination$"):
        structure(page_of(**{name: value}), Page[Call])


@pytest.mark.parametrize("name", ["page", "page_size", "total_count", "total_pages", "has_next"])
@pytest.mark.parametrize("value", ["2", 2.0, [], {}], ids=repr)
def test_a_page_has_numbers_of_the_right_type(name: str, value: object) -> None:
    """A number as text or as a fraction is refused with its place."""
    with pytest.raises(InvalidResponseError, match=rf"@ \$\.pagination\.{name}$"):
        structure(page_of(**{name: value}), Page[Call])


@pytest.mark.parametrize("body", [b"null", b"5", b'"text"', b"true"], ids=repr)
def test_a_listing_that_is_neither_envelope_nor_array_is_an_error(body: bytes) -> None:
    """A listing never ends quietly because the answer was something else."""
    with pytest.raises(InvalidResponseError, match=r"@ \$"):
        structure(body, Page[Call])


@pytest.mark.parametrize("space", [b"", b" \r\n\t"], ids=["bare", "indented"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_bare_array_is_one_last_page(space: bytes, count: int) -> None:
    """All records at once, so the count is known and nothing follows."""
    page = structure(space + body_of([smallest(Call)] * count), Page[Call])
    assert len(page.items) == page.total_count == page.size == count
    assert (page.number, page.total_pages, page.has_next) == (1, 1, False)


def test_a_wrong_record_in_a_bare_array_is_named() -> None:
    """The path begins at the array."""
    with pytest.raises(InvalidResponseError, match=r"@ \$\[1\]\.id$"):
        structure(body_of([smallest(Call), smallest(Call) | {"id": 5}]), Page[Call])


@pytest.mark.parametrize("model", ANSWERS)
def test_what_was_read_can_be_written_and_read_again(model: type[attrs.AttrsInstance]) -> None:
    """Structure, unstructure, structure: the same object, and what is written is plain JSON."""

    @settings(max_examples=15)
    @given(records_of(model))
    def round_trip(record: dict[str, Any]) -> None:
        first = structure(body_of(record), model)
        plain: Any = unstructure(first)
        assert set(attrs.fields_dict(model)) == set(plain)
        assert_same(structure(json.dumps(plain, allow_nan=False).encode(), model), first)

    round_trip()


STOP = Stop(location=Location(city="Dallas", state="TX"))
LOAD = NewLoad(load_number="LD1", equipment_type=EquipmentType("FLAT"), stops=[STOP, {"location": {"city": "Waco"}}])
NAIVE = datetime(2025, 11, 21, 8)  # noqa: DTZ001 - naive is the point


def test_unset_is_left_out_and_none_is_sent() -> None:
    """Leaving a field alone differs from clearing it."""
    assert encode(LoadUpdate()) == b"{}"
    assert encode(LoadUpdate(is_posted=None)) == b'{"is_posted": null}'
    assert encode(LoadUpdate(is_posted=False)) == b'{"is_posted": false}'


@pytest.mark.parametrize("body", [{"a": UNSET}, {"deep": [{"a": UNSET}]}], ids=["flat", "deep"])
def test_unset_in_a_mapping_is_left_out_as_well(body: dict[str, object]) -> None:
    """The mark is never sent as the word UNSET."""
    assert b"UNSET" not in encode(body)
    assert b'"a"' not in encode(body)


def test_unset_in_an_array_has_no_meaning() -> None:
    """An item of an array cannot be left out, so it is refused with its place."""
    with pytest.raises(BadInput) as caught:
        encode({"list": [1, UNSET]})
    assert caught.value.param == "list[1]"


def test_models_and_mappings_nest() -> None:
    """Stops may be models or plain mappings, side by side; enums are sent as their text."""
    sent = json.loads(encode({"loads": (LOAD,)}))
    assert sent == {
        "loads": [
            {
                "load_number": "LD1",
                "equipment_type": "FLAT",
                "stops": [{"location": {"city": "Dallas", "state": "TX"}}, {"location": {"city": "Waco"}}],
            }
        ]
    }


def test_moments_and_days_are_sent_in_iso_8601() -> None:
    """An aware datetime keeps its offset, a day is a day, text is UTF-8."""
    moment = datetime(2025, 11, 21, 8, tzinfo=timezone(timedelta(hours=-6)))
    body = {"at": moment, "day": date(2025, 11, 21), "text": "é", "n": 1, "x": 0.5, "t": True, "none": None}
    assert json.loads(encode(body)) == body | {"at": "2025-11-21T08:00:00-06:00", "day": "2025-11-21"}
    assert "é".encode() in encode(body)


class Odd(Enum):
    """Members whose values JSON cannot hold."""

    SET = frozenset({1})
    NOT_A_NUMBER = math.nan


@pytest.mark.parametrize(
    "value",
    [NAIVE, math.nan, math.inf, {1}, b"bytes", object, 1j, Odd.SET, Odd.NOT_A_NUMBER, 10**5_000],
    ids=["naive", "nan", "inf", "set", "bytes", "class", "complex", "enum-set", "enum-nan", "endless"],
)
def test_what_json_cannot_hold_is_refused_with_its_path(value: object) -> None:
    """Nothing is half sent: the refusal names the place, deep inside as well."""
    with pytest.raises(BadInput) as caught:
        encode({"stops": [{"a": 1}, {"at": value}]})
    assert caught.value.param == "stops[1].at"
    assert "stops[1].at" in str(caught.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    """A loop is bad input like any other, not a crash of the interpreter's stack."""
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(BadInput):
        encode({"extra": loop})


@pytest.mark.parametrize("key", [1, None, True, (1, 2), 1.5], ids=repr)
def test_a_key_that_is_no_text_is_refused(key: object) -> None:
    """JSON would turn it into text silently; the refusal names the object."""
    with pytest.raises(BadInput, match=r"^\$\.custom has a key that is not a string$") as caught:
        encode({"custom": {key: 1}})
    assert caught.value.param == "custom"


@pytest.mark.parametrize("body", [{"a": "\ud800"}, {"\ud800": 1}, [{"a": ["\udfff"]}]], ids=ascii)
def test_text_that_is_not_unicode_is_not_sent(body: object) -> None:
    """It cannot be UTF-8, so it is refused and not replaced."""
    with pytest.raises(BadInput, match="not valid Unicode"):
        encode(body)


@settings(max_examples=60)
@given(PLAIN)
def test_plain_json_comes_through_unchanged(value: object) -> None:
    """What is JSON already is sent as it is."""
    assert json.loads(encode(value)) == value
