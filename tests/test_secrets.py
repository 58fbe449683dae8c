"""What never prints: secrets not at all, phone numbers but for their last digits; and the scanner that says so."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import pickle
import re
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import example, given, strategies as st

from envoy_async import ApiKey, BearerToken, EnvoyClient, Login, models
from envoy_async._converter import encode, structure
from envoy_async._credentials import NO_SECRET, Secret
from envoy_async._masking import masked, without_phones
from envoy_async._transport._statuses import status_error
from envoy_async._wire import BadInput, Request, Response, build
from envoy_async.errors import (
    ConfigurationError,
    EnvoyError,
    InvalidResponseError,
    OutcomeUnknownError,
    ServerError,
)
from envoy_async.models import Call, Carrier, LoadContact, NewCarrier, Page
from envoy_async.resources._checks import _RULES, _phone, check
from tests.faults._canary import CanaryLog, leaks

CANARY = "canary-7f3a"
PHONE = "+14155552671"
TEXTS = st.text(max_size=20).map(lambda text: f"{CANARY}{text}")


@dataclass
class Holder:
    """Anything of a user that holds a secret."""

    secret: object


HOLDERS: dict[str, Callable[[Secret], object]] = {
    "alone": lambda secret: secret,
    "in a list": lambda secret: [secret],
    "in a mapping": lambda secret: {"key": secret},
    "in a dataclass": Holder,
    "key": ApiKey,
    "token": BearerToken,
    "login": lambda secret: Login(secret, secret),
    "key from text": lambda secret: ApiKey(secret.reveal()),
    "key as a mapping": lambda secret: attrs.asdict(ApiKey(secret)),
    "login as a tuple": lambda secret: attrs.astuple(Login(secret, secret)),
    "request": lambda secret: attrs.evolve(build("POST", "/auth/login"), secret=secret),
    "error": lambda secret: ServerError(f"it was {secret}, {secret!r}, {secret:>8}, {secret!s}"),
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=list(HOLDERS))
@given(text=TEXTS)
@example(text=f"{CANARY}\ud800")
def test_a_secret_shows_nowhere(hold: Callable[[Secret], object], text: str) -> None:
    """No way of printing, dumping, formatting, or serialising gives any part of it, wherever it is put."""
    assert leaks(hold(Secret(text)), CANARY) == []


@given(text=st.text(), other=st.text())
def test_a_secret_is_a_value(text: str, other: str) -> None:
    """It gives back what was put in, equals what holds the same, hashes alike, and is no text."""
    secret = Secret(text)
    assert secret.reveal() == text
    assert (secret == Secret(text), hash(secret) == hash(Secret(text))) == (True, True)
    assert (secret == Secret(other)) == (text == other)
    assert bool(secret) == bool(text)
    assert secret != text
    assert not isinstance(secret, str)


def test_a_secret_neither_changes_nor_travels() -> None:
    """It is not changed, not pickled, not written as JSON; a copy of it is itself."""
    secret = Secret(CANARY)
    changes: list[Callable[[], object]] = [
        lambda: setattr(secret, "_text", ""),
        lambda: setattr(secret, "more", ""),
        lambda: delattr(secret, "_text"),
    ]
    for change in changes:
        with pytest.raises(AttributeError, match="a secret does not change"):
            change()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="a secret is not pickled"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(secret)
    assert copy.copy(secret) is copy.deepcopy([secret])[0] is secret
    assert secret.reveal() == CANARY
    with pytest.raises(TypeError):
        vars(secret)


@pytest.mark.parametrize("value", [None, 5, b"canary-7f3a", ["canary-7f3a"]], ids=repr)
def test_what_is_no_text_is_no_secret(value: Any) -> None:
    """It counts as empty, which every user of a secret refuses."""
    assert Secret(value) == NO_SECRET
    with pytest.raises(ConfigurationError, match="the ApiKey is empty"):
        EnvoyClient(ApiKey(value))


def test_a_secret_goes_out_in_a_body() -> None:
    """Where it has to be sent it is sent; text that is not Unicode is refused without quoting it."""
    assert encode({"password": Secret("päss")}) == '{"password": "päss"}'.encode()
    with pytest.raises(BadInput, match=r"^\$\.password holds text that is not valid Unicode$"):
        encode({"password": Secret("\ud800")})


REFUSED: dict[str, Callable[[], object]] = {
    "address": lambda: EnvoyClient(CANARY, base_url="ftp://x"),
    "organization": lambda: EnvoyClient(CANARY, organization_id="\n"),
    "blank": lambda: EnvoyClient(f"{CANARY} x"),
    "login": lambda: EnvoyClient(Login(f"{CANARY}@example.com", "")),
    "environment": lambda: EnvoyClient(Login("", "x")),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=list(REFUSED))
def test_a_client_that_is_refused_shows_no_key(make: Callable[[], object], environ: MutableMapping[str, str]) -> None:
    """Not even to a tool that prints the local variables of a traceback, the environment among them."""
    environ["ENVOY_API_KEY"] = CANARY
    with pytest.raises(EnvoyError) as caught:
        make()
    assert caught.value.__traceback__ is not None
    assert leaks(caught.value, CANARY) == []


PHONES = [
    (kind, field)
    for kind in (getattr(models, name) for name in models.__all__)
    if inspect.isclass(kind) and attrs.has(kind)
    for field in attrs.fields(kind)
    if "phone" in field.name or _RULES.get(field.name) is _phone
]


def test_the_fields_with_phone_numbers_are_known() -> None:
    """Every field that has such a name, or has to be in E.164, is masked; no other field is."""
    assert {(kind.__name__, field.name) for kind, field in PHONES} == {
        ("Call", "phone_number"),
        ("Call", "to_number"),
        ("Call", "from_number"),
        ("Carrier", "phone"),
        ("Carrier", "dispatcher_phone"),
        ("LoadContact", "phone"),
        ("NewCarrier", "phone"),
    }
    assert all(field.repr is masked for _, field in PHONES)


@pytest.mark.parametrize(
    ("value", "shown"), [(PHONE, "'***2671'"), ("+123456789", "'***'"), (None, "None"), ("", "'***'")]
)
@pytest.mark.parametrize(
    ("kind", "field"), PHONES, ids=lambda part: part.__name__ if inspect.isclass(part) else part.name
)
def test_a_model_masks_phone_numbers(kind: Any, field: Any, value: str | None, shown: str) -> None:
    """Whoever prints a model sees the last four digits; the field has the number whole."""
    blank: Any = object.__new__(kind)
    for other in attrs.fields(kind):
        object.__setattr__(blank, other.name, other.default)
    object.__setattr__(blank, field.name, value)
    assert f"{field.name}={shown}" in repr(blank)
    assert getattr(blank, field.name) == value


def test_nested_models_are_masked_as_well() -> None:
    """Also inside a page and another model; what is sent and what is read is whole, and what is left out says so."""
    contact = structure(json.dumps({"phone": PHONE, "email": "dana@example.com"}).encode(), LoadContact)
    assert (contact.phone, "4155552671" in repr([contact])) == (PHONE, False)
    new = NewCarrier(name="Acme", phone=PHONE)
    assert json.loads(encode(new)) == {"name": "Acme", "phone": PHONE}
    assert repr(NewCarrier(name="Acme")).endswith("phone=UNSET)")
    page = Page(items=(new,), number=1, size=1, total_count=1, total_pages=1, has_next=False, raw=encode(new))
    assert leaks(repr((new, page)), "415555") == []


SPELLINGS = [
    "+{0}{1}{2}{3}",
    "+{0} {1} {2} {3}",
    "+{0}-{1}-{2}-{3}",
    "+{0}.{1}.{2}.{3}",
    "+{0} ({1}) {2}-{3}",
    "+{0}({1}){2}-{3}",
    "%2B{0}{1}{2}{3}",
    "%2b{0}{1}{2}{3}",
    "\\u002b{0}{1}{2}{3}",
    "{0}{1}{2}{3}",
    "{0}-{1}-{2}-{3}",
    "{0} ({1}) {2}-{3}",
    "({1}) {2}-{3}",
    "({1}){2}-{3}",
    "({1}) {2}{3}",
    "{1}-{2}-{3}",
    "{1}.{2}.{3}",
    "{1} {2} {3}",
    "{1} {2}{3}",
    "{1}\N{NON-BREAKING HYPHEN}{2}\N{NON-BREAKING HYPHEN}{3}",
]
AREAS = st.integers(200, 999)
BEFORE = ["", "phone ", "'", '"', "tel:", "phone=", "<", "(", "[", "to: ", "a, ", "x;", "Tel."]
BEHIND = ["", " is not valid", "'", '"', ".", ", and", ">", ")", "]", "!", ";x", ":", " x12"]


@given(
    spelling=st.sampled_from(SPELLINGS),
    area=AREAS,
    exchange=st.integers(0, 999),
    last=st.integers(0, 9999),
    around=st.tuples(st.sampled_from(BEFORE), st.sampled_from(BEHIND)),
)
def test_a_number_of_north_america_is_masked(
    spelling: str, area: int, exchange: int, last: int, around: tuple[str, str]
) -> None:
    """In every common spelling, inside any sentence; its last four digits stay, and so does all around it."""
    before, behind = around
    number = spelling.format(1, area, f"{exchange:03}", f"{last:04}")
    assert without_phones(f"{before}{number}{behind}") == f"{before}***{last:04}{behind}"


@given(
    digits=st.from_regex(r"[1-9][0-9]{7,14}", fullmatch=True),
    before=st.sampled_from(BEFORE),
    behind=st.sampled_from(BEHIND),
)
def test_a_number_of_the_world_is_masked(digits: str, before: str, behind: str) -> None:
    """E.164 of eight to fifteen digits; of fewer than ten, nothing is shown."""
    shown = digits[-4:] if len(digits) >= 10 else ""
    assert without_phones(f"{before}+{digits}{behind}") == f"{before}***{shown}{behind}"


@pytest.mark.parametrize("number", ["+44 20 7946 0958", "+33 1 42 68 53 00", "+49 (0)30 901820-12", "+1  415 5552671"])
def test_a_number_in_groups_of_another_country_is_masked(number: str) -> None:
    """Behind a plus, groups of any length are one number."""
    assert without_phones(f"bad: {number}!") == "bad: ***" + re.sub(r"\D", "", number)[-4:] + "!"


PREFIXES = st.sampled_from(["", "call_", "car_", "load_", "ofr_", "req_", "req-"])
HARMLESS = st.one_of(
    st.builds("{}{}".format, PREFIXES, st.uuids()),
    st.builds(
        "{}{:d}".format,
        st.sampled_from(["LD", "MC", "DOT-", "req_", "call_", "#", "$", "/loads/", "v"]),
        st.integers(0),
    ),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S %z")),
    st.dates().map(str),
    st.times().map(str),
    st.decimals(-(10**12), 10**12, places=2).map("{:+f}".format),
    st.decimals(-(10**12), 10**12, places=2).map("{:,f}".format),
    st.floats(-180, 180).map(str),
    st.integers(0, 199_999_999).map(str),
    st.integers(10**11).map(str),
    st.ip_addresses().map(str),
)


@given(words=st.lists(HARMLESS | st.sampled_from(["load", "must", "be", "one", "of"]), max_size=5))
@example(words=["1763740800"]).via("Unix seconds")
@example(words=["req_4155552671", "LD-415-555-2671", "415-555-2671-99", "4155552671.50", "+40.7127753", "a4155552671"])
def test_what_is_no_phone_number_stays(words: list[str]) -> None:
    """Ids, load numbers, instants, amounts, coordinates, and addresses come through as they were."""
    text = ", ".join(words)
    assert without_phones(text) == text


def test_an_error_of_the_server_shows_no_phone_number() -> None:
    """Neither message nor param nor the beginning of another body; the request's id stays what it is."""
    told = {"error": {"code": "validation_error", "message": f"{PHONE} is no phone", "param": f"to[{PHONE}]"}}
    error = status_error(Response(422, {"X-Request-ID": "14155552671"}, json.dumps(told).encode()))
    assert (str(error), error.request_id) == ("to[***2671]: ***2671 is no phone", "14155552671")
    other = status_error(Response(422, {}, f'{{"detail": "(415)\n 555-2671", "to": {PHONE}}}'.encode()))
    assert other.message == '{"detail": "***2671", "to": ***2671}'
    blanks = status_error(Response(422, {}, json.dumps({"error": {"code": "c", "message": "415\t555\n2671"}}).encode()))
    assert blanks.message == "***2671"


