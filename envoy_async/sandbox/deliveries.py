"""Attempts to deliver a message to an endpoint, as rows; one row per attempt. `delivering` sends them.

Read in the documentation: the five statuses, that the step from PENDING to SENDING keeps an attempt from being sent
twice, and that a replay queues one more attempt of the same message. Assumptions of ours: the pauses between the
attempts; that each attempt is a row of its own, whose ``next_attempt_at`` ends with it; that ``delivered_at`` belongs
to a success; that a replay while an attempt is waiting or under way adds none; that attempts are counted on past
``max_attempts`` when replayed, and not repeated there; that a paused or disabled endpoint can be replayed to; that
what waits for an endpoint that gets deleted is given up (DEAD).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import attrs

from .answers import Record, timestamp
from .endpoints import note_failure, note_success

if TYPE_CHECKING:
    from collections.abc import Callable

    from .store import Store

DELAYS = (5.0, 300.0, 1_800.0, 7_200.0)
UNFINISHED = ("PENDING", "SENDING")


@attrs.frozen(kw_only=True)
class Dispatch:
    """The seconds from one attempt to the next, and whom to tell that there is something to do."""

    delays: tuple[float, ...] = attrs.field(
        default=DELAYS, validator=attrs.validators.deep_iterable(attrs.validators.ge(0.0))
    )
    wake: Callable[[], object] = bool  # which does nothing


@attrs.frozen(kw_only=True)
class Outcome:
    """How one attempt went: a success has no error, and a hopeless one is not repeated."""

    status_code: int | None = None
    excerpt: str | None = None
    error: str | None = None
    duration_ms: int | None = None
    hopeless: bool = False


def schedule(store: Store, message: Record, endpoint_id: str, *, number: int, delay: float = 0.0) -> None:
    """Queue attempt `number` (from 1) of a message at an endpoint, due in `delay` seconds."""
    now = store.moment()
    row: Record = {
        "id": store.new_id("atmp_"),
        "message_id": message["id"],
        "endpoint_id": endpoint_id,
        "attempt": number,
        "max_attempts": len(store.dispatch.delays) + 1,
        "status": "PENDING",
        "next_attempt_at": timestamp(now + delay),
        "response_status_code": None,
        "response_body_excerpt": None,
        "error_message": None,
        "duration_ms": None,
        "delivered_at": None,
        "created_at": timestamp(now),
        "payload": message["payload"],
    }
    store.attempts[str(row["id"])] = row
    _queue(store, row, store.clock() + delay)


def take(store: Store, endpoint_id: str, now: float) -> tuple[float, Record] | None:
    """Take the attempt at an endpoint that has been due the longest; it is SENDING then, and nobody else gets it."""
    queue = store.queues.get(endpoint_id, [])
    while queue and queue[0][0] <= now:
        due, _, attempt_id = heapq.heappop(queue)
        row = store.attempts.get(attempt_id)  # attempts may vanish, or be changed by hand
        if row is not None and row["status"] == "PENDING":
            row["status"] = "SENDING"
            return due, row
    return None


def put_back(store: Store, row: Record) -> None:
    """Let an attempt wait again, because the sandbox was closed before it was answered."""
    row["status"] = "PENDING"
    _queue(store, row, store.clock())


def finish(store: Store, row: Record, outcome: Outcome) -> None:
    """Write down how an attempt went, and queue the next one if it is to be repeated."""
    endpoint_id, number, delays = str(row["endpoint_id"]), int(str(row["attempt"])), store.dispatch.delays
    endpoint, good = store.endpoints.get(endpoint_id), outcome.error is None
    last = outcome.hopeless or endpoint is None or number > len(delays)
    row.update(
        status="SUCCEEDED" if good else "DEAD" if last else "FAILED",
        next_attempt_at=None,
        response_status_code=outcome.status_code,
        response_body_excerpt=outcome.excerpt,
        error_message=outcome.error,
        duration_ms=outcome.duration_ms,
        delivered_at=store.stamp() if good else None,
    )
    if row["status"] == "FAILED":
        message: Record = {"id": row["message_id"], "payload": row["payload"]}
        schedule(store, message, endpoint_id, number=number + 1, delay=delays[number - 1])
    if endpoint is not None and good:
        note_success(endpoint)
    elif endpoint is not None and not outcome.hopeless:
        note_failure(store, endpoint)


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
    store.queues.pop(endpoint_id, None)
    for row in store.attempts.values():
        if row["endpoint_id"] == endpoint_id and row["status"] == "PENDING":
            row.update(status="DEAD", next_attempt_at=None, error_message="The endpoint was deleted.")


def _queue(store: Store, row: Record, due: float) -> None:
    """Line an attempt up for the moment it is due, behind those due at the same one."""
    queue = store.queues.setdefault(str(row["endpoint_id"]), [])
    heapq.heappush(queue, (due, len(store.attempts), str(row["id"])))
    store.dispatch.wake()
