"""The work folder beside the file: parts, the state that names them, and the lock.

The rule: what counts is what `state.json` names, and it is replaced in one step after the part it names last is safe on
the disk. So a process may be killed between any two instructions: what the state does not name is swept away, and what
it names is whole. A folder without a state holds nothing, and is left over where a file system does not let it go.

The lock is one of the kernel (flock), which ends with the process that holds it. Where Python has none (Windows), and
on file systems without locks, two exports of one file at once are not told apart.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import attrs
import msgspec

from .._lock import is_at, lock
from ..errors import ConfigurationError
from ._manifest import LeftOut, Manifest

Mode = Literal["export", "update"]
_LAYOUT = 1
_SUFFIX = ".parts"
_STATE, _LOCK, _WHOLE = "state.json", "lock", "whole"


@attrs.frozen(kw_only=True)
class State:
    """How far an export has come."""

    mode: Mode
    checkpoint: str = ""
    """Of the listing, after the last record of the last part; empty before the first."""
    filters: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Of the listing."""
    columns: tuple[str, ...] = ()
    """Names of the fields in the parts: another version of this package may know others."""
    overwrite: bool = False
    since: date | None = None
    over: Manifest | None = None
    """The manifest of the file that an update began with."""
    parts: tuple[int, ...] = ()
    """Bytes of each part."""
    records: int = 0
    id_digest: str = ""
    window_start: datetime | None = None
    window_end: datetime | None = None
    invalid: tuple[LeftOut, ...] = ()
    ended: Manifest | None = None
    """What there is to tell of the listing, once it has ended; the file is not yet put together."""
    ids: str = ""
    """Digest of the ids in the file that an update is about to put in place, or has."""
    done: bool = False
    """Whether file and manifest are whole, and the parts may be gone."""
    layout: int = _LAYOUT

    @property
    def kept(self) -> bool:
        """Whether there is something to go on with."""
        return not self.done and (bool(self.parts) or self.ended is not None)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name never stands for half of it, not even after a power cut."""
    draft = path.with_name(f"{path.name}.new")
    with naming(draft), draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@contextmanager
def naming(path: Path) -> Generator[None]:
    """Let an error of the system, such as that of a full disk, tell which file it is about."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        elif error.filename is None:  # a name would take the place of its message
            error.add_note(f"while writing {path}")
        raise


class Folder:
    """The work folder of one file, held by one export at a time: `with Folder(path) as folder`."""

    def __init__(self, file: Path) -> None:
        self.file = file.resolve()
        """Behind a symbolic link, the file it leads to."""
        self.path = self.file.with_name(f"{self.file.name}{_SUFFIX}")
        self.whole = self.path / _WHOLE
        """Where the file is put together."""
        self.kept = False
        """Whether the state names something to go on with."""
        self._held = ExitStack()

    def __enter__(self) -> Self:
        if not self.path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the folder to export to does not exist", str(self.path.parent))
        if self.file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self.file))
        locked = False
        while not locked:
            self.path.mkdir(0o700, exist_ok=True)
            with suppress(FileNotFoundError):  # an export that came to its end removed the folder meanwhile
                locked = self._locked()
        return self

    def _locked(self) -> bool:
        """Take the lock; false when its file is no longer the one in the folder."""
        path = self.path / _LOCK
        with ExitStack() as stack:
            file = stack.enter_context(path.open("ab"))
            if not lock(file):
                msg = f"another export to {self.path.name.removesuffix(_SUFFIX)} is running: one at a time"
                raise ConfigurationError(msg)
            if not is_at(file, path):
                return False
            self._held = stack.pop_all()
        return True

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Let go of the folder; without a state, it is removed."""
        gone = not (self.path / _STATE).exists()
        with suppress(OSError):  # Windows removes no open file, and what is left over does no harm
            if gone:
                self.sweep(0)
                (self.path / _LOCK).unlink()
                self.path.rmdir()
        self._held.close()

    def load(self) -> State | None:
        """Read how far an unfinished export has come; `None` when there is none.

        Raises:
            ConfigurationError: the state or a part is damaged; the message names the file.
        """
        path = self.path / _STATE
        try:
            state = msgspec.json.decode(path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise self._damaged(path) from None
        if state.layout != _LAYOUT:
            raise self._damaged(path)
        for number, size in enumerate(state.parts):
            part = self._part(number)
            if not part.is_file() or part.stat().st_size != size:
                raise self._damaged(part)
        self.kept = state.kept
        return state

    def _damaged(self, path: Path) -> ConfigurationError:
        return ConfigurationError(f"{path} is damaged: remove {self.path.name}, and export from the beginning")

    def _part(self, number: int) -> Path:
        return self.path / f"part-{number:06}.jsonl"

    def save(self, state: State) -> None:
        """Replace the state."""
        write_whole(self.path / _STATE, msgspec.json.encode(state))
        self.kept = state.kept

    def keep(self, lines: Sequence[bytes], state: State) -> State:
        """Write one more part, if there are lines for one, and the state that names it; returns that."""
        if lines:
            content = b"".join(lines)
            write_whole(self._part(len(state.parts)), content)
            state = attrs.evolve(state, parts=(*state.parts, len(content)))
        self.save(state)
        return state

    def sweep(self, parts: int) -> None:
        """Remove all but the state, the lock, and the first *parts* parts."""
        named = {self.path / _STATE, self.path / _LOCK, *map(self._part, range(parts))}
        for path in set(self.path.iterdir()) - named:
            path.unlink()

    def lines(self, parts: int) -> Iterator[bytes]:
        """Read the records of the first *parts* parts, line by line."""
        for number in range(parts):
            with self._part(number).open("rb") as file:
                yield from file

    def end(self, state: State) -> None:
        """Let go of the parts, now that file and manifest are whole; until they are gone, the state says so."""
        self.save(attrs.evolve(state, parts=(), over=None, done=True))
        with suppress(OSError):  # what is left over does no harm
            self.sweep(0)
            self.clear()

    def clear(self) -> None:
        """Forget the state: from now on the folder holds nothing."""
        (self.path / _STATE).unlink()


def begun(to: str | Path) -> Mapping[str, str]:
    """Tell the filters that an interrupted run waits to go on with; none without such a run.

    Raises:
        ConfigurationError: its state or a part is damaged; the message names the file.
    """
    state = Folder(Path(to)).load()
    return state.filters if state is not None and state.kept else {}
