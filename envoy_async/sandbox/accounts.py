"""Who calls: API keys, each bound to one organization, and bearer tokens of the one user.

Read in the documentation: the two headers; that a key is bound to one organization and lasts until revoked or
expired; that a token lives for hours; that ``X-Organization-ID`` is optional. Assumptions of ours: that it picks one
of the user's organizations; that a key may name its own organization but no other; that a request with two
credentials is let in by a good key, or else by a good token; that every login gives a new token and leaves the
earlier ones as they are; that e-mail addresses are told apart by case.

A token does not name its last moment, so it is the same whatever the clock says. A key's record lies in the store of
its organization and decides; what opens it is kept here alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from .answers import Record, seconds_of, timestamp
from .credentials import make_key, make_token
from .seed import SPAN, Ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from .credentials import Access
    from .organizations import Organizations
    from .store import Store

FIRST_KEY = "Sandbox"

Shown: TypeAlias = Literal["api key", "bearer token", "none"]


@attrs.frozen(kw_only=True)
class Caller:
    """Somebody who was let in; `holder` is whose quota it is, the first organization is the usual one."""

    shown: Shown
    holder: str = attrs.field(repr=False)
    organization_ids: tuple[str, ...]


class Accounts:
    """The credentials in force."""

    def __init__(
        self,
        access: Access,
        organizations: Organizations,
        rng: Random,
        *,
        token_lifetime: float,
        clock: Callable[[], float],
    ) -> None:
        """Let `access` in; every later credential comes from `rng`, and tokens live `token_lifetime` seconds."""
        if token_lifetime <= 0:
            raise ValueError(f"token_lifetime must be positive, got {token_lifetime}")
        self.access = access
        self._organizations = organizations
        self._rng = rng
        self._token_lifetime = token_lifetime
        self._clock = clock
        self._tokens: dict[str, float] = {access.bearer_token: math.inf}  # when each ends, in Unix seconds
        self._keys: dict[str, tuple[str, str]] = {}  # organization and key id by secret
        self.first_key_id = Ids(rng)("key_")
        made_at = timestamp(organizations.started - SPAN)  # as old as the oldest data
        record = _key_record(self.first_key_id, organizations.first, made_at, FIRST_KEY)
        self._keep(organizations.first, record, access.api_key)

    def identify(self, headers: Mapping[str, str]) -> Caller | None:
        """Tell who sends these headers; None for a missing, unknown, expired, or revoked credential."""
        return self._by_key(headers.get("X-API-Key", "")) or self._by_token(headers.get("Authorization", ""))

    def anybody(self, address: str) -> Caller:
        """Make the caller of an operation that takes no credential: only the address tells one from another."""
        return Caller(shown="none", holder=address, organization_ids=self._organizations.ids[:1])

    def note_use(self, caller: Caller) -> None:
        """Keep when an API key was last let in."""
        if caller.shown == "api key":
            store = self._organizations[caller.organization_ids[0]]
            store.api_keys[caller.holder]["last_used_at"] = timestamp(self._clock())

    def log_in(self, email: str, password: str) -> str | None:
        """Issue a new token for the right e-mail address and password; None for wrong ones."""
        if (email, password) != (self.access.email, self.access.password):
            return None
        token = make_token(self._rng, {"sub": self.access.user_ids[0], "jti": Ids(self._rng)("")})
        self._tokens[token] = self._clock() + self._token_lifetime
        return token

    def expire_tokens(self) -> None:
        """End every token issued so far."""
        self._tokens.clear()

    def issue_key(self, store: Store, name: str, description: str | None, expires_at: str | None) -> tuple[Record, str]:
        """Make an API key for the organization of `store`; gives its record and its secret."""
        secret = make_key(self._rng)
        record = _key_record(store.new_id("key_"), store, store.stamp(), name)
        record.update(description=description, expires_at=expires_at)
        self._keep(store, record, secret)
        return record, secret

    def _keep(self, store: Store, record: Record, secret: str) -> None:
        """Put a key in force."""
        key_id = str(record["id"])
        store.api_keys[key_id] = record
        self._keys[secret] = (store.organization_id, key_id)

    def _by_key(self, secret: str) -> Caller | None:
        """Tell whose API key this is; its record must be there, active, and not expired."""
        if secret not in self._keys:
            return None
        organization_id, key_id = self._keys[secret]
        record = self._organizations[organization_id].api_keys.get(key_id)
        if record is None or not record["is_active"]:
            return None
        if record["expires_at"] is not None and seconds_of(record["expires_at"]) <= self._clock():
            return None
        return Caller(shown="api key", holder=key_id, organization_ids=(organization_id,))

    def _by_token(self, header: str) -> Caller | None:
        """Tell whether this is a bearer token of the user that has not ended."""
        token = header.removeprefix("Bearer ")
        if token == header or self._tokens.get(token, -math.inf) <= self._clock():
            return None
        return Caller(shown="bearer token", holder=token, organization_ids=self._organizations.ids)


def _key_record(key_id: str, store: Store, now: str, name: str) -> Record:
    """Write the record of a new API key, without its secret."""
    return {
        "id": key_id,
        "name": name,
        "organization_id": store.organization_id,
        "is_active": True,
        "created_at": now,
        "updated_at": now,
        "description": None,
        "expires_at": None,
        "last_used_at": None,
    }
