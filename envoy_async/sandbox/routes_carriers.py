"""The operations of the group Carriers.

Read in the documentation: that a known MC number gives the carrier that has it, the counts of a batch, that PATCH
refuses ``is_active``, and that disabling takes a reason. Assumptions of ours: that in a batch a known MC number updates
the fields given; that no two carriers may have the same one; the texts of ``operation``; that unknown fields are
ignored, the lanes of a batch among them; that switching a carrier to where it stands changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .answers import ApiError, Record, invalid
from .audit import read_reason, write_audit
from .batches import run_batch
from .carrier_fields import new_carrier, read_changes, read_new
from .events import emit
from .listing import page_from
from .routing import Inquiry, Operation
from .store import newest_first
from .validation import find_row, is_record, need, need_record

if TYPE_CHECKING:
    from .store import Store


def find_carrier(store: Store, inquiry: Inquiry) -> Record:
    """Get the carrier an inquiry is about, or answer 400 or 404."""
    return find_row(store.carriers, inquiry.ids["carrier_id"], "car_", "carrier_id")


def list_carriers(store: Store, inquiry: Inquiry) -> object:
    """Answer GET /carriers: newest first."""
    return page_from(newest_first(store.carriers.values()), inquiry.query)


def create_carrier(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /carriers: a new carrier, or the one with this MC number as it is."""
    changes = read_new(need_record(inquiry.body))
    return _with_number(store, changes.get("mc_number")) or _add(store, changes)


def create_carriers(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /carriers/batch: each carrier stands alone."""
    return run_batch(store, inquiry, "carriers", "total", _attempt)


def update_carrier(store: Store, inquiry: Inquiry) -> object:
    """Answer PATCH /carriers/{carrier_id}."""
    carrier = find_carrier(store, inquiry)
    changes = read_changes(need_record(inquiry.body))
    if _with_number(store, changes.get("mc_number")) not in (None, carrier):
        raise invalid("mc_number", "another carrier has this number")
    if changes:
        carrier.update(changes, updated_at=store.stamp())
    return carrier


def disable_carrier(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /carriers/{carrier_id}/disable: a reason and an audit row belong to it."""
    carrier = find_carrier(store, inquiry)
    why = read_reason(need_record(inquiry.body), required=True)
    return _switch(store, carrier, why, is_active=False)


def enable_carrier(store: Store, inquiry: Inquiry) -> object:
    """Answer POST /carriers/{carrier_id}/enable: the reason may be left out."""
    carrier = find_carrier(store, inquiry)
    why = read_reason(need_record(inquiry.body), required=False)
    return _switch(store, carrier, why, is_active=True)


def _switch(store: Store, carrier: Record, why: Record, *, is_active: bool) -> Record:
    """Switch a carrier on or off and write down why, unless it already is."""
    if carrier["is_active"] is not is_active:
        carrier.update(is_active=is_active, updated_at=store.stamp())
        event = f"carrier.{'enabled' if is_active else 'disabled'}"
        write_audit(store, event, carrier, why)
        emit(store, event, carrier)
    return carrier


def _with_number(store: Store, mc_number: object) -> Record | None:
    """Find the carrier that has an MC number, if there is a number."""
    if mc_number is None:
        return None
    return next((carrier for carrier in store.carriers.values() if carrier["mc_number"] == mc_number), None)


def _add(store: Store, changes: Record) -> Record:
    """Keep a new carrier."""
    carrier = new_carrier(store, changes)
    return store.carriers.setdefault(str(carrier["id"]), carrier)


def _attempt(store: Store, item: object) -> Record:
    """Create or update one item of a batch; what is wrong with it goes into its own result."""
    given = item.get("carrier") if is_record(item) else None
    names = (given.get("mc_number"), given.get("name"), "") if is_record(given) else ("",)
    result: Record = {"identifier": next(name for name in names if isinstance(name, str)), "lanes_created": 0}
    try:
        changes = read_new(need_record(need(need_record(item, "item"), "carrier"), "carrier"))
    except ApiError as error:
        return {**result, "success": False, "carrier_id": None, "operation": None, "error": f"{error.param}: {error}"}
    carrier = _with_number(store, changes.get("mc_number"))
    operation = "updated" if carrier else "created"
    if carrier:
        carrier.update(changes, updated_at=store.stamp())
    else:
        carrier = _add(store, changes)
    return {**result, "success": True, "carrier_id": carrier["id"], "operation": operation, "error": None}


ONE = "/carriers/{carrier_id}"
OPERATIONS: tuple[Operation, ...] = (
    Operation(name="carriers.list", method="GET", path="/carriers", run=list_carriers),
    Operation(name="carriers.create", method="POST", path="/carriers", run=create_carrier),
    Operation(
        name="carriers.create_batch", method="POST", path="/carriers/batch", run=create_carriers, credential="api key"
    ),
    Operation(name="carriers.get", method="GET", path=ONE, run=find_carrier),
    Operation(name="carriers.update", method="PATCH", path=ONE, run=update_carrier, credential="bearer token"),
    Operation(
        name="carriers.enable", method="POST", path=ONE + "/enable", run=enable_carrier, credential="bearer token"
    ),
    Operation(
        name="carriers.disable", method="POST", path=ONE + "/disable", run=disable_carrier, credential="bearer token"
    ),
)
