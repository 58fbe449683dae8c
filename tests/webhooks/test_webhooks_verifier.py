"""The verifier: what is genuine passes however its headers come, and everything else ends in a `WebhookError`."""

from __future__ import annotations

import math
import pickle
from array import array
from base64 import b64decode, b64encode
from collections import UserDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, strategies as st
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict

from envoy_async import errors
from envoy_async.webhooks import Event, SecretRing, WebhookVerifier, sign
from tests.faults._canary import chain, leaks
from tests.simulations.deliveries import mutate
from tests.webhooks.conftest import NOW, SECRET

AT = int(NOW)
BODY = b'{"id": "evt_1", "type": "call.ended", "timestamp": "2025-11-21T16:00:00Z", "data": {"n": 1}}'
OTHER = f"whsec_{b64encode(b'o' * 24).decode()}"
VERIFIER = WebhookVerifier(SECRET, clock=partial(float, NOW))
NAMES = ID, TIMESTAMP, SIGNATURES = "webhook-id", "webhook-timestamp", "webhook-signature"
HEADERS = sign(SECRET, BODY, id="msg_1", timestamp=AT)
SEAL = HEADERS[SIGNATURES]
PAIRS = list(HEADERS.items())


def refusal(
    headers: Any = HEADERS, body: Any = BODY, *, by: WebhookVerifier = VERIFIER, now: float | None = None
) -> str:
    """Return the kind and the text of the error that a delivery ends with; it must be clean and hang on no other."""
    with pytest.raises(errors.WebhookError) as caught:
        by.verify(headers, body, now=now)
    error = caught.value
    assert chain(error) == [error]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own
    return f"{type(error).__name__}: {error}"


def resigned(body: bytes = BODY, *, id: str = "msg_1", timestamp: Any = AT, secret: str = SECRET) -> dict[str, str]:
    """Sign a delivery with anything as its id and its timestamp."""
    return sign(secret, body, id=id, timestamp=timestamp)


def with_signatures(*entries: str) -> dict[str, str]:
    """Give the headers with these signatures."""
    return {**HEADERS, SIGNATURES: " ".join(entries)}


def pairs_of(headers: dict[str, str]) -> Iterable[tuple[bytes, bytes]]:
    """Give headers as ASGI does."""
    return ((name.encode(), value.encode()) for name, value in headers.items())


SHAPES: dict[str, Callable[[dict[str, str]], Any]] = {
    "dict": dict,
    "mapping": UserDict,
    "CIMultiDict": CIMultiDict,
    "its proxy": lambda headers: CIMultiDictProxy(CIMultiDict(headers)),
    "MultiDict": MultiDict,
    "pairs": lambda headers: list(headers.items()),
    "lists": lambda headers: [list(pair) for pair in headers.items()],
    "pairs of bytes": pairs_of,
    "iterator": lambda headers: iter(headers.items()),
    "bytes in a dict": lambda headers: dict(pairs_of(headers)),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_headers_come_in_any_shape_and_case(shape: Callable[..., Any], spell: Callable[[str], str]) -> None:
    """Whatever a framework gives: mappings, with several values or not, pairs of text or bytes; names in any case."""
    headers = {"Host": "hooks.example", **{spell(name): value for name, value in HEADERS.items()}, "Accept": "é"}
    event = VERIFIER.verify(shape(headers), BODY)
    assert (event.message_id, event.type, event.data) == ("msg_1", "call.ended", {"n": 1})
    assert event.sent_at == datetime.fromtimestamp(NOW, UTC)


def test_headers_of_others_need_not_be_readable() -> None:
    """What else came with the request is left alone, whatever bytes its names and values have."""
    others: list[Any] = [(b"x-\xff", b"\xff\xfe"), ("x-\ud800", None), (b"", 5)]
    assert VERIFIER.verify([*others, *PAIRS], BODY).message_id == "msg_1"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("again", [str.lower, str.upper, str.encode], ids=["alike", "in another case", "as bytes"])
def test_a_header_that_is_there_twice_is_refused(name: str, again: Callable[[str], Any]) -> None:
    """Which of the two counts would be a guess, also when they agree."""
    pair: Any = (again(name), HEADERS[name])
    assert refusal([*PAIRS, pair]) == f"SignatureError: the header {name} is there twice"
    assert refusal([pair, *PAIRS]) == f"SignatureError: the header {name} is there twice"
    assert "twice" in refusal(CIMultiDict([*PAIRS, (name, "x")]))


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_header_is_named(name: str) -> None:
    """So that a scheme with other names is found out at once."""
    headers = {key: value for key, value in HEADERS.items() if key != name}
    assert refusal(headers) == f"SignatureError: a header is missing: {name}"
    assert refusal({}) == f"SignatureError: a header is missing: {', '.join(NAMES)}"


UNREADABLE: list[Any] = [None, 5, "webhook-id", b"webhook-id", [None], [5], [()], [("a",)], [("a", "b", "c")], ...]
ODD_PARTS: list[Any] = [{**HEADERS, name: odd} for name in NAMES for odd in (None, 5, ["x"], AT, bytearray(b"x"))]
ODD_NAMES: list[Any] = [[*PAIRS, (None, "x")], [*PAIRS, (5, "x")], {**HEADERS, 5: "x"}]


@pytest.mark.parametrize("headers", UNREADABLE + ODD_PARTS + ODD_NAMES, ids=repr)
def test_what_are_no_headers_is_refused(headers: object) -> None:
    """Wrong types end in a `SignatureError` as well, never in one of Python's."""
    assert refusal(headers) == "SignatureError: the headers cannot be read"


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary() | st.sampled_from(NAMES),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text() | st.binary() | st.sampled_from(NAMES), inner, max_size=4)
        ),
    )
)
def test_any_headers_end_in_a_webhook_error(headers: object) -> None:
    """Whatever stands in the place of headers, it is refused in good order."""
    refusal(headers)


