"""What every group of operations shares: one call, and one listing.

The rule: a resource knows `Send` and nothing above it. Here `BadInput` becomes the public error, and an
unsafe operation whose answer cannot be read becomes `OutcomeUnknownError`, since it did run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from .._converter import encode, structure, unstructure
from .._paging import Pages, Position, Record
from .._retry import Kind, kind_of, outcome_unknown
from .._wire import BadInput, Request, Response, Send, build
from ..errors import InvalidRequestError, InvalidResponseError, at
from ..models import Page

T = TypeVar("T")
R = TypeVar("R", bound=Record)
_LARGEST_PAGE = 100  # pagination guide (seen)
_LARGEST = 2**53


class Resource:
    """One group of operations, sent through `send`."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def _call(
        self,
        answer: type[T],
        method: str,
        template: str,
        *,
        ids: Mapping[str, object] | None = None,
        body: object = None,
        extra: Mapping[str, object] | None = None,
    ) -> T:
        """Run one operation and read its answer as *answer*."""
        request = _request(method, template, ids=ids, body=body, extra=extra)
        response = await self._send(request)
        return _read(request, response, answer)

    def _pages(
        self,
        item: type[R],
        template: str,
        *,
        ids: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        page: int = 1,
        page_size: int = _LARGEST_PAGE,
        limit: int | None = None,
        paged: bool = True,
        immutable_order: bool = False,
    ) -> Pages[R]:
        """Build a listing; nothing is sent yet."""
        _check("page", page, 1, _LARGEST)
        _check("page_size", page_size, 1, _LARGEST_PAGE)
        if limit is not None:
            _check("limit", limit, 1, _LARGEST)
        size = page_size if limit is None or page > 1 else min(page_size, limit)
        request = _request("GET", template, ids=ids, query=query, paged=paged, patient=True)
        position: Position[R] = Position(page=page, size=size, limit=limit, immutable_order=immutable_order)
        return Pages(self._send, request, lambda response: _read(request, response, Page[item]), position)  # type: ignore[valid-type]


def _request(
    method: str,
    template: str,
    *,
    ids: Mapping[str, object] | None = None,
    query: Mapping[str, object] | None = None,
    body: object = None,
    extra: Mapping[str, object] | None = None,
    paged: bool = True,
    patient: bool = False,
) -> Request:
    try:
        whole = _merged(body, extra)
        content = None if whole is None else encode(whole)
        return build(method, template, ids=ids, query=query, body=content, paged=paged, patient=patient)
    except BadInput as bad:
        refused = InvalidRequestError(str(bad))
        refused.param = bad.param
    refused.method, refused.route = method, template
    raise refused


def _read(request: Request, response: Response, answer: type[T]) -> T:
    try:
        return structure(response.body, answer)
    except InvalidResponseError as error:
        error.status = response.status
        wrong = outcome_unknown(error) if kind_of(request) is Kind.UNSAFE else error
    raise at(wrong, request, response.attempts)


def _merged(body: object, extra: Mapping[str, object] | None) -> object:
    """Put the fields the SDK does not know beside those it does; the caller's win."""
    if extra is None:
        return body
    if not isinstance(extra, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers need not type-check
        msg = "extra must be a mapping of field names to values"
        raise BadInput(msg, "extra")
    known = cast("dict[str, object]", {} if body is None else unstructure(body))
    return {**known, **extra}


def _check(name: str, value: int, least: int, most: int) -> None:
    """Refuse a number the API would refuse, before anything is sent."""
    if type(value) is int and least <= value <= most:
        return
    refused = InvalidRequestError(f"{name} must be a whole number from {least} to {most}")
    refused.param = name
    raise refused
