"""JSON to models and back: two ways to read that agree, and one way to write that never sends rubbish."""

from __future__ import annotations

import json
import math
import traceback
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import partial
from types import GenericAlias
from typing import Any, Literal, cast

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from envoy_async._converter import encode, readable, structure
from envoy_async._wire import BadInput
from envoy_async.errors import InvalidResponseError
from envoy_async.models import (
    UNSET,
    Call,
    EquipmentType,
    Load,
    LoadUpdate,
    Location,
    NewLoad,
    Page,
    Stop,
)

BOM = b"\xef\xbb\xbf"  # msgspec refuses it, so a body with it goes the slow way
CANARY = "canary-7f3a"
ABSENT = object()
NOON = "2025-11-21T12:00:00Z"
PLACE = {"city": "Dallas", "state": "TX"}
CALL: dict[str, Any] = {
    "id": "call_1",
    "status": "NEW",
    "call_time": NOON,
    "created_at": NOON,
    "updated_at": NOON,
}
LOAD: dict[str, Any] = {
    "id": "load_1",
    "load_number": "LD1",
    "organization_id": "org_1",
    "equipment_type": "NEW",
    "created_at": NOON,
    "updated_at": NOON,
}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TYPES: list[Any] = [Call, Page[Call], tuple[Call, ...], dict[str, object], dict[str, str], dict, list, list[str]]


def body_of(value: object) -> bytes:
    """Write JSON."""
    return json.dumps(value).encode()


def test_a_place_deep_inside_is_named() -> None:
    """The path leads through arrays and objects, also through a page's own envelope."""
    record = LOAD | {"stops": [{"location": PLACE}, {"location": {"city": 7, "state": "TX"}}]}
    with pytest.raises(InvalidResponseError, match=r"^expected string @ \$\.stops\[1\]\.location\.city$"):
        structure(body_of(record), Load)
    page = {"data": [LOAD, record], "pagination": PAGINATION}
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


MAPPINGS: list[Any] = [dict, dict[str, object], dict[str, str]]
ARRAYS: list[Any] = [list, list[object], tuple, tuple[object, ...]]


@pytest.mark.parametrize("first", MAPPINGS, ids=str)
@pytest.mark.parametrize("type_", MAPPINGS, ids=str)
def test_a_mapping_is_read_from_an_object_alone(type_: Any, first: Any) -> None:
    """Anything else is named as such, whatever mapping was read before, and a good one is a plain dict."""
    structure(BOM + b'{"a": "b"}', first)
    for form in (b"", BOM):
        found = structure(form + b'{"a": "b", "c": ""}', type_)
        assert (type(found), found) == (dict, {"a": "b", "c": ""})
        for body in (b"null", b"5", b"true", b'"text"', b"[]", b"[{}]"):
            with pytest.raises(InvalidResponseError, match=r"^expected object @ \$$"):
                structure(form + body, type_)


@pytest.mark.parametrize("type_", ARRAYS, ids=str)
def test_an_array_is_read_from_an_array_alone(type_: Any) -> None:
    """Text and objects can be run through as well, and are no arrays for that."""
    for form in (b"", BOM):
        found = structure(form + b'[1, "a", null]', type_)
        assert found == type_([1, "a", None])
        for body in (b"null", b"5", b'"text"', b"{}", b'{"a": 1}'):
            with pytest.raises(InvalidResponseError, match=r"^expected array @ \$$"):
                structure(form + body, type_)


def test_a_place_in_a_mapping_or_an_array_is_named() -> None:
    """The path leads to the wrong item by its key or its number."""
    with pytest.raises(InvalidResponseError, match=r"^expected string @ \$\['b'\]$"):
        structure(b'{"a": "x", "b": 1}', dict[str, str])
    with pytest.raises(InvalidResponseError, match=r"^expected string @ \$\[1\]$"):
        structure(b'["x", 1]', list[str])


@pytest.mark.parametrize("type_", [*TYPES, Load, str, object, tuple, int | None], ids=str)
def test_what_json_can_be_read_as_is_told_beforehand(type_: object) -> None:
    """Models, pages, mappings, arrays, and plain values are types to read an answer as."""
    assert readable(type_)


@pytest.mark.parametrize("type_", [5, "Call", print, [], UNSET], ids=repr)
def test_what_is_no_type_is_told_beforehand(type_: object) -> None:
    """A value, a function, or a name in quotes is refused before anything is sent."""
    assert not readable(type_)


def test_a_type_that_json_does_not_know_is_an_error_of_the_answer() -> None:
    """What only reading can show is said without a word about the answer."""
    with pytest.raises(InvalidResponseError, match=r"^JSON cannot be read as the type asked for$"):
        structure(b'"canary-7f3a"', complex)


