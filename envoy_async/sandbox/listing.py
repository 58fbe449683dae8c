"""Filters, order, and pages of the listings, read from the query text.

Read in the documentation: the parameter names, defaults, ranges, and ``custom``. Assumptions of ours: the other
periods, that days are UTC days of ``created_at`` with both ends included, that dates without ``time_period`` filter
too, that an unknown status matches nothing, that a search ignores case, that empty values sort last, and that an
optional parameter that may be null is as good as left out when its text is empty or ``null``.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING

from .answers import Record, invalid, page_of, timestamp
from .store import newest_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LARGEST_PAGE = 100
PERIODS: Mapping[str, tuple[int, int]] = {  # first and last day, in days before today
    "today": (0, 0),
    "yesterday": (1, 1),
    "last_7_days": (6, 0),
    "last_30_days": (29, 0),
}
ABSENT = ("", "null")
SEARCHED = ("phone_number", "call_type", "load_number", "load_id")
TIMES = ("call_time", "created_at", "updated_at", "call_start_time", "call_end_time")
NUMBERS = ("phone_number", "to_number", "from_number", "load_number")
KINDS = ("status", "call_direction", "call_type", "recording_status")
IDS = ("id", "load_id", "organization_id", "created_by_id")
SORTABLE = frozenset((*TIMES, *NUMBERS, *KINDS, *IDS))
TRUTHS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def page_from(
    rows: list[Record], query: Mapping[str, str], *, show: Callable[[Record], Record] | None = None
) -> Record:
    """Give the page the query asks for; `show` turns the rows on it, and no others, into what is answered."""
    page = _whole(query, "page", default=1)
    page_size = _whole(query, "page_size", default=20)
    if page_size > LARGEST_PAGE:
        raise invalid("page_size", f"must be at most {LARGEST_PAGE}")
    if show is not None:
        here = slice((page - 1) * page_size, page * page_size)
        rows = [*rows]
        rows[here] = [show(row) for row in rows[here]]
    return page_of(rows, page=page, page_size=page_size)


def select_calls(calls: Iterable[Record], query: Mapping[str, str], now: float) -> list[Record]:
    """Filter and order calls; `now` in Unix seconds decides what today is."""
    first, last = _days(query, now)
    rows = list(calls)
    status, wanted = _given(query, "status"), (_given(query, "search") or "").casefold()
    if status is not None:
        rows = [call for call in rows if call["status"] == status]
    if first is not None:
        rows = [call for call in rows if str(call["created_at"])[:10] >= first]
    if last is not None:
        rows = [call for call in rows if str(call["created_at"])[:10] <= last]
    if wanted:
        rows = [call for call in rows if any(wanted in str(call[key] or "").casefold() for key in SEARCHED)]
    return _ordered(rows, query)


def read_truth(query: Mapping[str, str], param: str) -> bool | None:
    """Read an optional boolean that may be null."""
    text = _given(query, param)
    return None if text is None else _truth(text, param)


def _ordered(rows: list[Record], query: Mapping[str, str]) -> list[Record]:
    """Sort by the field asked for, ties by id, empty values last either way."""
    field = query.get("order_by", "created_at")
    if field not in SORTABLE:
        raise invalid("order_by", "not a sortable field")
    down = _truth(query.get("order_desc", "true"), "order_desc")
    if field == "created_at" and down:
        return newest_first(rows)
    filled = [row for row in rows if row[field] is not None]
    empty = [row for row in rows if row[field] is None]
    return sorted(filled, key=itemgetter(field, "id"), reverse=down) + sorted(empty, key=itemgetter("id"))


def _days(query: Mapping[str, str], now: float) -> tuple[str | None, str | None]:
    """Give the first and last day asked for, as ISO texts, which compare like days."""
    period = query.get("time_period")
    first, last = _day(query, "start_date"), _day(query, "end_date")
    if period is None:
        return first, last
    if period == "custom":
        for param, day in (("start_date", first), ("end_date", last)):
            if day is None:
                raise invalid(param, "field required")
        return first, last
    if period not in PERIODS:
        raise invalid("time_period", f"must be one of {', '.join(PERIODS)}, custom")
    today = date.fromisoformat(timestamp(now)[:10])
    oldest, newest = (today - timedelta(days=back) for back in PERIODS[period])
    return oldest.isoformat(), newest.isoformat()


def _day(query: Mapping[str, str], param: str) -> str | None:
    """Read an optional date such as 2025-11-21."""
    text = _given(query, param)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise invalid(param, "must be a date such as 2025-11-21")
    return text


def _given(query: Mapping[str, str], param: str) -> str | None:
    """Give the text of an optional parameter that may be null."""
    text = query.get(param)
    return None if text in ABSENT else text


def _truth(text: str, param: str) -> bool:
    """Read a boolean."""
    truth = TRUTHS.get(text.casefold())
    if truth is None:
        raise invalid(param, "must be a boolean")
    return truth


def _whole(query: Mapping[str, str], param: str, *, default: int) -> int:
    """Read a whole number of at least 1."""
    text = query.get(param, str(default))
    if not re.fullmatch(r"[0-9]{1,100}", text):
        raise invalid(param, "must be an integer of at least 1")
    if int(text) < 1:
        raise invalid(param, "must be at least 1")
    return int(text)
