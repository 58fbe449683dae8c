"""What is refused before it is sent: the edges of each documented rule, and of the fields alone."""

from __future__ import annotations

import math
import re
import string
from typing import Any, cast

import pytest
from hypothesis import example, given, settings, strategies as st

from envoy_async._wire import BadInput
from envoy_async.resources._checks import check

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
STOP = {"location": {"city": "Dallas", "state": "TX"}}
SITE = "https://example.com/"
PHONES = ("phone", "dispatcher_phone", "phone_number", "to_number", "from_number")
PREFIXES = {
    "api_key_id": "key_",
    "call_id": "call_",
    "carrier_id": "car_",
    "contact_id": "con_",
    "endpoint_id": "ep_",
    "load_id": "load_",
    "message_id": "msg_",
    "offer_id": "ofr_",
    "outreach_id": "otr_",
    "preference_id": "pref_",
}
GOOD: list[tuple[str, Any]] = [
    *((name, number) for name in PHONES for number in ("+1415555", "+14155552671", "+123456789012345")),
    ("tms_load_id", "x" * 18),
    ("tms_load_id", "é" * 18),
    *((name, number) for name in ("weight", "distance", "length_feet") for number in (0, 0.0, -0.0, 53, 10**400)),
    *(("last_reported_long", number) for number in (-180, -180.0, 0, 180)),
    *(("last_reported_lat", number) for number in (-90, 0.5, 90.0)),
    ("stops", [STOP, STOP]),
    ("stops", [STOP] * 50),
    ("url", "https://a"),
    ("url", "http://127.0.0.1:8080/hooks?a=%20&b=c#d"),
    ("url", "https://[::1]/x"),
    ("url", "http://[2001:db8::1]:8443"),
    ("url", "HTTPS://a.example/x"),
    ("url", "HttP://A.EXAMPLE"),
    ("url", "https://user:pw@host/x"),
    ("url", "https://user@[::1]:80?a=b"),
    ("url", SITE + "x" * (2083 - len(SITE))),
    ("event_types", ["call.completed"]),
    *((name, prefix + UUID) for name, prefix in PREFIXES.items()),
    *((name, UUID) for name in PREFIXES),
]
BAD: list[tuple[str, Any]] = [
    *((name, number) for name in PHONES for number in ("+141555", "+1234567890123456", "+04155552671", "4155552671")),
    *(
        ("phone", number)
        for number in ("", "+", "+1 415 555 2671", "+1415555267\n", "+1415555\uff12671", "+1-415-555-2671")
    ),
    ("tms_load_id", "x" * 17),
    ("tms_load_id", "x" * 19),
    ("tms_load_id", ""),
    *((name, number) for name in ("weight", "distance", "length_feet") for number in (-1, -1e-9, -math.inf, math.nan)),
    ("last_reported_long", -180.001),
    ("last_reported_long", 181),
    ("last_reported_lat", -90.001),
    ("last_reported_lat", 91),
    ("last_reported_lat", math.nan),
    ("stops", [STOP]),
    ("stops", []),
    ("url", ""),
    ("url", "https://"),
    ("url", "https:///x"),
    ("url", "https://:80/x"),
    ("url", "https://user:pw@/x"),
    ("url", "https://host:123456"),
    ("url", "https://[::1"),
    ("url", "https://::1/x"),
    ("url", "https://a@b@c/"),
    ("url", "ftp://example.com"),
    ("url", "ftp://x"),
    ("url", "https:example.com"),
    ("url", " https://example.com"),
    ("url", "https://a b"),
    ("url", "example.com"),
    ("url", "//example.com"),
    ("url", "https://exa mple.com"),
    ("url", "https://example.com/\n"),
    ("url", "https://example.com/%2"),
    ("url", "https://é.example"),
    ("url", SITE + "x" * (2084 - len(SITE))),
    ("event_types", []),
    *((name, "org_" + UUID) for name in PREFIXES),
]
RULED = sorted({name for name, _ in GOOD})
WRONG_KINDS: list[Any] = [True, False, [], {}, {"a": 1}, b"x", "text", 5, 5.5, ["a"], [[]], object()]


def label(part: object) -> str:
    """Name a row of a table, briefly."""
    return f"{str(part)[:30]}-{len(str(part))}"


def refusal_of(body: object) -> BadInput:
    """Give the refusal of a body."""
    with pytest.raises(BadInput) as caught:
        check(body)
    return caught.value


@pytest.mark.parametrize(("name", "value"), GOOD, ids=label)
def test_the_edge_of_a_rule_passes(name: str, value: object) -> None:
    """What the document still allows is sent, alone and beside other fields."""
    check({name: value})
    check({name: value, "note": "x"})


