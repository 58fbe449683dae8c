"""The operations of the group Calls.

Assumptions of ours, because the documentation was not readable there: the body of POST /calls (understood are
``phone_number`` or ``to_number``, and ``load_id``; anything else is ignored) and that it makes a SCHEDULED OUTBOUND
call, whose further life is told in ``calling``; path, effect, and answer of join; that ending a live call makes it
COMPLETED and a scheduled one CANCELLED; that every success is a 200; that a missing recording is a 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Record, invalid, not_found, seconds_of, timestamp
from .calling import LIVE, answer, dial, end_call as end
from .listing import page_from, select_calls
from .recordings import LINK_LIFETIME, recording_bytes, recording_link
from .routing import Inquiry, Operation
from .validation import find_row, need_record, read_link, read_phone

if TYPE_CHECKING:
    from .store import Store


def find_call(store: Store, inquiry: Inquiry) -> Record:
    """Get the call an inquiry is about, or answer 400 or 404."""
    return find_row(store.calls, inquiry.ids["call_id"], "call_", "call_id")


def list_calls(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /calls."""
    return page_from(select_calls(store.calls.values(), inquiry.query, store.clock()), inquiry.query)


def create_call(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /calls: plan a call to somebody."""
    body = need_record(inquiry.body)
    number = read_phone(body, "phone_number") or read_phone(body, "to_number")
    return dial(store, number, read_link(store.loads, body, "load_id", "load_"))


def join_call(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /calls/{call_id}/join: somebody of the house comes in, and a scheduled call starts."""
    call = find_call(store, inquiry)
    if call["status"] not in LIVE:
        raise invalid("call_id", "the call has ended")
    previous, now = call["status"], store.stamp()
    if previous == "SCHEDULED":
        answer(store, call, now)
    return {"success": True, "message": "Joined call", "call_id": call["id"], "previous_status": previous}


def end_call(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /calls/{call_id}/end; harmless when the call has ended."""
    call = find_call(store, inquiry)
    previous, message = call["status"], "Call already ended"
    if previous in LIVE:
        end(store, call, store.stamp())
        message = "Call ended"
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


OPERATIONS = (
    Operation(name="calls.list", method="GET", path="/calls", run=list_calls),
    Operation(name="calls.create", method="POST", path="/calls", run=create_call),
    Operation(name="calls.get", method="GET", path="/calls/{call_id}", run=find_call),
    Operation(name="calls.join", method="POST", path="/calls/{call_id}/join", run=join_call),
    Operation(name="calls.end", method="POST", path="/calls/{call_id}/end", run=end_call),
    Operation(name="calls.recording", method="GET", path="/calls/{call_id}/recording", run=get_recording),
)
