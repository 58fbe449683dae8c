"""What goes on the wire as values: paths, queries, headers, and how long the server asks to wait."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from email.utils import format_datetime
from enum import Enum, IntEnum
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import attrs
import pytest
import yarl
from hypothesis import example, given, strategies as st

from envoy_async._credentials import Secret
from envoy_async._headers import parse_retry_after
from envoy_async._wire import (
    BadInput,
    Request,
    Response,
    build,
    check_ids,
    encode,
    expand,
    header_value,
    identifier,
    instant,
    plain_path,
)

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
NOW = "Wed, 21 Oct 2015 07:28:00 GMT"
UNREADABLE = ["-5", "nan", "inf", "Infinity", "1e9", "0x10", "30, 60", "30;60", "", " ", "soon", "+5", "1_0", "5."]
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
HOSTILE = ["", ".", "..", "a/b", "../loads", "a\r\nX-Evil: 1", "a\x00b", "a?b=c", "a#b", "%2e%2e", "\ud800", "é", "a b"]


class Size(IntEnum):
    """Members that are whole numbers."""

    SMALL = 7


class Weight(float, Enum):
    """Members that are numbers."""

    HALF = 0.5


class Status(str, Enum):  # noqa: UP042 - the older way, in which str() gives the member's name
    """Members that are text."""

    IN_LINE = "in line"


class NoOffset(tzinfo):
    """A time zone that does not know its offset: by Python's own definition a datetime with it is naive."""

    def utcoffset(self, dt: datetime | None) -> None:
        """Know nothing."""

    def dst(self, dt: datetime | None) -> None:
        """Know nothing."""

    def tzname(self, dt: datetime | None) -> str:
        """Have a name all the same."""
        return "nowhere"


@pytest.mark.parametrize(("name", "prefix"), PREFIXES.items())
def test_an_id_is_taken_with_its_prefix_or_as_a_raw_uuid(name: str, prefix: str) -> None:
    """Both forms reach path and body unchanged; the reference declares one, in any case, the id guide the other."""
    template = f"/things/{{{name}}}/end"
    for value in (prefix + UUID, UUID, UUID.upper(), UUID.title()):
        assert expand(template, {name: value}) == f"/things/{value}/end"
        assert identifier(name, value) == value
        check_ids({"note": 1, name: value})


@pytest.mark.parametrize(("name", "prefix"), PREFIXES.items())
@pytest.mark.parametrize(
    "value",
    [*HOSTILE, f"org_{UUID}", f"call_load_{UUID}", UUID + "\n", UUID[:-1], f"{UUID}/end", UUID.replace("-", "")],
    ids=ascii,
)
def test_an_id_of_another_shape_is_refused(name: str, prefix: str, value: str) -> None:
    """Nothing but the documented shapes leaves; the message says what was expected and not what was given."""
    message = f"{name} has the wrong shape: expected {prefix}<uuid> or <uuid>"
    with pytest.raises(BadInput) as caught:
        expand(f"/things/{{{name}}}", {name: value})
    assert (str(caught.value), caught.value.param) == (message, name)
    with pytest.raises(BadInput) as again:
        check_ids({name: value})
    assert (str(again.value), again.value.param) == (message, name)


@pytest.mark.parametrize("name", PREFIXES)
def test_the_id_of_another_group_is_refused(name: str) -> None:
    """A load's id never addresses a call; with a prefix it is all in lower case, and there is an underscore."""
    others = [prefix for other, prefix in PREFIXES.items() if other != name]
    for prefix in (*others, PREFIXES[name].upper(), PREFIXES[name][:-1], "_", PREFIXES[name] * 2):
        with pytest.raises(BadInput) as caught:
            expand(f"/things/{{{name}}}", {name: prefix + UUID})
        assert caught.value.param == name
    for value in (UUID.upper(), UUID.title()):
        with pytest.raises(BadInput) as caught:
            identifier(name, PREFIXES[name] + value)
        assert caught.value.param == name


@pytest.mark.parametrize("name", PREFIXES)
def test_a_body_may_leave_an_id_out_or_clear_it(name: str) -> None:
    """Null is sent as it is; ids of kinds that are not known are for the server to judge."""
    check_ids({})
    check_ids({name: None, "organization_id": "anything", "tms_load_id": 5, name + "s": "anything"})


