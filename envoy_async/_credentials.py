"""Credentials as values: what proves who calls, and never prints itself.

The rule: a secret leaves this module only through `header`, which the transport alone calls.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class ApiKey:
    """A long-lived key of one organization, sent as `X-API-Key`. Source: authentication guide (seen).

    Args:
        value: the key, `envai_live_…`; it is never part of a repr.
    """

    value: str = attrs.field(repr=False)

    def header(self) -> tuple[str, str]:
        """Return the header that carries the key."""
        return "X-API-Key", self.value

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: a secret does not travel."""
        msg = "credentials are not pickled; create the client where it is used"
        raise TypeError(msg)


@attrs.frozen
class BearerToken:
    """A JWT that lives for hours, sent as `Authorization: Bearer`. Source: authentication guide (seen).

    Args:
        value: the token; it is never part of a repr.
    """

    value: str = attrs.field(repr=False)

    def header(self) -> tuple[str, str]:
        """Return the header that carries the token."""
        return "Authorization", f"Bearer {self.value}"

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: a secret does not travel."""
        msg = "credentials are not pickled; create the client where it is used"
        raise TypeError(msg)


Credentials = ApiKey | BearerToken
