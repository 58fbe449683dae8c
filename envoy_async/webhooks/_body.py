"""The body of a request, up to a limit."""

from __future__ import annotations

from collections.abc import AsyncIterable


async def read_body(chunks: AsyncIterable[bytes], limit: int) -> bytes:
    """Read a body, but not much more than *limit* bytes of it: one that goes on is longer than the limit."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)