@pytest.mark.parametrize("names", [["offer_id", "call_id"], ["call_id", "offer_id"]], ids=" ".join)
def test_the_first_wrong_id_of_a_body_is_named(names: list[str]) -> None:
    """The first that the caller wrote, in every run."""
    with pytest.raises(BadInput) as caught:
        check_ids({"note": "x", "load_id": UUID, **dict.fromkeys(names, "x")})
    assert caught.value.param == names[0]


@pytest.mark.parametrize("value", [None, 5, b"x", UUID.encode(), ["a"]])
def test_an_id_that_is_no_text_is_refused(value: object) -> None:
    """`None` never becomes the segment "None"."""
    with pytest.raises(BadInput, match=f"^call_id must be a string, not {type(value).__name__}$"):
        expand("/calls/{call_id}", {"call_id": value})


@pytest.mark.parametrize("value", [5, b"x", UUID.encode(), ["a"], {}, True])
def test_an_id_in_a_body_is_text(value: object) -> None:
    """Whatever else stands there is refused with its kind."""
    with pytest.raises(BadInput, match=f"^offer_id must be a string, not {type(value).__name__}$") as caught:
        check_ids({"offer_id": value})
    assert caught.value.param == "offer_id"


@given(value=st.text() | st.sampled_from(HOSTILE), name=st.sampled_from([*PREFIXES, "other_id"]))
@example(value="..", name="other_id").via("the parent folder")
@example(value="\udfff", name="other_id").via("half a character")
@example(value="+%/?#&=", name="other_id").via("everything with a meaning in a URL")
def test_any_text_is_one_path_segment_or_refused(value: str, name: str) -> None:
    """Whatever the id, it is refused naming the field, or the path has one more segment that reads back as it."""
    path, param = "", None
    try:
        path = expand(f"/things/{{{name}}}/end", {name: value})
    except BadInput as bad:
        param = bad.param
    if not path:
        assert param == name
        assert name != "other_id" or value in {"", ".", ".."} or any("\ud800" <= char <= "\udfff" for char in value)
        return
    parts = urlsplit("https://host" + path).path.split("/")
    assert [*parts[:2], unquote(parts[2]), *parts[3:]] == ["", "things", value, "end"]
    assert re.fullmatch(r"[A-Za-z0-9._~%-]+", parts[2])


@pytest.mark.parametrize("value", ["", ".", ".."], ids=repr)
def test_no_id_names_another_folder(value: str) -> None:
    """Dots would lead to the collection or above it, also for ids whose shape is not known; quoting cannot help."""
    with pytest.raises(BadInput) as caught:
        expand("/things/{other_id}/end", {"other_id": value})
    assert caught.value.param == "other_id"


def test_two_ids_fill_two_segments() -> None:
    """Each placeholder gets its own value, in whatever order they are given."""
    assert expand("/a/{a_id}/b/{b_id}", {"b_id": "2/", "a_id": "1"}) == "/a/1/b/2%2F"


PLAIN_PATHS = [
    "/calls",
    f"/calls/call_{UUID}/end",
    "/a-b_c~d.e/f:g@h",
    "/sub!$&'()*+,;=delims",
    "/%C3%A9/%20",
    "/a%2Fb",
    "/a%20b",
    "/na%C3%AFve",
    "/%40%5B%60%7B%7F%2C%2f%3A%3f",
    "/...",
    "/.hidden/a..b",
    "/https:",
]
PATHS_REFUSED = [
    "",
    "/",
    "calls",
    "calls/x",
    "//",
    "//evil.example",
    "//evil.example/calls",
    "/calls//x",
    "/calls/",
    "https://evil.example/calls",
    "https:/evil.example",
    "/calls?page=1",
    "/calls#x",
    "/..",
    "/.",
    "/calls/..",
    "/calls/../../admin",
    "/calls/./x",
    "/%2e%2e/admin",
    "/calls/%2E%2e",
    "/calls/.%2e/x",
    "/calls/%2e",
    "/calls/x%2F..%2F..%2Fadmin",
    "/calls/x%2f%2e%2E",
    "/calls\r\nX-Evil: 1",
    "/calls\n",
    "\n/calls",
    "/calls\x00",
    "/calls\t",
    "/a b",
    "/é",
    "/\uff0e\uff0e",
    "/\ud800",
    "/100%",
    "/%zz",
    "/%2",
    "/a\\b",
    "\\\\evil.example",
    "/[::1]",
    "/{call_id}",
    '/"',
    "/<x>",
    "/a|b",
    "@evil.example",
    ".evil.example",
    ":80/x",
]