@pytest.mark.parametrize("number", [PHONE, "(415) 555-2671", "+1 415 555 2671", "415\n555\n2671"])
@pytest.mark.parametrize(("longest", "body"), [(1000, '{{"error": {{"code": "c", "message": "{}"}}}}'), (200, "{}")])
def test_a_number_across_the_end_leaves_no_part(number: str, longest: int, body: str) -> None:
    """What is cut is cut before a number, never inside one."""
    for start in range(longest - len(number) - 1, longest + 1):
        written = json.dumps("x" * start + " " + number)[1:-1] if longest > 200 else "x" * start + " " + number
        error = status_error(Response(500, {}, body.format(written + " and more" * 900).encode()))
        assert re.fullmatch(r"x+ ?(\*\*\*2671.*)?", error.message)


def test_a_number_across_the_end_of_what_is_read_leaves_no_part() -> None:
    """Blanks are run together, so that what stands far behind comes into the excerpt; no part of a number does."""
    for start in range(4070, 4100):
        error = status_error(Response(500, {}, b"oops" + b" " * start + b"+1 415 555 2671<br>"))
        assert re.fullmatch(r"oops( \*\*\*2671(<.*)?)?", error.message)


def test_a_request_shows_no_phone_number() -> None:
    """A search for a number is an address that holds it; its repr does not."""
    for number in (PHONE, "4155552671", "(415) 555-2671"):
        request = build("GET", "/calls", query={"search": number, "status": "COMPLETED"})
        assert leaks(repr(request), "4155552671", "555-2671") == []
        assert "COMPLETED" in repr(request)


