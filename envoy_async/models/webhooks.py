"""Webhooks: where events are sent, and what became of each delivery."""

from collections.abc import Mapping, Sequence

import attrs

from ._values import UNSET, OpenEnum, Secretive, Timestamp, Unset


class WebhookEndpointStatus(OpenEnum):
    """State of an endpoint. The three values are the whole list (seen); DISABLED is set by the vendor alone."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"


class WebhookAttemptStatus(OpenEnum):
    """State of a delivery attempt. The five values are named in the documentation's prose (seen)."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    DEAD = "DEAD"


@attrs.frozen(kw_only=True)
class WebhookEndpoint:
    """An address that gets events. Source: `PATCH /webhooks/endpoints/{endpoint_id}` (seen)."""

    id: str
    organization_id: str
    url: str
    event_types: tuple[str, ...]
    status: WebhookEndpointStatus
    created_at: Timestamp
    updated_at: Timestamp
    description: str | None = None
    headers: dict[str, str] | None = attrs.field(default=None, repr=False, hash=False)
    """Extra headers; that they go out with each delivery is inferred. They may hold secrets, so no repr shows them."""
    disabled_reason: str | None = None


@attrs.frozen(kw_only=True)
class WebhookEndpointWithSecret(Secretive, WebhookEndpoint):
    """An endpoint with its signing secret, which is shown this once.

    Source: `POST /webhooks/endpoints` (partial: sample complete, field list not visible).
    """

    signing_secret: str = attrs.field(repr=False)
    """`whsec_…`; no later answer has it."""


@attrs.frozen(kw_only=True)
class NewWebhookEndpoint:
    """An endpoint to register. Source: `POST /webhooks/endpoints` (partial: the last two fields are inferred)."""

    url: str
    event_types: Sequence[str]
    description: str | None | Unset = UNSET
    headers: Mapping[str, str] | None | Unset = attrs.field(default=UNSET, repr=False)


@attrs.frozen(kw_only=True)
class WebhookEndpointUpdate:
    """A change to an endpoint. Source: `PATCH /webhooks/endpoints/{endpoint_id}` (seen)."""

    url: str | None | Unset = UNSET
    event_types: Sequence[str] | None | Unset = UNSET
    description: str | None | Unset = UNSET
    headers: Mapping[str, str] | None | Unset = attrs.field(default=UNSET, repr=False)
    status: str | None | Unset = UNSET
    """`ACTIVE` or `PAUSED`."""


@attrs.frozen(kw_only=True)
class WebhookAttempt:
    """One attempt to deliver a message. Source: samples of two lists (partial: names read, types assumed)."""

    id: str
    message_id: str
    endpoint_id: str
    attempt: int
    """Counted from 1."""
    status: WebhookAttemptStatus
    created_at: Timestamp
    max_attempts: int | None = None
    next_attempt_at: Timestamp | None = None
    response_status_code: int | None = None
    response_body_excerpt: str | None = None
    error_message: str | None = None
    duration_ms: int | None = None
    delivered_at: Timestamp | None = None
    payload: dict[str, object] | None = attrs.field(default=None, repr=False, hash=False)
    """The event as it is sent."""


@attrs.frozen(kw_only=True)
class WebhookReplay:
    """The endpoint a message is sent to again. Source: `POST /webhooks/messages/{message_id}/replay` (partial)."""

    endpoint_id: str


@attrs.frozen(kw_only=True)
class WebhookMessageState:
    """How a message stands at one endpoint. Source: `POST /webhooks/messages/{message_id}/replay` (partial)."""

    id: str
    endpoint_id: str
    latest_status: WebhookAttemptStatus
    attempt_count: int | None = None
    last_response_status_code: int | None = None
    created_at: Timestamp | None = None
    payload: dict[str, object] | None = attrs.field(default=None, repr=False, hash=False)
    """The event as it is sent."""


@attrs.frozen(kw_only=True)
class WebhookEventType:
    """A kind of event one can subscribe to. Source: sample of `GET /webhooks/event-types` (partial)."""

    name: str
    description: str | None = None
    payload_schema: dict[str, object] | None = attrs.field(default=None, repr=False, hash=False)
    """JSON schema of the payload."""

    @property
    def id(self) -> str:
        """The name, which is what tells one kind of event from another."""
        return self.name
