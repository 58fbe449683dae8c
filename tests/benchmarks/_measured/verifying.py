"""What the check of a delivery costs, beside the one HMAC that no check can do without.

The rule: a delivery of 2 KiB is signed with two secrets, as after a rotation, and checked by a ring of four. Beside it
stand one bare HMAC of the same bytes and, for comparison, the package `standardwebhooks`, which knows one secret. All
are timed in turns; the ratio is the median of those of all rounds.
"""

from __future__ import annotations

import hmac
import json
import statistics
import time
from base64 import b64encode
from collections.abc import Callable
from time import perf_counter_ns

import standardwebhooks

from envoy_async import webhooks

SIZE, CALLS, ROUNDS = 2048, 200, 20
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


def main() -> None:
    """Tell the microseconds of all three, and the ratio."""
    now = int(time.time())  # the other package takes no time
    headers, body = delivery(now)
    verifier, other = webhooks.WebhookVerifier(SECRETS), standardwebhooks.Webhook(SECRETS[2])
    key, content = webhooks.Scheme().key(SECRETS[0]), webhooks.Scheme().content("msg_1", str(now), body)
    ways: dict[str, Callable[[], object]] = {
        "own": lambda: verifier.verify(headers, body, now=now),
        "bare": lambda: hmac.new(key, content, "sha256").digest(),
        "other": lambda: other.verify(body, headers),
    }
    rows = [{name: microseconds(way) for name, way in ways.items()} for _ in range(ROUNDS + 1)][1:]
    found = {name: statistics.median(row[name] / row["bare"] for row in rows) for name in ("own", "other")}
    print(json.dumps({**found, "us": statistics.median(row["bare"] for row in rows)}))
