"""The files behind recording links: outside the API's base path, without credentials, for a limited time."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from .answers import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .store import Store

LINK_LIFETIME = 3_600.0
FILE_PATH = re.compile(r"/recordings/(call_[0-9a-f-]{36})\.mp4")
MP4_HEAD = b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42"


def recording_bytes(call_id: str) -> bytes:
    """Make the file of a recording: the head of an MP4 and some bytes that depend on the call alone."""
    return MP4_HEAD + hashlib.sha256(call_id.encode()).digest() * 128


def recording_link(store: Store, call_id: str, expires: int) -> str:
    """Make the path and query under which a recording is served until `expires` (Unix seconds)."""
    return f"/recordings/{call_id}.mp4?expires={expires}&signature={_signature(store, call_id, str(expires))}"


def recording_file(store: Store, path: str, query: Mapping[str, str]) -> Reply | None:
    """Serve a recording's file; 403 when the link is forged or expired, None when `path` is no such file's."""
    match = FILE_PATH.fullmatch(path)
    if match is None:
        return None
    expires = query.get("expires", "")
    genuine = query.get("signature") == _signature(store, match[1], expires)
    if not genuine or int(expires) <= store.clock():
        return Reply(status=403, body=b"The link is not valid.\n", headers={}, content_type="text/plain")
    return Reply(status=200, body=recording_bytes(match[1]), headers={}, content_type="audio/mp4")


def _signature(store: Store, call_id: str, expires: str) -> str:
    """Sign a link for this store's organization alone."""
    return hashlib.sha256(f"{store.organization_id}/{call_id}/{expires}".encode()).hexdigest()[:32]