PARTS = st.text() | st.text(st.characters(max_codepoint=0x7F)) | st.from_regex(r"v1,[A-Za-z0-9+/]{43}=( v[12],\w*)*")


@given(st.tuples(PARTS, PARTS | st.just(str(AT)) | st.from_regex(r"[0-9]{1,13}"), PARTS), st.binary())
def test_any_texts_and_bytes_end_in_a_webhook_error(values: tuple[str, ...], body: bytes) -> None:
    """The three headers with any values, and any body: nobody without the secret gets through."""
    refusal(dict(zip(NAMES, values, strict=True)), body)


@given(st.binary(), st.sampled_from([bytes, bytearray, memoryview]))
def test_any_signed_bytes_are_an_event_or_a_payload_error(body: bytes, kind: Callable[[bytes], bytes]) -> None:
    """Once it is known who sent it, only the body can be wrong, and nobody is called a forger for it."""
    with suppress(errors.PayloadError):
        assert isinstance(VERIFIER.verify(resigned(body), kind(body)), Event)


@pytest.mark.parametrize(
    "id",
    [
        "",
        " ",
        "a.b",
        ".",
        "msg 1",
        "msg_1 ",
        "msg_1\n",
        "msg\0",
        "\x7f",
        "m" * 129,
        "m" * 2**20,
        "ü",
        "\u0661",
        "msg_\u20ac",
    ],
)
def test_an_id_that_is_none_is_refused(id: str) -> None:
    """Also a signed one: ids go into stores and logs, and a dot would let the parts of the signed text shift."""
    assert refusal(resigned(id=id)) == "SignatureError: the id is malformed"


@pytest.mark.parametrize(
    "id", ["!", "~", "m" * 128, "msg_1-2/3:4,5", "é".encode("ascii", "xmlcharrefreplace").decode()]
)
def test_every_other_visible_id_passes(id: str) -> None:
    """No form of id is assumed beyond what the signed text needs."""
    assert VERIFIER.verify(resigned(id=id), BODY).message_id == id


def test_the_signed_text_cannot_be_read_at_other_dots() -> None:
    """A signature for one id, time, and body is not one for another split of the same text."""
    inner = f'{AT}.{{"a": 1}}'.encode()
    genuine = resigned(inner, id="msg", timestamp=5)
    assert "PayloadError" in refusal(genuine, inner, now=5)
    shifted = {**genuine, ID: "msg.5", TIMESTAMP: str(AT)}
    assert refusal(shifted, b'{"a": 1}') == "SignatureError: the id is malformed"
    for timestamp in (f"5.{AT}", f"{AT}.", f".{AT}"):
        assert "TimestampError" in refusal({**genuine, TIMESTAMP: timestamp}, b'{"a": 1}')