@pytest.mark.parametrize("type_", [set, set[str], frozenset, bytes, bytearray], ids=str)
@pytest.mark.parametrize("body", [b"null", b"-5", b"1.5", b'[["canary-7f3a"]]', b'[{"canary-7f3a": 1}]'], ids=repr)
def test_a_type_that_python_alone_knows_is_an_error_of_the_answer(type_: Any, body: bytes) -> None:
    """What cannot be made of an answer never ends in an error of Python's own, and nothing of it is shown."""
    for form in (b"", BOM):
        with pytest.raises(InvalidResponseError) as caught:
            structure(form + body, type_)
        assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("type_", TYPES, ids=str)
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
    body = body_of(LOAD)[:-1] + f',"{place}":{number}}}'.encode()
    with pytest.raises(InvalidResponseError):
        structure(mark + body, Load)


@pytest.mark.parametrize("number", ["7.31e999", "7" * 5_000, "9" * 400])
def test_a_refused_number_is_not_in_the_traceback(number: str) -> None:
    """No value of the answer enters an error, nor an error chained to it."""
    body = body_of(LOAD)[:-1] + f',"weight":{number}}}'.encode()
    with pytest.raises(InvalidResponseError) as caught:
        structure(body, Load)
    assert number[:8] not in "".join(traceback.format_exception(caught.value))


def test_text_that_is_not_unicode_is_kept_as_data() -> None:
    """Half a surrogate pair and NUL are what the server sent; a page with them is not lost, and logs take them."""
    body = body_of(LOAD | {"commodity": "a\ud800\x00b"})
    load = structure(body, Load)
    assert load.commodity == "a\ud800\x00b"
    assert repr(load).isprintable()


@pytest.mark.parametrize("type_", [Call, tuple[Call, ...], dict[str, object]], ids=str)
def test_a_byte_order_mark_is_stripped(type_: Any) -> None:
    """Some proxies put one there; it changes nothing."""
    record = CALL
    body = body_of([record] if type_ == tuple[Call, ...] else record)
    assert structure(BOM + body, type_) == structure(body, type_)


@pytest.mark.parametrize("bare", [False, True], ids=["envelope", "bare"])
def test_a_byte_order_mark_changes_no_page(bare: bool) -> None:
    """An envelope and a bare array are told apart behind it as well."""
    body = body_of([CALL]) if bare else page_of()
    assert structure(BOM + body, Page[Call]) == structure(body, Page[Call])


PAGINATION = {"page": 2, "page_size": 50, "total_count": 150, "total_pages": 3, "has_next": True, "has_prev": True}


def page_of(**changes: object) -> bytes:
    """Write a page of one call; a field given as ABSENT is left out."""
    pagination = {name: value for name, value in (PAGINATION | changes).items() if value is not ABSENT}
    return body_of({"data": [CALL], "pagination": pagination})


def test_a_page_is_read_with_its_numbers_and_its_bytes() -> None:
    """Every number of the envelope, the records, and the body as it came."""
    page = structure(page_of(), Page[Call])
    assert (page.number, page.size, page.total_count, page.total_pages, page.has_next) == (2, 50, 150, 3, True)
    assert page.items == (structure(body_of(CALL), Call),)
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
    page = structure(space + body_of([CALL] * count), Page[Call])
    assert len(page.items) == page.total_count == page.size == count
    assert (page.number, page.total_pages, page.has_next) == (1, 1, False)


@pytest.mark.parametrize("form", [b"", BOM], ids=["plain", "marked"])
def test_a_page_of_no_model_holds_whatever_is_there(form: bytes) -> None:
    """`Page` alone reads items of any JSON as they came, in an envelope and in a bare array."""
    items: list[Any] = [1, "a", None, {"id": [True]}, []]
    told = {"page": 1, "page_size": 5, "total_count": 5, "total_pages": 1}
    kinds: list[Any] = [Page, Page[object]]
    for type_ in kinds:
        whole: Page[object] = structure(form + body_of({"data": items, "pagination": told}), type_)
        bare: Page[object] = structure(form + body_of(items), type_)
        assert list(whole.items) == list(bare.items) == items
        assert (whole.total_count, bare.total_count, whole.has_next, bare.has_next) == (5, 5, False, False)
        for body in (b"5", b"null", b'"text"'):
            with pytest.raises(InvalidResponseError, match=r"^expected object @ \$$"):
                structure(form + body, type_)


def test_a_wrong_record_in_a_bare_array_is_named() -> None:
    """The path begins at the array."""
    with pytest.raises(InvalidResponseError, match=r"@ \$\[1\]\.id$"):
        structure(body_of([CALL, CALL | {"id": 5}]), Page[Call])