@pytest.mark.parametrize(("name", "value"), BAD, ids=label)
def test_beyond_the_edge_is_refused_by_the_fields_name(name: str, value: object) -> None:
    """The refusal begins with the field it names."""
    plain = refusal_of({"note": "x", name: value})
    assert plain.param == name
    assert str(plain).startswith(f"{name} ")
    assert plain.__cause__ is None


@pytest.mark.parametrize("name", RULED)
def test_what_is_absent_or_null_passes(name: str) -> None:
    """Whether a field may be left out or cleared is for the types to say, and for the server."""
    for fields in ({}, {name: None}, {name + "_2": "x"}, {name.upper(): "x"}):
        check(fields)


@pytest.mark.parametrize("name", RULED)
def test_a_value_of_another_kind_is_refused(name: str) -> None:
    """A truth value is no number, a number no text, and text no list; each refusal names the field."""
    good: dict[str, set[str]] = {"stops": set(), "event_types": {"['a']", "[[]]"}}
    numbers = {"weight", "distance", "length_feet", "last_reported_long", "last_reported_lat"}
    passing = good.get(name, {"5", "5.5"} if name in numbers else set())
    for value in WRONG_KINDS:
        if str(value) not in passing:
            assert refusal_of({name: value}).param == name


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("phone", "1", "phone must be a phone number in E.164, such as +14155552671"),
        ("tms_load_id", "1", "tms_load_id must be text of exactly 18 characters"),
        ("url", "", "url must be text of 1 to 2083 characters"),
        ("url", "x", "url must be an address such as https://example.com/hooks"),
        ("weight", -1, "weight must be a number, at least 0"),
        ("last_reported_lat", 91, "last_reported_lat must be a number, from -90 to 90"),
        ("stops", [], "stops must be a list of at least 2"),
        ("load_id", "LD1", "load_id has the wrong shape: expected load_<uuid> or <uuid>"),
        ("load_id", 5, "load_id must be a string, not int"),
    ],
)
def test_a_refusal_says_what_is_expected(name: str, value: object, message: str) -> None:
    """The text tells how to put it right, and does not repeat what was given."""
    assert str(refusal_of({name: value})) == message


def test_the_first_wrong_field_of_a_body_is_named() -> None:
    """Of several wrong fields it is the first the caller wrote, in every run."""
    assert refusal_of({"weight": -1, "phone": "1", "distance": -1}).param == "weight"
    assert refusal_of({"distance": -1, "phone": "1", "weight": -1}).param == "distance"
    assert refusal_of({"offer_id": "x", "load_id": "x"}).param == "offer_id"


@pytest.mark.parametrize("body", ["text", "", 5, 0, None, True, [], [{"weight": -1}]], ids=repr)
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    """Every operation takes an object, and so does every place of a batch; there is no field to name."""
    bad = refusal_of(body)
    assert str(bad) == "the body must be an object: a model, or a mapping of field names to values"
    assert bad.param is None


@pytest.mark.parametrize("inner", [{"weight": -1}, [{"weight": -1}], [[]], "text", 5, None], ids=repr)
def test_only_the_fields_of_the_body_itself_are_looked_at(inner: object) -> None:
    """What lies deeper is for the server to judge; the items of a batch are checked one by one, as bodies."""
    check({"loads": inner, "carriers": inner, "carrier": inner, "note": inner})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(list(PREFIXES.values()))
FIELDS = st.sampled_from([*RULED, "loads", "carriers", "carrier", "note"])
ODD = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(FIELDS, SCALARS, max_size=2)
JUNK = ODD | st.dictionaries(FIELDS, ODD, min_size=1, max_size=4)


@settings(max_examples=200)
@given(JUNK)
@example({"loads": [[]], "carriers": [[{"carrier": 1}]]})
@example({"weight": 10**5_000})
@example({"note": math.nan, "weight": math.nan})
def test_no_shape_of_a_body_breaks_the_checks(body: object) -> None:
    """Whatever stands where: it passes, or it is refused with the name of a field that is there."""
    bad: BadInput | None = None
    try:
        check(body)
    except BadInput as caught:
        bad = caught
    if bad is not None:
        assert (bad.param is None) is (not isinstance(body, dict))
        assert bad.param is None or bad.param in cast("dict[str, object]", body)
        assert str(bad).startswith(f"{bad.param or 'the body'} ")


@given(st.text(string.digits + "+-() \n", max_size=20))
def test_a_number_that_passes_is_a_plus_and_digits(text: str) -> None:
    """Nothing else can be dialled anywhere."""
    try:
        check({"phone": text})
    except BadInput:
        assert not re.fullmatch(r"\+[1-9]\d{6,14}", text)
    else:
        assert 8 <= len(text) <= 16
        assert text[0] == "+"
        assert text[1:].isdigit()
