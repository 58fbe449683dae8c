"""What can happen to a delivery between its signing and its check: the mutations of the program beside this module.

The rule: a mutation changes headers, body, or the time of arrival, and leaves `signed` as it was. Where it signs anew,
`signed` says what is genuine afterwards: something, or `None`. `may_pass` then tells by comparison alone, with no key,
whether a delivery is still what was signed. `HARMLESS` are the mutations that must not hinder one.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from hmac import digest as hmac_digest
from random import Random
from typing import Any, TypeAlias

import attrs
from multidict import CIMultiDict

from envoy_async import webhooks

NOW, TOLERANCE = 1_763_740_800, 300
NAMES = ID, TIMESTAMP, SIGNATURES = "webhook-id", "webhook-timestamp", "webhook-signature"
SECRETS = [f"whsec_{b64encode(sha256(bytes([number])).digest()).decode()}" for number in range(4)]
ENDED, FOREIGN = (f"whsec_{b64encode(sha256(text).digest()).decode()}" for text in (b"ended", b"foreign"))


@attrs.frozen
class Signed:
    """What the signatures with secrets in force are for."""

    id: str
    timestamp: str
    body: bytes
    entries: frozenset[str]


@attrs.define
class Delivery:
    """What arrives, and what was signed."""

    headers: Any
    body: Any
    signed: Signed | None
    now: float = float(NOW)

    @property
    def pairs(self) -> list[list[object]]:
        """The headers as pairs that can be changed; none where an earlier mutation left something else."""
        if not isinstance(self.headers, list):
            self.headers = []
        return self.headers  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - of our own making

    def pick(self, random: Random) -> list[object]:
        """Choose one of the headers that count; a new one when all were dropped."""
        return random.choice(self.pairs or [["webhook-id", "msg_9"]])

    def value(self, name: str) -> str:
        """Give the text of a header; none where it is no text any more."""
        found = next((value for key, value in self.pairs if key == name), "")
        return found if isinstance(found, str) else ""

    def put(self, name: str, value: object) -> None:
        """Set a header."""
        self.headers = [*([key, old] for key, old in self.pairs if key != name), [name, value]]

    def may_pass(self) -> bool:
        """Whether id, timestamp, body, and one right signature are those that were signed, in time and each once."""
        signed = self.signed
        if signed is None or self.body != signed.body or not abs(self.now - int(signed.timestamp)) <= TOLERANCE:
            return False
        mapping = isinstance(self.headers, dict | CIMultiDict)
        pairs = () if isinstance(self.headers, tuple) else self.headers.items() if mapping else self.headers
        found = [(text(name).lower(), text(value)) for name, value in pairs]
        counted = [(name, value) for name, value in found if name in NAMES]
        if len(counted) != len(NAMES) or len(values := dict(counted)) != len(NAMES):
            return False
        same = (values[ID], values[TIMESTAMP]) == (signed.id, signed.timestamp)
        return same and not signed.entries.isdisjoint(values[SIGNATURES].split(" "))


Mutation: TypeAlias = Callable[[Random, Delivery], None]


def text(value: object) -> str:
    """Read a part of a header; what is neither text nor bytes is nobody's."""
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else repr(value)


def signing(secrets: Sequence[str], body: bytes, *, id: str, timestamp: int = NOW) -> Delivery:
    """Sign a delivery with secrets in force."""
    headers = webhooks.sign(secrets, body, id=id, timestamp=timestamp)
    entries = frozenset(headers[SIGNATURES].split(" "))
    return Delivery([[*pair] for pair in headers.items()], body, Signed(id, str(timestamp), body, entries))


def seal(key: bytes, content: bytes) -> str:
    """Make one entry of the list of signatures."""
    return f"v1,{b64encode(hmac_digest(key, content, 'sha256')).decode()}"


def resign(delivery: Delivery, id: str, timestamp: str, body: bytes, key: bytes | None = None) -> None:
    """Sign anything at all, with a key in force unless told otherwise: it must be refused all the same."""
    key = webhooks.Scheme().key(SECRETS[0]) if key is None else key
    entry = seal(key, f"{id}.{timestamp}.".encode() + body)
    delivery.headers = [[ID, id], [TIMESTAMP, timestamp], [SIGNATURES, entry]]
    delivery.body, delivery.signed = body, None


def become(delivery: Delivery, other: Delivery) -> None:
    """Turn a delivery into another that was signed."""
    delivery.headers, delivery.body, delivery.signed = other.headers, other.body, other.signed


def altered(random: Random, value: str) -> str:
    """Change, drop, or add one character, or cut the text."""
    at = random.randrange(len(value) + 1)
    odd = random.choice(["\0", " ", "A", "1", ".", ",", "=", "\u00b2", "\u0661", "\ud800", "\n", "", value])
    return random.choice([value[:at] + odd + value[at + 1 :], value[:at] + odd + value[at:], value[:at], value[at:]])


