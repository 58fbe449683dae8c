"""The ring of secrets: rotation without a gap, an end that holds, and no secret that shows."""

from __future__ import annotations

import copy
import logging
import math
import pickle
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any, cast

import pytest

from envoy_async import errors
from envoy_async.webhooks import Scheme, SecretRing, WebhookVerifier, sign
from tests.faults._canary import leaks
from tests.simulations.deliveries import DAY, rotate
from tests.webhooks.conftest import NOW

CANARY = "canary7f3acanary7f3acanary7f3aca"
A, B, C, D = (f"whsec_{b64encode(text * 24).decode()}" for text in (b"a", b"b", b"c", b"d"))
BODY = b'{"type": "call.ended"}'


class Hand:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def accepted(ring: SecretRing, now: float, *secrets: str) -> list[bool]:
    """Tell, for each secret, whether what it alone signed at this time passes."""
    return [passes(ring, now, secret) for secret in secrets]


def passes(ring: SecretRing, now: float, *secrets: str) -> bool:
    """Tell whether what these secrets signed at this time passes."""
    try:
        WebhookVerifier(ring).verify(sign(secrets, BODY, id="msg_1", timestamp=int(now)), BODY, now=now)
    except errors.SignatureError:
        return False
    return True


def test_rotation_second_by_second() -> None:
    """From 23:50 to 24:10 no valid delivery is refused, and none with the old secret alone 5 minutes after its end.

    The clocks of senders are up to 299 seconds off, either way.
    """
    coarse = rotate(range(DAY - 600, DAY + 601), (-299, 0, 299))
    fine = rotate([DAY - 1, DAY, DAY + 1, DAY + 300, DAY + 301], range(-299, 300))
    assert (coarse.wrong, fine.wrong) == (0, 0)
    assert coarse.found == {"event": 3 * (1201 + 901), "SignatureError": 3 * 300}
    assert fine.found == {"event": 599 * (5 + 4), "SignatureError": 599}


def test_old_new_both_and_a_third() -> None:
    """For a day after a rotation either secret is enough, and a third never is; before it the new one is unknown."""
    clock = Hand()
    ring = SecretRing(A, clock=clock)
    assert accepted(ring, NOW, A, B, C) == [True, False, False]
    ring.rotate(B)
    for age, known in ((0, True), (DAY - 1, True), (DAY, True), (DAY + 300, True), (DAY + 301, False)):
        assert accepted(ring, NOW + age, A, B, C) == [known, True, False]
        assert passes(ring, NOW + age, C, A, B)
        assert passes(ring, NOW + age, C, A) == known


def test_a_verifier_sees_the_rotation_of_its_ring() -> None:
    """What `rotate` changes holds from the next delivery on, with no new verifier."""
    ring = SecretRing(A, clock=Hand())
    verifier = WebhookVerifier(ring, clock=partial(float, NOW))
    headers = sign(B, BODY, id="msg_1", timestamp=int(NOW))
    with pytest.raises(errors.SignatureError):
        verifier.verify(headers, BODY)
    ring.rotate(B)
    assert verifier.verify(headers, BODY).message_id == "msg_1"


def test_rotating_twice() -> None:
    """Each old secret ends a day after the rotation that replaced it, not after a later one; ended ones are dropped."""
    clock = Hand()
    ring = SecretRing(A, clock=clock)
    ring.rotate(B)
    clock.now += 3600
    ring.rotate(C)
    assert len(ring) == 3
    assert accepted(ring, NOW + DAY + 300, A, B, C) == [True, True, True]
    assert accepted(ring, NOW + DAY + 301, A, B, C) == [False, True, True]
    assert accepted(ring, NOW + DAY + 3901, A, B, C) == [False, False, True]
    clock.now = NOW + DAY
    ring.rotate(D)
    assert len(ring) == 3
    assert accepted(ring, clock.now, A, B, C, D) == [False, True, True, True]


def test_rotating_to_the_same_secret_is_no_second_rotation() -> None:
    """Told twice, such as after a restart, it neither doubles the secret nor ends it; it can end the others earlier."""
    ring = SecretRing(A, clock=Hand())
    ring.rotate(A)
    assert len(ring) == 1
    ring.rotate(B)
    ring.rotate(B.removeprefix("whsec_"))
    assert len(ring) == 2
    ring.rotate(B, overlap=0)
    assert len(ring) == 1


def test_rotating_back() -> None:
    """An old secret that is put in front again has no end any more, and stands there once."""
    ring = SecretRing(A, clock=Hand())
    ring.rotate(B)
    ring.rotate(A)
    assert len(ring) == 2
    assert accepted(ring, NOW + DAY + 301, A, B) == [True, False]


@pytest.mark.parametrize("overlap", [0, 0.0, -1, -math.inf, math.nan])
def test_no_overlap_ends_a_secret_at_once(overlap: float) -> None:
    """Whoever lost a secret can end it now; an overlap that is no number does not make it live for ever."""
    ring = SecretRing(A, clock=Hand())
    ring.rotate(B, overlap=overlap)
    assert len(ring) == 1
    assert accepted(ring, NOW, A, B) == [False, True]


def test_an_overlap_of_ones_own() -> None:
    """The old secret ends after the seconds given, and never later than it was to end anyway."""
    ring = SecretRing([A, (B, NOW + 50)], clock=Hand())
    ring.rotate(C, overlap=100)
    assert accepted(ring, NOW + 350, A, B, C) == [True, True, True]
    assert accepted(ring, NOW + 351, A, B, C) == [True, False, True]
    assert accepted(ring, NOW + 401, A, B, C) == [False, False, True]


