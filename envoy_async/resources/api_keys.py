"""API keys of the organization."""

from __future__ import annotations

from datetime import datetime
from types import NoneType

from .._converter import OnInvalid
from .._paging import Pages
from ..errors import Reconciliation
from ..models import UNSET, ApiKeyInfo, ApiKeyWithSecret, NewApiKey, Unset
from ._base import Resource
from ._looking import Look

_LOST = ". Its secret was in the lost answer alone: deactivate the key, and create another"


class ApiKeys(Resource):
    """The API keys of the organization. All operations need a bearer token."""

    async def create(
        self, *, name: str, description: str | None | Unset = UNSET, expires_at: datetime | None | Unset = UNSET
    ) -> ApiKeyWithSecret:
        """Create an API key; this answer alone holds its secret. Unsafe: never sent again once it may have run.

        Needs a bearer token. Source: `POST /api-keys` (seen).

        Args:
            name: what the key is for.
            description: more about it.
            expires_at: when it stops working; with a time zone.

        Raises:
            OutcomeUnknownError: a key may have been created whose secret nobody knows; `reconcile` looks for one
                of this name.
        """
        body = NewApiKey(name=name, description=description, expires_at=expires_at)
        return await self._call(ApiKeyWithSecret, "POST", "/api-keys", body=body, look=_look_for_key)

    def list(self, *, on_invalid: OnInvalid = "raise") -> Pages[ApiKeyInfo]:
        """List the API keys without their secrets, in the server's order.

        Needs a bearer token. Source: `GET /api-keys` (seen).

        Args:
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        return self._pages(ApiKeyInfo, "/api-keys", paged=False, on_invalid=on_invalid)

    async def get(self, api_key_id: str) -> ApiKeyInfo:
        """Return one API key without its secret. Needs a bearer token. Source: `GET /api-keys/{api_key_id}` (seen)."""
        return await self._call(ApiKeyInfo, "GET", "/api-keys/{api_key_id}", ids={"api_key_id": api_key_id})

    async def deactivate(self, api_key_id: str) -> None:
        """Deactivate an API key: it stops working, and stays in the list.

        Needs a bearer token. Source: `DELETE /api-keys/{api_key_id}` (seen).
        """
        await self._call(NoneType, "DELETE", "/api-keys/{api_key_id}", ids={"api_key_id": api_key_id})


async def _look_for_key(at: Look) -> Reconciliation:
    return await at.search("API key", ApiKeys(at.send).list(), ("name",), then=_LOST)