def drop(random: Random, delivery: Delivery) -> None:
    """Leave a header out."""
    gone = delivery.pick(random)
    delivery.headers = [pair for pair in delivery.pairs if pair is not gone]


def double(random: Random, delivery: Delivery) -> None:
    """Say a header twice, the second time alike, in another case, or otherwise."""
    name, value = delivery.pick(random)
    again = random.choice([value, altered(random, text(value)), text(value).encode("latin-1", "replace")])
    delivery.pairs.insert(
        random.randrange(4), [random.choice([name, text(name).upper(), text(name).encode("utf-8", "replace")]), again]
    )


def other_text(random: Random, delivery: Delivery) -> None:
    """Change a name or a value."""
    pair = delivery.pick(random)
    at = random.choice([0, 1, 1, 1])
    pair[at] = altered(random, text(pair[at]))


def other_type(random: Random, delivery: Delivery) -> None:
    """Put something that is no text."""
    odd: list[object] = [None, 5, 1.5, NOW, ["x"], {"a": 1}, object(), True, bytearray(b"v1,")]
    delivery.pick(random)[random.randrange(2)] = random.choice(odd)


def no_headers(random: Random, delivery: Delivery) -> None:
    """Give what are no headers."""
    odd: list[object] = [None, 5, "webhook-id", b"webhook-id", ([1, 2, 3],), (None,), ([],), (["webhook-id"],)]
    delivery.headers = random.choice([*odd, {1: 2}, {}])


def long(random: Random, delivery: Delivery) -> None:
    """Make a header very long."""
    pair = delivery.pick(random)
    pair[1] = text(pair[1]) * random.choice([2, 20, 200])


def flipped(random: Random, delivery: Delivery) -> None:
    """Turn over one bit of the body."""
    body = bytearray(whole(delivery))
    if body:
        body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    delivery.body = bytes(body)


def whole(delivery: Delivery) -> bytes:
    """Give the body as bytes, whatever it has become."""
    body = delivery.body
    return body.encode("utf-8", "replace") if isinstance(body, str) else bytes(body) if isinstance(body, bytes) else b""


def other_body(random: Random, delivery: Delivery) -> None:
    """Cut the body, write it anew, empty it, or give no bytes at all."""
    body, at = whole(delivery), random.randrange(64)
    try:
        fresh = json.dumps(json.loads(body), indent=random.choice([None, 1])).encode() + b" "
    except (ValueError, RecursionError):
        fresh = b"{}"
    odd: list[object] = [body[:at], body[at:], body + b"\n", fresh, b"", body.decode("latin-1"), None, 5, [body]]
    delivery.body = random.choice([*odd, b"\xff\xfe" + body, b"\xef\xbb\xbf" + body, b"null"])


def other_entries(random: Random, delivery: Delivery) -> None:
    """Cut signatures, give them another version, or write them in another alphabet."""
    first, _, rest = delivery.value(SIGNATURES).partition(" ")
    value = first.removeprefix("v1,")
    odd = [f"v2,{value}", f"V1,{value}", f"v1a,{value}", f"v1{value}", f"v1,,{value}", f"v1, {value}", value, "v1,", ""]
    odd += [f"v1,{value.rstrip('=')}", f"v1,{value}=", f"v1,{value[:-2]}{random.choice('ABCDEFGH')}=", f"v1,{value}\n"]
    odd += [
        f"v1,{value.translate(str.maketrans('+/', '-_'))}x",
        f"v1,{value[:22]}",
        f"v1,{value.swapcase()}",
        first * 2,
    ]
    odd += [
        f"v1,{b64encode(value.encode('utf-8', 'replace')).decode()}",
        first.replace(",", ";"),
        f"{first},{rest}",
        first[::-1],
    ]
    delivery.put(SIGNATURES, random.choice(odd))


def many_entries(random: Random, delivery: Delivery) -> None:
    """Put sixteen wrong signatures or more before the right ones."""
    wrong = " ".join([seal(b"wrong", b"")] * random.choice([16, 17, 80, 1000]))
    delivery.put(SIGNATURES, f"{wrong} {delivery.value(SIGNATURES)}")


def other_delivery(random: Random, delivery: Delivery) -> None:
    """Take headers, all or some, of another delivery, which is genuine itself."""
    other = signing(SECRETS[:1], b'{"type":"other"}', id="msg_other", timestamp=NOW - random.randrange(1, 9))
    for name in random.choice([(ID,), (TIMESTAMP,), (SIGNATURES,), (ID, TIMESTAMP), (ID, SIGNATURES), NAMES]):
        delivery.put(name, other.value(name))