@pytest.mark.parametrize("path", PLAIN_PATHS)
def test_a_plain_path_is_sent_as_it_is(path: str) -> None:
    """What is quoted and leads downwards stands behind the base URL unchanged."""
    assert plain_path(path) == path


@pytest.mark.parametrize("path", PATHS_REFUSED, ids=ascii)
def test_a_path_that_could_lead_elsewhere_is_refused(path: str) -> None:
    """No other host, no folder above, no query, no second header; the refusal names the argument."""
    with pytest.raises(BadInput, match=r"^path must start with one slash") as caught:
        plain_path(path)
    assert caught.value.param == "path"


@pytest.mark.parametrize("sign", "-._~abcijkopqwxyzABCJKOPQXYZ0189")
def test_a_needless_escape_is_refused(sign: str) -> None:
    """An operation has one spelling, so that the SDK's tables know it: letters, digits, and -._~ stand for themselves.

    A login spelt otherwise would go out with the key, and an operation that takes one credential with the other.
    """
    for code in (f"%{ord(sign):02x}", f"%{ord(sign):02X}"):
        for path in (f"/{code}", f"/auth/{code}login", f"/api{code}"):
            with pytest.raises(BadInput, match=r"^path must start with one slash") as caught:
                plain_path(path)
            assert caught.value.param == "path"


@pytest.mark.parametrize("path", ["/%61uth/login", "/api%2Dkeys", "/api%2dkeys", "/%7Ex", "/%7ex", "/a%5Fb", "/x%30"])
def test_a_path_with_a_needless_escape_is_refused(path: str) -> None:
    """The same, as a whole path."""
    with pytest.raises(BadInput, match=r"^path must start with one slash"):
        plain_path(path)


@given(st.characters(min_codepoint=0, max_codepoint=0x7F))
def test_an_escape_is_needed_where_quoting_makes_one(sign: str) -> None:
    """Whatever the standard library would escape may be escaped, and nothing else may."""
    path = f"/a%{ord(sign):02X}b"
    try:
        kept = plain_path(path)
    except BadInput:
        kept = None
    assert kept == (path if quote(sign, safe="") != sign else None)


@pytest.mark.parametrize("path", [None, 5, b"/calls", ["/calls"], object()], ids=lambda path: type(path).__name__)
def test_a_path_that_is_no_text_is_refused(path: object) -> None:
    """As any other wrong path, and not by an error of Python's own."""
    with pytest.raises(BadInput, match=r"^path must start with one slash") as caught:
        plain_path(path)
    assert caught.value.param == "path"


BITS = [
    "/",
    "//",
    ".",
    "..",
    "%2e",
    "%2E",
    "%2f",
    "%5c",
    "\\",
    "@",
    ":",
    "?",
    "#",
    ";",
    "a",
    "evil.example",
    "%25",
    "é",
]
PATHS = st.text() | st.lists(st.sampled_from(BITS), max_size=8).map("".join).map(lambda rest: "/" + rest)


@given(PATHS | st.sampled_from([*PLAIN_PATHS, *PATHS_REFUSED]))
def test_no_path_leaves_the_base_url(path: str) -> None:
    """Whatever is taken stays on the host and under the base path, for the socket library and after decoding."""
    try:
        accepted = plain_path(path)
    except BadInput:
        accepted = ""
    if accepted:
        url = yarl.URL("https://api.example/api/v1" + accepted, encoded=True)
        assert (url.scheme, url.host, url.port, url.query_string, url.fragment) == ("https", "api.example", 443, "", "")
        assert url.raw_path == "/api/v1" + path
        assert url.raw_path.isascii()
        assert {"", ".", ".."}.isdisjoint(path.removeprefix("/").split("/"))
        assert {".", ".."}.isdisjoint(unquote(path).split("/"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (2.5, "2.5"),
        (Size.SMALL, "7"),
        (Weight.HALF, "0.5"),
        (Status.IN_LINE, "in%20line"),
        (date(2025, 11, 21), "2025-11-21"),
        (datetime(2025, 11, 21, 8, tzinfo=UTC), "2025-11-21T08%3A00%3A00%2B00%3A00"),
        (datetime(2025, 11, 21, 8, tzinfo=timezone(timedelta(hours=-6))), "2025-11-21T08%3A00%3A00-06%3A00"),
        ("a b&c=+%/é", "a%20b%26c%3D%2B%25%2F%C3%A9"),
        ("", ""),
    ],
)
def test_a_query_value_has_one_spelling(value: object, text: str) -> None:
    """Booleans, numbers, days, instants, and text each have one form, and nothing in it ends the value."""
    assert encode("filter", value) == text


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        None,
        b"bytes",
        ["a"],
        {"a": 1},
        Ellipsis,
        "\ud800",
        datetime(2025, 11, 21, 8),  # noqa: DTZ001 - naive is the point
    ],
    ids=ascii,
)
def test_what_has_no_spelling_is_refused(value: object) -> None:
    """The refusal names the field, before anything is sent."""
    with pytest.raises(BadInput, match=r"^filter ") as caught:
        encode("filter", value)
    assert caught.value.param == "filter"


