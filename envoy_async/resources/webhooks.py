"""Webhooks: the endpoints that get events, and what was sent to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType

from .._converter import OnInvalid
from .._paging import Pages, Sweeping
from ..errors import Reconciliation, refused
from ..models import (
    UNSET,
    NewWebhookEndpoint,
    Unset,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookEndpointStatus,
    WebhookEndpointUpdate,
    WebhookEndpointWithSecret,
    WebhookEventType,
    WebhookMessageState,
    WebhookReplay,
)
from ._base import Resource
from ._looking import Look

_ONE = "/webhooks/endpoints/{endpoint_id}"
_SETTABLE = (WebhookEndpointStatus.ACTIVE, WebhookEndpointStatus.PAUSED, None, UNSET)
_LOST = ". Its secret was in the lost answer alone: delete the endpoint, and create another"
_ROTATED = (
    ". A new secret would have been in the lost answer alone. For 24 hours deliveries are then signed with the old one"
    " too, and carry two signatures, by which a receiver can tell. In that time create another endpoint with the same"
    " url, install its secret, and delete this one; or rotate again when it is over: a rotation before may end the"
    " secret still in use (assumed)"
)


class WebhookEndpoints(Resource):
    """The addresses that get the organization's events."""

    async def create(
        self,
        *,
        url: str,
        event_types: Sequence[str],
        description: str | None | Unset = UNSET,
        headers: Mapping[str, str] | None | Unset = UNSET,
    ) -> WebhookEndpointWithSecret:
        """Register an endpoint; this answer alone holds its signing secret.

        Unsafe: never sent again once it may have run. Source: `POST /webhooks/endpoints` (partial: address and event
        types were read, the other arguments are assumed).

        Args:
            url: where events are posted, 1 to 2083 characters.
            event_types: at least one name, see `event_types()`.
            description: free text.
            headers: extra headers, which presumably go out with each delivery.

        Raises:
            OutcomeUnknownError: an endpoint may have been registered whose secret nobody knows; `reconcile` looks
                for one with this address.
        """
        body = NewWebhookEndpoint(url=url, event_types=event_types, description=description, headers=headers)
        return await self._call(
            WebhookEndpointWithSecret, "POST", "/webhooks/endpoints", body=body, look=_look_for_endpoint
        )

    def list(self, *, on_invalid: OnInvalid = "raise") -> Pages[WebhookEndpoint]:
        """List the endpoints without their secrets. Source: `GET /webhooks/endpoints` (inferred: a bare array).

        Args:
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        return self._pages(WebhookEndpoint, "/webhooks/endpoints", paged=False, on_invalid=on_invalid)

    async def get(self, endpoint_id: str) -> WebhookEndpoint:
        """Return one endpoint without its secret. Source: `GET /webhooks/endpoints/{endpoint_id}` (partial)."""
        return await self._call(WebhookEndpoint, "GET", _ONE, ids={"endpoint_id": endpoint_id})

    async def update(
        self,
        endpoint_id: str,
        *,
        url: str | None | Unset = UNSET,
        event_types: Sequence[str] | None | Unset = UNSET,
        description: str | None | Unset = UNSET,
        headers: Mapping[str, str] | None | Unset = UNSET,
        status: str | None | Unset = UNSET,
    ) -> WebhookEndpoint:
        """Change an endpoint, such as pause it. Source: `PATCH /webhooks/endpoints/{endpoint_id}` (seen).

        Args:
            endpoint_id: the endpoint.
            url: where events are posted, 1 to 2083 characters.
            event_types: at least one name.
            description: free text.
            headers: extra headers.
            status: `ACTIVE` or `PAUSED`; `DISABLED` is set by the vendor alone.
        """
        if status not in _SETTABLE:
            raise refused("status", "status can be set to ACTIVE or PAUSED only")
        body = WebhookEndpointUpdate(
            url=url, event_types=event_types, description=description, headers=headers, status=status
        )
        return await self._call(WebhookEndpoint, "PATCH", _ONE, ids={"endpoint_id": endpoint_id}, body=body)

    async def delete(self, endpoint_id: str) -> None:
        """Delete an endpoint.

        Source: `DELETE /webhooks/endpoints/{endpoint_id}` (inferred: path assumed; what becomes of events that are
        still to be delivered is not known).
        """
        await self._call(NoneType, "DELETE", _ONE, ids={"endpoint_id": endpoint_id})

    async def rotate_secret(self, endpoint_id: str) -> WebhookEndpointWithSecret:
        """Give an endpoint a new signing secret, which this answer alone holds.

        For 24 hours deliveries are signed with both. Unsafe: never sent again once it may have run.
        Source: `POST /webhooks/endpoints/{endpoint_id}/rotate-secret` (partial).

        Raises:
            OutcomeUnknownError: there may be a new secret that nobody knows. Do not rotate again at once: `reconcile`
                looks whether the endpoint has changed (that a rotation moves its `updated_at` is assumed), and says
                what can be done.
        """

        async def look(at: Look) -> Reconciliation:
            return at.changed("endpoint", await WebhookEndpoints(at.send).get(endpoint_id), _ROTATED)

        ids, path = {"endpoint_id": endpoint_id}, f"{_ONE}/rotate-secret"
        return await self._call(WebhookEndpointWithSecret, "POST", path, ids=ids, body={}, look=look)

    def messages(
        self,
        endpoint_id: str,
        *,
        page: int = 1,
        page_size: int = 100,
        limit: int | None = None,
        strategy: Sweeping | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> Pages[WebhookAttempt]:
        """List the attempts to deliver to an endpoint, in the server's order.

        Source: `GET /webhooks/endpoints/{endpoint_id}/messages` (partial).

        Args:
            endpoint_id: the endpoint.
            page: page to begin with, counted from 1.
            page_size: records per request, 1 to 100.
            limit: most records to deliver; `None` for all.
            strategy: how to keep up while rows come and go; `None` for the best that fits.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        ids = {"endpoint_id": endpoint_id}
        return self._pages(
            WebhookAttempt,
            f"{_ONE}/messages",
            ids=ids,
            page=page,
            page_size=page_size,
            limit=limit,
            strategy=strategy,
            on_invalid=on_invalid,
        )

    def event_types(self, *, on_invalid: OnInvalid = "raise") -> Pages[WebhookEventType]:
        """List the kinds of events one can subscribe to. Source: `GET /webhooks/event-types` (partial).

        Args:
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        return self._pages(WebhookEventType, "/webhooks/event-types", paged=False, on_invalid=on_invalid)


class WebhookMessages(Resource):
    """The events sent, or still to be sent, to endpoints."""

    def attempts(self, message_id: str, *, on_invalid: OnInvalid = "raise") -> Pages[WebhookAttempt]:
        """List the attempts to deliver a message. Source: `GET /webhooks/messages/{message_id}/attempts` (partial).

        Args:
            message_id: the message.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        template, ids = "/webhooks/messages/{message_id}/attempts", {"message_id": message_id}
        return self._pages(WebhookAttempt, template, ids=ids, paged=False, on_invalid=on_invalid)

    async def replay(self, message_id: str, *, endpoint_id: str) -> WebhookMessageState:
        """Deliver a message again, and return how it stands; it keeps its `webhook-id`, so receivers can tell.

        Source: `POST /webhooks/messages/{message_id}/replay` (partial).

        Args:
            message_id: the message.
            endpoint_id: the endpoint it goes to.
        """
        template, ids = "/webhooks/messages/{message_id}/replay", {"message_id": message_id}
        return await self._call(
            WebhookMessageState, "POST", template, ids=ids, body=WebhookReplay(endpoint_id=endpoint_id)
        )


async def _look_for_endpoint(at: Look) -> Reconciliation:
    return await at.search("endpoint", WebhookEndpoints(at.send).list(), ("url",), then=_LOST)
