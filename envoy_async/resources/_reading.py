"""An answer read, and the operation that has no method of its own.

The rule: an unsafe operation whose answer cannot be read becomes `OutcomeUnknownError`, since it did run. Nothing here
knows a listing or a group, so a client that was just made has all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType
from typing import TypeVar, cast

import attrs

from .._converter import encode, readable, structure
from .._credentials import Secret
from .._retry import Kind, kind_of, outcome_unknown
from .._wire import BadInput, Request, Response, Send, build, plain_path
from ..errors import EnvoyError, InvalidResponseError, at, refused
from ..events import tell

T = TypeVar("T")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


async def raw(
    send: Send, method: str, path: str, *, into: type[T] | None, query: Mapping[str, object] | None, body: object
) -> T | None:
    """Run an operation that has no method of its own; `EnvoyClient.request` says how."""
    if str(method) not in _METHODS:
        raise refused("method", f"method must be one of {', '.join(sorted(_METHODS))}")
    if into is not None and not readable(into):
        raise refused("into", "into must be a type that JSON can be read as, such as dict, a model, or Page[model]")
    try:
        content = None if body is None else encode(body)
        request = build(method, plain_path(path), query=query, body=content)
        request = attrs.evolve(request, secret=Secret(str(fields(body).get("password") or "")))
    except BadInput as bad:
        error = refused(bad.param, str(bad))
    else:
        return read(request, await send(request), NoneType if into is None else into)
    raise error


def read(request: Request, response: Response, answer: type[T]) -> T:
    """Read an answer as a type; `NoneType` ignores its body."""
    if answer is NoneType:
        return cast("T", None)
    return judged(request, response, lambda body: structure(body, answer))


def judged(request: Request, response: Response, reader: Callable[[bytes], T]) -> T:
    """Read an answer with *reader*; one that cannot be read becomes the error of this call."""
    try:
        return reader(response.body)
    except InvalidResponseError as error:
        error.with_traceback(None).status = response.status  # its frames hold the body
        failed: EnvoyError = error
    if kind_of(request) is Kind.UNSAFE:
        failed = unknown = outcome_unknown(failed)
        at(unknown, request, response.attempts)
        tell(response.doubt, unknown)
    raise at(failed, request, response.attempts)


def fields(value: object) -> Mapping[str, object]:
    """Give the fields of a mapping, and none of anything else, which is refused later."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