STOP = Stop(location=Location(city="Dallas", state="TX"))
NEW_LOAD = NewLoad(
    load_number="LD1", equipment_type=EquipmentType("FLAT"), stops=[STOP, {"location": {"city": "Waco"}}]
)
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
    sent = json.loads(encode({"loads": (NEW_LOAD,)}))
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


PAIRS: list[Any] = [tuple[str, int], tuple[Call, str], tuple[str], tuple[int, tuple[str, float]]]


@pytest.mark.parametrize("form", [b"", BOM], ids=["fast", "slow"])
def test_a_tuple_of_places_is_read_place_by_place(form: bytes) -> None:
    """Each item is read as what stands at its place; it may be a model, or a tuple again."""
    assert structure(form + b'["a", 1]', tuple[str, int]) == ("a", 1)
    assert structure(form + b"[]", tuple[()]) == ()
    assert structure(form + b'[1, ["a", 2.5]]', tuple[int, tuple[str, float]]) == (1, ("a", 2.5))
    assert structure(form + body_of([CALL, "x"]), tuple[Call, str]) == (structure(body_of(CALL), Call), "x")
    assert structure(form + b'{"a": [["b", 1]]}', dict[str, list[tuple[str, int]]]) == {"a": [("b", 1)]}


@pytest.mark.parametrize("form", [b"", BOM], ids=["fast", "slow"])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "array of 2"),
        (b'["canary-7f3a"]', "array of 2"),
        (b'["canary-7f3a", 1, 2]', "array of 2"),
        (b'"ab"', "array of 2"),
        (b'{"a": 1, "b": 2}', "array of 2"),
        (b"null", "array of 2"),
        (b"[1, 2]", "string"),
        (b'["a", "canary-7f3a"]', "int"),
        (b'["a", 1.0]', "int"),
        (b'["a", true]', "int"),
        (b'[null, "canary-7f3a"]', "string"),
    ],
    ids=repr,
)
def test_a_tuple_of_places_takes_nothing_else(form: bytes, body: bytes, why: str) -> None:
    """Not one item more or less, and no item of another type; never a short tuple, and never text taken apart."""
    with pytest.raises(InvalidResponseError, match=rf"^expected {why} @ \$$") as caught:
        structure(form + body, tuple[str, int])
    assert CANARY not in "".join(traceback.format_exception(caught.value))


UNLIKE: list[Any] = [
    list[set[str]],
    dict[str, frozenset[str]],
    tuple[bytes, ...],
    list[bytearray],
    tuple[str, bytes],
    dict[str, list[set[int]]],
    list[bytes | None],
    Page[set[str]],
]


@pytest.mark.parametrize("type_", UNLIKE, ids=str)
def test_a_type_that_python_alone_knows_is_told_beforehand_inside_another(type_: Any) -> None:
    """As it is alone: JSON has no sets and no bytes, at whatever depth."""
    assert not readable(type_)


@pytest.mark.parametrize("type_", [set[str], frozenset[int], bytes, bytearray, set], ids=str)
@pytest.mark.parametrize("item", [b"5", b'[["canary-7f3a"]]', b'[{"canary-7f3a": 1}]', b'{"canary-7f3a": 1}'], ids=repr)
def test_a_type_that_python_alone_knows_is_refused_inside_another(type_: Any, item: bytes) -> None:
    """No set of unhashable things, no five bytes made of a five: an error of the answer, with its place."""
    for form in (b"", BOM):
        for whole, body in ((list[type_], b"[%s]" % item), (dict[str, type_], b'{"a": %s}' % item)):
            with pytest.raises(InvalidResponseError, match=r"^expected a type of JSON @ \$\[") as caught:
                structure(form + body, whole)
            assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("type_", [Sequence, Sequence[str], Sequence[object], typing.Sequence[str]], ids=str)
def test_a_sequence_is_an_array(type_: Any) -> None:
    """Read as a list; text is a sequence in Python only."""
    assert readable(type_)
    for form in (b"", BOM):
        assert structure(form + b'["a", "b"]', type_) == ["a", "b"]
        assert structure(form + b'{"x": ["a"]}', dict[str, type_]) == {"x": ["a"]}
        for body in (b'"canary-7f3a"', b'{"canary-7f3a": 1}', b"5", b"null"):
            with pytest.raises(InvalidResponseError, match=r"^expected array @ \$$") as caught:
                structure(form + body, type_)
            assert CANARY not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(InvalidResponseError, match=r"^expected array @ \$\[0\]$"):
        structure(b'["canary-7f3a"]', list[type_])


def raising(value: str) -> list[Callable[[], BaseException]]:
    """Make every kind of exception a class of the caller's may raise, with the value in it or nothing at all."""
    kinds: list[type[Exception]] = [
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        StopIteration,
        OSError,
    ]
    kinds += [RecursionError, AssertionError, UnicodeError, Exception]
    made: list[Callable[[], BaseException]] = [partial(kind, *args) for kind in kinds for args in ((), (value,), (5,))]
    return [*made, lambda: ExceptionGroup(value, [ValueError(value)]), lambda: InvalidResponseErrorOfAnother(value)]