@pytest.mark.parametrize("name", sorted(_RULES))
@pytest.mark.parametrize(
    "value", [f"+15005550199 {CANARY}", {"a": CANARY}, CANARY * 999], ids=lambda value: repr(value)[:20]
)
def test_what_is_refused_before_sending_is_not_quoted(name: str, value: object) -> None:
    """The error names the field and what it takes, never what was given."""
    with pytest.raises(BadInput) as caught:
        check({name: value})
    assert caught.value.param == name
    assert leaks(str(caught.value), CANARY, "5005550199") == []


WRONG = [
    {"id": 5, "phone_number": PHONE},
    {"phone_number": [PHONE], "call_time": CANARY},
    {"phone_number": {"number": PHONE}, "status": CANARY},
    [PHONE, CANARY],
    PHONE,
]


@pytest.mark.parametrize("body", WRONG, ids=repr)
@pytest.mark.parametrize("kind", [Call, Carrier, Page[Call], tuple[Call, ...], dict[str, Call], int])
def test_an_answer_that_cannot_be_read_is_not_quoted(body: object, kind: Any) -> None:
    """The error says where and what was expected, and nothing of what stood there."""
    with pytest.raises(InvalidResponseError) as caught:
        structure(json.dumps(body).encode(), kind)
    assert leaks(str(caught.value), CANARY, PHONE) == []


