"""A million deliveries that were changed on their way, and rotations of the secret at every second: the figures.

The rule: the verifier is the real one, time is given, and what must be refused is decided by comparison with what was
signed, see `_mutations`. One delivery in ten is left as it is. Run it with ``nox -s simulations``; ``--count 2000``
makes it short. It ends with 1 when anything but a `WebhookError` is raised, a delivery passes that was not signed so,
or one is refused that was.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from random import Random

import attrs

from envoy_async import errors, webhooks

if __name__ == "__main__":  # tests import this, too
    sys.path.append(str(Path(__file__).parents[2]))  # at the end: the SDK is the installed one

from tests.simulations._mutations import (
    ENDED,
    HARMFUL,
    HARMLESS,
    NOW,
    SECRETS,
    TOLERANCE,
    Delivery,
    Mutation,
    signing,
)

UNCHANGED, AGAIN = 0.1, 0.3  # the parts left as they are, and mutated a second time
DAY = 86_400
WRONG = ("accepted though changed", "refused though genuine", "another error")


@attrs.frozen
class Row:
    """What came of the deliveries of one kind."""

    kind: str
    found: Counter[str]

    @property
    def wrong(self) -> int:
        """How many ended as none may."""
        return sum(self.found[each] for each in WRONG)


def originals(random: Random) -> Iterator[Delivery]:
    """Sign deliveries of all sizes, with one or two of the secrets in force."""
    for number in range(256):
        data = {"id": f"call_{number}", "text": "é\u2028x" * int(2 ** random.uniform(0, 9)), "n": random.random()}
        event = {"id": f"evt_{number}", "type": "call.ended", "timestamp": "2025-11-21T16:00:00Z", "data": data}
        body = json.dumps(event, ensure_ascii=random.random() < 0.5).encode()
        yield signing(random.sample(SECRETS, random.choice([1, 2])), body, id=f"msg_{number}")


def outcome(verifier: webhooks.WebhookVerifier, delivery: Delivery, *, must_pass: bool) -> str:
    """Verify a delivery and judge what came of it."""
    try:
        verifier.verify(delivery.headers, delivery.body, now=delivery.now)
    except errors.WebhookError as error:
        return "refused though genuine" if must_pass else type(error).__name__
    except Exception:  # noqa: BLE001 - that is what is looked for
        return "another error"
    return "event" if delivery.may_pass() else "accepted though changed"


def mutated(random: Random, pool: list[Delivery]) -> tuple[str, Delivery, bool]:
    """Choose a delivery and what happens to it; gives the kind, and whether it must pass."""
    original = random.choice(pool)
    copy = Delivery([[*pair] for pair in original.pairs], original.body, original.signed)
    if random.random() < UNCHANGED:
        return "unchanged", copy, True
    first: Mutation = random.choice(HARMFUL + HARMLESS)
    first(random, copy)
    if first in HARMLESS:
        return first.__name__, copy, True
    if random.random() < AGAIN:
        random.choice(HARMFUL)(random, copy)
    return first.__name__, copy, False


def mutate(count: int, seed: int) -> list[Row]:
    """Verify so many deliveries, by a ring that also holds a secret that has ended."""
    random = Random(seed)
    pool = list(originals(random))
    ring: list[str | tuple[str, float]] = [*SECRETS, (ENDED, NOW - TOLERANCE - 86_400.0 * 365)]
    verifier = webhooks.WebhookVerifier(ring, TOLERANCE)
    kinds = ("unchanged", *(each.__name__ for each in HARMLESS + HARMFUL))
    rows = {kind: Row(kind, Counter()) for kind in kinds}
    for _ in range(count):
        kind, delivery, must_pass = mutated(random, pool)
        rows[kind].found[outcome(verifier, delivery, must_pass=must_pass)] += 1
    return list(rows.values())


def rotate(seconds: Iterable[int], skews: Sequence[int]) -> Row:
    """Deliver in these seconds after a rotation, by senders whose clocks are these seconds off.

    A sender signs with both secrets for a day, then with the new one alone, which must pass; what is signed with the
    old one alone must pass until it ends and has come, and not any later. The receiver's clock is right.
    """
    old, new = SECRETS[:2]
    ring = webhooks.SecretRing(old, clock=partial(float, NOW))
    ring.rotate(new)
    verifier, found = webhooks.WebhookVerifier(ring, TOLERANCE), Counter[str]()

    @cache
    def sign(secrets: tuple[str, ...], at: int) -> Delivery:
        return signing(secrets, b'{"type":"x"}', id="msg_1", timestamp=at)

    for second in seconds:
        sent = ((new, old) if second < DAY else (new,), True), ((old,), second <= DAY + TOLERANCE)
        for (secrets, passes), skew in product(sent, skews):
            delivery = sign(secrets, NOW + second + skew)
            delivery.now = float(NOW + second)
            verdict = outcome(verifier, delivery, must_pass=passes)
            found["accepted though changed" if verdict == "event" and not passes else verdict] += 1
    return Row("rotation", found)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    began, step = time.perf_counter(), max(1, 1_000_000 // options.count)
    rows = mutate(options.count, options.seed)
    rows.append(rotate(range(DAY - 600, DAY + 601, step), range(-299, 300, step)))
    verdicts = ("event", "SignatureError", "TimestampError", "PayloadError", *WRONG)
    print(f"seed {options.seed}\n| Kind | {' | '.join(verdicts)} |\n|{'---|' * (len(verdicts) + 1)}")
    for row in (*rows, Row("all", sum((row.found for row in rows), Counter[str]()))):
        print(f"| {row.kind} | {' | '.join(f'{row.found[verdict]:,}' for verdict in verdicts)} |")
    wrong = sum(row.wrong for row in rows)
    print(f"\n{time.perf_counter() - began:.0f} s; ended as none may: {wrong} (0)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
