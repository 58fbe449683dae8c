"""What a delivery tells: known fields checked, all else kept whole, and no order assumed."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from envoy_async import errors, models
from envoy_async.webhooks import Event, WebhookVerifier, sign
from tests.faults._canary import chain
from tests.transport.conftest import RECORD
from tests.webhooks.conftest import NOW, SECRET

VERIFIER = WebhookVerifier(SECRET, clock=partial(float, NOW))
VALUE = "value-canary-77c1"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "id": st.none() | st.text(),
        "type": st.none() | st.text(),
        "data": st.none() | st.dictionaries(st.text(), JSON),
    },
)


def event_of(body: bytes | dict[str, object], id: str = "msg_1") -> Event:
    """Deliver a body, signed, and return its event."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return VERIFIER.verify(sign(SECRET, body, id=id, timestamp=int(NOW)), body)


def problem(body: bytes | dict[str, object]) -> str:
    """Return what is wrong with a signed body; the error shows no value and hangs on no other."""
    with pytest.raises(errors.PayloadError) as caught:
        event_of(body)
    assert chain(caught.value) == [caught.value]
    assert VALUE not in str(caught.value)
    return str(caught.value)


def test_the_samples_become_an_event() -> None:
    """The four fields of the samples are read, and what the headers say stands beside them."""
    payload: dict[str, object] = {
        "id": "evt_1",
        "type": "call.ended",
        "timestamp": "2025-11-21T17:00:00+01:00",
        "data": {"a": [1]},
    }
    event = event_of(payload)
    assert (event.message_id, event.sent_at) == ("msg_1", datetime.fromtimestamp(NOW, UTC))
    assert (event.id, event.type, event.data, event.payload) == ("evt_1", "call.ended", {"a": [1]}, payload)
    assert event.occurred_at == datetime(2025, 11, 21, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"id": null, "type": null, "timestamp": null, "data": null}', b"\xef\xbb\xbf {}\n"]
)
def test_every_field_may_be_missing(body: bytes) -> None:
    """Of the samples only names were read, so nothing in them is required; there is always `data` to look into."""
    event = event_of(body)
    assert (event.id, event.type, event.occurred_at, event.data) == (None, None, None, {})


@given(st.dictionaries(st.text().filter(lambda key: key != "timestamp"), JSON), KNOWN)
def test_what_is_not_known_is_kept_whole(unknown: dict[str, object], known: dict[str, object]) -> None:
    """Kinds of events and fields that nobody has seen stand in `payload` as they came."""
    payload = {**unknown, "id": None, "type": None, "data": None, **known}
    event = event_of(payload)
    assert event.payload == payload
    assert (event.id, event.type) == (payload["id"], payload["type"])
    assert event.data == (payload["data"] or {})


@given(st.sampled_from(["type", "data"]), JSON)
def test_what_it_is_about_has_to_be_as_the_samples_show(field: str, value: object) -> None:
    """An error says where in the JSON and what was expected; nothing is converted on the quiet."""
    wanted: dict[str, Any] = {"type": str, "data": dict}
    if value is None or isinstance(value, wanted[field]):
        assert event_of({field: value}).payload == {field: value}
    else:
        assert problem({field: value}) == f"$.{field}: expected {'object' if field == 'data' else 'string'}"


@given(JSON)
def test_no_event_is_lost_over_its_id(value: object) -> None:
    """An id that is no text is none, nothing is converted on the quiet, and it stays in `payload` as it came."""
    event = event_of({"id": value})
    assert (event.id, event.payload) == (value if isinstance(value, str) else None, {"id": value})


TIMES = [
    "",
    VALUE,
    "2025-11-21",
    "2025-11-21T16:00:00",
    "2016-12-31T23:59:60Z",
    "2025-13-01T00:00:00Z",
    "\x00",
    "1763740800",
]


@pytest.mark.parametrize("value", [*TIMES, "\ud800", 1763740800, 1.5, True, [VALUE], {"a": VALUE}], ids=ascii)
def test_no_event_is_lost_over_its_time(value: object) -> None:
    """What is no moment with a zone, such as half a surrogate pair, is none, and stays in `payload` as it came."""
    event = event_of({"timestamp": value})
    assert (event.occurred_at, event.payload) == (None, {"timestamp": value})


