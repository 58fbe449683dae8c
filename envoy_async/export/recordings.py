"""The recordings of many calls, as files in a folder or in an object storage.

The rule: a name stands for a whole recording or is not there, and what is there already is not fetched again. One
recording that fails is one outcome, and the others go on. Storages are used in threads, so none blocks the loop; an
upload that was begun is waited for, also when it is cancelled, since a thread cannot be stopped. Files of this machine
are written in the loop, piece by piece as they come.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import tempfile
from collections.abc import AsyncIterable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self

import attrs

from .. import bulk
from ..client import EnvoyClient
from ..errors import ConfigurationError
from ..models import Call
from ..resources._recording import recording_name, recording_names
from ._threads import in_thread

_AVAILABLE = "AVAILABLE"  # the only status of a recording that is known
_USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")


@attrs.frozen
class StoredRecording:
    """A recording that is where it should be."""

    where: str
    """Path or URL of the file; user info in it is masked."""
    size: int
    """Bytes of the file."""
    fetched: bool
    """Whether it was fetched in this run; else it was there already."""


class Store(Protocol):
    """Where the files go."""

    def look(self) -> dict[str, int]:
        """Make the place if it is not there; give the names in it with their sizes. Blocks."""
        ...

    def path(self, name: str) -> str:
        """Name a file in full."""
        ...

    async def fetch(self, envoy: EnvoyClient, call_id: str) -> StoredRecording:
        """Fetch the recording of a call into it."""
        ...


def recordings(
    envoy: EnvoyClient,
    calls: AsyncIterable[Call],
    to: str | Path,
    *,
    concurrency: int = 4,
    verify: bool = True,
) -> bulk.Outcomes[Call, StoredRecording]:
    """Download the recordings of all calls that have one; an outcome for each, in the order in which they are done.

    Those are the calls whose `recording_status` is `AVAILABLE`, the only status that is known. All others are passed
    over without an outcome, and not counted; ask for them with `envoy.calls.download_recording`.

    Each becomes `<call id>.m4a` or the like, by the type of its content. Run it again after an interruption: what is
    there already is left as it is, and in a folder a part that was begun is gone on with.

    Args:
        envoy: the client.
        calls: the calls, such as `envoy.calls.list()`.
        to: a folder, which is made if only its last part is missing, or a URL for fsspec (extra `fsspec`), such as
            `s3://bucket/recordings`; there the files go over this machine's folder for temporary files.
        concurrency: most downloads at once.
        verify: whether to compare the size of what is there already with what the API says, which costs one request
            for each; `False` goes by the name alone.

    Raises:
        ConfigurationError: fsspec, or what it needs for this URL, is not installed.
    """
    store = store_of(to)
    there: dict[str, int] = {}
    job = partial(_stored, envoy, store, there, verify=verify)
    return bulk.map(job, _Available(calls, store, there), concurrency=concurrency)


def store_of(to: str | Path) -> Store:
    """Find the folder, or the place that fsspec knows, that a path or a URL names."""
    return remote(str(to)) if "://" in str(to) else _Folder(Path(to))


def without_user_info(text: str) -> str:
    """Mask what stands before the host in every URL of a text."""
    return _USER_INFO.sub("***@", text)


class _Available:
    """The calls that have a recording; no generator, since nobody would close it when the loop is left."""

    def __init__(self, calls: AsyncIterable[Call], store: Store, there: dict[str, int]) -> None:
        self._calls, self._store, self._there = aiter(calls), store, there
        self._looked = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Call:
        """Give the next call; before the first, look at what is there already."""
        if not self._looked:
            self._there.update(await asyncio.to_thread(self._store.look))
            self._looked = True
        while True:
            call = await anext(self._calls)
            if call.recording_status == _AVAILABLE:
                return call


async def _stored(
    envoy: EnvoyClient, store: Store, there: dict[str, int], call: Call, *, verify: bool
) -> StoredRecording:
    for name in recording_names(call.id):
        if name in there and (not verify or await _is_right(envoy, call.id, name, there[name])):
            return StoredRecording(store.path(name), there[name], fetched=False)
    return await store.fetch(envoy, call.id)


async def _is_right(envoy: EnvoyClient, call_id: str, name: str, size: int) -> bool:
    found = await envoy.calls.recording(call_id)
    return name == recording_name(call_id, found.content_type) and found.file_size_bytes in {None, size}


@attrs.frozen
class _Folder:
    """A folder of this machine."""

    folder: Path

    def look(self) -> dict[str, int]:
        self.folder.mkdir(exist_ok=True)
        with os.scandir(self.folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}

    def path(self, name: str) -> str:
        return str(self.folder / name)

    async def fetch(self, envoy: EnvoyClient, call_id: str) -> StoredRecording:
        path = await envoy.calls.download_recording(call_id, f"{self.folder}{os.sep}")  # a file is none of it
        return StoredRecording(str(path), path.stat().st_size, fetched=True)


@attrs.frozen
class Remote:
    """A place that fsspec knows how to reach."""

    system: Any = attrs.field(repr=False)
    root: str

    def look(self) -> dict[str, int]:
        """Make the place if it is not there; give the names in it with their sizes. Blocks."""
        self.system.makedirs(self.root, exist_ok=True)
        self.system.invalidate_cache()
        rows: list[dict[str, Any]] = []
        with suppress(FileNotFoundError):  # object storages have no folders
            rows = self.system.ls(self.root, detail=True)
        return {str(row["name"]).rpartition("/")[2]: int(row["size"] or 0) for row in rows if row["type"] == "file"}

    def path(self, name: str) -> str:
        """Name a file in full, without user info."""
        return without_user_info(str(self.system.unstrip_protocol(f"{self.root}/{name}")))

    async def fetch(self, envoy: EnvoyClient, call_id: str) -> StoredRecording:
        """Fetch the recording of a call into it."""
        with tempfile.TemporaryDirectory(prefix="envoy-recording-") as folder:
            path = await envoy.calls.download_recording(call_id, folder)
            size = path.stat().st_size
            await in_thread(partial(self.put, path))  # which reads the file until it ends
        return StoredRecording(self.path(path.name), size, fetched=True)

    def put(self, path: Path) -> None:
        """Upload under a name of its own, and move it when it is whole. Blocks."""
        final = f"{self.root}/{path.name}"
        part = f"{final}.{secrets.token_hex(4)}.part"
        try:
            self.system.put_file(str(path), part)
            self.system.mv(part, final)
        except BaseException:
            if self.system.exists(part):
                self.system.rm(part)
            raise


def remote(url: str) -> Remote:
    """Find the place that a URL names.

    Raises:
        ConfigurationError: fsspec, or what it needs for this URL, is not installed, or knows no such place.
    """
    try:
        system, root = import_module("fsspec.core").url_to_fs(url)  # which has no types
    except ImportError as error:
        named = url.partition("://")[0]
        missing = 'pip install "envoy-async[fsspec]"' if (error.name or "").startswith("fsspec") else str(error)
        msg = f"a target of the kind {named}:// needs more than is installed: {missing}"
    except ValueError as error:
        msg = f"to is no target that fsspec knows: {str(error).partition(':')[0]}"
    else:
        return Remote(system, str(root).rstrip("/"))
    raise ConfigurationError(msg)