def other_time(random: Random, delivery: Delivery) -> None:
    """Let it arrive too late or too early, or at no time."""
    late = random.choice([1, -1]) * random.choice([300.001, 301, 86_400, 1e9])
    delivery.now = random.choice([NOW + late, math.nan, math.inf, -math.inf])


def odd_time(random: Random, delivery: Delivery) -> None:
    """Sign a timestamp that is no plain number of seconds, or another time."""
    odd = [f"{NOW}.0", f" {NOW}", f"{NOW} ", f"+{NOW}", f"-{NOW}", f"{NOW}\n", "1_763_740_800", hex(NOW), "1.7637408e9"]
    odd += ["", "nan", "inf", str(NOW).translate({49: "\u0661"}), "\u00b2", "9" * 12, "9" * 5000, f"{NOW}000", "now"]
    if random.random() < 0.1:
        become(
            delivery,
            signing(SECRETS[:1], whole(delivery), id="msg_1", timestamp=NOW + random.choice([-301, 301, -NOW])),
        )
    else:
        resign(delivery, "msg_1", random.choice(odd), whole(delivery))


def odd_id(random: Random, delivery: Delivery) -> None:
    """Sign an id that is none."""
    odd = ["", " ", "a b", "a.b", ".", "msg_\u00fc", "msg_\0", "msg_1\n", "m" * 129, "m" * 100_000, "\u0661"]
    resign(delivery, random.choice(odd), str(NOW), whole(delivery))


def moved_dot(random: Random, delivery: Delivery) -> None:
    """Read what was signed at other dots: the text is the same, and so is its signature."""
    body = f'{NOW}.{{"n":{random.random()}}}'.encode()
    resign(delivery, f"msg_1.{NOW - 1}", str(NOW), body.partition(b".")[2])


def wrong_key(random: Random, delivery: Delivery) -> None:
    """Sign with what only looks like the secret, or with one that ended, or a foreign one."""
    secret = SECRETS[0]
    keys = [b"", secret.encode(), secret[6:].encode(), webhooks.Scheme().key(ENDED), webhooks.Scheme().key(FOREIGN)]
    keys += [webhooks.Scheme().key(secret)[:-1], sha256(webhooks.Scheme().key(secret)).digest()]
    resign(delivery, "msg_1", str(NOW), whole(delivery), random.choice(keys))


def signed_junk(random: Random, delivery: Delivery) -> None:
    """Sign a body that was changed before: genuine, and perhaps no event."""
    random.choice([flipped, flipped, other_body])(random, delivery)
    body = random.choice([whole(delivery), random.randbytes(40), b'{"a":' * 9_000, b'{"a":NaN}', b'{"data":5}'])
    become(delivery, signing(random.sample(SECRETS, 1), body, id="msg_2"))


def spelled(random: Random, delivery: Delivery) -> None:
    """Spell names in any case, parts as bytes, headers as a mapping, in any order, among others."""
    names = [(text(name).title() if random.random() < 0.5 else text(name).upper()) for name, _ in delivery.pairs]
    pairs = [(name, text(value)) for name, (_, value) in zip(names, delivery.pairs, strict=True)]
    pairs += [("Host", "hooks.example"), ("X-Webhook-Id", "msg_0"), ("Host", "again")]
    random.shuffle(pairs)
    as_bytes = [(name.encode(), value.encode("latin-1", "replace")) for name, value in pairs]
    delivery.headers = random.choice([pairs, as_bytes, CIMultiDict(pairs), dict(pairs)])


def viewed(random: Random, delivery: Delivery) -> None:
    """Give the body as another kind of bytes."""
    delivery.body = random.choice([bytes, bytearray, memoryview])(whole(delivery))


def more_entries(random: Random, delivery: Delivery) -> None:
    """Put some wrong signatures around the right ones, and some of other versions."""
    around = [seal(b"wrong", b""), "v2,abc", "v1a,abc", "v1,", "", "abc", ","]
    before, behind = random.choices(around, k=5), random.choices(around, k=random.choice([0, 5, 40]))
    delivery.put(SIGNATURES, " ".join([*before, delivery.value(SIGNATURES), *behind]))


def in_time(random: Random, delivery: Delivery) -> None:
    """Let it arrive late or early, within the tolerance."""
    delivery.now = NOW + random.uniform(-TOLERANCE, TOLERANCE)


HARMLESS: tuple[Mutation, ...] = (spelled, viewed, more_entries, in_time)
HARMFUL: tuple[Mutation, ...] = (
    *(drop, double, other_text, other_type, no_headers, long, flipped, other_body, other_entries, many_entries),
    *(other_delivery, other_time, odd_time, odd_id, moved_dot, wrong_key, signed_junk),
)
