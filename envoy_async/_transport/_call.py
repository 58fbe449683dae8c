"""One call in progress, and the settings it is sent with.

The rule: values and bookkeeping; what happens next is decided in `_retry`, and done in the transport.
"""

from __future__ import annotations

import attrs

from .._credentials import Credentials, Secret, objection
from .._retry import Kind, RetryPolicy, Timeouts
from .._wire import Attempt, Request
from ..errors import ConfigurationError, EnvoyError
from ..events import Hooks
from ..middleware import Middleware
from ._pool import Lane

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}


@attrs.frozen
class Settings:
    """What one view of the client sends with: where to, for whom, how patiently."""

    base_url: str
    organization_id: str | None
    retry: RetryPolicy
    timeouts: Timeouts
    user_agent: str
    middleware: tuple[Middleware, ...]
    hooks: Hooks

    def headers(self, credential: Credentials | None, request: Request) -> dict[str, str]:
        """Make the headers of one attempt; made per attempt, so that no frame of ours keeps the secret."""
        headers = {**dict(request.headers), **_HEADERS, "User-Agent": self.user_agent}
        if credential is not None:
            headers.update([credential.header()])
            if self.organization_id is not None:
                headers["X-Organization-ID"] = self.organization_id
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        return headers


@attrs.define(eq=False, repr=False)
class Call:
    """One call in progress: its clock, its failures, its ledger."""

    request: Request
    kind: Kind
    began: float
    deadline: float
    asked: float
    credential: Credentials | None = None
    renewed: bool = False
    final: bool = False
    sent: float = 0.0
    failures: int = 0
    wait: float = 0.0
    lane: Lane = attrs.field(init=False)  # where the last attempt went out
    ambiguous: bool = False  # an attempt that failed may have run
    last_error: EnvoyError | None = None
    judged: EnvoyError | None = None  # what the attempt ended with, if it was one that ended
    succeeded: bool = False
    ledger: tuple[Attempt, ...] = ()

    @property
    def secret(self) -> Secret:
        """What the server was told and must not come back in an error."""
        return self.request.secret if self.credential is None else self.credential.value

    def check(self, kind: type[Credentials] | None) -> None:
        """Refuse a kind of credential that the operation does not take, before anything is sent."""
        why = None if kind is None else objection(self.request.operation, kind)
        if why is not None:
            raise ConfigurationError(why)

    def note(self, now: float, status: int | None, cause: str | None = None) -> None:
        """Close the row of the attempt that just ended."""
        row = Attempt(self.sent - self.began, self.sent - self.asked, status, cause)
        self.ledger = (*self.ledger, row)
        self.asked = now
