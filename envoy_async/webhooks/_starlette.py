"""Deliveries that come to Starlette, or to FastAPI, which is built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._body import read_body
from ._receiver import Receiver

if TYPE_CHECKING:
    from starlette.routing import Route


def starlette_route(path: str, receiver: Receiver) -> Route:
    """Make a route of Starlette that gives each request to a receiver, and its answer to the sender.

    Pass it as one of `routes` to `Starlette` or `FastAPI`, and `receiver.lifespan` as `lifespan`.
    """
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def endpoint(request: Request) -> PlainTextResponse:
        try:
            body = await read_body(request.stream(), receiver.verifier.largest_body)
        except ClientDisconnect:
            return PlainTextResponse("the sender left", 400)  # nobody reads it
        answer = await receiver.receive(request.headers.items(), body)
        return PlainTextResponse(answer.text, answer.status)

    return Route(path, endpoint, methods=["POST"])
