"""The operations of the group Webhooks.

Assumptions of ours: endpoints are listed in a bare array, oldest first, and deleting one answers with an empty
object; a new endpoint's ``disabled_reason`` is null (the documentation shows null and an empty text); in an update,
null leaves url, event types, and status as they are and clears description and headers; setting the status clears
``disabled_reason`` and forgets earlier failures; replaying a message to an endpoint it was never meant for is a 422.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Record, invalid
from .deliveries import UNFINISHED, attempts_of, delivery_state, give_up, schedule
from .endpoints import (
    add_secret,
    note_success,
    read_event_types,
    read_headers,
    read_status,
    read_url,
    shown,
    shown_with_secret,
)
from .events import event_catalogue
from .listing import page_from
from .routing import Inquiry, Operation
from .store import newest_first
from .validation import find_row, need_record, need_text, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .store import Store

READERS: Mapping[str, Callable[[Record], object]] = {
    "url": read_url,
    "event_types": read_event_types,
    "description": lambda body: read_text(body, "description"),
    "headers": read_headers,
    "status": read_status,
}
CLEARABLE = ("description", "headers")


def create_endpoint(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /webhooks/endpoints; the secret is in this answer and in that of a rotation only."""
    body = need_record(inquiry.body)
    wanted = {key: READERS[key](body) for key in ("url", "description", "event_types", "headers")}
    now = store.stamp()
    endpoint: Record = {
        "id": store.new_id("ep_"),
        "organization_id": store.organization_id,
        **wanted,
        "status": "ACTIVE",
        "disabled_reason": None,
        "created_at": now,
        "updated_at": now,
    }
    add_secret(store, endpoint)
    store.endpoints[str(endpoint["id"])] = endpoint
    store.dispatch.wake()  # calls under way may have events for it
    return shown_with_secret(endpoint)


def list_endpoints(store: Store, inquiry: Inquiry) -> object:  # noqa: ARG001 - every operation has this signature
    """Answer GET /webhooks/endpoints: a bare array, oldest first."""
    return [shown(endpoint) for endpoint in store.endpoints.values()]


def get_endpoint(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /webhooks/endpoints/{endpoint_id}."""
    return shown(_endpoint(store, inquiry))


def update_endpoint(store: Store, inquiry: Inquiry) -> object:
    """Answer PATCH /webhooks/endpoints/{endpoint_id}; all of the body is checked before anything changes."""
    endpoint, body = _endpoint(store, inquiry), need_record(inquiry.body)
    given = [key for key in READERS if key in body and (body[key] is not None or key in CLEARABLE)]
    changes = {key: READERS[key](body) for key in given}
    if "status" in changes:
        changes["disabled_reason"] = None
        note_success(endpoint)
    if changes:
        endpoint.update(changes, updated_at=store.stamp())
    return shown(endpoint)


def delete_endpoint(store: Store, inquiry: Inquiry) -> object:
    """Answer DELETE /webhooks/endpoints/{endpoint_id}; its attempts stay readable under their messages."""
    endpoint_id = str(_endpoint(store, inquiry)["id"])
    del store.endpoints[endpoint_id]
    give_up(store, endpoint_id)
    return {}


def rotate_secret(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /webhooks/endpoints/{endpoint_id}/rotate-secret; the body is an object, of which nothing is used."""
    endpoint = _endpoint(store, inquiry)
    need_record(inquiry.body)
    add_secret(store, endpoint)
    endpoint["updated_at"] = store.stamp()
    return shown_with_secret(endpoint)


def endpoint_messages(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /webhooks/endpoints/{endpoint_id}/messages: its attempts, newest first."""
    endpoint_id = _endpoint(store, inquiry)["id"]
    rows = (row for row in store.attempts.values() if row["endpoint_id"] == endpoint_id)
    return page_from(newest_first(rows), inquiry.query)


def message_attempts(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /webhooks/messages/{message_id}/attempts: a bare array, oldest first."""
    return attempts_of(store, _message(store, inquiry))


def replay_message(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /webhooks/messages/{message_id}/replay: one more attempt, unless one is waiting or under way."""
    message, body = _message(store, inquiry), need_record(inquiry.body)
    endpoint_id = str(find_row(store.endpoints, need_text(body, "endpoint_id"), "ep_", "endpoint_id")["id"])
    rows = attempts_of(store, message, endpoint_id)
    if not rows:
        raise invalid("endpoint_id", "the message was not meant for this endpoint")
    if rows[-1]["status"] not in UNFINISHED:
        schedule(store, message, endpoint_id, number=len(rows) + 1)
    return delivery_state(store, message, endpoint_id)


def list_event_types(store: Store, inquiry: Inquiry) -> object:  # noqa: ARG001
    """Answer GET /webhooks/event-types: a bare array."""
    return event_catalogue()


def _endpoint(store: Store, inquiry: Inquiry) -> Record:
    """Get the endpoint an inquiry is about, or answer 400 or 404."""
    return find_row(store.endpoints, inquiry.ids["endpoint_id"], "ep_", "endpoint_id")


def _message(store: Store, inquiry: Inquiry) -> Record:
    """Get the message an inquiry is about, or answer 400 or 404."""
    return find_row(store.messages, inquiry.ids["message_id"], "msg_", "message_id")


ENDPOINTS = "/webhooks/endpoints"
ENDPOINT = "/webhooks/endpoints/{endpoint_id}"
MESSAGE = "/webhooks/messages/{message_id}"
OPERATIONS: tuple[Operation, ...] = (
    Operation(name="webhook_endpoints.create", method="POST", path=ENDPOINTS, run=create_endpoint),
    Operation(name="webhook_endpoints.list", method="GET", path=ENDPOINTS, run=list_endpoints),
    Operation(name="webhook_endpoints.get", method="GET", path=ENDPOINT, run=get_endpoint),
    Operation(name="webhook_endpoints.update", method="PATCH", path=ENDPOINT, run=update_endpoint),
    Operation(name="webhook_endpoints.delete", method="DELETE", path=ENDPOINT, run=delete_endpoint),
    Operation(
        name="webhook_endpoints.rotate_secret", method="POST", path=f"{ENDPOINT}/rotate-secret", run=rotate_secret
    ),
    Operation(name="webhook_endpoints.messages", method="GET", path=f"{ENDPOINT}/messages", run=endpoint_messages),
    Operation(name="webhook_endpoints.event_types", method="GET", path="/webhooks/event-types", run=list_event_types),
    Operation(name="webhook_messages.attempts", method="GET", path=f"{MESSAGE}/attempts", run=message_attempts),
    Operation(name="webhook_messages.replay", method="POST", path=f"{MESSAGE}/replay", run=replay_message),
)
