"""What the check of a webhook costs."""

from __future__ import annotations

from tests.benchmarks._figures import Found, Table, column
from tests.benchmarks._running import Run, ask


def measure(run: Run) -> Found:
    """Compare with one HMAC, and with another package."""
    rows = [ask("verifying") for _ in range(run.repetitions)]
    table = {
        "envoy-async, 4 secrets, 2 signatures": (column(rows, "own"),),
        "standardwebhooks, 1 secret": (column(rows, "other"),),
    }
    goals = {"Webhook: check of 2 KiB / one HMAC of it": column(rows, "own", most=12.0)}
    return Found(goals, (Table("Check a webhook", ("To one HMAC",), table),))
