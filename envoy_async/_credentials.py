"""Credentials as values: what proves who calls, and never prints itself.

The rule: a secret leaves this module only through `header`, which the transport alone calls. Which of the two an
operation takes is a table here, checked before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import attrs


class _Secretive:
    """A value that holds a secret: it is used where it was made."""

    __slots__ = ()

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: a secret does not travel."""
        msg = "credentials are not pickled; create the client where it is used"
        raise TypeError(msg)


@attrs.frozen
class ApiKey(_Secretive):
    """A long-lived key of one organization, sent as `X-API-Key`. Source: authentication guide (seen).

    Args:
        value: the key, `envai_live_…`; it is never part of a repr.
    """

    value: str = attrs.field(repr=False)

    def header(self) -> tuple[str, str]:
        """Return the header that carries the key."""
        return "X-API-Key", self.value


@attrs.frozen
class BearerToken(_Secretive):
    """A JWT that lives for hours, sent as `Authorization: Bearer`. Source: authentication guide (seen).

    Args:
        value: the token; it is never part of a repr.
    """

    value: str = attrs.field(repr=False)

    def header(self) -> tuple[str, str]:
        """Return the header that carries the token."""
        return "Authorization", f"Bearer {self.value}"


@attrs.frozen
class Login(_Secretive):
    """E-mail and password, exchanged for a bearer token on first use, and again when the server refuses that (401).

    All tasks of a client share one exchange. Source: `POST /auth/login` (partial: known from the authentication guide).

    Args:
        email: the user's address; it is never part of a repr.
        password: the user's password; it is never part of a repr.
    """

    email: str = attrs.field(repr=False)
    password: str = attrs.field(repr=False)


Credentials: TypeAlias = ApiKey | BearerToken
Source: TypeAlias = Callable[[], Awaitable[Credentials]]

_SECRET = re.compile(r"[!#-&(-~]{1,8192}")
ANONYMOUS = "POST /auth/login"
NEEDS: Mapping[str, type[Credentials]] = MappingProxyType(
    {
        "POST /api-keys": BearerToken,
        "GET /api-keys": BearerToken,
        "GET /api-keys/{api_key_id}": BearerToken,
        "DELETE /api-keys/{api_key_id}": BearerToken,
        "POST /loads": ApiKey,
        "POST /loads/batch": ApiKey,
        "POST /carriers/batch": ApiKey,
        "PATCH /carriers/{carrier_id}": BearerToken,
        "POST /carriers/{carrier_id}/enable": BearerToken,
        "POST /carriers/{carrier_id}/disable": BearerToken,
        "GET /carriers/{carrier_id}/lane-preferences": BearerToken,
        "PATCH /carriers/{carrier_id}/lane-preferences/{preference_id}": BearerToken,
        "POST /carriers/{carrier_id}/lane-preferences/{preference_id}/restrict": BearerToken,
        "POST /carriers/{carrier_id}/lane-preferences/{preference_id}/unrestrict": BearerToken,
        "POST /carriers/{carrier_id}/lane-preferences/disable-for-load": BearerToken,
    }
)
"""The operations that take only one of the two; all others take either, and a login takes none."""
ASSUMED = frozenset({"POST /carriers/{carrier_id}/enable", "POST /carriers/{carrier_id}/disable"})
"""Where that is inferred from the update page, and not read."""
_WANTED = {
    ApiKey: "an API key (EnvoyClient(ApiKey(…)), or ENVOY_API_KEY)",
    BearerToken: "a bearer token (EnvoyClient(Login(…)) or EnvoyClient(BearerToken(…)), or ENVOY_BEARER_TOKEN)",
}


def fits(value: str) -> bool:
    """Whether a secret can go into a header: printable ASCII without blanks and quotes, neither empty nor too long."""
    return _SECRET.fullmatch(value) is not None


def objection(operation: str, kind: type[Credentials]) -> str | None:
    """Say why an operation (method and path template) does not take this kind of credential; `None` when it does."""
    needed = NEEDS.get(operation)
    if needed is None or issubclass(kind, needed):
        return None
    doubt = "; that is assumed, and `request` sends it all the same" if operation in ASSUMED else ""
    return f"this operation needs {_WANTED[needed]}; the client has {kind.__name__}{doubt}"