@pytest.mark.parametrize(
    "end",
    [
        NOW,
        int(NOW),
        datetime.fromtimestamp(NOW, UTC),
        datetime.fromtimestamp(NOW, timezone(timedelta(hours=-7))),
    ],
    ids=repr,
)
def test_an_end_in_all_forms(end: float | datetime) -> None:
    """Unix seconds and datetimes of any zone name the same end, to which the tolerance is added."""
    ring = SecretRing([A, (B, end), (C, None)])
    assert accepted(ring, NOW + 300, A, B, C) == [True, True, True]
    assert accepted(ring, NOW + 301, A, B, C) == [True, False, True]


def test_the_default_clock_is_that_of_the_machine() -> None:
    """Without a clock a ring and its verifier ask the machine's, so that a rotation works with no settings."""
    ring = SecretRing(A)
    ring.rotate(B)
    now = datetime.now(UTC).timestamp()
    assert accepted(ring, now, A, B) == [True, True]
    assert accepted(ring, now + DAY + 400, A, B) == [False, True]


class Nowhere(tzinfo):
    """A zone that does not know its offset, so that Python takes a time in it for a local one."""

    def utcoffset(self, dt: datetime | None, /) -> None:
        """Say nothing."""

    dst = tzname = utcoffset


UNREADABLE: dict[str, object] = {
    "no secret": [],
    "nothing": None,
    "bytes": CANARY.encode(),
    "a number": 5,
    "empty": "",
    "prefix alone": "whsec_",
    "not base64": f"whsec_{CANARY}!",
    "a line break": f"whsec_{CANARY}\n",
    "not ASCII": f"whsec_{CANARY}é",
    "not Unicode": f"{CANARY}\ud800",
    "none in a list": [CANARY, None],
    "a number in a list": [CANARY, 5],
    "a pair that is none": [(CANARY, None, CANARY)],
    "a pair without its list": (CANARY, NOW),
    "two secrets in a pair": [(CANARY, CANARY)],
    "no secret in a pair": [(None, CANARY)],
    "an end without a zone": [(CANARY, datetime(2025, 1, 1))],  # noqa: DTZ001 - the fault
    "an end in no zone": [(CANARY, datetime(2025, 1, 1, tzinfo=Nowhere()))],
    "an end as text": [(CANARY, "2025-01-01")],
    "an end too large": [(CANARY, 10**400)],
}


@pytest.mark.parametrize("make", [SecretRing, WebhookVerifier], ids=["ring", "verifier"])
@pytest.mark.parametrize("secrets", UNREADABLE.values(), ids=list(UNREADABLE))
def test_secrets_that_cannot_be_read_are_refused_and_not_shown(make: Callable[..., object], secrets: object) -> None:
    """A `ConfigurationError` says what to give instead; not even the local variables of its frames show a secret."""
    with pytest.raises(errors.ConfigurationError, match="whsec_…") as caught:
        make(secrets)
    assert leaks(caught.value, CANARY) == []
    assert caught.value.__context__ is None


def test_a_rotation_that_fails_changes_nothing() -> None:
    """A new secret that cannot be read is refused, not shown, and leaves the ring as it was."""
    ring = SecretRing(A, clock=Hand())
    for bad in (f"{CANARY}!", "", cast("Any", None), cast("Any", 5)):
        with pytest.raises(errors.ConfigurationError, match="whsec_…") as caught:
            ring.rotate(bad)
        assert leaks(caught.value, CANARY) == []
    assert (len(ring), passes(ring, NOW + 2 * DAY, A)) == (1, True)


@pytest.mark.parametrize(("size", "warned"), [(1, True), (23, True), (24, False), (64, False)])
def test_a_short_secret_is_warned_of(size: int, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A key of fewer than 24 bytes works, with a warning that names its length and nothing else of it."""
    secret = b64encode(b"k" * size).decode()
    with caplog.at_level(logging.WARNING, "envoy_async.webhooks"):
        assert passes(SecretRing(secret), NOW, secret)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ([f"a webhook secret has {size} bytes; Standard Webhooks asks for 24"] if warned else [])


@pytest.mark.parametrize("secret_encoding", ["base64", "text"])
def test_a_ring_shows_no_secret(secret_encoding: Any) -> None:
    """Neither the ring nor a verifier with it prints, dumps, pickles, or copies a secret or a key."""
    scheme = Scheme(secret_encoding=secret_encoding)
    ring = SecretRing([f"whsec_{CANARY}", (A, NOW)], scheme=scheme)
    assert repr(ring) == "SecretRing(2 secrets)"
    key = scheme.key(CANARY)
    for thing in (ring, WebhookVerifier(ring), ring._held, ring._held[0]):
        assert leaks(thing, CANARY, key.decode("latin-1"), key.hex(), repr(key)[2:-1]) == []
    ways: list[Callable[[object], object]] = [copy.copy, copy.deepcopy, pickle.dumps]
    for way in ways:
        with pytest.raises(TypeError, match=r"^secrets are not pickled; make the ring where it is used$") as caught:
            way(ring)
        assert leaks(caught.value, CANARY) == []
    with pytest.raises(TypeError, match=r"secrets are not pickled"):
        pickle.dumps(WebhookVerifier(ring))


def test_the_scheme_of_a_ring_holds() -> None:
    """A verifier that is given a ring reads and checks as the ring's scheme says, whatever its own says."""
    scheme = Scheme(secret_encoding="text", digest="sha512", version="v7")
    ring = SecretRing("a text that is no base64, and long enough", scheme=scheme)
    headers = sign("a text that is no base64, and long enough", BODY, id="msg_1", timestamp=int(NOW), scheme=scheme)
    verifier = WebhookVerifier(ring, scheme=Scheme(version="v2"))
    assert verifier.verify(headers, BODY, now=NOW).message_id == "msg_1"
