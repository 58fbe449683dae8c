"""The life of a call made through the API: dialled at once, soon answered, and over when nobody ends it.

`advance` lets happen what is due by the sandbox's clock: before an operation looks at calls, and from time to time
while there is an endpoint that may want to hear of it. All of it is an assumption of ours: that a call is answered
after 2 seconds and ends by itself after 120 seconds of talk, that its recording is there at once, and that a call
nobody was reached on is CANCELLED when ended.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from .answers import Record, seconds_of, timestamp
from .events import emit

if TYPE_CHECKING:
    from .store import Store

LIVE = ("IN_PROGRESS", "SCHEDULED")
ANSWERED_AFTER = 2.0  # seconds
LONGEST_TALK = 120.0  # seconds


def dial(store: Store, number: str | None, load: Record | None) -> Record:
    """Plan a call to somebody for right now."""
    now = store.stamp()
    call: Record = {
        "id": store.new_id("call_"),
        "status": "SCHEDULED",
        "call_time": now,
        "created_at": now,
        "updated_at": now,
        "call_direction": "OUTBOUND",
        "phone_number": number,
        "to_number": number,
        "from_number": store.phone_number,
        "call_start_time": None,
        "call_end_time": None,
        "call_type": "Load Offer" if load else None,
        "load_id": load and load["id"],
        "organization_id": store.organization_id,
        "created_by_id": None,
        "recording_status": None,
        "load_number": load and load["load_number"],
    }
    store.add_call(call)
    heapq.heappush(store.agenda, (store.clock() + ANSWERED_AFTER, str(call["id"])))
    emit(store, "call.status_changed", call)
    store.dispatch.wake()
    return call


def advance(store: Store) -> None:
    """Let happen what is due; costs nothing while nothing is."""
    now = store.clock()
    while store.agenda and store.agenda[0][0] <= now:
        due, call_id = heapq.heappop(store.agenda)
        call = store.calls.get(call_id)  # calls may vanish
        if call is None or call["status"] not in LIVE:
            continue
        if call["status"] == "SCHEDULED":
            answer(store, call, timestamp(due))
        end = seconds_of(call["call_start_time"]) + LONGEST_TALK
        if end <= due:
            end_call(store, call, timestamp(end))
        else:
            heapq.heappush(store.agenda, (end, call_id))


def answer(store: Store, call: Record, moment: str) -> None:
    """Start the talk of a scheduled call; the carrier of its outreach, if it has one, is engaged."""
    call.update(status="IN_PROGRESS", call_start_time=moment, updated_at=moment)
    for outreach in store.outreaches.values():
        if outreach["call_id"] == call["id"]:
            outreach["carrier_engaged"] = True
    emit(store, "call.status_changed", call)


def end_call(store: Store, call: Record, moment: str) -> None:
    """End a talk, or give up a call that was not answered yet."""
    if call["status"] == "IN_PROGRESS":
        call.update(status="COMPLETED", call_end_time=moment, recording_status="AVAILABLE", updated_at=moment)
    else:
        call.update(status="CANCELLED", updated_at=moment)
    emit(store, "call.status_changed", call)