def test_a_zone_without_an_offset_is_naive() -> None:
    """What Python itself calls naive is refused: its text would carry no zone."""
    with pytest.raises(BadInput, match="naive"):
        instant("moment", datetime(2025, 11, 21, 8, tzinfo=NoOffset()))


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (timedelta(hours=5, minutes=30), "2025-11-21T08:00:00+05:30"),
        (timedelta(minutes=20, seconds=32), "2025-11-21T07:59:28+00:20"),
        (-timedelta(hours=4, minutes=56, seconds=2), "2025-11-21T07:59:02-04:57"),
        (timedelta(microseconds=1), "2025-11-21T07:59:59.999999+00:00"),
    ],
    ids=str,
)
def test_an_offset_with_seconds_is_sent_in_whole_minutes(offset: timedelta, text: str) -> None:
    """ISO 8601 has no seconds in an offset, as old local times do: the moment stays the same, told otherwise."""
    moment = datetime(2025, 11, 21, 8, tzinfo=timezone(offset))
    assert instant("moment", moment) == text
    assert datetime.fromisoformat(text) == moment


@pytest.mark.parametrize(
    ("moment", "offset"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), timedelta(seconds=30)),
        (datetime(1, 1, 1, 4, tzinfo=UTC), timedelta(hours=5, microseconds=1)),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), -timedelta(seconds=30)),
    ],
    ids=str,
)
def test_a_moment_beyond_the_calendar_is_refused(moment: datetime, offset: timedelta) -> None:
    """What cannot be told in whole minutes of offset is named, in a query as in a body; in whole minutes it is sent."""
    beyond = moment.replace(tzinfo=timezone(offset))
    for write in (instant, encode):
        with pytest.raises(BadInput, match=r"^since lies outside the years 1 to 9999$") as caught:
            write("since", beyond)
        assert (caught.value.param, caught.value.__cause__) == ("since", None)
    assert instant("since", moment) == moment.isoformat()


ODD_OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ODD_OFFSETS))  # noqa: DTZ001 - bounds are naive
def test_a_moment_survives_whatever_its_zone(moment: datetime) -> None:
    """What is sent is the very moment, in a form with whole minutes of offset."""
    text = instant("moment", moment)
    assert datetime.fromisoformat(text) == moment
    assert re.search(r"[+-]\d\d:\d\d$", text)
    assert re.fullmatch(r"[\dT:.-]+[+-]\d\d:\d\d", text)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e22).via("its repr holds a plus sign, which a query reads as a blank")
def test_a_number_survives_the_query(number: float) -> None:
    """A server that decodes the query reads the very number that was given."""
    ((_, text),) = parse_qsl(f"n={encode('n', number)}", strict_parsing=True)
    assert float(text) == number


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.text(st.characters(exclude_categories=["Cs"])))))
def test_any_text_survives_the_query(pairs: list[tuple[str, str]]) -> None:
    """The server reads back exactly the pairs that were given, whatever is in them."""
    query = dict(pairs)
    target = build("GET", "/calls", query=query).target
    assert parse_qsl(urlsplit(target).query, keep_blank_values=True) == list(query.items())
    assert urlsplit(target).path == "/calls"


def test_none_is_left_out_of_the_query() -> None:
    """`None` means "no filter": neither the name nor the word None is sent; falsy values are."""
    request = build("GET", "/calls", query={"a": None, "b": False, "c": 0, "d": ""})
    assert request.target == "/calls?b=false&c=0&d="
    assert build("GET", "/calls", query={"a": None}).target == "/calls"
    assert build("GET", "/calls").target == "/calls"


def test_a_request_is_named_by_method_and_template() -> None:
    """Tables speak of operations, whatever the ids in them."""
    assert build("POST", "/calls/{call_id}/end", ids={"call_id": UUID}).operation == "POST /calls/{call_id}/end"
    assert build("GET", "/calls", query={"page": 2}).operation == "GET /calls"


