"""What an export would take.

The rule: an estimate reads one page, and says nothing it was not told.
"""

from __future__ import annotations

import math
from contextlib import aclosing
from typing import TypeVar

import attrs

from .._paging import Pages, Record

T = TypeVar("T", bound=Record)
_DOCUMENTED_QUOTA = 100  # requests per minute; rate limit guide (seen)
_SWEEPS = 2  # at least, where the order is not known


@attrs.frozen(kw_only=True)
class Estimate:
    """What an export would take, told by one page. `None` stands for what the server did not tell."""

    records: int | None
    pages: int | None
    requests: int | None
    """One per page, two where the listing is read twice (`reconcile`); drift and retries cost more."""
    minutes: float | None
    """At the pace of the quota; a job of fewer requests than the quota allows in a minute does not wait."""
    quota_limit: int
    """Requests per minute, as the server tells, else as documented."""


async def estimate(pages: Pages[T]) -> Estimate:
    """Tell what exporting a listing would take, by its first page: one request, and nothing is written.

    The listing is used up by it: make another one for the export.
    """
    async with aclosing(pages.by_page()) as steps:
        page = await anext(steps, None)
    report, size = pages.report, 0 if page is None else page.size
    records = report.total_at_start
    if records is None and report.finished:
        records = report.records
    count = None if records is None else max(1, math.ceil(records / max(size, 1)))
    requests = None if count is None else count * (_SWEEPS if report.strategy == "reconcile" else 1)
    quota = report.quota_limit or _DOCUMENTED_QUOTA
    minutes = None if requests is None else requests / quota
    return Estimate(records=records, pages=count, requests=requests, minutes=minutes, quota_limit=quota)
