"""Keeps a sandbox open until somebody says stop: Ctrl-C, SIGTERM, an event, or cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .server import Sandbox

SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve(sandbox: Sandbox, *, tell: Callable[[str], object], stop: asyncio.Event | None = None) -> None:
    """Open the sandbox, tell how to reach it, and close it again when asked to."""
    stop = stop or asyncio.Event()
    with ended_by_signals(stop.set):
        async with sandbox:
            tell(how_to_reach(sandbox))
            await stop.wait()


def how_to_reach(sandbox: Sandbox) -> str:
    """Write the address and the credentials, also as lines to paste into a shell."""
    return (
        f"base_url: {sandbox.base_url}\n"
        f"api_key:  {sandbox.api_key}\n"
        f"bearer_token: {sandbox.bearer_token}\n"
        f"email: {sandbox.email}\n"
        f"password: {sandbox.password}\n"
        "\n"
        f"export ENVOY_BASE_URL={sandbox.base_url}\n"
        f"export ENVOY_API_KEY={sandbox.api_key}\n"
        f"export ENVOY_BEARER_TOKEN={sandbox.bearer_token}"
    )


@contextlib.contextmanager
def ended_by_signals(end: Callable[[], object]) -> Generator[None]:
    """Let Ctrl-C or SIGTERM call `end`; the second ends the program at once, as does any where a loop hears none."""
    loop = asyncio.get_running_loop()

    def drop() -> None:
        with contextlib.suppress(NotImplementedError):
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def heard() -> None:
        drop()
        end()

    with contextlib.suppress(NotImplementedError):
        for number in SIGNALS:
            loop.add_signal_handler(number, heard)
    try:
        yield
    finally:
        drop()