TIMES = [f"{AT}.0", f" {AT}", f"{AT} ", f"+{AT}", f"-{AT}", f"{AT}\n", "1_763_740_800", hex(AT), "1.7637408e9", "", "x"]
NO_TIMES = [
    "nan",
    "inf",
    "\u0661" * 10,
    "\u00b2",
    "\u2460",
    "9" * 12,
    "9" * 5000,
    f"{AT}000",
    "2025-11-21T16:00:00Z",
    "\0",
]


@pytest.mark.parametrize("timestamp", TIMES + NO_TIMES, ids=ascii)
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    """Signed or not, a time is ASCII digits and nothing else: what `int` and `float` let pass is not enough."""
    assert refusal(resigned(timestamp=timestamp)) == "TimestampError: the timestamp is no whole number of seconds"


@pytest.mark.parametrize("timestamp", [0, 1, AT - 86_400, AT + 86_400, 2**32, 99_999_999_999, "00000000000"])
def test_a_signed_delivery_of_another_time_is_refused(timestamp: Any) -> None:
    """A replay of an old one, and one from a clock that is far off."""
    assert refusal(resigned(timestamp=timestamp)) == "TimestampError: it was signed too long ago, or the clocks differ"


@pytest.mark.parametrize("tolerance", [0, 300, 300.5])
@pytest.mark.parametrize("sign_", [1, -1], ids=["late", "early"])
def test_the_tolerance_holds_both_ways_and_to_the_edge(tolerance: float, sign_: int) -> None:
    """A delivery passes up to the tolerance, before and after now, and not a moment beyond."""
    verifier = WebhookVerifier(SECRET, tolerance)
    assert verifier.verify(HEADERS, BODY, now=AT + sign_ * tolerance).message_id == "msg_1"
    assert "TimestampError" in refusal(by=verifier, now=AT + sign_ * (tolerance + 0.001))


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf, -1.0, 0.0, 1e300])
def test_a_clock_that_tells_nonsense_lets_nothing_pass(now: float) -> None:
    """Whether it is given or asked."""
    assert refusal(now=now).startswith(("TimestampError", "SignatureError"))
    assert refusal(by=WebhookVerifier(SECRET, clock=partial(float, now))).startswith(
        ("TimestampError", "SignatureError")
    )


def test_the_time_given_counts_before_the_clock() -> None:
    """`now` is for deliveries that were kept, and for tests."""
    assert VERIFIER.verify(resigned(timestamp=5), BODY, now=5).sent_at == datetime.fromtimestamp(5, UTC)


def right(entry: str) -> bytes:
    """Give the bytes of a signature."""
    return b64decode(entry.removeprefix("v1,"))


ENTRIES = ["", " ", "v1", "v1,", SEAL[3:], f"v2,{SEAL[3:]}", f"V1,{SEAL[3:]}", f"v1a,{SEAL[3:]}", f"v1,,{SEAL[3:]}"]
CUT = [
    SEAL[:-1],
    f"{SEAL}=",
    SEAL[:24],
    SEAL.swapcase(),
    SEAL * 2,
    SEAL[::-1],
    f"{SEAL},{SEAL}",
    f"{SEAL}\t",
    f"{SEAL};",
]
ENCODED = [
    f"v1,{right(SEAL).hex()}",
    f"v1,{b64encode(right(SEAL)[:16]).decode()}",
    f"v1,{b64encode(right(SEAL) + b'0').decode()}",
]


@pytest.mark.parametrize("entry", ENTRIES + CUT + ENCODED, ids=ascii)
def test_what_is_not_just_the_signature_is_refused(entry: str) -> None:
    """Cut, doubled, in another version, alphabet, or encoding: one text is right, and no other."""
    assert refusal(with_signatures(entry)) == "SignatureError: no signature is that of a secret in force"


def test_other_bits_of_the_last_character_are_refused() -> None:
    """Base64 has four ways to write the last character of a digest; the other three are not taken."""
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    alike = [f"{SEAL[:-2]}{each}=" for each in last if b64decode(f"{SEAL[3:-2]}{each}=") == right(SEAL)]
    assert len(alike) == 4
    for entry in alike:
        assert entry == SEAL or "SignatureError" in refusal(with_signatures(entry))


