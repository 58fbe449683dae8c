"""The body of an answer, collected within bounds.

The rule: the transport inflates gzip itself, because aiohttp takes a gzip stream that breaks off for a
whole one, and because a bomb must stop at the bound and not after it.
"""

from __future__ import annotations

import contextlib
import zlib

from ..errors import InvalidResponseError

_STEP = 256 * 1024  # bytes
LARGEST = 16 * 1024 * 1024  # bytes of one body, inflated


class Body:
    """Collects the chunks of one body: `feed` each, then `end`."""

    def __init__(self, encoding: str | None, largest: int = LARGEST) -> None:
        coding = (encoding or "identity").strip().lower()
        if coding not in {"", "identity", "gzip", "x-gzip"}:
            msg = "the answer's Content-Encoding is another than gzip, which alone was offered"
            raise InvalidResponseError(msg)
        self._inflater = zlib.decompressobj(wbits=31) if coding.endswith("gzip") else None
        self._largest = largest
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk; raises `InvalidResponseError` when it does not inflate or is one too many."""
        if self._inflater is None:
            self._take(chunk)
            return
        while chunk:  # in steps, because zlib holds what it returns twice
            data: bytes | None = None
            with contextlib.suppress(zlib.error):
                data = self._inflater.decompress(chunk, _STEP)
            if data is None or self._inflater.unused_data:
                raise _damaged()
            self._take(data)
            chunk = self._inflater.unconsumed_tail

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._largest:
            msg = f"the answer is larger than {self._largest} bytes"
            raise InvalidResponseError(msg)
        self._parts.append(data)

    def end(self) -> bytes:
        """Return the whole body; raises when the gzip stream broke off."""
        if self._inflater is not None and self._parts and not self._inflater.eof:
            broken = InvalidResponseError("the answer's gzip body broke off")
            broken.cut = True
            raise broken
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def _damaged() -> InvalidResponseError:
    return InvalidResponseError("the answer's gzip body is damaged")
