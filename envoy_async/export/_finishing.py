"""Parts into the file: the half of an export that needs no server.

The rule: the file is put together in the work folder, made safe on the disk, and given its name in one step; then comes
the manifest, and at last the state goes. Done twice, it gives the same bytes: an update that is repeated replaces the
rows it has added by themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Set as AbstractSet
from pathlib import Path

import attrs

from ..errors import ConfigurationError
from ._folder import Folder, naming, write_whole
from ._formats import Target, assemble
from ._listing import earliest, latest
from ._manifest import Manifest, id_digest, manifest_path, to_json
from ._threads import Stop


class _Tally:
    """Decides which rows of the old file stay, counts them, and ends the work when it is no longer wanted."""

    def __init__(self, ended: Manifest, anew: AbstractSet[str], stop: Stop) -> None:
        self.records, self.digest, self.old = ended.records, ended.id_digest, 0
        self._anew, self._stop = anew, stop

    def stays(self, name: str) -> bool:
        """Whether the row with this id stays: it does unless it came anew."""
        self._stop.check()
        self.old += 1
        if name in self._anew:
            return False
        self.records += 1
        self.digest = id_digest([name], self.digest)
        return True


def finish(
    target: Target, folder: Folder, ended: Manifest, parts: int, *, previous: Manifest | None, stop: Stop
) -> Manifest:
    """Put the file together, over the one that *previous* tells of if it is given, and write its manifest."""
    old = previous is not None
    tally = _Tally(ended, {str(json.loads(line)["id"]) for line in _lines(folder, parts, stop)} if old else set(), stop)
    with naming(folder.whole):
        assemble(target, _lines(folder, parts, stop), folder.whole, tally.stays if old else None)
        size, digest = _settled(folder.whole)
    manifest = attrs.evolve(ended, bytes=size, sha256=digest, records=tally.records, id_digest=tally.digest)
    if previous is not None:
        manifest = _continued(previous, manifest, tally.old)
    folder.whole.replace(target.path)
    write_whole(manifest_path(target.path), to_json(manifest))
    folder.clear()
    return manifest


def _lines(folder: Folder, parts: int, stop: Stop) -> Iterator[bytes]:
    for line in folder.lines(parts):
        stop.check()
        yield line


def _settled(path: Path) -> tuple[int, str]:
    """Make sure the file is on the disk; returns its bytes and its SHA-256."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _continued(previous: Manifest, whole: Manifest, old: int) -> Manifest:
    """Tell of the whole file what was told of its earlier rows and is told of the new ones.

    Raises:
        ConfigurationError: the old file has other rows than those; an update may have been applied once, though.
    """
    if old not in {previous.records, whole.records}:
        msg = f"{previous.file} has {old} rows, and its manifest tells of {previous.records}"
        raise ConfigurationError(f"{msg}: export again with overwrite=True")
    return attrs.evolve(
        whole,
        filters=previous.filters,
        window_start=earliest(previous.window_start, whole.window_start),
        window_end=latest(previous.window_end, whole.window_end),
        proven=previous.proven and whole.proven,
        doubts=tuple(dict.fromkeys((*previous.doubts, *whole.doubts))),
    )