class InvalidResponseErrorOfAnother(Exception):  # noqa: N818 - the name is the point
    """An exception of the caller's own."""


@pytest.mark.parametrize("make", raising(CANARY), ids=lambda make: ascii(make())[:40])
def test_a_class_of_the_callers_may_raise_what_it_likes(make: Callable[[], BaseException]) -> None:
    """It ends in an error of the answer, on both ways, alone or deep inside, and shows nothing of the answer."""

    @attrs.define
    class Checked:
        name: str

        def __attrs_post_init__(self) -> None:
            raise make()

    @dataclass
    class Plain:
        name: str

        def __post_init__(self) -> None:
            raise make()

    class Bare:
        def __init__(self, _: object) -> None:
            raise make()

    record = b'{"name": "canary-7f3a"}'
    kinds: list[Any] = [Checked, Plain, Bare]
    for kind in kinds:
        array = b"[%s]" % record
        wholes: list[tuple[Any, bytes]] = [(kind, record), (GenericAlias(list, kind), array)]
        wholes.append((Page[kind], array))  # type: ignore[valid-type]
        for whole, body in wholes:
            for form in (b"", BOM):
                with pytest.raises(InvalidResponseError) as caught:
                    structure(form + body, whole)
                assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
                assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@attrs.frozen
class Choice:
    """A model of the caller's with a closed set of values."""

    kind: Literal["a", "b"]


@attrs.define
class Unresolved:
    """A model of the caller's that names a type nobody knows."""

    thing: Nowhere  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


FOREIGN: list[Any] = [
    Choice,
    list[Choice],
    Literal["a"],
    list[Literal["a"]],
    Page[Call] | None,
    list[Page[Call]],
    Mapping[str, int],
    typing.Mapping[str, Call],
    Unresolved,
    list[Unresolved],
    complex,
    Callable[[], str],
    Decimal,
    Any,
]
ANSWERS = (
    b'"canary-7f3a"',
    b'["canary-7f3a"]',
    b'[["canary-7f3a"]]',
    b'{"kind": "canary-7f3a", "thing": "canary-7f3a"}',
    b'[{"kind": ["canary-7f3a"], "thing": 5}]',
    b'{"data": ["canary-7f3a"]}',
)


@pytest.mark.parametrize("type_", FOREIGN, ids=str)
@pytest.mark.parametrize("body", ANSWERS, ids=repr)
def test_a_type_of_the_callers_is_told_beforehand_or_ends_in_an_error_of_the_answer(type_: Any, body: bytes) -> None:
    """There is no third way out, and no value of the answer in the error."""
    told = readable(type_)
    assert told is (type_ not in {Unresolved, list[Unresolved]})
    for form in (b"", BOM) if told else ():
        error: InvalidResponseError | None = None
        try:
            found = structure(form + body, type_)
        except InvalidResponseError as wrong:
            error = wrong
        else:
            assert type_ in {Any, Decimal, complex} or found is None, found
        assert CANARY not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("form", [b"", BOM], ids=["fast", "slow"])
def test_a_closed_set_of_values_is_held(form: bytes) -> None:
    """Alone and inside a model: what is in it is read, what is not is refused at its place without being shown."""
    assert structure(form + b'{"kind": "a"}', Choice) == Choice("a")
    assert structure(form + b'"a"', cast("Any", Literal["a"])) == "a"
    with pytest.raises(InvalidResponseError, match=r"^not what was expected @ \$\[1\]\.kind$"):
        structure(form + b'[{"kind": "b"}, {"kind": "canary-7f3a"}]', list[Choice])


@pytest.mark.parametrize("form", [b"", BOM], ids=["fast", "slow"])
def test_a_number_and_a_moment_are_read_alike_on_both_ways(form: bytes) -> None:
    """A whole number is a number as well; a moment has a zone, and is text."""
    assert structure(form + b"[1, 2.5]", list[float]) == [1.0, 2.5]
    assert structure(form + body_of(CALL), Call).call_time == datetime(2025, 11, 21, 12, tzinfo=UTC)
    for wrong in ("2025-11-21T12:00:00", "canary-7f3a", 5, None):
        with pytest.raises(InvalidResponseError, match=r"^expected datetime with a time zone @ \$\.call_time$"):
            structure(form + body_of(CALL | {"call_time": wrong}), Call)
    for text in (b'"2.5"', b"true", b"null"):
        with pytest.raises(InvalidResponseError, match=r"^expected number @ \$\[0\]$"):
            structure(form + b"[%s]" % text, list[float])
