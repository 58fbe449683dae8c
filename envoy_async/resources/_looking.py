"""One look for what an unsafe operation may have done.

The rule: a look reads. It sends through the client that sent the operation, so with its gate, retries, and errors, and
lets nothing but a GET through. What was sent is read from the request itself, which nobody can have changed since.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias, TypeVar, cast

from .._headers import http_date
from .._paging import Pages, Report
from .._wire import Attempt, Request, Response, Send
from ..errors import ConfigurationError, Reconciliation
from ._judging import Window, alike, identical, judge_changed, judge_new, window

Clock: TypeAlias = Callable[[], datetime]
_CALENDAR = range(1000, 9999)  # years in which there is room around a date
_SECOND = timedelta(seconds=1)  # `Date` is cut to whole seconds


class Made(Protocol):
    """A record that says when it was made."""

    @property
    def id(self) -> str:
        """The record's id."""
        ...

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        ...


R = TypeVar("R", bound=Made)


class Look:
    """One look after one request, which was sent at *began* and given up at *ended*."""

    def __init__(self, send: Send, clock: Clock, request: Request, began: datetime, ended: datetime) -> None:
        self._send, self._clock = send, clock
        self._request, self._began, self._ended = request, began, ended
        self._ahead: tuple[timedelta, timedelta] | None = None

    @property
    def sent(self) -> dict[str, object]:
        """The fields that were sent."""
        return cast("dict[str, object]", json.loads(self._request.body or b"{}"))

    @property
    def window(self) -> Window:
        """When a record of ours was made; known once there was an answer."""
        return window(self._began, self._ended, self._ahead)

    async def send(self, request: Request) -> Response:
        """Send a GET, and learn from the first answer with a `Date` how far the two clocks are apart."""
        if request.method != "GET":
            raise ConfigurationError("a look sends GET requests only")
        asked = self._clock()
        response = await self._send(request)
        moment = http_date(response.headers.get("Date"))
        if self._ahead is None and moment is not None and moment.year in _CALENDAR:
            now = self._clock()
            self._ahead = (moment - now, moment + _SECOND - started(asked, now, response.attempts))
        return response

    async def search(
        self,
        noun: str,
        pages: Pages[R],
        by: Sequence[str],
        *,
        any_of: bool = False,
        newest_first: bool = False,
        unless: Callable[[R], bool] = lambda _: False,
        then: str = "",
    ) -> Reconciliation:
        """Look through a listing for the record that the request may have made.

        Args:
            noun: what a record is called.
            pages: the listing, made with `send`.
            by: the fields that tell one record from another.
            any_of: whether one of them is enough.
            newest_first: whether what follows a record is older than it.
            unless: tells a record that cannot be ours.
            then: what to do about a record that is found.
        """
        sent, near, count, past = self.sent, list[R](), 0, False
        async for record in pages:
            if newest_first and record.created_at < self.window.first:
                past = True
                break
            count += 1
            if self.window.near(record.created_at) and alike(record, sent, by, any_of=any_of) and not unless(record):
                near.append(record)
        ours = bool(near) and self.window.within(near[0].created_at) and identical(near[0], sent)
        looked_at = f"{count} records, for one {noun} made {self.window}"
        return judge_new(noun, near, ours=ours, whole=past or _is_whole(pages.report), looked_at=looked_at, then=then)

    def changed(self, noun: str, record: Made, then: str = "") -> Reconciliation:
        """Judge a record that the request may have changed; it was read with `send`."""
        looked_at = f"{noun} {record.id}, for a change {self.window}"
        same = identical(record, self.sent)
        return judge_changed(noun, record, self.window, same=same, looked_at=looked_at, then=then)


LookFor: TypeAlias = Callable[[Look], Awaitable[Reconciliation]]


def started(asked: datetime, now: datetime, attempts: Sequence[Attempt]) -> datetime:
    """Tell when the last attempt of a call was sent, which was asked for at *asked* and is over at *now*."""
    waited = timedelta(seconds=attempts[-1].started if attempts else 0.0)
    return min(asked + waited, now)


def _is_whole(report: Report) -> bool:
    """Whether a listing read to its end has missed nothing: proven, or as many records as there were all along."""
    counted = report.records == report.total_at_end == report.total_at_start
    return report.proven or (report.finished and counted)
