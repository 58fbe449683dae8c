"""The scheme: what is signed, and that others who keep to Standard Webhooks sign and verify alike."""

from __future__ import annotations

import hmac
import json
import time
import traceback
from base64 import b64encode
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks
from hypothesis import given, settings, strategies as st

from envoy_async import webhooks
from envoy_async._signing import PREFIX
from envoy_async.errors import ConfigurationError
from envoy_async.webhooks import Scheme, SecretRing, WebhookVerifier, sign
from tests.faults._canary import chain, leaks

SECRET, ID, AT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330
BODY = b'{"test": 2432232314}'
SEAL = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
WRONG = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
HEADERS = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SEAL}
CANARY = "canary-7f3a"
OTHERS: list[Any] = [standardwebhooks.Webhook, svix.webhooks.Webhook]
KEYS = st.binary(min_size=24, max_size=64)
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="."), min_size=1, max_size=128)
NAMES = st.text(max_size=9).filter(lambda name: name not in {"type", "id", "timestamp", "data"})
BODIES = st.dictionaries(NAMES, st.text() | st.integers(-(2**63), 2**63) | st.none(), max_size=5)
by_others = pytest.mark.parametrize("other", OTHERS, ids=["standardwebhooks", "svix"])


def test_the_vector_of_the_convention_verifies() -> None:
    """What the tests of Standard Webhooks sign is signed alike here, and verifies."""
    assert sign(SECRET, BODY, id=ID, timestamp=AT) == HEADERS
    event = WebhookVerifier(SECRET).verify(HEADERS, BODY, now=AT)
    assert (event.message_id, event.payload) == (ID, {"test": 2_432_232_314})
    assert event.sent_at == datetime(2021, 2, 25, 15, 2, 10, tzinfo=UTC)


def test_the_prefix_of_a_secret_may_be_left_out() -> None:
    """A secret means the same with `whsec_` and without it, as in the tests of Standard Webhooks."""
    assert sign(SECRET.removeprefix(PREFIX), BODY, id=ID, timestamp=AT) == HEADERS


def test_one_right_signature_among_others_is_enough() -> None:
    """The vector of several signatures verifies: wrong ones and other versions stand around the right one."""
    listed = f"v1,{WRONG} v2,{WRONG} {SEAL} v1,{WRONG}"
    assert WebhookVerifier(SECRET).verify({**HEADERS, "webhook-signature": listed}, BODY, now=AT).message_id == ID


@by_others
@settings(max_examples=50)
@given(key=KEYS, id=IDS, payload=BODIES, ascii=st.booleans())
def test_what_others_sign_verifies_here(
    other: Any, key: bytes, id: str, payload: dict[str, object], ascii: bool
) -> None:
    """Any event signed by the packages of the convention becomes that event."""
    secret, body = PREFIX + b64encode(key).decode(), json.dumps(payload, ensure_ascii=ascii).encode()
    seal = other(secret).sign(id, datetime.fromtimestamp(AT, UTC), body.decode())
    headers = {"Webhook-Id": id, "Webhook-Timestamp": str(AT), "Webhook-Signature": seal}
    verifier = WebhookVerifier(secret, clock=partial(float, AT))
    assert verifier.verify(headers, body).payload == payload


