"""What happened, as messages for the registered webhook endpoints.

The vendor's names of events and the contents of ``data`` are unknown, so all of them here are invented. Further
assumptions of ours: a name matches in full or not at all, a paused or disabled endpoint misses what happens
meanwhile, and a message that nobody asked for is not kept.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .deliveries import schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .answers import Record
    from .store import Store

EVENT_TYPES: Mapping[str, str] = {
    "call.status_changed": "A call was planned, started, ended, or cancelled.",
    "offer.created": "A carrier made an offer on a load.",
    "offer.updated": "An offer was changed.",
    "outreach.created": "A carrier was contacted about a load.",
    "carrier.disabled": "A carrier must no longer be used.",
    "carrier.enabled": "A carrier may be used again.",
    "load.created": "A load came in.",
    "load.updated": "A load was changed.",
    "escalation.created": "A person of the house has to step in.",
}


def emit(store: Store, kind: str, data: Record) -> None:
    """Queue one event, such as ``offer.created``, for every active endpoint that asked for its kind.

    Later changes of `data` do not alter the event.
    """
    wanted = [endpoint_id for endpoint_id, endpoint in store.endpoints.items() if _wants(endpoint, kind)]
    if not wanted:
        return
    now = store.stamp()
    message_id, event_id = store.new_id("msg_"), store.new_id("evt_")
    copied: Record = json.loads(json.dumps(data))
    payload: Record = {"id": event_id, "type": kind, "timestamp": now, "data": copied}
    message: Record = {"id": message_id, "created_at": now, "payload": payload}
    store.messages[message_id] = message
    for endpoint_id in wanted:
        schedule(store, message, endpoint_id, number=1)


def event_catalogue() -> list[Record]:
    """List the events the sandbox emits, each with the JSON schema of its payload."""
    return [_described(kind, text) for kind, text in EVENT_TYPES.items()]


def _wants(endpoint: Record, kind: str) -> bool:
    """Tell whether an endpoint is to hear of a kind of event now."""
    kinds = endpoint["event_types"]
    return endpoint["status"] == "ACTIVE" and isinstance(kinds, list) and kind in kinds


def _described(kind: str, text: str) -> Record:
    """Describe one kind of event."""
    fields: Record = {
        "id": {"type": "string", "pattern": "^evt_"},
        "type": {"const": kind},
        "timestamp": {"type": "string", "format": "date-time"},
        "data": {"type": "object"},
    }
    return {
        "name": kind,
        "description": text,
        "payload_schema": {"type": "object", "required": list(fields), "properties": fields},
    }
