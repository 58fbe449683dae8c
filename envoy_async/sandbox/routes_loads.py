"""The operations of the group Loads.

Assumptions of ours: the paths and answers of statistics and tab counts; the texts of ``message`` and ``operation``;
that an upsert keeps the fields the new body does not name; that PATCH refuses every field but ``is_posted``.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .answers import ApiError, Record, invalid
from .batches import run_batch
from .events import emit
from .listing import page_from
from .routing import Inquiry, Operation
from .store import newest_first
from .validation import (
    LOAD_FIELDS,
    check_load,
    find_row,
    is_record,
    need_record,
)

if TYPE_CHECKING:
    from .store import Store

# what an upsert may set; the source's own wording of the equipment is kept for audit and never shown
SETTABLE = (*(LOAD_FIELDS.keys() - {"equipment_type_raw"}), "equipment_type", "stops", "po_numbers", "load_number")
OPEN_STATUSES = ("created", "Open")


def find_load(store: Store, inquiry: Inquiry) -> Record:
    """Get the load an inquiry is about, or answer 400 or 404."""
    return find_row(store.loads, inquiry.ids["load_id"], "load_", "load_id")


def list_loads(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /loads: newest first."""
    return page_from(newest_first(store.loads.values()), inquiry.query)


def create_load(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /loads: create the load, or update the one with the same number."""
    body = need_record(inquiry.body)
    load, operation = _upsert(store, body)
    return {
        "success": True,
        "message": f"Load {operation} successfully",
        "processed_at": load["updated_at"],
        "load_id": load["id"],
    }


def create_loads(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /loads/batch: each load stands alone."""
    return run_batch(store, inquiry, "loads", "total_loads", _attempt)


def update_load(store: Store, inquiry: Inquiry) -> object:
    """Answer PATCH /loads/{load_id}: is_posted and nothing else; null changes nothing."""
    load, body = find_load(store, inquiry), need_record(inquiry.body)
    for key in body:
        if key != "is_posted":
            raise invalid(key, "extra fields not permitted")
    posted = body.get("is_posted")
    if posted is None:
        return load
    if not isinstance(posted, bool):
        raise invalid("is_posted", "must be a boolean")
    load.update(is_posted=posted, updated_at=store.stamp())
    emit(store, "load.updated", load)
    return load


def load_statistics(store: Store, inquiry: Inquiry) -> object:  # noqa: ARG001 - every operation has this signature
    """Answer GET /loads/stats (path and shape are ours)."""
    loads = list(store.loads.values())
    rates = [rate for load in loads if isinstance(rate := load["posted_rate"], int)]
    return {
        "total_loads": len(loads),
        "posted_loads": sum(load["is_posted"] is True for load in loads),
        "by_status": dict(Counter(str(load["load_status"]) for load in loads)),
        "by_equipment_type": dict(Counter(str(load["equipment_type"]) for load in loads)),
        "average_posted_rate": round(sum(rates) / len(rates), 2) if rates else None,
    }


def tab_counts(store: Store, inquiry: Inquiry) -> object:  # noqa: ARG001
    """Answer GET /loads/tab-counts (path and shape are ours)."""
    statuses = Counter(load["load_status"] for load in store.loads.values())
    active = {row["load_id"] for row in store.escalations if row["status"] == "ACTIVE"}
    return {
        "all": len(store.loads),
        "open": sum(statuses[status] for status in OPEN_STATUSES),
        "covered": statuses["Covered"] + statuses["Dispatched"],
        "in_transit": statuses["In Transit"],
        "delivered": statuses["Delivered"],
        "cancelled": statuses["Cancelled"],
        "active_escalations": len(active),
    }


def load_calls(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /loads/{load_id}/calls: a bare array, newest first."""
    load_id = find_load(store, inquiry)["id"]
    return newest_first(call for call in store.calls.values() if call["load_id"] == load_id)


def load_verifications(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /loads/{load_id}/verifications: a bare array of failed carrier checks."""
    load_id = find_load(store, inquiry)["id"]
    rows = newest_first(row for row in store.verifications if row["load_id"] == load_id)
    return [{key: value for key, value in row.items() if key != "load_id"} for row in rows]


def load_escalations(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /loads/{load_id}/escalations: a bare array of the active ones, newest first."""
    load_id = find_load(store, inquiry)["id"]
    return newest_first(row for row in store.escalations if row["load_id"] == load_id and row["status"] == "ACTIVE")


def _upsert(store: Store, body: Record) -> tuple[Record, str]:
    """Create or update one load and tell which of the two happened."""
    check_load(body)
    load = store.find_load(body["load_number"], body.get("tms_load_id"))
    operation = "updated" if load else "created"
    now = store.stamp()
    if load is None:
        load = _blank_load(store, now)
        store.loads[str(load["id"])] = load
    load.update({key: body[key] for key in SETTABLE if key in body}, updated_at=now)
    load["tms_status"] = load["tms_status"] or "created"
    emit(store, f"load.{operation}", load)
    return load, operation


def _attempt(store: Store, item: object) -> Record:
    """Upsert one item of a batch; what is wrong with it goes into its own result."""
    named = item.get("load_number") if is_record(item) else None
    result: Record = {"load_identifier": named if isinstance(named, str) else ""}
    try:
        load, operation = _upsert(store, need_record(item, "load"))
    except ApiError as error:
        return {**result, "success": False, "load_id": None, "operation": None, "error": f"{error.param}: {error}"}
    return {**result, "success": True, "load_id": load["id"], "operation": operation, "error": None}


def _blank_load(store: Store, now: str) -> Record:
    """Make the load an upsert fills in."""
    record: Record = {
        "id": store.new_id("load_"),
        "load_number": "",
        "organization_id": store.organization_id,
        "equipment_type": "",
        "created_at": now,
        "updated_at": now,
        "external_id": None,
        "mode": "FTL",
        "load_status": "Open",
    }
    record.update(dict.fromkeys(key for key in LOAD_FIELDS if key != "equipment_type_raw"))
    record.update(tms_status="created", po_numbers=None, special_instructions=None, is_posted=False)
    people = dict.fromkeys(("carrier_rep", "driver", "carrier_rep_user_id", "stops", "context", "custom_fields"))
    return {**record, **people, "offer_count": 0, "max_offer_amount": None}


OPERATIONS = (
    Operation(name="loads.list", method="GET", path="/loads", run=list_loads),
    Operation(name="loads.create", method="POST", path="/loads", run=create_load, credential="api key"),
    Operation(name="loads.create_batch", method="POST", path="/loads/batch", run=create_loads, credential="api key"),
    Operation(name="loads.statistics", method="GET", path="/loads/stats", run=load_statistics),
    Operation(name="loads.tab_counts", method="GET", path="/loads/tab-counts", run=tab_counts),
    Operation(name="loads.get", method="GET", path="/loads/{load_id}", run=find_load),
    Operation(name="loads.update", method="PATCH", path="/loads/{load_id}", run=update_load),
    Operation(name="loads.calls", method="GET", path="/loads/{load_id}/calls", run=load_calls),
    Operation(name="loads.verifications", method="GET", path="/loads/{load_id}/verifications", run=load_verifications),
    Operation(name="loads.escalations", method="GET", path="/loads/{load_id}/escalations", run=load_escalations),
)
