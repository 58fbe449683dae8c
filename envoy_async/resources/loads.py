"""Loads: freight to be moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._paging import Pages
from ..errors import InvalidRequestError
from ..models import (
    UNSET,
    Call,
    CarrierVerification,
    Escalation,
    Load,
    LoadBatchResult,
    LoadIngestResult,
    LoadUpdate,
    NewLoad,
    Unset,
)
from ._base import Resource

_LARGEST_BATCH = 1000  # batch page (seen)


class Loads(Resource):
    """The loads of the organization."""

    async def create(self, load: NewLoad, *, extra: Mapping[str, object] | None = None) -> LoadIngestResult:
        """Create a load, or update the one with the same `load_number` or `tms_load_id`.

        Needs an API key. Source: `POST /loads` (partial: the list of request fields was cut off).

        Args:
            load: the load.
            extra: further fields of the request body.
        """
        return await self._call(LoadIngestResult, "POST", "/loads", body=load, extra=extra)

    async def create_batch(self, loads: Iterable[NewLoad]) -> LoadBatchResult:
        """Create or update up to 1,000 loads, each on its own; results come in the order sent.

        Needs an API key. Source: `POST /loads/batch` (seen).
        """
        batch = tuple(loads)
        if not 0 < len(batch) <= _LARGEST_BATCH:
            refused = InvalidRequestError(f"loads must be 1 to {_LARGEST_BATCH} loads, not {len(batch)}")
            refused.param = "loads"
            raise refused
        return await self._call(LoadBatchResult, "POST", "/loads/batch", body={"loads": batch})

    def list(self, *, page: int = 1, page_size: int = 100, limit: int | None = None) -> Pages[Load]:
        """List loads in the server's order, which is not documented. Source: `GET /loads` (partial).

        Args:
            page: page to begin with, counted from 1.
            page_size: records per request, 1 to 100.
            limit: most records to deliver; `None` for all.
        """
        return self._pages(Load, "/loads", page=page, page_size=page_size, limit=limit)

    async def get(self, load_id: str) -> Load:
        """Return one load. Source: `GET /loads/{load_id}` (partial)."""
        return await self._call(Load, "GET", "/loads/{load_id}", ids={"load_id": load_id})

    async def update(self, load_id: str, *, is_posted: bool | None | Unset = UNSET) -> Load:
        """Change a load and return it. Source: `PATCH /loads/{load_id}` (seen: one field is accepted).

        Args:
            load_id: the load.
            is_posted: whether the load is posted.
        """
        body = LoadUpdate(is_posted=is_posted)
        return await self._call(Load, "PATCH", "/loads/{load_id}", ids={"load_id": load_id}, body=body)

    async def statistics(self) -> dict[str, object]:
        """Return statistics over the loads. Source: `GET /loads/stats` (inferred: path and answer are guesses)."""
        return await self._call(dict[str, object], "GET", "/loads/stats")

    async def tab_counts(self) -> dict[str, object]:
        """Return the counts of the loads list's tabs.

        Source: `GET /loads/tab-counts` (inferred: path and answer are guesses).
        """
        return await self._call(dict[str, object], "GET", "/loads/tab-counts")

    def calls(self, load_id: str) -> Pages[Call]:
        """List the calls tied to a load, newest first. Source: `GET /loads/{load_id}/calls` (seen)."""
        return self._pages(Call, "/loads/{load_id}/calls", ids={"load_id": load_id}, paged=False)

    def verifications(self, load_id: str) -> Pages[CarrierVerification]:
        """List failed carrier checks. Source: `GET /loads/{load_id}/verifications` (partial)."""
        return self._pages(CarrierVerification, "/loads/{load_id}/verifications", ids={"load_id": load_id}, paged=False)

    def escalations(self, load_id: str) -> Pages[Escalation]:
        """List the active escalations, newest first. Source: `GET /loads/{load_id}/escalations` (seen)."""
        return self._pages(Escalation, "/loads/{load_id}/escalations", ids={"load_id": load_id}, paged=False)
