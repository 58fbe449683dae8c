"""What happens to a request, in this order: who are you, may you now, does it go wrong, run, write it down.

Quota headers are on every answer of the API. Requests refused for want of a credential (401) or quota (429) use up no
quota; all others do, also those answered with an error, such as a login with a wrong password. Between running an
operation and finishing its answer nothing is awaited.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import attrs

from .answers import ApiError, Reply, error_reply, json_reply
from .calling import advance
from .faults import FaultBook
from .operations import OPERATIONS
from .quota import category_of
from .recordings import TEMPLATE, recording_file
from .routing import Inquiry, Operation, Route, Routes
from .validation import parse_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp import web

    from .accounts import Accounts, Caller
    from .drift import Drift
    from .faults import Fault
    from .organizations import Organizations
    from .quota import Ledger, Standing

BASE_PATH = "/api/v1"
REFUSED = 403


@attrs.frozen(kw_only=True)
class Execution:
    """One operation that ran; ``path`` as sent, without query; ``at`` in Unix seconds of the sandbox's clock.

    ``body`` is what was sent, also a password, so no repr shows it.
    """

    operation: str
    method: str
    path: str
    body: object = attrs.field(repr=False)
    at: float


@attrs.frozen(kw_only=True)
class Received:
    """One request that came in; ``path`` as sent, with query; ``status`` 0 when the connection was dropped."""

    method: str
    path: str
    status: int
    at: float


@attrs.define(kw_only=True)
class Gateway:
    """Answers requests; knows HTTP but no sockets."""

    organizations: Organizations
    accounts: Accounts
    ledger: Ledger
    clock: Callable[[], float]
    faults: list[Fault]
    drift: Drift | None
    executions: list[Execution] = attrs.field(factory=list["Execution"])
    requests: list[Received] = attrs.field(factory=list["Received"])
    _book: FaultBook = attrs.field(init=False)
    _routes: Routes = attrs.field(init=False)
    _listings: Counter[str] = attrs.field(init=False, factory=Counter[str])

    def __attrs_post_init__(self) -> None:
        """Watch the faults and lay out the operations."""
        self._book = FaultBook(self.faults)
        self._routes = Routes(OPERATIONS)

    async def answer(self, request: web.BaseRequest) -> Reply | None:
        """Answer one request and write it down; None means the connection is to be dropped."""
        at = self.clock()
        try:
            file = self._recording(request)
            reply = await self._admit(request, at) if file is None else await self._handed_out(file, request)
        except ConnectionError:  # the caller left in the middle of the body
            reply = None
        status = reply.status if reply else 0
        self.requests.append(Received(method=request.method, path=request.path_qs, status=status, at=at))
        return reply

    def _recording(self, request: web.BaseRequest) -> Reply | None:
        """Serve the file behind a recording link of any organization; None when the path is no such link's."""
        filled = self.organizations.filled
        replies = [recording_file(store, request.path, request.query, request.headers) for store in filled]
        return next((reply for reply in replies if reply is not None and reply.status != REFUSED), replies[0])

    async def _handed_out(self, file: Reply, request: web.BaseRequest) -> Reply | None:
        """Let the scripted faults have their say about the file of a recording, which has no quota."""
        fault = self._book.take(request.method, TEMPLATE)

        async def answer() -> Reply:
            return file

        return file if fault is None else await self._misbehave(fault, file.headers, answer)

    async def _admit(self, request: web.BaseRequest, now: float) -> Reply | None:
        """Check credential and quota, and let the scripted faults have their say."""
        path = request.path.removeprefix(BASE_PATH)
        route, category = self._routes.find(request.method, path), category_of(path)
        nobody = self.accounts.anybody(request.remote or "")
        caller = nobody if route.is_open else self.accounts.identify(request.headers)
        holder = nobody.holder if caller is None or category == "auth" else caller.holder
        standing = self.ledger.look(category, holder, now)
        if caller is None:
            message = "Missing or invalid authentication credentials."
            return error_reply(ApiError(401, "not_authenticated", message), standing.headers)
        if standing.wait > 0:
            return _too_many(standing)
        fault = self._book.take(request.method, route.template)
        if fault is None or not fault.refuses:
            self.ledger.spend(category, holder, now)
            self.accounts.note_use(caller)
        headers = self.ledger.look(category, holder, now).headers
        answer = partial(self._answer, request, route, caller, headers)
        return await (answer() if fault is None else self._misbehave(fault, headers, answer))

    async def _misbehave(
        self, fault: Fault, headers: Mapping[str, str], answer: Callable[[], Awaitable[Reply]]
    ) -> Reply | None:
        """Do what a fault says instead of an answer, or with it; None means the connection is to be dropped."""
        if fault.delay > 0:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return None
        scripted = fault.reply(headers)
        if scripted is not None:
            return None if fault.drop else scripted
        reply = await answer()
        return None if fault.drop else attrs.evolve(reply, headers=fault.over(reply.headers), cut=fault.cut)

    async def _answer(
        self, request: web.BaseRequest, route: Route, caller: Caller, headers: Mapping[str, str]
    ) -> Reply:
        """Run the operation, or say why not."""
        try:
            organization_id = _organization(request, caller)
            operation = _permitted(route, caller)
            body = parse_body(await request.read())
            origin = f"{request.scheme}://{request.host}"
            inquiry = Inquiry(ids=route.ids, query=request.query, body=body, origin=origin, accounts=self.accounts)
            return json_reply(self._run(operation, organization_id, inquiry, request.path), headers)
        except ApiError as error:
            allow = {"Allow": ", ".join(route.allowed)} if route.allowed else {}
            return error_reply(error, {**headers, **allow})

    def _run(self, operation: Operation, organization_id: str, inquiry: Inquiry, path: str) -> object:
        """Run an operation on what is so by now; a listing of calls drifts right before it is cut."""
        store = self.organizations[organization_id]
        advance(store)
        if operation.name == "calls.list" and self.drift is not None:
            self._listings[organization_id] += 1
            self.drift(store, self._listings[organization_id])
        payload = operation.run(store, inquiry)
        ran = Execution(
            operation=operation.name, method=operation.method, path=path, body=inquiry.body, at=self.clock()
        )
        self.executions.append(ran)
        return payload


def _too_many(standing: Standing) -> Reply:
    """Refuse a request for which no quota is left."""
    message = f"Rate limit exceeded. Retry after {standing.retry_after} seconds."
    headers = {**standing.headers, "Retry-After": str(standing.retry_after)}
    return error_reply(ApiError(429, "rate_limit_exceeded", message), headers)


def _organization(request: web.BaseRequest, caller: Caller) -> str:
    """Tell whose data a request is about; a header that names an organization the caller is not in is a 403."""
    usual = caller.organization_ids[0]
    named = usual if caller.shown == "none" else request.headers.get("X-Organization-ID", usual)
    if named not in caller.organization_ids:
        raise ApiError(403, "insufficient_permissions", "No access to this organization.")
    return named


def _permitted(route: Route, caller: Caller) -> Operation:
    """Give the operation when it exists and may be run with what the caller has shown."""
    if route.operation is None:
        raise route.refusal
    needed = route.operation.credential
    if needed not in {"any", caller.shown}:
        name = "an API key" if needed == "api key" else "a bearer token"
        raise ApiError(403, "insufficient_permissions", f"This operation takes {name} only.")
    return route.operation
