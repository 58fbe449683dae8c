"""What goes back to the caller, as plain values: a reply, a page, or the error envelope.

Nothing here knows a socket; ``server`` turns a `Reply` into bytes on one.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Record: TypeAlias = dict[str, object]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ApiError(Exception):
    """An answer of 400 or more, raised by whatever found the reason for it."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        """Keep the four facts the error envelope is made of."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param


@attrs.frozen(kw_only=True)
class Reply:
    """One finished answer; ``cut`` is how many bytes of the body really leave (all when None)."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    content_type: str = "application/json"
    cut: int | None = None


def json_reply(payload: object, headers: Mapping[str, str], *, status: int = 200) -> Reply:
    """Serialise `payload` into a reply."""
    return Reply(status=status, body=json.dumps(payload, separators=(",", ":")).encode(), headers=headers)


def error_reply(error: ApiError, headers: Mapping[str, str]) -> Reply:
    """Wrap an error into the vendor's envelope."""
    envelope = {"error": {"code": error.code, "message": error.message, "param": error.param}}
    return json_reply(envelope, headers, status=error.status)


def invalid(param: str | None, message: str) -> ApiError:
    """Make the 422 for one offending parameter."""
    return ApiError(422, "validation_error", message, param)


def not_found(what: str) -> ApiError:
    """Make the 404 for an id nobody has."""
    return ApiError(404, "not_found", f"{what} not found", "id")


def page_of(rows: Sequence[Record], *, page: int, page_size: int) -> Record:
    """Cut one page out of all rows; a page past the end is empty (an assumption)."""
    total_pages = -(-len(rows) // page_size)
    start = (page - 1) * page_size
    return {
        "data": rows[start : start + page_size],
        "pagination": {
            "page": page,
            "page_size": page_size,
            "total_count": len(rows),
            "total_pages": total_pages,
            "has_next": page < total_pages,
            "has_prev": page > 1,
        },
    }


def timestamp(seconds: float) -> str:
    """Write Unix seconds as RFC 3339 in UTC with microseconds; such texts sort like the instants."""
    instant = EPOCH + timedelta(seconds=seconds)
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def seconds_of(text: object) -> float:
    """Read back the Unix seconds of a `timestamp`."""
    return (datetime.fromisoformat(str(text)) - EPOCH).total_seconds()


def http_date(seconds: float) -> str:
    """Write Unix seconds as a ``Date`` header."""
    return formatdate(seconds, usegmt=True)
