"""The operations of the group Calls.

Assumptions of ours, because the documentation was not readable there: the body of POST /calls (understood are
``phone_number`` or ``to_number``, and ``load_id``; anything else is ignored) and that it makes a SCHEDULED OUTBOUND
call; path, effect, and answer of join; that ending a live call makes it COMPLETED and a scheduled one CANCELLED;
that every success is a 200; that a missing recording is a 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Record, invalid, not_found, seconds_of, timestamp
from .listing import page_from, select_calls
from .recordings import LINK_LIFETIME, recording_bytes, recording_link
from .routing import Inquiry, Operation
from .validation import need_record, read_id, read_phone

if TYPE_CHECKING:
    from .store import Store

LIVE = ("IN_PROGRESS", "SCHEDULED")


def find_call(store: Store, inquiry: Inquiry) -> Record:
    """Get the call an inquiry is about, or answer 400 or 404."""
    call = store.calls.get(read_id(inquiry.ids["call_id"], "call_", "call_id"))
    if call is None:
        raise not_found("Call")
    return call


def list_calls(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /calls."""
    return page_from(select_calls(store.calls.values(), inquiry.query, store.clock()), inquiry.query)


def create_call(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /calls: plan a call to somebody."""
    body = need_record(inquiry.body)
    number = read_phone(body, "phone_number") or read_phone(body, "to_number")
    load = _linked_load(store, body)
    now = store.stamp()
    return store.add_call(
        {
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
    )


def join_call(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /calls/{call_id}/join: somebody of the house comes in, and a scheduled call starts."""
    call = find_call(store, inquiry)
    if call["status"] not in LIVE:
        raise invalid("call_id", "the call has ended")
    previous, now = call["status"], store.stamp()
    if previous == "SCHEDULED":
        call.update(status="IN_PROGRESS", call_start_time=now, updated_at=now)
    return {"success": True, "message": "Joined call", "call_id": call["id"], "previous_status": previous}


def end_call(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /calls/{call_id}/end; harmless when the call has ended."""
    call = find_call(store, inquiry)
    previous, message = call["status"], "Call already ended"
    if previous in LIVE:
        now, message = store.stamp(), "Call ended"
        call.update(status="CANCELLED", updated_at=now)
        if previous == "IN_PROGRESS":
            call.update(status="COMPLETED", call_end_time=now)
    return {"success": True, "message": message, "call_id": call["id"], "previous_status": previous}


def get_recording(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /calls/{call_id}/recording with a link that expires, outside the API's base path."""
    call = find_call(store, inquiry)
    if call["recording_status"] != "AVAILABLE":
        raise not_found("Recording")
    call_id = str(call["id"])
    expires = int(store.clock() + LINK_LIFETIME)
    return {
        "call_id": call_id,
        "url": inquiry.origin + recording_link(store, call_id, expires),
        "content_type": "audio/mp4",
        "expires_at": timestamp(expires),
        "recording_status": "AVAILABLE",
        "duration_seconds": round(seconds_of(call["call_end_time"]) - seconds_of(call["call_start_time"]), 3),
        "file_size_bytes": len(recording_bytes(call_id)),
        "recording_start_time": call["call_start_time"],
    }


def _linked_load(store: Store, body: Record) -> Record | None:
    """Get the load a new call is about, if it names one."""
    if body.get("load_id") is None:
        return None
    load = store.loads.get(read_id(body["load_id"], "load_", "load_id"))
    if load is None:
        raise invalid("load_id", "Load not found")
    return load


OPERATIONS = (
    Operation(name="calls.list", method="GET", path="/calls", run=list_calls),
    Operation(name="calls.create", method="POST", path="/calls", run=create_call),
    Operation(name="calls.get", method="GET", path="/calls/{call_id}", run=find_call),
    Operation(name="calls.join", method="POST", path="/calls/{call_id}/join", run=join_call),
    Operation(name="calls.end", method="POST", path="/calls/{call_id}/end", run=end_call),
    Operation(name="calls.recording", method="GET", path="/calls/{call_id}/recording", run=get_recording),
)