def test_a_request_has_no_key_and_no_secret_of_its_own() -> None:
    """Whether its body holds either is for the group of operations to say; pages keep what was said."""
    plain = build("POST", "/carriers", body=b"{}")
    assert (plain.keyed, plain.secret) == (False, Secret(""))
    told = attrs.evolve(plain, keyed=True, secret=Secret("word"))
    assert (told.at_page(2, 50).keyed, told.at_page(2, 50).secret) == (True, Secret("word"))


def test_an_operation_without_pages_is_asked_once_as_it_is() -> None:
    """The first page is the plain request; a further one would say so."""
    request = build("GET", "/webhooks/event-types", paged=False)
    assert request.at_page(1, 100) is request
    assert request.at_page(2, 100).target == "/webhooks/event-types?page=2&page_size=100"


def test_build_keeps_the_template_beside_the_path() -> None:
    """The template names the operation; method, body, and patience come through as given."""
    request = build("POST", "/calls/{call_id}/end", ids={"call_id": UUID}, body=b"{}", patient=True)
    assert (request.method, request.template, request.path) == ("POST", "/calls/{call_id}/end", f"/calls/{UUID}/end")
    assert (request.body, request.patient, request.query) == (b"{}", True, ())


def test_at_page_replaces_the_page_and_keeps_the_rest() -> None:
    """Filters stay, page and size are there once, and the first request is not changed."""
    first = build("GET", "/calls", query={"page": 9, "status": "A B", "page_size": 1})
    third = first.at_page(3, 50)
    assert third.target == "/calls?status=A%20B&page=3&page_size=50"
    assert third.at_page(4, 50).target == "/calls?status=A%20B&page=4&page_size=50"
    assert first.target == "/calls?page=9&status=A%20B&page_size=1"
    assert (third.method, third.template, third.path) == (first.method, first.template, first.path)


@pytest.mark.parametrize("value", [build("GET", "/calls"), Response(200, {}, b"")], ids=["request", "response"])
def test_requests_and_responses_never_change(value: Request | Response) -> None:
    """A value that went into a ledger or a log stays what it was."""
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, "another", 1)  # noqa: B010 - a type checker would refuse the plain form


def test_no_repr_shows_a_body_or_a_header() -> None:
    """Bodies hold personal data, headers hold keys, and a login holds a password; none is printed."""
    request = attrs.evolve(build("POST", "/loads", body=b"canary"), secret=Secret("canary"))
    response = Response(200, {"X-API-Key": "canary"}, b"canary")
    assert "canary" not in repr((request, response))


@pytest.mark.parametrize("value", ["org_1", "a b", "~!@#$%^&*()", "x" * 200])
def test_a_safe_header_value_stays_as_it_is(value: str) -> None:
    """Printable ASCII comes back unchanged."""
    assert header_value("organization_id", value) == value


@pytest.mark.parametrize(
    "value",
    ["", " ", " a", "a ", "a\r\nX: 1", "a\nb", "a\rb", "a\tb", "a\x00b", "a\x7fb", "é", "\uff11", "\ud800", "\x85"],
)
def test_an_unsafe_header_value_is_refused(value: str) -> None:
    """Nothing can end the header or start another one; the value is not repeated in the message."""
    with pytest.raises(BadInput) as caught:
        header_value("organization_id", value)
    assert caught.value.param == "organization_id"
    assert len(value.strip()) < 2 or value not in str(caught.value)