def failing(error: Exception) -> Exception:
    """Raise an error through a frame of a library, which keeps a secret in a local variable."""
    library = compile("def work(error, key):\n    raise error", "/elsewhere/site-packages/library.py", "exec")
    names: dict[str, Any] = {}
    exec(library, names)  # noqa: S102 - a file that is no test
    try:
        names["work"](error, CANARY.upper())
    except Exception as caught:  # noqa: BLE001 - any
        return caught
    return error


def caused(
    cause: Exception | None = None, context: Exception | None = None, last: Exception | None = None
) -> Exception:
    """Make an error with others hanging on it."""
    error = OutcomeUnknownError("no")
    error.__cause__, error.__context__ = cause, context
    error.last_error = last  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    return error


def noted() -> Exception:
    """Make an error with a note."""
    error = ServerError("no")
    error.add_note(CANARY)
    return error


def given_more() -> Exception:
    """Make an error with an attribute that prints nothing and dumps everything."""
    error = ServerError("no")
    error.request = Request(method="POST", template="/", path="/", body=CANARY.encode())  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return error


LEAKY: dict[str, Callable[[], object]] = {
    "message": lambda: ServerError(f"no {CANARY.upper()}"),
    "cause": lambda: caused(cause=ValueError(CANARY)),
    "context": lambda: caused(context=ValueError(CANARY)),
    "last error": lambda: caused(last=ServerError(CANARY)),
    "group": lambda: ExceptionGroup("no", [ValueError(CANARY)]),
    "note": noted,
    "attribute": given_more,
    "frame": lambda: failing(ServerError("no")),
    "text": lambda: CANARY,
    "dataclass": lambda: Holder(CANARY),
    "model with the field hidden": lambda: models.LoginResult(access_token=CANARY),
    "pickle": lambda: partial(ServerError, CANARY),
    "quoted": lambda: "canary%2D7f3a".replace("%2D", "-"),
}