@pytest.mark.parametrize("place", [0, 7, 15])
def test_a_right_signature_counts_at_any_of_sixteen_places(place: int) -> None:
    """What stands around it does not matter: wrong ones, other versions, nothing at all."""
    around = [f"v1,{'A' * 43}=", "v2,x", "", "x", ",", "v1,"] * 3
    assert VERIFIER.verify(with_signatures(*around[:place], SEAL, *around), BODY).message_id == "msg_1"


@pytest.mark.parametrize("count", [16, 40, 10_000])
def test_only_sixteen_signatures_are_read(count: int) -> None:
    """Ten thousand of them cost no more than sixteen."""
    assert "SignatureError" in refusal(with_signatures(*["v1,wrong"] * count, SEAL))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value", ["v" * 2**20, "1" * 2**20, "é", "\0", "\ud800", "\u0661"], ids=["v", "1", "é", "NUL", "half", "digit"]
)
def test_huge_and_odd_values_are_refused(name: str, value: str) -> None:
    """A header of a mebibyte, one that is not ASCII, and one that is not even Unicode."""
    assert refusal({**HEADERS, name: value}).startswith(("SignatureError", "TimestampError"))
    assert refusal({**HEADERS, name: value.encode("utf-8", "replace")}).startswith(("SignatureError", "TimestampError"))


def test_the_list_of_signatures_may_have_4096_characters() -> None:
    """And not one more."""
    listed = SEAL + " " * (4096 - len(SEAL))
    assert VERIFIER.verify(with_signatures(listed), BODY).message_id == "msg_1"
    assert refusal(with_signatures(f"{listed} ")) == "SignatureError: the list of signatures is malformed"


@pytest.mark.parametrize("body", [BODY.decode(), None, 5, [BODY], {"a": 1}, array("B", BODY)], ids=ascii)
def test_a_body_that_is_not_raw_bytes_is_refused(body: object) -> None:
    """What was decoded or parsed before can no longer be checked, and the error says so."""
    assert refusal(body=body) == "PayloadError: the body must be given as the raw bytes that came"


@pytest.mark.parametrize(
    "body", [bytearray(BODY), memoryview(BODY), memoryview(b" " + BODY)[1:]], ids=["array", "view", "slice"]
)
def test_other_kinds_of_bytes_are_taken(body: bytes) -> None:
    """What servers read into need not be copied first."""
    assert VERIFIER.verify(HEADERS, body).message_id == "msg_1"


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_body_may_be_as_large_as_told(size: int) -> None:
    """And not a byte larger, whether it is signed or not, and however a view counts its items."""
    verifier = WebhookVerifier(SECRET, largest_body=size, clock=partial(float, NOW))
    kept, large = b" " * size, b" " * (size + 1)
    assert refusal(resigned(kept), kept, by=verifier) == f"PayloadError: not JSON ({size} bytes)"
    assert refusal(resigned(large), large, by=verifier) == f"PayloadError: the body has more than {size} bytes"
    words: Any = memoryview(array("Q", [0] * (size + 1)))
    assert refusal(HEADERS, words, by=verifier) == f"PayloadError: the body has more than {size} bytes"
    assert refusal(HEADERS, memoryview(large).cast("B", ()) if size == 0 else large, by=verifier).startswith(
        "PayloadError"
    )


def test_a_body_of_a_mebibyte_is_taken() -> None:
    """The limit that holds when none is given."""
    body = b'{"a": "' + b"x" * (1024 * 1024 - 9) + b'"}'
    assert len(VERIFIER.verify(resigned(body), body).payload) == 1
    assert refusal(resigned(body), body + b" ") == "PayloadError: the body has more than 1048576 bytes"


@pytest.mark.parametrize(
    "body",
    [BODY + b" ", BODY[:-1], BODY.replace(b" ", b""), b"", b"{}", b"\xff\xfe", b"\xef\xbb\xbf" + BODY, BODY.upper()],
    ids=ascii,
)
def test_a_body_that_was_changed_is_refused(body: bytes) -> None:
    """The raw bytes are what was signed: the same JSON written otherwise is not."""
    assert refusal(body=body) == "SignatureError: no signature is that of a secret in force"


