"""What stands in headers: numbers, dates, and how long to wait.

The rule: a header is a stranger's word, so what cannot be read is `None`, and never an error.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime


def whole(text: str | None, digits: int = 12) -> int | None:
    """Read a whole number of at most so many digits; `None` for anything else."""
    return int(text) if text is not None and text.isdecimal() and text.isascii() and len(text) <= digits else None


def http_date(value: str | None) -> datetime | None:
    """Read an HTTP date; one without a zone is UTC, and what is no date is `None`."""
    from email.utils import parsedate_to_datetime  # a receiver of webhooks has no use for it

    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def parse_retry_after(value: str | None, now: str | None = None) -> float | None:
    """Read `Retry-After`: seconds, or an HTTP date relative to the server's own `Date` header.

    Anything else is ignored (`None`): negative, infinite, or not ASCII digits. A date in the past is 0.
    """
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,6})?", text):
        return float(text)
    until, since = http_date(text), http_date(now)
    if until is None or since is None:
        return None
    return max(0.0, (until - since).total_seconds())
