"""Which operation a method and path mean; one row per operation, templates as in the API's document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from .answers import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .accounts import Accounts
    from .store import Store

Needed: TypeAlias = Literal["any", "api key", "bearer token", "none"]
PARAMETER = re.compile(r"\{(\w+)\}")


@attrs.frozen(kw_only=True)
class Inquiry:
    """What an operation gets to see of a request; ``origin`` is where the sandbox itself is reached.

    ``accounts`` are there for the few operations that issue credentials.
    """

    ids: Mapping[str, str]
    query: Mapping[str, str]
    body: object = attrs.field(repr=False)  # may hold a password
    origin: str
    accounts: Accounts = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Operation:
    """One operation: its name, where it is found, and the synchronous function that runs it."""

    name: str
    method: str
    path: str
    run: Callable[[Store, Inquiry], object]
    credential: Needed = "any"


@attrs.frozen(kw_only=True)
class Route:
    """Where a request leads; ``operation`` is None when there is none, and ``refusal`` then says why."""

    template: str
    ids: Mapping[str, str]
    operation: Operation | None
    others: tuple[Operation, ...] = ()

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods there are when this one is not among them."""
        return tuple(operation.method for operation in self.others)

    @property
    def is_open(self) -> bool:
        """Whether no credential is looked at."""
        here = self.others if self.operation is None else (self.operation,)
        return bool(here) and all(operation.credential == "none" for operation in here)

    @property
    def refusal(self) -> ApiError:
        """The 405 for a known path, the 404 for an unknown one."""
        if self.allowed:
            return ApiError(405, "method_not_allowed", f"Allowed: {', '.join(self.allowed)}")
        return ApiError(404, "not_found", "Not found")


class Routes:
    """The table of operations, searched in order: fixed paths stand before those with an id."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        """Prepare the table."""
        self._rows = [(_pattern(operation.path), operation) for operation in operations]

    def find(self, method: str, path: str) -> Route:
        """Find where a request leads; `path` is below the base path."""
        matches = [(match, operation) for pattern, operation in self._rows if (match := pattern.fullmatch(path))]
        if not matches:
            return Route(template=path, ids={}, operation=None)
        template = matches[0][1].path  # /loads/stats also looks like an id; the fixed path wins
        here = [(match, operation) for match, operation in matches if operation.path == template]
        for match, operation in here:
            if operation.method == method:
                return Route(template=template, ids=match.groupdict(), operation=operation)
        return Route(template=template, ids={}, operation=None, others=tuple(row for _, row in here))


def _pattern(path: str) -> re.Pattern[str]:
    """Turn ``/calls/{call_id}`` into a regular expression."""
    return re.compile(PARAMETER.sub(r"(?P<\1>[^/]+)", path))