def test_checks_come_in_their_order() -> None:
    """Shape, then signature, then time, then JSON: a stranger learns nothing of a later check."""
    stale, junk = resigned(b"junk", timestamp=5), resigned(b"junk")
    assert "TimestampError" in refusal(stale, b"junk")
    assert "SignatureError" in refusal({**stale, SIGNATURES: SEAL}, b"junk")
    assert "PayloadError: not JSON" in refusal(junk, b"junk")
    assert "SignatureError" in refusal({**junk, ID: "msg_2"}, b"junk")


def test_every_signature_is_compared_with_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them is right, if any, makes no difference to the number of comparisons."""
    counted: list[object] = []

    def compare(one: bytes, other: bytes) -> bool:
        """Count."""
        counted.append(one)
        return one == other

    monkeypatch.setattr("envoy_async.webhooks._verifier.compare_digest", compare)
    verifier = WebhookVerifier([SECRET, OTHER, (OTHER[:-4], NOW)], clock=partial(float, NOW))
    for place in range(4):
        entries = [f"v1,{'A' * 43}="] * 3
        entries.insert(place, SEAL)
        verifier.verify(with_signatures(*entries), BODY)
        assert len(counted) == 12
        counted.clear()


def test_the_same_delivery_passes_again() -> None:
    """Nothing is kept: telling copies apart is the work of a replay store."""
    assert VERIFIER.verify(HEADERS, BODY) == VERIFIER.verify(HEADERS, BODY)


@pytest.mark.parametrize("limits", [(-1, 0), (math.nan, 0), (0, -1), (-math.inf, 5)])
def test_limits_that_cannot_work_are_refused(limits: tuple[float, int]) -> None:
    """A negative tolerance or size would refuse everything, and no number would refuse nothing."""
    with pytest.raises(errors.ConfigurationError, match="tolerance and largest_body must be 0 or more"):
        WebhookVerifier(SECRET, limits[0], largest_body=limits[1])


def test_without_a_clock_the_machine_is_asked() -> None:
    """The defaults take a delivery that is signed now."""
    now = int(datetime.now(UTC).timestamp())
    assert WebhookVerifier(SECRET).verify(resigned(timestamp=now), BODY).message_id == "msg_1"
    assert "TimestampError" in refusal(by=WebhookVerifier(SECRET))


REFUSED: dict[str, tuple[Any, Any]] = {
    "changed body": (with_signatures("v1,x"), BODY + b" "),
    "other secret": (resigned(secret=OTHER), BODY),
    "wrong signature": (with_signatures("v1,x"), BODY),
    "too old": (resigned(timestamp=5), BODY),
    "malformed": ({**HEADERS, TIMESTAMP: "x"}, BODY),
    "no headers": (None, BODY),
    "no JSON": (resigned(b"x"), b"x"),
    "no event": (resigned(b'{"type": 5}'), b'{"type": 5}'),
}


@pytest.mark.parametrize(("headers", "body"), REFUSED.values(), ids=list(REFUSED))
def test_a_refusal_shows_neither_secret_nor_right_signature(headers: Any, body: bytes) -> None:
    """No text, no part, and no local variable of a frame has a secret, a key, or what would have been right."""
    ring = SecretRing([SECRET, (OTHER[:-4], NOW)])
    given: dict[str, str] = headers or HEADERS
    shown = given.values()
    content = f"{given[ID]}.{given[TIMESTAMP]}.".encode() + body
    seals = [seal.decode() for seal in ring.seals(content, NOW, 300.0)]
    key = b64decode(SECRET.removeprefix("whsec_"))
    secrets = [
        SECRET.removeprefix("whsec_"),
        key.decode(),
        key.hex(),
        OTHER[6:-4],
        *(f"{b64decode(seal)!r}"[2:-1] for seal in seals),
    ]
    secrets += [seal for seal in seals if not any(seal in value for value in shown)]  # unless the delivery brought it
    with pytest.raises(errors.WebhookError) as caught:
        WebhookVerifier(ring).verify(headers, body, now=NOW)
    assert caught.value.__traceback__ is not None
    assert leaks(caught.value, *secrets) == []


def test_two_thousand_mutated_deliveries() -> None:
    """Whatever is changed on the way, nothing passes that was not signed so, and nothing genuine is hindered."""
    rows = mutate(2_000, seed=1)
    assert {row.kind: row.found for row in rows if row.wrong} == {}
    assert sum(row.found.total() for row in rows) == 2_000
    assert all(row.found for row in rows)
