"""From an answer of 400 or more to its error.

The rule: the class follows `error.code` first, then the status (error guide, seen).
"""

from __future__ import annotations

import json

from .._masking import excerpt, line, told
from .._wire import Response
from ..errors import (
    AlreadyExistsError,
    InvalidIdFormatError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    StatusError,
    ValidationError,
)

_BY_CODE: dict[str, type[StatusError]] = {
    "validation_error": ValidationError,
    "invalid_id_format": InvalidIdFormatError,
    "not_authenticated": NotAuthenticatedError,
    "insufficient_permissions": PermissionDeniedError,
    "not_found": NotFoundError,
    "already_exists": AlreadyExistsError,
    "rate_limit_exceeded": RateLimitedError,
    "internal_error": ServerError,
}
_BY_STATUS: dict[int, type[StatusError]] = {
    400: ValidationError,
    401: NotAuthenticatedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: AlreadyExistsError,
    422: ValidationError,
    429: RateLimitedError,
}


def status_error(response: Response, secret: str = "") -> StatusError:
    """Build the error for an answer of 400 or more, whatever its body is; secret and phone numbers are taken out."""
    code, message, param = _envelope(response.body, secret)
    fallback = ServerError if response.status >= 500 else StatusError  # noqa: PLR2004 - 5xx
    cls = _BY_CODE.get(code or "") or _BY_STATUS.get(response.status, fallback)
    error = cls(message or f"the server answered {response.status}")
    error.status, error.code, error.param = response.status, code, param
    error.request_id = line(response.headers.get("X-Request-ID"), secret)
    error.retry_after = response.retry_after
    return error


def _envelope(body: bytes, secret: str) -> tuple[str | None, str | None, str | None]:
    """Read code, message, and param; a body of another shape gives its beginning as the message."""
    try:
        found = json.loads(body)["error"]
        code, message, param = found["code"], found["message"], found.get("param")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, excerpt(body, secret), None
    return told(code, secret), told(message, secret), told(param, secret)
