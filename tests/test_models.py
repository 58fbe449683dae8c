"""The shapes of the API: open enums, the mark for "left out", and what every model promises."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, StrEnum
from functools import partial
from typing import Any, get_type_hints

import attrs
import pytest
from hypothesis import given, strategies as st

from envoy_async import models
from envoy_async.models import (
    UNSET,
    ApiKeyWithSecret,
    CallDirection,
    CallRecording,
    CallStatus,
    InvalidItem,
    LoadUpdate,
    LoginResult,
    NewWebhookEndpoint,
    OpenEnum,
    Page,
    Unset,
    WebhookAttempt,
    WebhookAttemptStatus,
    WebhookEndpoint,
    WebhookEndpointStatus,
    WebhookEndpointUpdate,
    WebhookEndpointWithSecret,
    WebhookEventType,
    WebhookMessageState,
)

NAMES = sorted(models.__all__)
KINDS: list[type] = [kind for name in NAMES if isinstance(kind := getattr(models, name), type)]
ENUMS: list[type[OpenEnum]] = [kind for kind in KINDS if issubclass(kind, OpenEnum) and kind is not OpenEnum]
MODELS: list[type[attrs.AttrsInstance]] = [found for name in NAMES if attrs.has(found := getattr(models, name))]
SECRETIVE: list[type[attrs.AttrsInstance]] = [ApiKeyWithSecret, LoginResult, WebhookEndpointWithSecret]
CANARY = "canary-7f3a"
NOON = datetime(2025, 11, 21, 12, tzinfo=UTC)


def through_pickle(value: object, protocol: int = pickle.HIGHEST_PROTOCOL) -> object:
    """Send a value to another process and back, so to speak."""
    restored: object = pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - our own bytes
    return restored


def test_every_model_is_a_name_of_the_package() -> None:
    """`dir` shows it before it is used, it lives in a module of the package, and what is no model is no name."""
    assert set(NAMES) <= set(dir(models))
    assert all(kind.__module__.startswith("envoy_async.models.") for kind in KINDS)
    with pytest.raises(AttributeError, match=r"^module 'envoy_async\.models' has no attribute 'Calls'$"):
        getattr(models, "Calls")  # noqa: B009 - type checkers know that it is not there


@pytest.mark.parametrize("kind", ENUMS)
def test_a_known_value_is_its_member(kind: type[OpenEnum]) -> None:
    """Looking a known text up gives the one member, which says that it is known."""
    for member in kind:
        assert kind(member.value) is member
        assert kind(member) is member
        assert member.is_known
        assert member == member.value == str(member) == f"{member}"


@given(kind=st.sampled_from(ENUMS), text=st.text())
def test_an_unknown_value_stays_usable(kind: type[OpenEnum], text: str) -> None:
    """It has the enum's type, equals its text, is found where its text is found, and says that it is unknown."""
    value = kind(text)
    assert type(value) is kind
    assert value.is_known == (text in {member.value for member in kind})
    assert (value.value, str(value), f"{value}") == (text, text, text)
    assert value == text
    assert hash(value) == hash(text)
    by_text: dict[str, int] = {text: 1, value: 2}
    assert by_text == {text: 2}
    assert value == kind(text)
    assert value != kind(text + "x")


class Paint(OpenEnum):
    """An enum whose members are not called what their values are."""

    RED = "red"


def test_a_value_is_found_by_its_text_whatever_the_member_is_called() -> None:
    """Equality and hash follow the text and never the member's name."""
    by_text: dict[str, int] = {"red": 1}
    assert by_text[Paint.RED] == 1
    assert hash(Paint.RED) == hash("red")
    assert Paint("red") is Paint.RED
    assert not Paint("RED").is_known
    assert Paint("RED") != Paint.RED


@pytest.mark.parametrize("kind", ENUMS)
def test_unknown_values_do_not_pile_up(kind: type[OpenEnum]) -> None:
    """A server that sends ever new values does not make the class grow, and nobody's value becomes known."""
    members, table = list(kind), dict(kind._value2member_map_)
    values = [kind("NEW_" + str(number)) for number in range(100)]
    assert not any(value.is_known for value in values)
    assert list(kind) == members
    assert kind._value2member_map_ == table
    assert not hasattr(kind, "NEW_1")


