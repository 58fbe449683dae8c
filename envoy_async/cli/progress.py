"""How far a listing is, on stderr and for people only: records of the total, pages, rate, quota, time left, waits.

The rule: rate and time left come from what this run delivered, not from what an earlier one left behind, and nothing
is told that is not known yet. The time left is that of the rate, or that of the quota if this takes longer; a quota is
per minute (rate limit guide, seen). A narrow screen gets the more telling figures, and each of them whole.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .._paging import Report
from .tables import counted

_NOTICEABLE = 0.05  # seconds
_TELLING = 1.0  # seconds after which a rate says something
_WIDE = 100  # columns of a screen that has room for a longer bar and the time gone by
_BARS = (24, 8)
_CLOCK = 8  # columns
_MINUTE, _HOUR = 60, 3_600
_RANKS = ("records", "left", "quota", "rate", "pages", "waited", "refused")  # the first goes last


class Meter:
    """A progress bar that is drawn only on a terminal; use it with `with`."""

    def __init__(
        self, title: str, *, shown: bool = True, lasting: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        console = Console(stderr=True)
        wide = console.width >= _WIDE
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=_BARS[not wide]),
            TextColumn("{task.fields[detail]}"),
            *([TimeElapsedColumn()] if wide else []),
            console=console,
            disable=not (shown and sys.stderr.isatty()),
            transient=not lasting,
        )
        self._room = console.width - len(title) - _BARS[not wide] - _CLOCK * wide - len("⠋   ")
        self._task = self._progress.add_task(title, total=None, detail="")
        self._pace = Pace(clock)
        self._began = False

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._began:  # an empty bar tells nothing
            self._progress.live.transient = True
        self._progress.stop()

    def show(self, report: Report) -> None:
        """Draw where the listing stands."""
        self._began = True
        total = report.records if report.finished else report.total_at_start
        detail = fitting(told(report, self._pace.of(report)), self._room)
        self._progress.update(self._task, completed=report.records, total=total, detail=detail)

    def show_parts(self, done: int, total: int, records: int) -> None:
        """Draw how many parts of a plan are done, and how many records they hold."""
        self._began = True
        detail = f"{done:,}/{counted(total, 'part')} · {counted(records, 'record')}"
        self._progress.update(self._task, completed=done, total=total, detail=detail)


class Pace:
    """How many records per second a listing delivers, from the moment this was made, or from the first report on."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._before: int | None = None

    def of(self, report: Report) -> float | None:
        """Give the rate, or `None` while it is too early to tell.

        Records of the first report count as of this run only if they fit into its first page: a listing that was
        resumed begins with those of the runs before.
        """
        if self._before is None:
            self._before = 0 if report.pages <= 1 else report.records
        seconds = self._clock() - self._began
        fresh = report.records - self._before
        return fresh / seconds if fresh > 0 and seconds >= _TELLING else None


def told(report: Report, rate: float | None) -> dict[str, str]:
    """Write the figures of a listing, in the order in which they are shown; what is not known is left out."""
    of = "" if report.total_at_start is None else f"/{report.total_at_start:,}"
    parts = {"records": f"{report.records:,}{of}", "pages": counted(report.pages, "page")}
    if rate is not None:
        parts["rate"] = f"{rate:,.0f}/s" if rate >= 1 else f"{rate * _MINUTE:,.0f}/min"
    if report.quota_left is not None and report.quota_limit:
        parts["quota"] = f"quota {report.quota_left:,}/{report.quota_limit:,}"
    left = _left(report, rate)
    if left is not None:
        parts["left"] = f"{span(left)} left"
    if report.waited > _NOTICEABLE:
        parts["waited"] = f"{report.waited:.1f} s quota wait"
    if report.rate_limited:
        parts["refused"] = f"{report.rate_limited} refused"
    return parts


def fitting(parts: Mapping[str, str], room: int) -> str:
    """Join as many figures as there is room for; the least telling ones go first, the records never."""
    shown = dict(parts)
    for name in reversed(_RANKS[1:]):
        if len(_joined(shown)) > room:
            shown.pop(name, None)
    return _joined(shown)


def _joined(parts: Mapping[str, str]) -> str:
    return " · ".join(parts.values())


def _left(report: Report, rate: float | None) -> float | None:
    """Estimate the seconds until the end; `None` when neither rate nor quota tell them."""
    if report.finished or report.total_at_start is None:
        return None
    records = max(0, report.total_at_start - report.records)
    seconds = None if rate is None else records / rate
    if report.quota_left is None or not report.quota_limit or not report.records:
        return seconds
    waiting = records * report.pages / report.records - report.quota_left  # pages
    return max(seconds or 0.0, waiting / report.quota_limit * _MINUTE) if waiting > 0 else seconds


def span(seconds: float) -> str:
    """Write a span of time, as exact as people need it."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{round(seconds / _MINUTE)} min"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
