"""The credential in force: given, or fetched once for everybody who waits for it.

The rule: one fetch at a time. Whoever waited for it shares what it came to, a failure too; who comes later
tries anew. A cancelled fetch passes the turn on. Nothing runs in the background.
"""

from __future__ import annotations

import asyncio
import copy
import re

from .._credentials import ApiKey, BearerToken, Credentials, Source
from ..errors import ConfigurationError, EnvoyError, OutcomeUnknownError

_SECRET = re.compile(r"[!#-&(-~]+")  # printable ASCII without blanks and quotes


class Access:
    """Holds the credential, or knows how to get one."""

    def __init__(self, credentials: Credentials | Source) -> None:
        self.current: Credentials | None = None
        self._source: Source | None = None
        if isinstance(credentials, ApiKey | BearerToken):
            self.current = _usable(credentials)
        else:
            self._source = credentials
        self._failures = 0
        self._failure: EnvoyError | None = None

    @property
    def renewable(self) -> bool:
        """Whether another credential can be had when the server refuses this one."""
        return self._source is not None

    def refused(self, credential: Credentials | None) -> None:
        """Forget a credential the server refused, unless another has taken its place."""
        if self.current is credential:
            self.current = None

    async def fetch(self, turn: asyncio.Lock) -> Credentials:
        """Return the credential in force; whoever has the turn fetches it when there is none."""
        seen = self._failures
        async with turn:
            if self.current is not None:
                return self.current
            if self._failure is not None and self._failures > seen:
                raise copy.copy(self._failure)
            try:
                self.current = await _fetched(self._source)
            except EnvoyError as error:
                self._failures += 1
                self._failure = copy.copy(error)
                raise
            return self.current


def _usable(credential: Credentials) -> Credentials:
    if not _SECRET.fullmatch(credential.value):
        msg = f"the {type(credential).__name__} is empty, or holds blanks, quotes, line breaks, or the like"
        raise ConfigurationError(msg)
    return credential


async def _fetched(source: Source | None) -> Credentials:
    """Ask the source; whatever a callable of the user's raises stays visible behind a public error."""
    try:
        found = await source()  # type: ignore[misc]
    except OutcomeUnknownError as error:
        failure = _harmless(error)
    except EnvoyError:
        raise
    except Exception as error:
        msg = f"the credentials callable raised {type(error).__name__}"
        raise ConfigurationError(msg) from error
    else:
        if isinstance(found, ApiKey | BearerToken):  # pyright: ignore[reportUnnecessaryIsInstance] - callers need not type-check
            return _usable(found)
        failure = ConfigurationError(f"the credentials callable gave a {type(found).__name__}, not a credential")
    raise failure


def _harmless(error: OutcomeUnknownError) -> EnvoyError:
    """Give what went wrong with a login; that it may have run does no harm, and says nothing about the operation."""
    last = error.last_error or error
    last.method, last.route, last.attempts = error.method, error.route, error.attempts
    return last
