"""Deliveries that come to an aiohttp server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ._body import read_body
from ._receiver import Receiver

if TYPE_CHECKING:
    from aiohttp import web


def aiohttp_handler(receiver: Receiver) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make a handler of aiohttp that gives each request to a receiver, and its answer to the sender.

    Add it with `app.router.add_post("/hooks", …)`, and `receiver.lifespan` to `app.cleanup_ctx`.
    """
    from aiohttp import web

    async def handler(request: web.Request) -> web.Response:
        try:
            body = await read_body(request.content.iter_any(), receiver.verifier.largest_body)
        except (ConnectionError, web.RequestPayloadError):  # its sender left, or it is not encoded as it says
            return web.Response(status=400, text="the body cannot be read")
        answer = await receiver.receive(request.headers, body)
        return web.Response(status=answer.status, text=answer.text)

    return handler
