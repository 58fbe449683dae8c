"""Where parts go: a folder of this machine, or what fsspec reaches.

The rule: a part that is there is whole. In a folder the export itself sees to that, so a killed worker's part is gone
on with, and the kernel lets only one write it. In an object storage there is neither: the part is exported into a
folder for temporary files, its manifest is uploaded, and then the part, each under a name of its own and moved. So a
manifest without a part is what a killed worker left, and a part without a manifest is somebody else's.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import attrs

from .._lock import lock
from .._paging import Pages, Record
from ..export import Manifest, export
from ..export._folder import Folder, naming, write_whole
from ..export._manifest import manifest_path, to_json
from ..export._threads import in_thread
from ..export.recordings import Remote, remote


class Place(Protocol):
    """A target of parts; all but `fetch` blocks."""

    def path(self, name: str) -> str:
        """Name a file in full."""
        ...

    def size(self, name: str) -> int | None:
        """Give the bytes of a file; `None` when it is not there."""
        ...

    def read(self, name: str) -> bytes | None:
        """Read a small file; `None` when it is not there."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""
        ...

    def make(self, folder: str) -> str:
        """Make a folder, and name it in full."""
        ...

    def local(self, name: str) -> AbstractContextManager[Path]:
        """Give a file as one of this machine, for as long as it is needed."""
        ...

    def busy(self, name: str) -> bool:
        """Whether another process writes this part just now."""
        ...

    def begun(self, name: str) -> bool:
        """Whether an export of this part has begun, and not come to its end."""
        ...

    async def fetch(self, pages: Pages[Record], name: str) -> Manifest:
        """Export a listing into a part."""
        ...


def place_of(to: str) -> Place:
    """Find the target that a path or a URL names."""
    return _Storage(remote(to)) if "://" in to else _Disk(Path(to))


@attrs.frozen
class _Disk:
    """A folder that this machine sees."""

    folder: Path

    def path(self, name: str) -> str:
        """Name a file in full."""
        return str(self.folder / name)

    def size(self, name: str) -> int | None:
        """Give the bytes of a file; `None` when it is not there."""
        try:
            return (self.folder / name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes | None:
        """Read a small file; `None` when it is not there."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""
        self.make(name.rpartition("/")[0])
        draft = self.folder / f"{name}.{secrets.token_hex(4)}"  # of nobody else who writes the same
        try:
            write_whole(draft, content)
            draft.replace(self.folder / name)
        finally:
            draft.unlink(missing_ok=True)

    def make(self, folder: str) -> str:
        """Make a folder, and name it in full."""
        path = self.folder / folder
        with naming(path):
            path.mkdir(parents=True, exist_ok=True)
        return str(path)

    @contextmanager
    def local(self, name: str) -> Generator[Path]:
        """Give a file as one of this machine, for as long as it is needed."""
        yield self.folder / name

    def busy(self, name: str) -> bool:
        """Whether another process writes this part just now."""
        try:
            with (Folder(self.folder / name).path / "lock").open("rb") as file:
                return not lock(file)
        except FileNotFoundError:
            return False

    def begun(self, name: str) -> bool:
        """Whether an export of this part has begun, and not come to its end."""
        return (Folder(self.folder / name).path / "state.json").exists()

    async def fetch(self, pages: Pages[Record], name: str) -> Manifest:
        """Export a listing into a part."""
        self.make(name.rpartition("/")[0])
        return await export(pages, self.folder / name, resume=True)


@attrs.frozen
class _Storage:
    """A storage that fsspec reaches."""

    remote: Remote

    def path(self, name: str) -> str:
        """Name a file in full."""
        return self.remote.path(name)

    def size(self, name: str) -> int | None:
        """Give the bytes of a file; `None` when it is not there."""
        self.remote.system.invalidate_cache()
        try:
            return int(self.remote.system.info(self._full(name))["size"])
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes | None:
        """Read a small file; `None` when it is not there."""
        try:
            return bytes(self.remote.system.cat_file(self._full(name)))
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""
        with tempfile.TemporaryDirectory(prefix="envoy-fleet-") as folder:
            path = Path(folder, name.rpartition("/")[2])
            path.write_bytes(content)
            self._put(path, name)

    def make(self, folder: str) -> str:
        """Make a folder, and name it in full."""
        return str(self.remote.system.unstrip_protocol(self._full(folder)))

    @contextmanager
    def local(self, name: str) -> Generator[Path]:
        """Give a file as one of this machine, for as long as it is needed."""
        with tempfile.TemporaryDirectory(prefix="envoy-fleet-") as folder:
            path = Path(folder, name.rpartition("/")[2])
            self.remote.system.get_file(self._full(name), str(path))
            yield path

    def busy(self, name: str) -> bool:  # noqa: ARG002 - nobody can tell, and each uploads a whole part
        """Whether another process writes this part just now."""
        return False

    def begun(self, name: str) -> bool:  # noqa: ARG002 - what a killed worker had fetched is lost with it
        """Whether an export of this part has begun, and not come to its end."""
        return False

    async def fetch(self, pages: Pages[Record], name: str) -> Manifest:
        """Export a listing into a part."""
        with tempfile.TemporaryDirectory(prefix="envoy-fleet-") as folder:
            path = Path(folder, name.rpartition("/")[2])
            manifest = await export(pages, path)
            await in_thread(partial(self._upload, path, name, to_json(manifest)))
        return manifest

    def _upload(self, path: Path, name: str, manifest: bytes) -> None:
        """Upload a part behind its manifest; when another worker did the same meanwhile, the manifest is the last's."""
        beside = manifest_name(name)
        self._put(manifest_path(path), beside)
        self._put(path, name)
        if self.read(beside) != manifest:
            self._put(manifest_path(path), beside)

    def _put(self, path: Path, name: str) -> None:
        folder = self._full(name.rpartition("/")[0])
        self.remote.system.makedirs(folder, exist_ok=True)
        attrs.evolve(self.remote, root=folder).put(path)

    def _full(self, name: str) -> str:
        return f"{self.remote.root}/{name}".rstrip("/")


def manifest_name(part: str) -> str:
    """Name the manifest of a part."""
    return f"{part}.manifest.json"
