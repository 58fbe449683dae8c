"""Faults 103 to 106, 108, 109: deliveries that are forged, late, or unreadable: no guess, and no foreign error.

Every refusal is looked through for the secret, the key, and what would have been the right signature. More forms of
each fault are in `tests/webhooks`; a million of them in `tests/simulations/deliveries.py`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from functools import partial
from typing import Any

import pytest

from envoy_async import errors
from envoy_async.webhooks import SecretRing, WebhookVerifier, sign
from tests.faults._canary import leaks
from tests.faults.conftest import clean

NOW = 1_763_740_800
SECRET, NEW, THIRD = (
    f"whsec_{b64encode(f'{name}-canary-4a8e61-5f02b7'.encode()).decode()}" for name in ("old", "new", "nil")
)
BODY = b'{"id": "evt_1", "type": "call.ended", "timestamp": "2025-11-21T16:00:00Z", "data": {"price": 5}}'
HEADERS = sign(SECRET, BODY, id="msg_1", timestamp=NOW)
SEAL = HEADERS["webhook-signature"]


def refused(kind: type[errors.WebhookError], headers: Any, body: bytes = BODY, now: float = NOW) -> None:
    """Check that a delivery is refused with exactly this error, which shows nothing that would help a forger."""
    ring = SecretRing(SECRET)
    with pytest.raises(errors.WebhookError) as caught:
        WebhookVerifier(ring).verify(headers, body, now=now)
    assert type(clean(caught.value)) is kind
    key = b64decode(SECRET.removeprefix("whsec_")).decode()
    assert leaks(caught.value, SECRET.removeprefix("whsec_"), key) == []
    for seal in ring.seals(f"msg_1.{NOW}.".encode() + body, NOW, 300.0):
        assert seal.decode() in str(headers) or leaks(caught.value, seal.decode()) == []


@pytest.mark.parametrize("name", HEADERS)
def test_fault_103_malformed_headers(name: str) -> None:
    """A header that is missing, there twice, of another type, huge, or not ASCII ends in an error of a webhook."""
    refused(errors.SignatureError, {key: value for key, value in HEADERS.items() if key != name})
    refused(errors.SignatureError, [*HEADERS.items(), (name.upper(), HEADERS[name])])
    refused(errors.SignatureError, {**HEADERS, name: None})
    for value in ("x" * 2**20, "\u0661", "\0", "é"):
        kind = errors.TimestampError if name == "webhook-timestamp" else errors.SignatureError
        refused(kind, {**HEADERS, name: value})


def test_fault_103_ten_thousand_signatures() -> None:
    """No more than sixteen are looked at, so the right one behind them does not count."""
    for count in (16, 10_000):
        refused(errors.SignatureError, {**HEADERS, "webhook-signature": " ".join(["v1,x"] * count + [SEAL])})


@pytest.mark.parametrize(
    "body",
    [BODY.replace(b"5}", b"9}"), json.dumps(json.loads(BODY), indent=1).encode(), b"", b"\xff\xfe\x00", BODY[:-1]],
)
def test_fault_104_a_changed_body(body: bytes) -> None:
    """The raw bytes are what counts: changed, written anew, emptied, or unreadable, it is a forgery."""
    refused(errors.SignatureError, HEADERS, body)


@pytest.mark.parametrize(
    "timestamp", [f"{NOW}.0", f" {NOW}", "1_763_740_800", "\u0661" * 10, f"-{NOW}", "1e9", "nan", ""], ids=ascii
)
def test_fault_105_a_timestamp_in_another_form(timestamp: Any) -> None:
    """Python would read most of them as a number; a signed time is ASCII digits only."""
    refused(errors.TimestampError, sign(SECRET, BODY, id="msg_1", timestamp=timestamp))


@pytest.mark.parametrize("off", [-301, 301, -86_400, 86_400])
def test_fault_105_another_time(off: int) -> None:
    """A genuine delivery that is more than five minutes old, or from the future, is refused."""
    refused(errors.TimestampError, HEADERS, now=NOW + off)


@pytest.mark.parametrize(
    ("age", "taken"), [(0, True), (86_399, True), (86_400, True), (86_401, True), (86_700, True), (86_701, False)]
)
def test_fault_106_a_rotation(age: int, taken: bool) -> None:
    """The old secret alone is taken until a day and the tolerance are over; new and both always, a third never."""
    ring = SecretRing(SECRET, clock=partial(float, NOW))
    ring.rotate(NEW)
    verifier = WebhookVerifier(ring, clock=partial(float, NOW + age))
    for secrets, good in (
        ([NEW], True),
        ([SECRET, NEW], True),
        ([SECRET], taken),
        ([THIRD], False),
        ([THIRD, SECRET], taken),
    ):
        headers = sign(secrets, BODY, id="msg_1", timestamp=NOW + age)
        if good:
            assert verifier.verify(headers, BODY).message_id == "msg_1"
        else:
            with pytest.raises(errors.SignatureError) as caught:
                verifier.verify(headers, BODY)
            clean(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"a": NaN}',
        b'{"a":' * 100_000,
        b'{"type": 5}',
        b'{"data": []}',
    ],
    ids=len,
)
def test_fault_108_signed_but_unreadable(body: bytes) -> None:
    """It is the vendor's, and no event: a `PayloadError`, so that nobody takes it for a forgery, or sends it again."""
    refused(errors.PayloadError, sign(SECRET, body, id="msg_1", timestamp=NOW), body)


def test_fault_108_an_unknown_kind_of_event() -> None:
    """It is an event like any other, whole."""
    body = b'{"type": "moon.landed", "data": {"new": [1]}, "more": null}'
    event = WebhookVerifier(SECRET).verify(sign(SECRET, body, id="msg_1", timestamp=NOW), body, now=NOW)
    assert (event.type, event.data, event.payload) == ("moon.landed", {"new": [1]}, json.loads(body))


def test_fault_109_out_of_order() -> None:
    """An event that comes before an earlier one is taken; both say when they happened."""
    verifier = WebhookVerifier(SECRET, clock=partial(float, NOW))
    bodies = [f'{{"timestamp": "2025-11-21T15:59:0{second}Z"}}'.encode() for second in (7, 3)]
    late, early = [
        verifier.verify(sign(SECRET, body, id=f"msg_{number}", timestamp=NOW), body)
        for number, body in enumerate(bodies)
    ]
    assert late.occurred_at is not None
    assert early.occurred_at is not None
    assert (late.occurred_at - early.occurred_at).total_seconds() == 4
