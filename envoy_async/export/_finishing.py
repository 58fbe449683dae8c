"""Parts into the file: the half of an export that needs no server.

The rule: the file is put together in the work folder, made safe on the disk, and given its name in one step; then comes
the manifest, and at last the state goes. Done twice, it gives the same bytes: an update that is repeated replaces the
rows it has added by themselves. What stays of the old file is what its manifest tells of, or nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Set as AbstractSet
from pathlib import Path

import attrs

from ..errors import ConfigurationError
from ._folder import Folder, State, naming, write_whole
from ._formats import Target, assemble
from ._listing import earliest, latest
from ._manifest import Manifest, id_hash, in_hex, manifest_path, to_json
from ._threads import Stop

_LAST_DAYS = frozenset({"end_date", "time_period"})
_DOUBT = "an update rests on what the server's days mean, which is not documented"


class _Tally:
    """Decides which rows of the old file stay, counts them, and ends the work when it is no longer wanted."""

    def __init__(self, ended: Manifest, anew: AbstractSet[str], stop: Stop) -> None:
        self._records, self._sum = ended.records, int(ended.id_digest, 16)
        self._old_records, self._old_sum = 0, 0
        self._anew, self._stop = anew, stop

    def stays(self, name: str) -> bool:
        """Whether the row with this id stays: it does unless it came anew."""
        self._stop.check()
        number = id_hash(name)
        self._old_records += 1
        self._old_sum += number
        if name in self._anew:
            return False
        self._records += 1
        self._sum += number
        return True

    @property
    def whole(self) -> tuple[int, str]:
        """How many records are in the new file, and the digest of their ids."""
        return self._records, in_hex(self._sum)

    @property
    def old(self) -> tuple[int, str]:
        """How many rows were in the old file, and the digest of their ids."""
        return self._old_records, in_hex(self._old_sum)


def finish(target: Target, folder: Folder, state: State, ended: Manifest, stop: Stop) -> Manifest:
    """Put the file together from what *state* names and *ended* tells of, and write its manifest."""
    parts, over = len(state.parts), state.over
    anew = {str(json.loads(line)["id"]) for line in _lines(folder, parts, stop)} if over else set[str]()
    tally = _Tally(ended, anew, stop)
    with naming(folder.whole):
        assemble(target, _lines(folder, parts, stop), folder.whole, tally.stays if over else None)
        size, digest = _settled(folder.whole)
    records, ids = tally.whole
    manifest = attrs.evolve(ended, bytes=size, sha256=digest, records=records, id_digest=ids)
    if over is not None:
        _check(over, tally, state.ids)
        manifest = _continued(over, manifest)
        folder.save(attrs.evolve(state, ids=ids))
    if target.path.exists():
        shutil.copymode(target.path, folder.whole)
    folder.whole.replace(target.path)
    write_whole(manifest_path(target.path), to_json(manifest))
    folder.end(state)
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


def _check(previous: Manifest, tally: _Tally, applied: str) -> None:
    """Refuse an old file with other ids than its manifest tells of; this update may have been applied once, though."""
    rows, ids = tally.old
    if ids not in {previous.id_digest, applied}:
        other = " with other ids" if rows == previous.records else ""
        msg = f"{previous.file} has {rows} rows, and its manifest tells of {previous.records}{other}"
        raise ConfigurationError(f"{msg}: export again with overwrite=True")


def _continued(previous: Manifest, whole: Manifest) -> Manifest:
    """Tell of the whole file what was told of its earlier rows and is told of the new ones."""
    told = attrs.evolve(
        whole,
        filters={name: value for name, value in previous.filters.items() if name not in _LAST_DAYS},
        window_start=earliest(previous.window_start, whole.window_start),
        window_end=latest(previous.window_end, whole.window_end),
        proven=previous.proven and whole.proven,
        doubts=tuple(dict.fromkeys((*previous.doubts, *whole.doubts))),
    )
    if whole.since is None:  # all was read again
        return told
    return attrs.evolve(
        told,
        skipped=previous.skipped + whole.skipped,
        invalid=(*previous.invalid, *whole.invalid),
        proven=False,
        doubts=tuple(dict.fromkeys((*told.doubts, _DOUBT))),
    )