@pytest.mark.parametrize("make", LEAKY.values(), ids=list(LEAKY))
def test_the_scanner_finds_what_is_there(make: Callable[[], object]) -> None:
    """A scan that finds nothing means that there is nothing: each place where a secret can hide is looked at."""
    assert leaks(make(), CANARY) != []
    assert leaks(make(), "another-9d1c") == []


def test_the_scanner_leaves_tests_alone_and_takes_no_words() -> None:
    """A test holds its key by right; and what is too short to be a canary is a mistake."""
    key = CANARY + "-local"
    with pytest.raises(ServerError) as caught:
        raise ServerError("no")
    assert leaks(caught.value, key) == []
    with pytest.raises(ValueError, match="too short"):
        leaks("abc", "abc")


def logged() -> Iterator[tuple[str, Callable[[logging.Logger], object]]]:
    """Give ways of getting a secret into a log."""
    yield "text", lambda log: log.debug("key " + CANARY)  # noqa: G003 - that is the mistake
    yield "argument", lambda log: log.debug("key %s", CANARY)
    yield "mapping", lambda log: log.debug("key %(key)s", {"key": CANARY})
    yield "extra", lambda log: log.debug("key", extra={"key": CANARY})
    yield "error", lambda log: log.debug("key", exc_info=failing(ServerError("no")))


@pytest.mark.parametrize(("way", "write"), [*logged()])
def test_the_log_keeps_all_that_is_written(way: str, write: Callable[[logging.Logger], object]) -> None:
    """Down to DEBUG, of any logger, with arguments, extras, and errors; and the levels are as before afterwards."""
    logger = logging.getLogger("envoy_async.canary")
    logger.setLevel(logging.ERROR)
    with CanaryLog() as log:
        write(logger)
    assert (logger.level, len(log.records)) == (logging.ERROR, 1)
    assert "key" in log.text
    assert log.leaks(CANARY), way
    assert log.leaks("another-9d1c") == []
