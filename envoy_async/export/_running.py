"""Export and update: what is refused, what goes on, and the file at the end.

The rule: all that can be refused is refused before the first request. The file appears in one step, then its manifest,
and the work folder goes last; killed between these, a resumed run does the rest, and asks the server for nothing.

An update counts its days from the newest `created_at`, so that this machine's clock has no say in what is fetched.
Nor has `updated_at`: a record that was changed today says nothing of those that were made yesterday. The zone in which
the server counts days is not known, so less than a day of overlap could miss records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs

from .._paging import Pages, Record
from ..errors import CheckpointMismatchError, ConfigurationError
from ._finishing import finish
from ._folder import Folder, Mode, State
from ._formats import Target, target_of
from ._listing import Progress, gather
from ._manifest import Manifest
from ._stdout import STDOUT, to_stdout
from ._threads import Stop, in_thread

T = TypeVar("T", bound=Record)
_DAYS = frozenset({"start_date", "end_date", "time_period"})


async def export(
    pages: Pages[T],
    to: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write a listing to a file, whole or not at all, and its manifest beside it.

    The ending names the format: `.jsonl`, `.ndjson`, `.csv` (each also with `.gz` or `.zst` behind it), or `.parquet`.
    Until the listing has ended, its records lie in the folder `<name>.parts`.

    Args:
        pages: the listing, from its beginning.
        to: the file; `-` writes JSON lines to standard output, without a manifest.
        resume: go on with an export that was interrupted; begin when there is none.
        overwrite: replace the file if there is one, and drop what an interrupted export left unless it is resumed.
        progress: is told the listing's report after each page.

    Returns:
        The manifest.

    Raises:
        ConfigurationError: no such format, a file that exists, another export that is running or unfinished, or
            a damaged work folder; nothing was sent.
        CheckpointMismatchError: the interrupted export is of another listing.
        OSError: the disk is full, or the folder missing; what was fetched is kept.
    """
    if str(to) == STDOUT:
        return await to_stdout(pages, progress, plain=not (resume or overwrite))
    target = target_of(to, pages.item)
    with Folder(target.path) as folder:
        state = None if overwrite and not resume else _unfinished(folder, "export", resume=resume)
        done = _done(folder, target, pages) if resume and not overwrite else None
        if done is not None:
            return done
        ours = state is not None and (state.overwrite or state.ended is not None)
        if target.path.exists() and not overwrite and not ours:
            msg = f"{target.path} exists already: pass overwrite=True to replace it"
            raise ConfigurationError(msg)
        state = state or _begun(State(mode="export", overwrite=overwrite), pages, target)
        return await _run(pages, target, folder, state, progress)


