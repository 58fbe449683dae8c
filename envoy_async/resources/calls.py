"""Calls: phone calls placed and taken."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from .._converter import OnInvalid
from .._paging import Order, Pages, Strategy
from ..errors import Reconciliation, refused
from ..models import Call, CallDirection, CallRecording, EndCallResult
from ._looking import Look
from ._recording import Recordings

_FILTERED = "a filter on a field that may change, or whose meaning is not known, lets records come and go anywhere"
_OTHER_ORDER = "in another order than newest first, records come in where the count hides that others went"
_TELLING = ("load_id", "phone_number", "to_number")


class Calls(Recordings):
    """The calls of the organization."""

    async def create(self, *, extra: Mapping[str, object] | None = None) -> Call:
        """Place a phone call. Unsafe: never sent again once it may have run.

        Source: `POST /calls` (inferred: only the title and the method are known, so the body is yours).

        Args:
            extra: the fields of the request body.

        Raises:
            OutcomeUnknownError: the call may have been placed; `reconcile` looks through the latest calls, when
                `load_id`, `phone_number`, or `to_number` was sent (that these mean the same there is assumed).
        """
        return await self._call(Call, "POST", "/calls", body={}, extra=extra, look=_look_for_call)

    def list(
        self,
        *,
        status: str | None = None,
        time_period: str | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
        search: str | None = None,
        order_by: str | None = None,
        order_desc: bool | None = None,
        page: int = 1,
        page_size: int = 100,
        limit: int | None = None,
        strategy: Strategy | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> Pages[Call]:
        """List calls, newest first unless ordered otherwise. Source: `GET /calls` (seen).

        Args:
            status: keep calls in this status.
            time_period: a named period; `custom` is the only name known, and is meant when days are given.
            start_date: first day; goes with `end_date`. The zone the server counts days in is not known.
            end_date: last day; goes with `start_date`.
            search: matches phone number, workflow, or load.
            order_by: field to sort on; the server's default is `created_at`.
            order_desc: whether to sort downwards; the server's default is true.
            page: page to begin with, counted from 1.
            page_size: records per request, 1 to 100.
            limit: most records to deliver; `None` for all.
            strategy: how to keep up while rows come and go; `None` for the best that fits; `windows` needs days.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        days = _days(time_period, start_date, end_date)
        query = {"status": status, **days, "search": search, "order_by": order_by, "order_desc": order_desc}
        return self._pages(
            Call,
            "/calls",
            query=query,
            page=page,
            page_size=page_size,
            limit=limit,
            order=_order(query, start_date, end_date),
            strategy=strategy,
            on_invalid=on_invalid,
        )

    async def get(self, call_id: str) -> Call:
        """Return one call. Source: `GET /calls/{call_id}` (seen)."""
        return await self._call(Call, "GET", "/calls/{call_id}", ids={"call_id": call_id})

    async def join(self, call_id: str, *, extra: Mapping[str, object] | None = None) -> dict[str, object]:
        """Join a call. Unsafe: never sent again once it may have run.

        Source: `POST /calls/{call_id}/join` (inferred: path, body, and answer are assumed).

        Args:
            call_id: the call.
            extra: the fields of the request body; without them no body is sent.

        Raises:
            OutcomeUnknownError: the call may have been joined; `reconcile` gives the call, which does not tell.
        """

        async def look(at: Look) -> Reconciliation:
            return _joined(await Calls(at.send).get(call_id))

        return await self._call(
            dict[str, object], "POST", "/calls/{call_id}/join", ids={"call_id": call_id}, extra=extra, look=look
        )

    async def end(self, call_id: str) -> EndCallResult:
        """End a live or scheduled call; harmless when it has ended. Source: `POST /calls/{call_id}/end` (seen)."""
        return await self._call(EndCallResult, "POST", "/calls/{call_id}/end", ids={"call_id": call_id})

    async def recording(self, call_id: str) -> CallRecording:
        """Return where to play the recording; the address expires. Source: `GET /calls/{call_id}/recording` (seen)."""
        return await self._recording(call_id)


def _days(period: str | None, start_date: date | None, end_date: date | None) -> dict[str, object]:
    """Check the two days: both or neither, and days, since a time of day has no meaning there."""
    days: dict[str, date | None] = {"start_date": start_date, "end_date": end_date}
    for name, value in days.items():
        if value is not None and type(value) is not date:
            raise refused(name, f"{name} must be a datetime.date (a day), not a {type(value).__name__}")
        if value is None and any(days.values()):
            raise refused(name, "start_date and end_date go together: give both or neither")
    return {"time_period": period or ("custom" if start_date else None), **days}


def _order(query: Mapping[str, object], first: date | None, last: date | None) -> Order:
    newest_first = query["order_by"] in {None, "created_at"} and query["order_desc"] is not False
    doubt = None if newest_first else _OTHER_ORDER
    if any(value is not None for name, value in query.items() if not name.startswith("order_")):
        doubt = _FILTERED
    days = None if first is None or last is None else (first, last)
    return Order(doubt=doubt, newest_first=newest_first, days=days)


async def _look_for_call(at: Look) -> Reconciliation:
    if not any(at.sent.get(name) for name in _TELLING):
        why = f"nothing that was sent tells one call from another: needs {', '.join(_TELLING[:-1])}, or {_TELLING[-1]}"
        return Reconciliation(outcome="ambiguous", why=why)
    # newest first (seen), and without a filter: how `search` compares numbers is not known
    pages = Calls(at.send).list()
    return await at.search("call", pages, _TELLING, any_of=True, newest_first=True, unless=_came_in)


def _came_in(call: Call) -> bool:
    return call.call_direction == CallDirection.INBOUND


def _joined(call: Call) -> Reconciliation:
    why = f"the call is {call.status}; nothing in it tells who has joined it"
    return Reconciliation(outcome="ambiguous", candidates=(call,), looked_at=f"call {call.id}", why=why)
