"""How far a listing is, on stderr and for people only: records of the total, pages, waits for quota."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .._paging import Report
from .tables import counted

_NOTICEABLE = 0.05  # seconds


class Meter:
    """A progress bar that is drawn only on a terminal; use it with `with`."""

    def __init__(self, title: str, *, shown: bool = True, lasting: bool = True) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not (shown and sys.stderr.isatty()),
            transient=not lasting,
        )
        self._task = self._progress.add_task(title, total=None, detail="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, report: Report) -> None:
        """Draw where the listing stands."""
        total = report.records if report.finished else report.total_at_start
        self._progress.update(self._task, completed=report.records, total=total, detail=_detail(report))


def _detail(report: Report) -> str:
    of = "" if report.total_at_start is None else f"/{report.total_at_start:,}"
    waited = f" · {report.waited:.1f} s quota wait" if report.waited > _NOTICEABLE else ""
    refused = f" · {report.rate_limited} refused" if report.rate_limited else ""
    return f"{report.records:,}{of} · {counted(report.pages, 'page')}{waited}{refused}"