async def update(
    listing: Callable[[date | None], Pages[T]],
    to: str | Path,
    *,
    overlap: timedelta = timedelta(days=2),
    resume: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Bring an exported file up to date: what is new or changed since its manifest replaces or joins what is there.

    Rows that stay keep their order, and those that came anew follow in the order of the listing. Rows the server has
    deleted stay. Only the ids of the new records are held in memory. Without a file, the whole listing is exported.

    Args:
        listing: makes the listing from a first day on, or the whole one for `None`.
        to: the file.
        overlap: how long before the newest record of the file to begin, for records that changed late.
        resume: go on with an update that was interrupted; begin when there is none.
        progress: is told the listing's report after each page.

    Returns:
        The manifest of the whole file; its counts of pages and requests are those of this update. It is not proven
        to be complete when days were asked for, since what the server takes for a day is not documented.

    Raises:
        ConfigurationError: as `export`, or a file without a manifest, that was changed, or whose records have no `id`.
        CheckpointMismatchError: the file, or the interrupted update, is of another listing.
        OSError: the disk is full, or the folder missing; what was fetched is kept.
    """
    if str(to) == STDOUT or overlap < timedelta(0):
        msg = "an update needs a file to work on, and an overlap that is not negative"
        raise ConfigurationError(msg)
    with Folder(Path(to)) as folder:
        path = folder.file
        state = _unfinished(folder, "update", resume=resume)
        previous = _previous(path) if state is None else _same(path, folder, state)
        since = _first_day(previous, overlap) if state is None else state.since
        pages = listing(since)
        target = _updatable(target_of(to, pages.item))
        if previous is not None:
            _compare(previous, pages, since)
        state = state or _begun(State(mode="update", since=since, over=previous), pages, target)
        return await _run(pages, target, folder, state, progress)


def _unfinished(folder: Folder, mode: Mode, *, resume: bool) -> State | None:
    """Give the state of the interrupted run that is to go on; `None` for a new one."""
    state = folder.load()
    if state is None or not state.kept:
        return None
    if state.mode != mode:
        msg = f"{folder.path} holds an unfinished {state.mode}: go on with {state.mode}(resume=True), or remove it"
        raise ConfigurationError(msg)
    if not resume:
        msg = f"{folder.path} holds an unfinished {mode}: go on with resume=True, or remove it"
        raise ConfigurationError(msg)
    return state


def _done(folder: Folder, target: Target, pages: Pages[T]) -> Manifest | None:
    """Give the manifest of an export of this listing that was killed while it cleaned up."""
    state, found = folder.load(), Manifest.beside(target.path)
    if state is None or not state.done or found is None or not target.path.exists():
        return None
    if (state.mode, found.operation, dict(found.filters)) != ("export", pages.operation, dict(pages.filters)):
        return None
    folder.clear()
    return found


def _begun(state: State, pages: Pages[T], target: Target) -> State:
    return attrs.evolve(state, filters=dict(pages.filters), columns=target.names)


def _previous(path: Path) -> Manifest | None:
    """Read what the file tells of itself; `None` when it is still to be made."""
    if not path.exists():
        return None
    found = Manifest.beside(path)
    if found is None:
        msg = f"{path} has no manifest to go on from: export it again with overwrite=True"
        raise ConfigurationError(msg)
    return found


def _same(path: Path, folder: Folder, state: State) -> Manifest | None:
    """Give the manifest that an interrupted update began with, if the file is still that one, or its own."""
    found = Manifest.beside(path) if path.exists() else None
    if state.over is None:
        changed = path.exists() and state.ended is None
    else:
        changed = found is None or (state.ended is None and found.id_digest != state.over.id_digest)
    if changed:
        msg = f"{path} is no longer the file that this update began with: remove {folder.path.name}, and begin anew"
        raise ConfigurationError(msg)
    return state.over


def _first_day(previous: Manifest | None, overlap: timedelta) -> date | None:
    """Give the day to begin with, which is never before the first one that the file was made for."""
    end = None if previous is None else previous.window_end
    if previous is None or end is None:
        return None
    try:
        day = end.astimezone(UTC).date() - overlap - timedelta(days=bool(overlap % timedelta(days=1)))
    except OverflowError:
        msg = f"an overlap of {overlap.days} days before {end:%Y-%m-%d} reaches beyond the calendar"
        raise ConfigurationError(msg) from None
    with suppress(KeyError, ValueError):
        return max(day, date.fromisoformat(previous.filters["start_date"]))
    return day


def _updatable(target: Target) -> Target:
    if "id" not in {column.name for column in target.columns}:
        msg = f"{target.item.__name__} records have no field id to tell them apart by: export them anew"
        raise ConfigurationError(msg)
    return target


def _compare(previous: Manifest, pages: Pages[T], since: date | None) -> None:
    """Refuse to mix two listings in one file, or to leave a gap; what is made from the first day may differ."""
    moving = {name for name, value in pages.filters.items() if since is not None and str(since) in value} | _DAYS

    def lasting(filters: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in filters.items() if name not in moving}

    if previous.operation != pages.operation or lasting(previous.filters) != lasting(pages.filters):
        msg = f"{previous.file} is of another listing ({previous.operation}): give this one a file of its own"
        raise CheckpointMismatchError(msg)
    first = pages.filters.get("start_date", "")
    if since is not None and first > str(since):
        msg = f"the listing begins on {first}, and the update has to begin on {since}, or records could be missing"
        raise ConfigurationError(msg)


async def _run(pages: Pages[T], target: Target, folder: Folder, state: State, progress: Progress | None) -> Manifest:
    """Read what is left of the listing, and put the file together."""
    try:
        if state.kept:
            _resume(pages, target, folder, state)
        else:
            folder.save(state)
        folder.sweep(len(state.parts))
        while (ended := state.ended) is None:
            state = await gather(pages, target, folder, state, progress)
        stop = Stop()
        return await in_thread(partial(finish, target, folder, state, ended, stop), stop)
    except BaseException as error:
        if folder.kept and not isinstance(error, ConfigurationError | CheckpointMismatchError):
            error.add_note(f"what was fetched is kept in {folder.path}: go on with resume=True")
        raise


def _resume(pages: Pages[T], target: Target, folder: Folder, state: State) -> None:
    pages.resume(state.checkpoint)
    if state.columns != target.names:
        msg = f"{folder.path} was begun by another version: remove it, and export from the beginning"
        raise ConfigurationError(msg)
