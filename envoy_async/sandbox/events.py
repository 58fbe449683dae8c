"""What happened, as messages for the registered webhook endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answers import Record
    from .store import Store


def emit(store: Store, kind: str, data: Record) -> None:
    """Queue one event, such as ``offer.created``, for every active endpoint that asked for its kind."""