def test_an_oversized_header_value_is_refused() -> None:
    """More than 8 KiB would be answered by a proxy with a puzzle."""
    with pytest.raises(BadInput):
        header_value("organization_id", "x" * 8_193)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0.25", 0.25),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
        ("Wed Oct 21 07:28:30 2015", 30.0),
        ("Wed, 21 Oct 2015 09:28:30 +0200", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_relative_to_the_servers_clock(value: str, seconds: float) -> None:
    """Three date forms count from the answer's own Date; a date in the past means now."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [*UNREADABLE, "٣٠", "\uff13\uff10", "9" * 400],
)
def test_an_unreadable_retry_after_is_ignored(value: str) -> None:
    """Nothing that is not plain seconds or a date becomes a wait."""
    assert parse_retry_after(value, NOW) is None
    assert parse_retry_after(None, NOW) is None


@pytest.mark.parametrize("now", [None, "", "garbage", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_a_date_without_a_readable_clock_is_ignored(now: str | None) -> None:
    """The local clock is never used instead; seconds need no clock."""
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:30 GMT", now) is None
    assert parse_retry_after("30", now) == 30.0


DATES = st.datetimes(timezones=st.just(UTC)).map(lambda moment: format_datetime(moment, usegmt=True))
ODD_DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Wed", "Xyz", ""]),
    st.integers(-1, 40),
    st.sampled_from(["Oct", "Feb", "xx"]),
    st.integers(-1, 99_999),
    *(st.integers(-1, 99) for _ in range(3)),
    st.sampled_from(["GMT", "-9999", "+2400", "+99999999999", "EST", ""]),
)
HEADERS = st.text() | DATES | ODD_DATES | st.floats().map(str) | st.integers().map(str)


@given(HEADERS, HEADERS | st.none())
@example("Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359").via("the ends of the calendar")
def test_no_header_breaks_retry_after(value: str, now: str | None) -> None:
    """Whatever a server or proxy writes: no exception, and never a negative, infinite, or NaN wait."""
    seconds = parse_retry_after(value, now)
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


@given(st.integers(0, 10**11), st.integers(0, 10**8))
def test_a_date_ahead_is_the_distance_to_it(unix: int, seconds: int) -> None:
    """The wait is the whole distance, never shortened."""
    now = datetime.fromtimestamp(unix, UTC)
    until = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(until, format_datetime(now, usegmt=True)) == seconds


def test_a_response_reads_its_own_headers() -> None:
    """The answer's Date is the clock its Retry-After is measured with."""
    headers = {"Retry-After": "Wed, 21 Oct 2015 07:28:07 GMT", "Date": NOW}
    assert Response(429, headers, b"").retry_after == 7.0
    assert Response(429, {}, b"").retry_after is None


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ({"a&admin=1": "x"}, "/x?a%26admin%3D1=x"),
        ({"a#b": 1}, "/x?a%23b=1"),
        ({"a b": 1}, "/x?a%20b=1"),
        ({"a=b": True, "page": 2}, "/x?a%3Db=true&page=2"),
        ({"é": "é"}, "/x?%C3%A9=%C3%A9"),
        ({"stops[0].city": "Waco"}, "/x?stops%5B0%5D.city=Waco"),
        ({"a": None}, "/x"),
        ({}, "/x"),
        (None, "/x"),
    ],
    ids=repr,
)
def test_a_query_name_is_quoted_like_its_value(query: dict[str, object] | None, target: str) -> None:
    """No name adds a parameter, ends the query, or breaks the request line; the server reads back what was given."""
    request = build("GET", "/x", query=query)
    assert request.target == target
    names = [name for name, value in (query or {}).items() if value is not None]
    assert [name for name, _ in parse_qsl(urlsplit("https://h" + target).query, keep_blank_values=True)] == names


@given(st.dictionaries(st.text(), st.text() | st.integers(0, 9), max_size=3))
def test_any_query_reads_back_or_is_refused(query: dict[str, str | int]) -> None:
    """Whatever the names, each arrives whole with its own value, or nothing is sent."""
    target, param = "", None
    try:
        target = build("GET", "/x", query=query).target
    except BadInput as bad:
        param = bad.param
    if not target:
        assert param in {"query", *query}
        return
    parts = urlsplit("https://h" + target)
    assert (parts.path, parts.fragment) == ("/x", "")
    read = parse_qsl(parts.query, keep_blank_values=True)
    assert read == [(name, str(value)) for name, value in query.items()]


@pytest.mark.parametrize("query", [[("a", 1)], "a=1", 5, {"a"}, b"a=1", [], "", 0, False], ids=repr)
def test_a_query_that_is_no_mapping_is_refused(query: Any) -> None:
    """Also an empty one; the refusal names the argument."""
    with pytest.raises(BadInput, match=r"^query must be a mapping of names to values$") as caught:
        build("GET", "/x", query=query)
    assert caught.value.param == "query"


@pytest.mark.parametrize("name", ["", 5, None, b"a", ("a",), True], ids=repr)
def test_a_query_name_is_text(name: Any) -> None:
    """Nothing is turned into text silently, and an empty name is none."""
    with pytest.raises(BadInput, match=r"^query has a name that is no text, or empty$") as caught:
        build("GET", "/x", query={"page": 1, name: "x"})
    assert caught.value.param == "query"


def test_a_query_name_that_is_not_unicode_is_refused() -> None:
    """Half a character cannot be sent as a name either."""
    with pytest.raises(BadInput, match="not valid Unicode"):
        build("GET", "/x", query={"\ud800": 1})
