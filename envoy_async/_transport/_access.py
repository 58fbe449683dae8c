"""The credential in force: given, or fetched once for everybody who waits for it.

The rule: one fetch at a time, in a task of its own that the lane owns, so that nobody's deadline or cancellation
ends it for the others. Whoever waited shares what it came to, a failure too; who comes later tries anew. Every
fetch gives a new object, which tells whether what the server refused is still in force.
"""

from __future__ import annotations

import copy

import attrs

from .._credentials import ApiKey, BearerToken, Credentials, Source, fits
from ..errors import ConfigurationError, EnvoyError, OutcomeUnknownError

_VAIN = 60.0  # seconds for which an operation that refuses fresh credentials is not worth another login
_MANY = 100  # operations; more are never asked about, and none is kept for ever


class Access:
    """Holds the credential, or knows how to get one; `kind` is what that will be, if it is known beforehand."""

    def __init__(self, credentials: Credentials | Source, kind: type[Credentials] | None = None) -> None:
        self.current: Credentials | None = None
        self._source: Source | None = None
        self._kind = kind
        self._vain: dict[str, float] = {}
        self._worked: set[str] = set()
        if isinstance(credentials, ApiKey | BearerToken):
            self.current = _usable(credentials)
        else:
            self._source = credentials

    @property
    def kind(self) -> type[Credentials] | None:
        """What the credential is, or will be; `None` when only its source knows."""
        return self._kind if self.current is None else type(self.current)

    def renewable(self, operation: str, now: float) -> bool:
        """Whether another credential may help: there is a source, and it did not fail to help here just now."""
        return self._source is not None and now - self._vain.get(operation, -_VAIN) >= _VAIN

    def refused(self, credential: Credentials) -> None:
        """Forget a credential the server refused, unless another has taken its place."""
        if self.current is credential:
            self.current = None

    def refused_again(self, credential: Credentials, operation: str, now: float) -> None:
        """Judge a renewed credential that was refused, too: it ran out if it has worked here, else it is of no use."""
        if operation in self._worked:
            self.refused(credential)
        elif self.current is credential:
            self._vain = {name: at for name, at in self._vain.items() if now - at < _VAIN} | {operation: now}

    def worked(self, credential: Credentials | None, operation: str) -> None:
        """Note that the operation took the credential."""
        if self._source is not None and self.current is credential and len(self._worked) < _MANY:
            self._worked.add(operation)

    async def fetch(self) -> Credentials:
        """Fetch a credential and put it in force."""
        self.current = attrs.evolve(_usable(await _fetched(self._source)))
        self._worked.clear()
        return self.current


def copied(error: BaseException) -> BaseException:
    """Return an error that several tasks raise: each its own, with the cause of the first."""
    if not isinstance(error, EnvoyError):
        return error
    other = copy.copy(error)
    other.__cause__ = error.__cause__
    return other


def _usable(credential: Credentials) -> Credentials:
    if not fits(credential.value):
        msg = f"the {type(credential).__name__} is empty, too long, or holds blanks, quotes, line breaks, or the like"
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
            return found
        failure = ConfigurationError(f"the credentials callable gave a {type(found).__name__}, not a credential")
    raise failure


def _harmless(error: OutcomeUnknownError) -> EnvoyError:
    """Give what went wrong with a login; that it may have run does no harm, and says nothing about the operation."""
    last = error.last_error or error
    last.method, last.route, last.attempts = error.method, error.route, error.attempts
    return last
