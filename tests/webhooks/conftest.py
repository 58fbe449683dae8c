"""Deliveries of one endpoint, signed by us."""

from __future__ import annotations

import json
from functools import partial

from envoy_async import webhooks

SECRET = "whsec_" + "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"
NOW = 1_763_740_800.0  # Unix seconds, at which the clock of verifiers stands still


def verifier() -> webhooks.WebhookVerifier:
    """Make what checks the deliveries made here."""
    return webhooks.WebhookVerifier(SECRET, clock=partial(float, NOW))


def delivery(id: str = "msg_1", **data: object) -> tuple[dict[str, str], bytes]:
    """Make the headers and the body of a delivery."""
    body = json.dumps({"type": "call.ended", "data": data}).encode()
    return webhooks.sign(SECRET, body, id=id, timestamp=int(NOW)), body
