"""The files behind recording links: outside the API's base path, without credentials, for a limited time.

Assumptions of ours, because the storage behind the vendor's links is not described: it speaks of ranges and entity tags
as RFC 9110 does and common object storages do, refuses an expired link with a 403 that is no answer of the API, and has
no quota.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from .answers import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .store import Store

LINK_LIFETIME = 3_600.0
TEMPLATE = "/recordings/{call_id}.mp4"
FILE_PATH = re.compile(r"/recordings/(call_[0-9a-f-]{36})\.mp4")
RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
MP4_HEAD = b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42"


def recording_bytes(call_id: str) -> bytes:
    """Make the file of a recording: the head of an MP4 and some bytes that depend on the call alone."""
    return MP4_HEAD + hashlib.sha256(call_id.encode()).digest() * 128


def recording_link(store: Store, call_id: str, expires: int) -> str:
    """Make the path and query under which a recording is served until `expires` (Unix seconds)."""
    return f"/recordings/{call_id}.mp4?expires={expires}&signature={_signature(store, call_id, str(expires))}"


def recording_file(
    store: Store, path: str, query: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Reply | None:
    """Serve a recording's file, or the part that `headers` ask for; None when `path` is no such file's.

    403 when the link is forged or expired, 416 when the file has no such part.
    """
    match = FILE_PATH.fullmatch(path)
    if match is None:
        return None
    expires = query.get("expires", "")
    genuine = query.get("signature") == _signature(store, match[1], expires)
    if not genuine or int(expires) <= store.clock():
        return Reply(status=403, body=b"The link is not valid.\n", headers={}, content_type="text/plain")
    return _part(recording_bytes(match[1]), headers or {})


def _part(file: bytes, asked: Mapping[str, str]) -> Reply:
    """Answer with the whole file, or with the one range asked for while the file still is the one meant."""
    tag = f'"{hashlib.sha256(file).hexdigest()[:32]}"'
    headers = {"Accept-Ranges": "bytes", "ETag": tag}
    wanted = RANGE.fullmatch(asked.get("Range", ""))
    if wanted is None or asked.get("If-Range", tag) != tag:  # what cannot be read as one range is ignored
        return Reply(status=200, body=file, headers=headers, content_type="audio/mp4")
    first = int(wanted[1]) if wanted[1] else max(0, len(file) - int(wanted[3]))
    last = min(int(wanted[2]) if wanted[2] else len(file), len(file) - 1)
    if first > last:
        return Reply(status=416, body=b"", headers={**headers, "Content-Range": f"bytes */{len(file)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(file)}"
    return Reply(status=206, body=file[first : last + 1], headers=headers, content_type="audio/mp4")


def _signature(store: Store, call_id: str, expires: str) -> str:
    """Sign a link for this store's organization alone."""
    return hashlib.sha256(f"{store.organization_id}/{call_id}/{expires}".encode()).hexdigest()[:32]
