"""A receiver as users write one, in a process of its own: it catches up when it starts, and writes down what it got.

Started as `python _service.py FRAMEWORK PORT REDIS FILE SINCE`; the rest it takes from the environment.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from envoy_async import EnvoyClient, webhooks

FRAMEWORK, PORT, REDIS, FILE, SINCE = sys.argv[1:]
PATH = "/hooks"


async def handle(event: webhooks.Event) -> None:
    """Take a moment, and write down which event it was."""
    await asyncio.sleep(0.005)
    note(event.message_id)


def note(message_id: str) -> None:
    """Add a line."""
    with Path(FILE).open("a", encoding="utf-8") as file:
        file.write(f"{message_id}\n")


store = webhooks.RedisReplayStore(REDIS)
receiver = webhooks.Receiver(webhooks.WebhookVerifier(os.environ["WEBHOOK_SECRET"]), handle, store=store)


async def catch_up() -> None:
    """Process what was sent while nobody listened."""
    since = datetime.fromtimestamp(float(SINCE), UTC)
    async with EnvoyClient() as envoy:
        result = await webhooks.reconcile(
            envoy, os.environ["WEBHOOK_ENDPOINT"], since=since, store=store, handle=handle
        )
    sys.stdout.write(f"caught up: {len(result.handled)} handled, {len(result.waiting)} waiting\n")
    sys.stdout.flush()


async def begin() -> None:
    """Catch up as soon as deliveries come in here: what was sent before is in the list by then."""
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", int(PORT))
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            break
    await catch_up()


@asynccontextmanager
async def lifespan(_: object) -> AsyncGenerator[None]:
    """Receive, catch up beside it, and close what was opened."""
    async with receiver:
        catching_up = asyncio.create_task(begin())
        yield
        await catching_up
    await store.aclose()


def serve_aiohttp() -> None:
    """Serve with aiohttp until SIGTERM."""
    from aiohttp import web

    app = web.Application()
    app.router.add_post(PATH, webhooks.aiohttp_handler(receiver))
    app.cleanup_ctx.append(lifespan)
    web.run_app(app, host="127.0.0.1", port=int(PORT), print=None)


def serve_fastapi() -> None:
    """Serve with FastAPI under uvicorn until SIGTERM."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI(routes=[webhooks.starlette_route(PATH, receiver)], lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=int(PORT), log_level="warning")


if __name__ == "__main__":
    serve_aiohttp() if FRAMEWORK == "aiohttp" else serve_fastapi()
