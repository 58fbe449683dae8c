"""Filters, order, and pages of the two listings, read from the query text.

Read in the documentation: the parameter names, defaults, ranges, and ``custom``. Assumptions of ours: the other
periods, that days are UTC days of ``created_at`` with both ends included, that dates without ``time_period`` filter
too, that an unknown status matches nothing, that a search ignores case, and that empty values sort last.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING

from .answers import Record, invalid, page_of, timestamp
from .store import newest_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LARGEST_PAGE = 100
PERIODS: Mapping[str, tuple[int, int]] = {  # first and last day, in days before today
    "today": (0, 0),
    "yesterday": (1, 1),
    "last_7_days": (6, 0),
    "last_30_days": (29, 0),
}
SEARCHED = ("phone_number", "call_type", "load_number", "load_id")
TIMES = ("call_time", "created_at", "updated_at", "call_start_time", "call_end_time")
NUMBERS = ("phone_number", "to_number", "from_number", "load_number")
KINDS = ("status", "call_direction", "call_type", "recording_status")
IDS = ("id", "load_id", "organization_id", "created_by_id")
SORTABLE = frozenset((*TIMES, *NUMBERS, *KINDS, *IDS))
TRUTHS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def page_from(rows: list[Record], query: Mapping[str, str]) -> Record:
    """Give the page the query asks for."""
    page = _whole(query, "page", default=1)
    page_size = _whole(query, "page_size", default=20)
    if page_size > LARGEST_PAGE:
        raise invalid("page_size", f"must be at most {LARGEST_PAGE}")
    return page_of(rows, page=page, page_size=page_size)


def select_calls(calls: Iterable[Record], query: Mapping[str, str], now: float) -> list[Record]:
    """Filter and order calls; `now` in Unix seconds decides what today is."""
    first, last = _days(query, now)
    rows = list(calls)
    if "status" in query:
        rows = [call for call in rows if call["status"] == query["status"]]
    if first is not None:
        rows = [call for call in rows if str(call["created_at"])[:10] >= first]
    if last is not None:
        rows = [call for call in rows if str(call["created_at"])[:10] <= last]
    if "search" in query:
        wanted = query["search"].casefold()
        rows = [call for call in rows if any(wanted in str(call[key] or "").casefold() for key in SEARCHED)]
    return _ordered(rows, query)


def _ordered(rows: list[Record], query: Mapping[str, str]) -> list[Record]:
    """Sort by the field asked for, ties by id, empty values last either way."""
    field = query.get("order_by", "created_at")
    if field not in SORTABLE:
        raise invalid("order_by", "not a sortable field")
    down = TRUTHS.get(query.get("order_desc", "true").casefold())
    if down is None:
        raise invalid("order_desc", "must be a boolean")
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
    text = query.get(param)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise invalid(param, "must be a date such as 2025-11-21")
    return text


def _whole(query: Mapping[str, str], param: str, *, default: int) -> int:
    """Read a whole number of at least 1."""
    text = query.get(param, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise invalid(param, "must be an integer of at least 1")
    if int(text) < 1:
        raise invalid(param, "must be at least 1")
    return int(text)
