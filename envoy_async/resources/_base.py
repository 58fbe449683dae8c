"""What every group of operations shares: one call, and one listing.

The rule: a resource knows `Send` and nothing above it. Here `BadInput` becomes the public error, and an
`OutcomeUnknownError` gets its way to look, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar, cast, get_args

import attrs

from .._converter import OnInvalid, structure_page, unstructure
from .._credentials import NO_SECRET, Secret
from .._paging import LARGEST_PAGE, UNKNOWN, Binding, Order, Pages, Position, Record, Strategy, begin
from .._wire import BadInput, Request, Response, Send, build
from ..bulk import patient
from ..errors import OutcomeUnknownError, refused
from ..models import Page
from ._checks import check
from ._looking import Clock, Look, LookFor, started
from ._reading import judged, read

T = TypeVar("T")
R = TypeVar("R", bound=Record)
_LARGEST = 2**53


def _now() -> datetime:
    return datetime.now(UTC)


class Resource:
    """One group of operations, sent through `send`; `clock` tells when, for errors about an unknown outcome.

    `scope` tells whose records these are, for checkpoints of listings.
    """

    def __init__(self, send: Send, clock: Clock = _now, *, scope: str = "") -> None:
        self._send = send
        self._clock = clock
        self._scope = scope

    async def _call(
        self,
        answer: type[T],
        method: str,
        template: str,
        *,
        ids: Mapping[str, object] | None = None,
        body: object = None,
        extra: Mapping[str, object] | None = None,
        keyed: bool = False,
        secret: Secret = NO_SECRET,
        look: LookFor | None = None,
    ) -> T:
        """Run one operation and read its answer as *answer*; `NoneType` ignores its body.

        *look* is how an unsafe operation is looked for when its outcome stays unknown.
        """
        request = _request(method, template, ids=ids, body=body, extra=extra, patient=patient.get())
        if keyed or secret:
            request = attrs.evolve(request, keyed=keyed, secret=secret)
        if look is None:
            return read(request, await self._send(request), answer)
        began = self._clock()
        try:
            return read(request, await self._send(request), answer)
        except OutcomeUnknownError as error:
            self._attach(error, request, began, look)
            raise

    def _attach(self, error: OutcomeUnknownError, request: Request, asked: datetime, look: LookFor) -> None:
        ended = self._clock()
        began = started(asked, ended, error.attempts)
        vars(error).update(
            began=began, ended=ended, _look=lambda: look(Look(self._send, self._clock, request, began, ended))
        )

    def _pages(
        self,
        item: type[R],
        template: str,
        *,
        ids: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        page: int = 1,
        page_size: int = LARGEST_PAGE,
        limit: int | None = None,
        paged: bool = True,
        order: Order = UNKNOWN,
        strategy: Strategy | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> Pages[R]:
        """Build a listing; nothing is sent yet. `_paging.begin` says what the arguments mean."""
        if on_invalid not in get_args(OnInvalid):
            raise refused("on_invalid", f"on_invalid must be one of {', '.join(get_args(OnInvalid))}")
        size, collect = _size(page, page_size, limit), on_invalid == "collect"
        request = _request("GET", template, ids=ids, query=query, paged=paged, patient=True)
        try:
            position: Position[R] = begin(
                strategy, page=page, size=size, limit=limit, order=order, paged=paged, collect=collect
            )
        except BadInput as bad:
            error = refused(bad.param, str(bad))
        else:
            binding = Binding.of(request, page, self._scope, strategy)
            return Pages(self._send, request, _reader(request, item, on_invalid), position, item=item, binding=binding)
        raise error


def _size(page: int, page_size: int, limit: int | None) -> int:
    """Check where a listing begins and ends, and choose how many records a page has."""
    _check("page", page, 1, _LARGEST)
    _check("page_size", page_size, 1, LARGEST_PAGE)
    if limit is not None:
        _check("limit", limit, 1, _LARGEST)
    return page_size if limit is None or page > 1 else min(page_size, limit)


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
        content = _content(body, extra)
        return build(method, template, ids=ids, query=query, body=content, paged=paged, patient=patient)
    except BadInput as bad:
        error = refused(bad.param, str(bad))
    error.method, error.route = method, template
    raise error


def ready(body: object) -> dict[str, object]:
    """Turn a body into JSON-ready fields; raises `BadInput` for what cannot be sent, or breaks a field's rule."""
    kind = type(body)
    fields = unstructure(body) if issubclass(kind, Mapping) or attrs.has(kind) else None  # which is refused
    check(fields)
    return cast("dict[str, object]", fields)


def _content(body: object, extra: Mapping[str, object] | None) -> bytes | None:
    """Write the body: the fields the SDK knows, and beside them those it does not; the caller's win."""
    if extra is not None and not isinstance(extra, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers need not type-check
        msg = "extra must be a mapping of field names to values"
        raise BadInput(msg, "extra")
    if body is None and extra is None:
        return None
    whole = ({} if body is None else ready(body)) | ({} if extra is None else ready(extra))
    return json.dumps(whole, ensure_ascii=False).encode()


def _reader(request: Request, item: type[R], on_invalid: OnInvalid) -> Callable[[Response], Page[R]]:
    """Make what reads one page of a listing."""
    return lambda response: judged(request, response, lambda body: structure_page(body, item, on_invalid))


def _check(name: str, value: int, least: int, most: int) -> None:
    """Refuse a number the API would refuse, before anything is sent."""
    if type(value) is not int or not least <= value <= most:
        raise refused(name, f"{name} must be a whole number from {least} to {most}")