def test_a_value_that_is_not_known_is_made_once() -> None:
    """Listings repeat values: one that came before is the same member again."""
    assert CallStatus("NEVER_SEEN") is CallStatus("NEVER_SEEN")
    assert type(CallDirection("NEVER_SEEN")) is CallDirection


def test_what_is_more_than_text_leaves_its_text_alone() -> None:
    """A value given as another enum, or as a string of another class, is kept as plain text, and found as such."""

    class Mine(StrEnum):
        NEW = "NEWER"

        def __str__(self) -> str:
            return "something else"

    assert CallStatus(Mine.NEW) == CallStatus("NEWER") == "NEWER"
    assert CallStatus(CallDirection("SIDEWAYS")) == "SIDEWAYS"
    for text in ("NEWER", "SIDEWAYS"):
        assert type(CallStatus(text).value) is type(CallStatus(text).name) is str
    assert CallStatus("something else") == "something else"


def test_an_enum_may_look_up_values_itself() -> None:
    """An open enum of a user's own, with a look-up of its own, is asked for what is not known, and may fall back."""

    class Folding(OpenEnum):
        A = "A"

        @classmethod
        def _missing_(cls, value: object) -> Folding | None:
            return cls.A if value == "a" else super()._missing_(value)

    assert Folding("a") is Folding.A
    assert Folding("b") == "b"
    with pytest.raises(ValueError, match="is not a valid"):
        Folding(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_what_can_be_no_key_is_no_value() -> None:
    """A list is no value of an enum."""
    with pytest.raises(TypeError):
        CallStatus(["COMPLETED"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("values", "kept"), [([f"N{n}" for n in range(900)], 256), (["N" * 65], 0)], ids=["many", "long"]
)
def test_what_an_enum_keeps_is_bounded(values: list[str], kept: int) -> None:
    """Of values that are many, or long, few are kept, and all are read as they came."""

    class State(OpenEnum):
        KNOWN = "KNOWN"

    assert [State(value) for value in values] == values
    assert sum(State(value) is State(value) for value in values) == kept
    assert not any(State(value).is_known for value in values)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("text", ["COMPLETED", "NEVER_SEEN", ""])
def test_enum_values_pickle_and_copy(text: str, protocol: int) -> None:
    """A value, known or not, comes out of another process as it went in."""
    value = CallStatus(text)
    for other in (through_pickle(value, protocol), copy.copy(value), copy.deepcopy(value)):
        assert type(other) is CallStatus
        assert (other, other.is_known, other.name) == (value, value.is_known, value.name)


@pytest.mark.parametrize("value", [None, 5, 1.5, b"COMPLETED", ("COMPLETED",)], ids=repr)
def test_an_enum_value_is_text(value: object) -> None:
    """Anything but text is refused; None never becomes a status called None."""
    with pytest.raises(ValueError, match="is not a valid CallStatus"):
        CallStatus(value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_unset_is_one_and_false() -> None:
    """There is one UNSET in a process, it is false, and it stays itself through copies and pickles."""
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert Unset("UNSET") is UNSET
    assert list(Unset) == [UNSET]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert through_pickle(UNSET, protocol) is UNSET
    assert copy.deepcopy({"a": UNSET})["a"] is UNSET


def test_unset_differs_from_null() -> None:
    """A change that leaves a field out is another change than one that sends null."""
    assert LoadUpdate() == LoadUpdate(is_posted=UNSET)
    assert len({LoadUpdate(), LoadUpdate(is_posted=None), LoadUpdate(is_posted=False)}) == 3


def made(model: type[attrs.AttrsInstance]) -> attrs.AttrsInstance:
    """Make an instance with a canary in every field; models do not check, so one value fits all."""
    return model(**dict.fromkeys(attrs.fields_dict(model), CANARY))


def test_every_public_shape_is_tested_here() -> None:
    """What is exported is a model, an open enum, or one of four known pieces."""
    pieces = {"UNSET", "OpenEnum", "Timestamp", "Unset"}
    assert {*pieces, *(kind.__name__ for kind in ENUMS), *(kind.__name__ for kind in MODELS)} == set(NAMES)
    assert len(ENUMS) == len(set(ENUMS)) > 8
    assert set(SECRETIVE) < set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_a_frozen_slotted_value(model: type[attrs.AttrsInstance]) -> None:
    """It cannot be changed, has no room for stray attributes, and equals and hashes by its fields."""
    one = made(model)
    for name in (*attrs.fields_dict(model), "stray"):
        with pytest.raises(AttributeError):
            setattr(one, name, None)
    assert not hasattr(one, "__dict__")
    assert one == made(model)
    assert hash(one) == hash(made(model))
    names = list(attrs.fields_dict(model))
    for name in names:
        others = dict.fromkeys(names, CANARY) | {name: "other"}
        assert (model(**others) == one) is (model is Page and name == "raw")


@pytest.mark.parametrize("model", [model for model in MODELS if model not in SECRETIVE])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_model_pickles_and_copies(model: type[attrs.AttrsInstance], protocol: int) -> None:
    """All but the three that hold a secret come out of another process as they went in."""
    one = made(model)
    for other in (through_pickle(one, protocol), copy.copy(one), copy.deepcopy(one)):
        assert type(other) is model
        assert other == one


TRAVELS: dict[str, Callable[[object], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": partial(pickle.dumps, protocol=n) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("model", SECRETIVE)
@pytest.mark.parametrize("way", TRAVELS)
def test_an_answer_with_a_secret_stays_where_it_is(model: type[attrs.AttrsInstance], way: str) -> None:
    """It is neither pickled nor copied, alone or inside something; the refusal says why and shows nothing."""
    one = made(model)
    for value in (one, {"nested": [one]}) if way != "copy" else (one,):
        with pytest.raises(TypeError, match=r"^an answer that holds a secret is not pickled; keep") as caught:
            TRAVELS[way](value)
        assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_made_by_keyword(model: type[attrs.AttrsInstance]) -> None:
    """Fields may be added between others without a caller noticing, since none is positional."""
    with pytest.raises(TypeError):
        model(*[CANARY] * len(attrs.fields(model)))
    assert all(field.kw_only for field in attrs.fields(model))


@pytest.mark.parametrize("model", MODELS)
def test_a_model_keeps_to_what_both_readers_read_alike(model: type[attrs.AttrsInstance]) -> None:
    """No converter, no alias, no validator, no cached hash: names are the JSON keys and values stay as given."""
    for field in attrs.fields(model):
        assert field.converter is None
        assert field.validator is None
        assert field.alias == field.name
        assert field.init
        assert getattr(made(model), field.name) is CANARY
    assert "_attrs_cached_hash" not in getattr(model, "__slots__", ())


@pytest.mark.parametrize("model", [model for model in MODELS if model not in {InvalidItem, Page}])
def test_a_model_can_be_asked_for_its_types(model: type[attrs.AttrsInstance]) -> None:
    """Annotations resolve at run time, and every optional field has a default that says so."""
    hints = get_type_hints(model)
    for field in attrs.fields(model):
        assert field.name in hints
        assert field.default in {attrs.NOTHING, None, False, UNSET}


@pytest.mark.parametrize("model", [model for model in MODELS if model is not InvalidItem])  # which is ours
def test_a_model_says_where_it_comes_from(model: type[attrs.AttrsInstance]) -> None:
    """Its docstring names the evidence: seen, or partial."""
    text = model.__doc__ or ""
    assert "seen" in text or "partial" in text


def test_a_recording_does_not_print_its_address() -> None:
    """Whoever holds the signed address can listen, so it is not in a log."""
    moment = datetime(2025, 11, 21, tzinfo=UTC)
    url = f"https://media.example/{CANARY}?signature={CANARY}"
    recording = CallRecording(
        call_id="call_1", url=url, content_type="audio/mp4", expires_at=moment, recording_status="AVAILABLE"
    )
    assert recording.url == url
    assert CANARY not in f"{recording!r} {recording} {[recording]}"
    assert "call_1" in repr(recording)


def test_a_page_prints_its_numbers_and_not_its_records() -> None:
    """A page in a log says which page it was; records are personal data."""
    page = Page(items=(CANARY,), number=2, size=50, total_count=None, total_pages=7, has_next=True, raw=CANARY.encode())
    assert repr(page) == "Page(number=2, size=50, total_count=None, total_pages=7, has_next=True)"
    assert page == attrs.evolve(page, raw=b"other")
    assert page != attrs.evolve(page, items=())


def test_a_record_that_could_not_be_read_prints_its_place_and_not_its_bytes() -> None:
    """The log says which record of which page is wrong and why; its bytes are personal data."""
    bad = InvalidItem(page=3, index=7, path="expected string @ $.data[7].id", raw=CANARY.encode())
    assert repr(bad) == "InvalidItem(page=3, index=7, path='expected string @ $.data[7].id')"
    page: Page[object] = Page(items=(), number=3, size=8, total_count=8, total_pages=1, has_next=False, invalid=(bad,))
    assert repr(page) == "Page(number=3, size=8, total_count=8, total_pages=1, has_next=False)"
    assert page.invalid == (bad,)


ENDPOINT: dict[str, Any] = {
    "id": "ep_1",
    "organization_id": "org_1",
    "url": "https://example.com",
    "event_types": ("call.completed",),
    "status": WebhookEndpointStatus.ACTIVE,
    "created_at": NOON,
    "updated_at": NOON,
}
ATTEMPT: dict[str, Any] = {
    "id": "atmp_1",
    "message_id": "msg_1",
    "endpoint_id": "ep_1",
    "attempt": 1,
    "status": WebhookAttemptStatus.PENDING,
    "created_at": NOON,
}
KEY: dict[str, Any] = {
    "id": "key_1",
    "name": "TMS",
    "organization_id": "org_1",
    "is_active": True,
    "created_at": NOON,
    "updated_at": NOON,
}
STATE: dict[str, Any] = {"id": "msg_1", "endpoint_id": "ep_1", "latest_status": WebhookAttemptStatus.DEAD}
NEW_ENDPOINT: dict[str, Any] = {"url": "https://example.com", "event_types": ("call.completed",)}
HEADERS: dict[str, Any] = {"Authorization": CANARY, CANARY: "x"}
PAYLOAD: dict[str, Any] = {"data": {"phone": CANARY}, CANARY: 1}


@pytest.mark.parametrize(
    ("model", "known", "name", "secret"),
    [
        (LoginResult, {"token_type": "bearer"}, "access_token", CANARY),
        (ApiKeyWithSecret, KEY, "key", CANARY),
        (WebhookEndpointWithSecret, ENDPOINT, "signing_secret", CANARY),
        (WebhookEndpointWithSecret, {**ENDPOINT, "signing_secret": CANARY}, "headers", HEADERS),
        (WebhookEndpoint, ENDPOINT, "headers", HEADERS),
        (NewWebhookEndpoint, NEW_ENDPOINT, "headers", HEADERS),
        (WebhookEndpointUpdate, {}, "headers", HEADERS),
        (WebhookAttempt, ATTEMPT, "payload", PAYLOAD),
        (WebhookMessageState, STATE, "payload", PAYLOAD),
        (WebhookEventType, {"name": "call.completed"}, "payload_schema", PAYLOAD),
    ],
)
def test_a_secret_is_kept_and_not_printed(model: Any, known: dict[str, Any], name: str, secret: object) -> None:
    """It is there for who asks for it by name; no repr, str, or format shows it, and the other fields do show."""
    one = model(**known, **{name: secret})
    assert getattr(one, name) == secret
    shown = f"{one!r} {one} {one!a} {[one]} {(one,)}"
    assert CANARY not in shown
    assert f"{name}=" not in shown
    assert all(repr(value) in shown for value in known.values() if value != CANARY)


@pytest.mark.parametrize(
    ("model", "known", "name"),
    [
        (WebhookEndpoint, ENDPOINT, "headers"),
        (WebhookEndpointWithSecret, {**ENDPOINT, "signing_secret": CANARY}, "headers"),
        (WebhookAttempt, ATTEMPT, "payload"),
        (WebhookMessageState, STATE, "payload"),
        (WebhookEventType, {"name": "call.completed"}, "payload_schema"),
    ],
)
def test_an_answer_with_a_mapping_can_be_put_into_a_set(model: Any, known: dict[str, Any], name: str) -> None:
    """Mappings do not hash, so they are left out of the hash; two that differ there alone are still two."""
    one, other, same = (model(**known, **{name: mapping}) for mapping in ({"a": "b"}, {"a": "c"}, {"a": "b"}))
    assert len({one, other, same}) == 2
    assert hash(one) == hash(other) == hash(same)


def test_a_kind_of_event_goes_by_its_name() -> None:
    """Listings tell records apart by their id; kinds of events have none but their name."""
    assert WebhookEventType(name="call.completed").id == "call.completed"


def test_unset_is_an_enum_for_type_checkers() -> None:
    """`is UNSET` narrows a type only because UNSET is the single member of an enum."""
    assert isinstance(UNSET, Enum)
