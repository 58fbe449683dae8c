"""Recordings as files: what the SDK makes of `GET /calls/{call_id}/recording`, and no operation of its own.

The rule: under the name that was asked for stands the whole recording, or what stood there before. Bytes go into a part
beside it, which is named after target and call, belongs to one download at a time, and stays when the download ends
early, so that the next one goes on with it. What the disk raises passes as it is.

Assumption, because no page says how long a link lasts: a storage that answers 400, 401, 403, 404, or 410 means the
link, so another is asked for; if that one is refused as well before a byte came, it does not mean the link.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .._credentials import Secret
from .._download import Download, Fetch
from .._lock import is_at, lock
from .._wire import Send
from ..errors import ConfigurationError, InvalidResponseError, StatusError, refused
from ..models import CallRecording
from ._base import Resource
from ._looking import Clock

_LINK_IS_OVER = frozenset({400, 401, 403, 404, 410})
_UNHEARD_OF = ".bin"
_SEPARATORS = tuple(sign + dot for sign in (os.sep, os.altsep) if sign for dot in ("", "."))
_ENDINGS = (
    ("audio/mp4", ".m4a"),
    ("video/mp4", ".mp4"),  # the two that are known
    ("audio/mpeg", ".mp3"),
    ("audio/ogg", ".ogg"),
    ("audio/wav", ".wav"),
)


class Recordings(Resource):
    """What can be done with the recordings of calls; `fetch` gets a file from its address."""

    def __init__(self, send: Send, *clock: Clock, scope: str = "", fetch: Fetch | None = None) -> None:
        super().__init__(send, *clock, scope=scope)
        self._fetch = fetch

    async def download_recording(self, call_id: str, path: str | Path) -> Path:
        """Download the recording of a call into a file, and return its path. Sends `GET /calls/{call_id}/recording`.

        The file appears whole or not at all; what stood under its name is replaced. A download that ends early, for
        whatever reason, leaves `<name>.<uuid of the call>.part` beside it, and the next one goes on with that. A lost
        connection and a link that has run out are mended on the way. The storage gets no credential. The deadline of
        calls does not hold for the file, only for asking for the link: give up with `asyncio.timeout`.

        Args:
            call_id: the call.
            path: the file, or a folder, in which it is named after the call; what ends in a slash is a folder. It is
                never made.

        Raises:
            EnvoyError: there is no recording, or it could not be fetched whole; `NotFoundError` and the like.
            OSError: the disk refuses, or another download writes this file just now (`BlockingIOError`).
        """
        target = _target(path)
        in_folder = target.is_dir()  # a folder that goes away meanwhile does not become a file
        recording = await self._recording(call_id)
        if in_folder:
            target /= recording_name(call_id, recording.content_type)
        with part_of(target, _uuid(call_id)) as part:
            download = Download(sink=part, size=part.size, expected=_size(recording))
            await self._fetch_whole(call_id, recording, download)
            await part.rename()
        return target

    async def _recording(self, call_id: str) -> CallRecording:
        return await self._call(CallRecording, "GET", "/calls/{call_id}/recording", ids={"call_id": call_id})

    async def _fetch_whole(self, call_id: str, recording: CallRecording, download: Download) -> None:
        """Fetch what is missing, with another link where one was refused."""
        if self._fetch is None:
            raise ConfigurationError("these calls were made without a client, which alone can fetch files")
        renewed = False
        while True:
            reached = download.reached
            try:
                await self._fetch(Secret(recording.url), download)
            except StatusError as error:
                vain = renewed and download.reached == reached
                if vain or error.status not in _LINK_IS_OVER:
                    raise
            else:
                return
            recording, renewed = await self._recording(call_id), True
            if _size(recording) != download.expected:
                raise InvalidResponseError("the recording changed its size while it was fetched")


class Part:
    """The part of a file that is there: a sink for bytes until it gets the file's name."""

    def __init__(self, file: BinaryIO, path: Path, target: Path) -> None:
        self._file, self._path, self._target = file, path, target

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self._file.tell()

    def write(self, data: bytes) -> None:
        """Add these bytes."""
        self._file.write(data)

    def clear(self) -> None:
        """Drop all bytes."""
        self._file.truncate(0)
        self._file.seek(0)

    async def rename(self) -> None:
        """Give the part the file's name, once its bytes are on the disk."""
        self._file.flush()
        await asyncio.to_thread(_sync, self._path)  # with a file of its own: cancelled, the thread goes on
        ready = self._file.close if os.name == "nt" else self._file.flush  # Windows renames no open file
        ready()
        self._path.replace(self._target)

    def leave(self) -> None:
        """Remove the part if nothing is in it."""
        with suppress(OSError, ValueError):  # on a full disk the file says so when it is closed; or it has been
            self._file.flush()
            if not self.size:
                self._path.unlink()


@contextmanager
def part_of(target: Path, mark: str) -> Generator[Part]:
    """Open the part of a file for one download; an empty one does not stay.

    Args:
        target: the file; behind a symbolic link the file is meant, not the link.
        mark: what tells the parts of different contents from each other.

    Raises:
        BlockingIOError: another download has it open.
    """
    target = target.resolve()
    path = target.with_name(f"{target.name}.{mark}.part")
    with path.open("ab") as file:
        if not (lock(file) and is_at(file, path)):  # or it got the file's name in between
            raise BlockingIOError(errno.EAGAIN, "another download writes this file", str(target))
        part = Part(file, path, target)
        try:
            yield part
        finally:
            part.leave()


def recording_name(call_id: str, content_type: str) -> str:
    """Name the file of a recording: the call, and an ending by the type of the content."""
    kind = content_type.partition(";")[0].strip().lower()
    return f"call_{_uuid(call_id)}{dict(_ENDINGS).get(kind, _UNHEARD_OF)}"


def recording_names(call_id: str) -> list[str]:
    """Give every name that the file of a call's recording may have."""
    return [f"call_{_uuid(call_id)}{ending}" for ending in (*dict(_ENDINGS).values(), _UNHEARD_OF)]


def _target(path: object) -> Path:
    """Refuse what cannot be a file, before anything is sent."""
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):  # callers need not type-check
        raise refused("path", "path must name a file or a folder")
    target = Path(path)
    folder = target if os.fspath(path).endswith(_SEPARATORS) else target.parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(folder))
    return target


def _uuid(call_id: str) -> str:
    """Return the id without its prefix; both spellings mean one call."""
    return call_id.removeprefix("call_").lower()


def _size(recording: CallRecording) -> int | None:
    """Return how large the file is; a size of nothing says nothing."""
    size = recording.file_size_bytes
    return size if size is not None and size > 0 else None


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
