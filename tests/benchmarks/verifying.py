"""What the check of a delivery costs, beside the one HMAC that no check can do without.

A delivery of 2 KiB is signed with two secrets, as after a rotation, and checked by a ring of four. Beside it stand one
bare HMAC of the same bytes and, for comparison, the package `standardwebhooks`, which knows one secret. All are timed
in turns; the ratio is the median of those of all rounds. Absolute times depend on the machine.
"""

from __future__ import annotations

import argparse
import hmac
import json
import statistics
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from time import perf_counter_ns

import standardwebhooks

from envoy_async import webhooks

RATIO = 12.0  # to one bare HMAC; the microseconds are the machine's
SIZE, CALLS = 2048, 500
SECRETS = [f"whsec_{b64encode(bytes([number]) * 32).decode()}" for number in range(1, 5)]


def delivery(now: int) -> tuple[dict[str, str], bytes]:
    """Make a delivery among the headers that a server adds, signed with the two last of the secrets."""
    event = {
        "id": "evt_1",
        "type": "call.ended",
        "timestamp": "2025-11-21T16:00:00Z",
        "data": {"id": "call_1", "text": ""},
    }
    event["data"] = {"id": "call_1", "text": "x" * (SIZE - len(json.dumps(event).encode()))}
    body = json.dumps(event).encode()
    names = ("Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length", "X-Forwarded-For")
    return {**dict.fromkeys(names, "something"), **webhooks.sign(SECRETS[2:], body, id="msg_1", timestamp=now)}, body


def microseconds(way: Callable[[], object]) -> float:
    """Time so many calls, one after another; returns what one took."""
    began = perf_counter_ns()
    for _ in range(CALLS):
        way()
    return (perf_counter_ns() - began) / CALLS / 1000


def main() -> int:
    """Print the comparison; 1 when a check costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    now = int(time.time())  # the other package takes no time
    headers, body = delivery(now)
    verifier, other = webhooks.WebhookVerifier(SECRETS), standardwebhooks.Webhook(SECRETS[2])
    key, content = webhooks.Scheme().key(SECRETS[0]), webhooks.Scheme().content("msg_1", str(now), body)
    ways: list[Callable[[], object]] = [
        lambda: verifier.verify(headers, body, now=now),
        lambda: hmac.new(key, content, "sha256").digest(),
        lambda: other.verify(body, headers),
    ]
    rows = [[microseconds(way) for way in ways] for _ in range(parser.parse_args().rounds)][1:]
    own, bare, theirs = (statistics.median(column) for column in zip(*rows, strict=True))
    ratio = statistics.median(row[0] / row[1] for row in rows)
    print(f"{own:6.1f} us  check of {len(body)} bytes, 4 secrets, 2 signatures")
    print(f"{bare:6.1f} us  one bare HMAC; the check is {ratio:.1f} of them (at most {RATIO:g})")
    print(f"{theirs:6.1f} us  standardwebhooks, 1 secret")
    return int(ratio > RATIO)


if __name__ == "__main__":
    sys.exit(main())
