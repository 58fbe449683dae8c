"""Scripted misbehaviour: which request goes wrong, and how.

Faults sit behind authentication and quota and in front of the operation, so ``nth`` counts requests that
would have run. What a fault answers itself never runs the operation.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import attrs

from .answers import ApiError, Reply, error_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

CODES = {
    400: "validation_error",
    401: "not_authenticated",
    403: "insufficient_permissions",
    404: "not_found",
    409: "already_exists",
    422: "validation_error",
    429: "rate_limit_exceeded",
}
TOO_MANY_REQUESTS = 429


@attrs.frozen(kw_only=True, eq=False)
class Fault:
    """One scripted fault, applied to the matching requests ``nth`` to ``nth + times - 1`` (for ever: ``times=None``).

    ``path`` is a template such as ``/calls/{call_id}``; it and ``method`` may be ``"*"``. The file of a recording is
    ``/recordings/{call_id}.mp4``. Effects:
    ``delay`` seconds first, then one of: ``drop="before"`` (connection closed, nothing ran), ``status`` and
    ``body`` (answered, nothing ran), ``drop="after"`` (ran, connection closed), ``cut`` (ran, only so many bytes
    of the body sent, connection closed). With none of them the operation runs and is answered as usual.
    ``headers`` are laid over those of any answer sent.
    """

    method: str = "GET"
    path: str = "/calls"
    nth: int = 1
    times: int | None = 1
    status: int | None = None
    code: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: bytes | None = None
    content_type: str = "application/json"
    delay: float = 0.0
    drop: Literal["before", "after"] | None = None
    cut: int | None = None

    def matches(self, method: str, template: str) -> bool:
        """Tell whether a request is of the kind this fault is about."""
        return self.method in {"*", method} and self.path in {"*", template}

    def applies(self, ordinal: int) -> bool:
        """Tell whether the `ordinal`-th matching request (from 1) is hit."""
        return ordinal >= self.nth and (self.times is None or ordinal < self.nth + self.times)

    @property
    def refuses(self) -> bool:
        """Whether a hit request does not count against the quota: it never arrived, or was refused for it."""
        return self.drop == "before" or self.status == TOO_MANY_REQUESTS

    def reply(self, headers: Mapping[str, str]) -> Reply | None:
        """Answer in place of the operation; None when the operation is to run."""
        if self.status is None and self.body is None:
            return None
        extra = {"Retry-After": "1"} if self.status == TOO_MANY_REQUESTS else {}
        merged = self.over({**headers, **extra})
        if self.body is not None:
            status = self.status or 200
            return Reply(status=status, body=self.body, headers=merged, content_type=self.content_type, cut=self.cut)
        return attrs.evolve(error_reply(self._error(self.status or 500), merged), cut=self.cut)

    def over(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Lay the fault's own headers over the usual ones, whatever the case of their names."""
        own = {name.lower() for name in self.headers}
        return {**{name: value for name, value in headers.items() if name.lower() not in own}, **self.headers}

    def _error(self, status: int) -> ApiError:
        """Make the envelope's content for a scripted status."""
        code = self.code or CODES.get(status, "internal_error")
        if status == TOO_MANY_REQUESTS:
            return ApiError(status, code, "Rate limit exceeded. Retry after 1 seconds.")
        return ApiError(status, code, f"Scripted fault: status {status}.")


class FaultBook:
    """The faults in force, and how many requests each of them has seen."""

    def __init__(self, faults: list[Fault]) -> None:
        """Watch `faults`, a list its owner may change at any time."""
        self._faults = faults
        self._seen: Counter[Fault] = Counter()

    def take(self, method: str, template: str) -> Fault | None:
        """Count one request with every fault it matches, and give the first that hits it."""
        hit: Fault | None = None
        for fault in self._faults:
            if fault.matches(method, template):
                self._seen[fault] += 1
                if hit is None and fault.applies(self._seen[fault]):
                    hit = fault
        return hit
