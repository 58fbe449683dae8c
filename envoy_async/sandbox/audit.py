"""Why somebody switched a carrier or a lane off or on: one row for each change, none for a repetition.

Read in the documentation: that such rows exist, and four codes of one closed set for carriers and lane preferences.
Assumptions of ours: that there are no more codes, and all names in a row but ``reason`` and ``reason_note``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import Record, invalid
from .validation import need, read_text

if TYPE_CHECKING:
    from .store import Store

REASONS = ("pause_on_lane", "service_quality", "compliance", "other")


def read_reason(body: Record, *, required: bool) -> Record:
    """Read the code, and the free text that may come with it."""
    reason = need(body, "reason") if required else body.get("reason")
    if reason not in REASONS and (required or reason is not None):
        raise invalid("reason", f"must be one of {', '.join(REASONS)}")
    return {"reason": reason, "reason_note": read_text(body, "reason_note")}


def write_audit(store: Store, action: str, record: Record, why: Record) -> None:
    """Write one row about a record that has just changed."""
    store.audit.append({"action": action, "record_id": record["id"], **why, "created_at": record["updated_at"]})
