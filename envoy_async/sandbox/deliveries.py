"""Attempts to deliver a message to an endpoint, as rows; one row per attempt.

Nothing is sent yet: a row stays PENDING. Read in the documentation: the five statuses, and that a replay queues one
more attempt of the same message. Assumptions of ours: a replay while an attempt is waiting or under way adds none;
attempts are counted on past ``max_attempts`` when replayed; a paused or disabled endpoint can be replayed to; what
waits for an endpoint that gets deleted is given up (DEAD).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Record

if TYPE_CHECKING:
    from .store import Store

MAX_ATTEMPTS = 5
UNFINISHED = ("PENDING", "SENDING")


def schedule(store: Store, message: Record, endpoint_id: str, *, number: int) -> None:
    """Queue attempt `number` (from 1) of a message at an endpoint, due at once."""
    now = store.stamp()
    row: Record = {
        "id": store.new_id("atmp_"),
        "message_id": message["id"],
        "endpoint_id": endpoint_id,
        "attempt": number,
        "max_attempts": MAX_ATTEMPTS,
        "status": "PENDING",
        "next_attempt_at": now,
        "response_status_code": None,
        "response_body_excerpt": None,
        "error_message": None,
        "duration_ms": None,
        "delivered_at": None,
        "created_at": now,
        "payload": message["payload"],
    }
    store.attempts[str(row["id"])] = row


def attempts_of(store: Store, message: Record, endpoint_id: object = None) -> list[Record]:
    """Give the attempts of a message, oldest first, at one endpoint or (None) at all of them."""
    rows = [row for row in store.attempts.values() if row["message_id"] == message["id"]]
    return [row for row in rows if endpoint_id in {None, row["endpoint_id"]}]


def delivery_state(store: Store, message: Record, endpoint_id: str) -> Record:
    """Tell how far the delivery of a message to an endpoint is; there must be an attempt."""
    rows = attempts_of(store, message, endpoint_id)
    codes = [row["response_status_code"] for row in rows if row["response_status_code"] is not None]
    return {
        "id": message["id"],
        "endpoint_id": endpoint_id,
        "latest_status": rows[-1]["status"],
        "attempt_count": len(rows),
        "last_response_status_code": codes[-1] if codes else None,
        "created_at": message["created_at"],
        "payload": message["payload"],
    }


def give_up(store: Store, endpoint_id: str) -> None:
    """End what still waits for an endpoint that is going away."""
    for row in store.attempts.values():
        if row["endpoint_id"] == endpoint_id and row["status"] == "PENDING":
            row.update(status="DEAD", next_attempt_at=None, error_message="The endpoint was deleted.")
