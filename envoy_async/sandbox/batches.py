"""Batches: each item stands alone, and the answer counts what became of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .answers import Record, invalid
from .validation import need_list, need_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from .routing import Inquiry
    from .store import Store

MOST = 1_000


def run_batch(
    store: Store, inquiry: Inquiry, field: str, total: str, attempt: Callable[[Store, object], Record]
) -> Record:
    """Try every item under `field`; the answer has their number under `total`."""
    items = need_list(need_record(inquiry.body), field)
    if len(items) > MOST:
        raise invalid(field, f"must have at most {MOST} items")
    results = [attempt(store, item) for item in items]
    operations = Counter(result["operation"] for result in results)
    failed = operations[None]
    return {
        "success": failed < len(items),
        total: len(items),
        "successful": len(items) - failed,
        "failed": failed,
        "created": operations["created"],
        "updated": operations["updated"],
        "results": results,
        "processed_at": store.stamp(),
    }
