"""Credentials as values: what proves who calls, and never prints itself.

The rule: the text of a secret is had by one explicit call, `Secret.reveal`, and by no other means: no way of printing,
dumping, or serialising gives it. `header` makes that call for the transport. Which of the two credentials an operation
takes is a table here, checked before anything is sent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from types import MappingProxyType
from typing import NoReturn, Self, TypeAlias, final

import attrs


@final
class Secret:
    """A text that never prints: all that shows of it is `***`, wherever it is put.

    It equals another with the same text, compared in constant time, and no plain text. What is no text is held as an
    empty one, which is refused where it is used. It is false when it is empty.

    Args:
        text: what to keep.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers need not type-check
            text = ""
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __bool__(self) -> bool:
        return self._text != ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._text.encode("utf-8", "surrogatepass"), other._text.encode("utf-8", "surrogatepass"))

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a secret does not change")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: a secret does not travel."""
        raise TypeError("a secret is not pickled; keep it where it is used")


def _kept(text: str | Secret) -> Secret:
    return text if isinstance(text, Secret) else Secret(text)


NO_SECRET = Secret("")


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
        value: the key, `envai_live_…`; kept as a `Secret`.
    """

    value: Secret = attrs.field(repr=False, converter=_kept)

    def header(self) -> tuple[str, str]:
        """Return the header that carries the key."""
        return "X-API-Key", self.value.reveal()


@attrs.frozen
class BearerToken(_Secretive):
    """A JWT that lives for hours, sent as `Authorization: Bearer`. Source: authentication guide (seen).

    Args:
        value: the token; kept as a `Secret`.
    """

    value: Secret = attrs.field(repr=False, converter=_kept)

    def header(self) -> tuple[str, str]:
        """Return the header that carries the token."""
        return "Authorization", f"Bearer {self.value.reveal()}"


@attrs.frozen
class Login(_Secretive):
    """E-mail and password, exchanged for a bearer token on first use, and again when the server refuses that (401).

    All tasks of a client share one exchange. Source: `POST /auth/login` (partial: known from the authentication guide).

    Args:
        email: the user's address; kept as a `Secret`.
        password: the user's password; kept as a `Secret`.
    """

    email: Secret = attrs.field(repr=False, converter=_kept)
    password: Secret = attrs.field(repr=False, converter=_kept)


Credentials: TypeAlias = ApiKey | BearerToken
Source: TypeAlias = Callable[[], Awaitable[Credentials]]

_FITTING = re.compile(r"[!#-&(-~]{1,8192}")
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
PARTICULAR = frozenset({ANONYMOUS, *NEEDS})
ASSUMED = frozenset({"POST /carriers/{carrier_id}/enable", "POST /carriers/{carrier_id}/disable"})
"""Where that is inferred from the update page, and not read."""
_WANTED = {
    ApiKey: "an API key (EnvoyClient(ApiKey(…)), or ENVOY_API_KEY)",
    BearerToken: "a bearer token (EnvoyClient(Login(…)) or EnvoyClient(BearerToken(…)), or ENVOY_BEARER_TOKEN)",
}


def fits(secret: Secret) -> bool:
    """Whether a secret can go into a header: printable ASCII without blanks and quotes, neither empty nor too long."""
    return _FITTING.fullmatch(secret.reveal()) is not None


def quota_line(address: str, given: Credentials | Login | Source) -> str:
    """Name the quota that these credentials use at this address; the name tells nothing about them."""
    match given:
        case ApiKey() | BearerToken():
            owner = given.value.reveal()
        case Login():
            owner = given.email.reveal()
        case _:  # who that is, only the callable knows; those that share one share its quota
            owner = f"{getattr(given, '__module__', '')}.{getattr(given, '__qualname__', type(given).__qualname__)}"
    digest = hashlib.blake2b(f"{address}\n{owner}".encode(errors="replace"), key=b"envoy-async quota", digest_size=16)
    return digest.hexdigest()


def objection(operation: str, kind: type[Credentials]) -> str | None:
    """Say why an operation (method and path template) does not take this kind of credential; `None` when it does."""
    needed = NEEDS.get(operation)
    if needed is None or issubclass(kind, needed):
        return None
    doubt = "; that is assumed, and `request` sends it all the same" if operation in ASSUMED else ""
    return f"this operation needs {_WANTED[needed]}; the client has {kind.__name__}{doubt}"
