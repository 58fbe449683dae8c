"""Who may call: the answer to a login, and the API keys of the organization."""

import attrs

from ._values import UNSET, Secretive, Timestamp, Unset


@attrs.frozen(kw_only=True)
class LoginResult(Secretive):
    """A fresh bearer token. Source: `POST /auth/login` (partial: known from a sample of a guide)."""

    access_token: str = attrs.field(repr=False)
    """A JWT that lives for hours."""
    token_type: str | None = None


@attrs.frozen(kw_only=True)
class ApiKeyInfo:
    """An API key without its secret. Source: `GET /api-keys` (seen)."""

    id: str
    name: str
    organization_id: str
    is_active: bool
    created_at: Timestamp
    updated_at: Timestamp
    description: str | None = None
    expires_at: Timestamp | None = None
    last_used_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class ApiKeyWithSecret(Secretive, ApiKeyInfo):
    """A new API key with its secret, which is shown this once. Source: `POST /api-keys` (seen)."""

    key: str = attrs.field(repr=False)
    """What goes into `ApiKey`; no later answer has it."""


@attrs.frozen(kw_only=True)
class NewApiKey:
    """An API key to create. Source: `POST /api-keys` (seen)."""

    name: str
    description: str | None | Unset = UNSET
    expires_at: Timestamp | None | Unset = UNSET