@by_others
@settings(max_examples=50)
@given(key=KEYS, id=IDS, payload=BODIES)
def test_what_is_signed_here_verifies_elsewhere(other: Any, key: bytes, id: str, payload: dict[str, object]) -> None:
    """The packages of the convention take what `sign` signs, also with an old and a new secret."""
    old, new = (PREFIX + b64encode(one).decode() for one in (key, b"new" + key))
    body = json.dumps(payload).encode()
    headers = sign([new, old], body, id=id, timestamp=int(time.time()))  # their clock cannot be set
    for secret in (old, new):
        other(secret).verify(body, headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        other(old).verify(body + b" ", headers)


@by_others
def test_svix_names_of_headers_are_a_scheme(other: Any) -> None:
    """Deliveries under other names of headers verify with a `Scheme` that has these names, in any case."""
    scheme = Scheme(id_header="svix-id", timestamp_header="Svix-Timestamp", signature_header="SVIX-SIGNATURE")
    headers = {name.lower(): value for name, value in sign(SECRET, BODY, id=ID, timestamp=AT, scheme=scheme).items()}
    assert headers == {"svix-id": ID, "svix-timestamp": str(AT), "svix-signature": SEAL}
    assert other(SECRET).sign(ID, datetime.fromtimestamp(AT, UTC), BODY.decode()) == SEAL
    assert WebhookVerifier(SECRET, scheme=scheme).verify(headers, BODY, now=AT).message_id == ID


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("version", ["v1", "v9"])
@pytest.mark.parametrize("secret_encoding", ["base64", "text"])
def test_every_setting_of_a_scheme_counts(digest: Any, version: str, secret_encoding: Any) -> None:
    """What a scheme signs verifies by the same scheme, and by the standard one only where it is the same."""
    scheme = Scheme(version=version, digest=digest, secret_encoding=secret_encoding)
    headers = sign(SECRET, BODY, id=ID, timestamp=AT, scheme=scheme)
    key = Scheme().key(SECRET) if secret_encoding == "base64" else SECRET.removeprefix(PREFIX).encode()
    seal = b64encode(hmac.digest(key, f"{ID}.{AT}.".encode() + BODY, digest)).decode()
    assert headers["webhook-signature"] == f"{version},{seal}"
    assert WebhookVerifier(SECRET, scheme=scheme).verify(headers, BODY, now=AT).message_id == ID
    assert (headers == HEADERS) == (scheme == Scheme())


@pytest.mark.parametrize(
    ("secret", "key"),
    [("whsec_YWJj", b"abc"), ("YWI=", b"ab"), ("YWI", b"ab"), ("whsec_YQ==", b"a"), ("+/+/", b"\xfb\xff\xbf")],
)
def test_a_secret_is_read_as_base64(secret: str, key: bytes) -> None:
    """With padding or without, and with `whsec_` or without."""
    assert Scheme().key(secret) == key


@given(st.binary(min_size=1))
def test_every_key_has_a_secret(key: bytes) -> None:
    """Any bytes written as base64 are read back."""
    assert Scheme().key(PREFIX + b64encode(key).decode()) == key
    assert Scheme().key(b64encode(key).decode().rstrip("=")) == key


@pytest.mark.parametrize("tail", ["!", "\n", " ", "=", "a", "=a", "\ud800", "é", "-_", "\0"])
def test_a_secret_that_cannot_be_read_is_not_shown(tail: str) -> None:
    """Neither the text of the error nor what it hangs on has any of it."""
    with pytest.raises(ValueError, match=r"^a secret is not base64$") as caught:
        sign(f"{PREFIX}{CANARY}{tail}", BODY, id=ID, timestamp=AT)
    assert chain(caught.value) == [caught.value]


def test_text_that_is_no_unicode_is_not_shown() -> None:
    """The same for a secret read as text; an error of Python would keep the text in it."""
    with pytest.raises(ValueError, match=r"^a secret is not text$") as caught:
        Scheme(secret_encoding="text").key(f"{CANARY}\ud800")
    assert chain(caught.value) == [caught.value]


@pytest.mark.parametrize("secret", ["", PREFIX])
@pytest.mark.parametrize("secret_encoding", ["base64", "text"])
def test_an_empty_secret_signs_nothing(secret: str, secret_encoding: Any) -> None:
    """An empty key would let anybody sign, so there is none."""
    with pytest.raises(ValueError, match=r"^a secret is empty$"):
        sign(secret, BODY, id=ID, timestamp=AT, scheme=Scheme(secret_encoding=secret_encoding))


def test_several_secrets_sign_in_their_order() -> None:
    """During a rotation one header holds the signatures of all secrets, which is what the packages read."""
    both = sign(["whsec_YWJj", SECRET], BODY, id=ID, timestamp=AT)["webhook-signature"]
    assert both.split(" ")[1] == SEAL
    assert webhooks.sign([], BODY, id=ID, timestamp=AT)["webhook-signature"] == ""


def test_a_secret_that_cannot_sign_is_not_shown() -> None:
    """The error says what is wrong with it; not even the local variables of its frames show it."""
    with pytest.raises(ValueError, match="not base64") as caught:
        sign(["whsec_canary!"], b"", id="msg_1", timestamp=1)
    assert leaks(caught.value, "whsec_canary") == []
    assert caught.value.__context__ is None


def test_half_a_ring_can_be_printed() -> None:
    """An error reporter that prints local variables does not fail over a ring whose secrets were refused."""
    with pytest.raises(ConfigurationError) as caught:
        SecretRing("whsec_")
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "SecretRing(0 secrets)" in str([frame.locals for frame in told.stack])
