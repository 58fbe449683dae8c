"""What happens to a request, in this order: who are you, may you now, does it go wrong, run, write it down.

Quota headers are on every answer of the API. Refused requests (401 and 429) use up no quota; all others do, also
those answered with an error. Between running an operation and finishing its answer nothing is awaited.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs

from .answers import ApiError, Reply, error_reply, json_reply
from .faults import FaultBook
from .operations import OPERATIONS
from .recordings import recording_file
from .routing import Inquiry, Operation, Route, Routes
from .validation import parse_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

    from .drift import Drift
    from .faults import Fault
    from .quota import Quota
    from .seed import Identity
    from .store import Store

BASE_PATH = "/api/v1"


@attrs.frozen(kw_only=True)
class Execution:
    """One operation that ran; ``path`` as sent, without query; ``at`` in Unix seconds of the sandbox's clock."""

    operation: str
    method: str
    path: str
    body: object
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

    store: Store
    identity: Identity
    clock: Callable[[], float]
    new_quota: Callable[[], Quota]
    faults: list[Fault]
    drift: Drift | None
    executions: list[Execution] = attrs.field(factory=list["Execution"])
    requests: list[Received] = attrs.field(factory=list["Received"])
    quotas: dict[str, Quota] = attrs.field(init=False)
    _book: FaultBook = attrs.field(init=False)
    _routes: Routes = attrs.field(init=False)
    _listings: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Open one account for each credential."""
        self.quotas = {key: self.new_quota() for key in (self.identity.api_key, self.identity.bearer_token)}
        self._book = FaultBook(self.faults)
        self._routes = Routes(OPERATIONS)

    async def answer(self, request: web.BaseRequest) -> Reply | None:
        """Answer one request and write it down; None means the connection is to be dropped."""
        at = self.clock()
        try:
            reply = recording_file(self.store, request.path, request.query) or await self._admit(request, at)
        except ConnectionError:  # the caller left in the middle of the body
            reply = None
        status = reply.status if reply else 0
        self.requests.append(Received(method=request.method, path=request.path_qs, status=status, at=at))
        return reply

    async def _admit(self, request: web.BaseRequest, now: float) -> Reply | None:
        """Check credential and quota, and let the scripted faults have their say."""
        credential = self._credential(request.headers)
        if credential is None:
            message = "Missing or invalid authentication credentials."
            return error_reply(ApiError(401, "not_authenticated", message), self.new_quota().look(now).headers)
        quota = self.quotas[credential]
        standing = quota.look(now)
        if standing.wait > 0:
            headers = {**standing.headers, "Retry-After": str(standing.retry_after)}
            message = f"Rate limit exceeded. Retry after {standing.retry_after} seconds."
            return error_reply(ApiError(429, "rate_limit_exceeded", message), headers)
        route = self._routes.find(request.method, request.path.removeprefix(BASE_PATH))
        fault = self._book.take(request.method, route.template)
        if fault is None or not fault.refuses:
            quota.spend(now)
        headers = quota.look(now).headers
        if fault is None:
            return await self._answer(request, route, credential, headers)
        return await self._misbehave(fault, request, route, credential, headers)

    async def _misbehave(
        self, fault: Fault, request: web.BaseRequest, route: Route, credential: str, headers: Mapping[str, str]
    ) -> Reply | None:
        """Do what a fault says; None means the connection is to be dropped."""
        if fault.delay > 0:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return None
        scripted = fault.reply(headers)
        if scripted is not None:
            return None if fault.drop else scripted
        reply = await self._answer(request, route, credential, headers)
        return None if fault.drop else attrs.evolve(reply, headers=fault.over(reply.headers), cut=fault.cut)

    async def _answer(
        self, request: web.BaseRequest, route: Route, credential: str, headers: Mapping[str, str]
    ) -> Reply:
        """Run the operation, or say why not."""
        try:
            operation = self._permitted(request, route, credential)
            body = parse_body(await request.read())
            origin = f"{request.scheme}://{request.host}"
            inquiry = Inquiry(ids=route.ids, query=request.query, body=body, origin=origin)
            return json_reply(self._run(operation, inquiry, request.path), headers)
        except ApiError as error:
            return error_reply(error, headers)

    def _run(self, operation: Operation, inquiry: Inquiry, path: str) -> object:
        """Run an operation; a listing of calls drifts right before it is cut."""
        if operation.name == "calls.list" and self.drift is not None:
            self._listings += 1
            self.drift(self.store, self._listings)
        payload = operation.run(self.store, inquiry)
        ran = Execution(
            operation=operation.name, method=operation.method, path=path, body=inquiry.body, at=self.clock()
        )
        self.executions.append(ran)
        return payload

    def _credential(self, headers: Mapping[str, str]) -> str | None:
        """Tell which credential a request shows."""
        if headers.get("X-API-Key") == self.identity.api_key:
            return self.identity.api_key
        if headers.get("Authorization") == f"Bearer {self.identity.bearer_token}":
            return self.identity.bearer_token
        return None

    def _permitted(self, request: web.BaseRequest, route: Route, credential: str) -> Operation:
        """Give the operation when it exists and the credential may run it."""
        organization = request.headers.get("X-Organization-ID", self.identity.organization_id)
        if organization != self.identity.organization_id:
            raise ApiError(403, "insufficient_permissions", "No access to this organization.")
        if route.operation is None:
            raise route.refusal
        if route.operation.credential == "api key" and credential != self.identity.api_key:
            raise ApiError(403, "insufficient_permissions", "This operation takes an API key only.")
        return route.operation
