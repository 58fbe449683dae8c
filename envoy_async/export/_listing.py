"""A listing into parts: the half of an export that talks to the server.

The rule: the event loop does not wait for a disk, and at most one part is held in memory. Whatever ends the listing
early, cancellation included, what was fetched is kept: the last part is then written on the spot, since who is
cancelled should not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

import attrs

from .. import __version__
from .._paging import Pages, Record, Report
from ._cells import line
from ._folder import Folder, State
from ._formats import Target
from ._manifest import Drift, LeftOut, Manifest, id_digest
from ._threads import in_thread

T = TypeVar("T", bound=Record)
Progress = Callable[[Report], None]
_RECORDS, _PAGES = 1_000, 10  # of a part


class Part(Generic[T]):
    """The records of a listing that wait to be written, and what is counted over all of them."""

    def __init__(self, pages: Pages[T], target: Target, state: State) -> None:
        self.state = state
        self._pages, self._target = pages, target
        self._before, self._known = state.invalid, len(pages.report.invalid)
        self._lines: list[bytes] = []
        self._added = 0
        self._torn = False

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        return len(self._lines) >= _RECORDS or self._added >= _PAGES

    def add(self, records: Sequence[T]) -> None:
        """Take in the records of one page, after which the listing stands."""
        self._torn = True
        self._added += 1
        self._lines += [line(self._target.columns, record) for record in records]
        created = _times(records)
        self.state = attrs.evolve(
            self.state,
            records=self.state.records + len(records),
            id_digest=id_digest((record.id for record in records), self.state.id_digest),
            window_start=earliest(self.state.window_start, *created),
            window_end=latest(self.state.window_end, *created),
        )
        self._torn = False

    def stand(self) -> None:
        """Note where the listing stands now."""
        new = (LeftOut(page=it.page, index=it.index, path=it.path) for it in self._pages.report.invalid[self._known :])
        self.state = attrs.evolve(self.state, checkpoint=self._pages.checkpoint(), invalid=(*self._before, *new))

    def end(self) -> None:
        """Note that the listing has ended, and what there is to tell of it."""
        self.stand()
        self.state = attrs.evolve(self.state, ended=draft(self._pages, self._target, self.state))

    def take(self) -> list[bytes]:
        """Hand out the lines that wait."""
        lines, self._lines, self._added = self._lines, [], 0
        return lines

    def write(self, folder: Folder) -> None:
        """Write the part, and the state that names it."""
        self.state = folder.keep(self._lines, self.state)
        self.take()

    def rescue(self, folder: Folder) -> None:
        """Write what waits, unless a page was only half taken in: it cannot be told what of it to keep."""
        if not self._torn:
            self.stand()
            self.write(folder)


def _times(records: Sequence[object]) -> list[datetime]:
    found = (getattr(record, "created_at", None) for record in records)
    return [time for time in found if isinstance(time, datetime)]


def earliest(*times: datetime | None) -> datetime | None:
    """Return the earliest of the times that are known."""
    return min(filter(None, times), default=None)


def latest(*times: datetime | None) -> datetime | None:
    """Return the latest of the times that are known."""
    return max(filter(None, times), default=None)


async def gather(pages: Pages[T], target: Target, folder: Folder, state: State, progress: Progress | None) -> State:
    """Read the listing to its end, and keep it in parts; returns the state, which says so."""
    part = Part(pages, target, state)
    try:
        async with aclosing(pages.by_page()) as steps:
            async for page in steps:
                part.add(page.items)
                if part.full:
                    part.stand()
                    await in_thread(partial(part.write, folder))
                if progress is not None:
                    progress(pages.report)
        part.end()
        await in_thread(partial(part.write, folder))
    except BaseException:
        with suppress(OSError):  # a disk that is full stays so, and the last state stands
            part.rescue(folder)
        raise
    return part.state


def _drift(report: Report) -> Drift:
    start, end = report.total_at_start, report.total_at_end
    return Drift(repeated=report.repeated, stepped_back=report.stepped_back, total_at_start=start, total_at_end=end)


def draft(pages: Pages[T], target: Target, state: State) -> Manifest:
    """Say what there is to say of a listing that has ended; of the file, nothing is known yet."""
    report = pages.report
    return Manifest(
        operation=pages.operation,
        filters=dict(pages.filters),
        item=pages.item.__name__,
        format=target.format,
        file=target.path.name,
        bytes=0,
        sha256="",
        records=state.records,
        id_digest=state.id_digest or id_digest(()),
        since=state.since,
        window_start=state.window_start,
        window_end=state.window_end,
        pages=report.pages,
        requests=report.requests,
        retries=max(0, report.requests - report.pages),
        rate_limited=report.rate_limited,
        waited=round(report.waited, 3),
        drift=_drift(report),
        skipped=report.skipped,
        invalid=state.invalid,
        strategy=report.strategy,
        proven=report.proven,
        doubts=report.doubts,
        version=__version__,
    )