@pytest.mark.parametrize(
    "value", ["9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "2025-11-21T16:00:00.123456789z"]
)
def test_times_at_the_edges_are_read(value: str) -> None:
    """Whatever they are for, they can be compared."""
    occurred_at = event_of({"timestamp": value}).occurred_at
    assert occurred_at is not None
    assert occurred_at - datetime(2025, 1, 1, tzinfo=UTC) != timedelta(0)


BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON (0 bytes)"),
    "null": (b"null", "expected object @ $"),
    "list": (b"[]", "expected object @ $"),
    "text": (f'"{VALUE}"'.encode(), "expected object @ $"),
    "number": (b"5", "expected object @ $"),
    "HTML": (f"<p>{VALUE}</p>".encode(), "HTML, not JSON"),
    "cut": (f'{{"a": "{VALUE}'.encode(), "not JSON (24 bytes)"),
    "not UTF-8": (b'{"type": "\xff"}', "not JSON (13 bytes)"),
    "UTF-16": ("{}".encode("utf-16"), "not JSON (6 bytes)"),
    "NaN": (b'{"a": NaN}', "not JSON (10 bytes)"),
    "infinite": (b'{"a": -Infinity}', "not JSON (16 bytes)"),
    "too large a number": (b'{"a": 1e999}', "not JSON (12 bytes)"),
    "5,000 digits": (b'{"a": ' + b"1" * 5000 + b"}", "not JSON (5007 bytes)"),
    "deep lists": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "JSON nested too deeply"),
    "deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "JSON nested too deeply"),
}


@pytest.mark.parametrize(("body", "said"), BODIES.values(), ids=list(BODIES))
def test_a_signed_body_that_is_no_event_says_why(body: bytes, said: str) -> None:
    """It is a `PayloadError`, not a forgery, and nothing of the body is in it."""
    assert problem(body) == said


@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "é", "\u2028", "x" * 100_000], ids=["NUL", "half", "é", "line", "long"]
)
def test_odd_text_is_kept(text: str) -> None:
    """What JSON can spell is data, and can be printed, compared, and pickled."""
    event = event_of({"type": text, "data": {text: text}})
    assert (event.type, event.data) == (text, {text: text})
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - our own
    repr(event).encode()


def test_an_event_is_a_value() -> None:
    """It pickles, compares, hashes, and does not change; it prints what it is, and not what it is about."""
    event = event_of({"id": "evt_1", "type": "call.ended", "data": {"phone_number": VALUE}})
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - our own
    assert {event: 1}[event_of({"id": "evt_1", "type": "call.ended", "data": {"phone_number": VALUE}})] == 1
    assert event != event_of({"id": "evt_1", "type": "call.ended"})
    assert VALUE not in repr(event)
    assert "type='call.ended'" in repr(event)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.type = "other"  # type: ignore[misc]


def test_data_reads_as_a_model() -> None:
    """With the checks of an answer: fields the model does not know are left out, those it knows are typed."""
    event = event_of({"type": "call.ended", "data": {**RECORD, "new_field": 5}})
    call = event.read(models.Call)
    assert isinstance(call, models.Call)
    assert call.id == RECORD["id"]
    assert event.data["new_field"] == 5


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "@ $.data"),
        ({**RECORD, "id": None}, "@ $.data.id"),
        ({**RECORD, "id": 5, "status": [VALUE]}, "@ $.data.id"),
        ({**RECORD, "call_start_time": VALUE}, "@ $.data.call_start_time"),
        ({**RECORD, "note": "\ud800"}, "$.data: holds what no JSON can"),
    ],
)
def test_data_that_is_no_such_model_says_where(data: object, said: str) -> None:
    """A `PayloadError` with the path in the delivery, and no value; it hangs on no other error."""
    event = event_of({"data": data})
    with pytest.raises(errors.PayloadError) as caught:
        event.read(models.Call)
    assert said in str(caught.value)
    assert VALUE not in str(caught.value)
    assert chain(caught.value) == [caught.value]


def test_a_dollar_in_a_name_is_left_alone() -> None:
    """Only the root of a path is named anew."""
    with pytest.raises(errors.PayloadError, match=r"\$\.data\['\$x'\]$"):
        event_of({"data": {"$x": "text"}}).read(dict[str, int])


def test_the_limit_of_depth_is_an_error_of_ours() -> None:
    """A body that can just be read, and not be written again, ends in a `PayloadError` as well."""
    ended: set[str] = set()
    for depth in range(50, 1200, 50):
        try:
            event_of(b'{"data": {"x": ' + b"[" * depth + b"]" * depth + b"}}").read(dict[str, object])
            ended.add("read")
        except errors.PayloadError as error:
            ended.add(str(error))
    assert "read" in ended
    assert ended <= {"read", "$.data: holds what no JSON can", "JSON nested too deeply"}


def test_order_is_told_and_not_assumed() -> None:
    """Events that arrive in the wrong order are all taken, and say when they happened."""
    times = ["2025-11-21T16:00:02Z", "2025-11-21T16:00:00Z", "2025-11-21T16:00:01Z"]
    events = [event_of({"timestamp": time}, id=f"msg_{number}") for number, time in enumerate(times)]
    happened = sorted(events, key=lambda event: event.occurred_at or datetime.min.replace(tzinfo=UTC))
    assert [event.message_id for event in happened] == ["msg_1", "msg_2", "msg_0"]
    assert len({event.sent_at for event in events}) == 1
