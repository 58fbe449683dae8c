"""Loads: freight to be moved."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence

from .._converter import OnInvalid
from .._paging import Pages, Sweeping
from ..models import (
    UNSET,
    Call,
    CarrierVerification,
    Escalation,
    Load,
    LoadBatchItem,
    LoadBatchResult,
    LoadIngestResult,
    LoadUpdate,
    NewLoad,
    Unset,
)
from ._base import Resource, ready
from ._batch import in_batches, matched
from ._reading import fields


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

    async def create_batch(
        self, loads: Iterable[NewLoad | Mapping[str, object]] | AsyncIterable[NewLoad | Mapping[str, object]]
    ) -> LoadBatchResult:
        """Create or update any number of loads, 1,000 in a request; results come in the order given.

        Each load stands alone: one that cannot be sent, or that the server refuses, has `success` false and an `error`.
        So have all loads of a request that fails after another went through. Needs an API key.
        Source: `POST /loads/batch` (seen).

        Args:
            loads: the loads; a mapping is sent as it is.

        Raises:
            InvalidResponseError: the answer's counts do not match what was sent.
        """
        return await in_batches("loads", loads, ready=ready, send=self._create_some, fail=_failed)

    async def _create_some(self, loads: Sequence[Mapping[str, object]]) -> LoadBatchResult:
        answer = await self._call(LoadBatchResult, "POST", "/loads/batch", body={"loads": loads})
        told = [result.load_identifier for result in answer.results]
        return matched(answer, "/loads/batch", answer.total_loads, list(map(_number, loads)), told)

    def list(
        self,
        *,
        page: int = 1,
        page_size: int = 100,
        limit: int | None = None,
        strategy: Sweeping | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> Pages[Load]:
        """List loads in the server's order, which is not documented. Source: `GET /loads` (partial).

        Args:
            page: page to begin with, counted from 1.
            page_size: records per request, 1 to 100.
            limit: most records to deliver; `None` for all.
            strategy: how to keep up while rows come and go; `None` for the best that fits.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        return self._pages(
            Load, "/loads", page=page, page_size=page_size, limit=limit, strategy=strategy, on_invalid=on_invalid
        )

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

    def calls(self, load_id: str, *, on_invalid: OnInvalid = "raise") -> Pages[Call]:
        """List the calls tied to a load, newest first. Source: `GET /loads/{load_id}/calls` (seen).

        Args:
            load_id: the load.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        ids = {"load_id": load_id}
        return self._pages(Call, "/loads/{load_id}/calls", ids=ids, paged=False, on_invalid=on_invalid)

    def verifications(self, load_id: str, *, on_invalid: OnInvalid = "raise") -> Pages[CarrierVerification]:
        """List failed carrier checks. Source: `GET /loads/{load_id}/verifications` (partial).

        Args:
            load_id: the load.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        template, ids = "/loads/{load_id}/verifications", {"load_id": load_id}
        return self._pages(CarrierVerification, template, ids=ids, paged=False, on_invalid=on_invalid)

    def escalations(self, load_id: str, *, on_invalid: OnInvalid = "raise") -> Pages[Escalation]:
        """List the active escalations, newest first. Source: `GET /loads/{load_id}/escalations` (seen).

        Args:
            load_id: the load.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        ids = {"load_id": load_id}
        return self._pages(Escalation, "/loads/{load_id}/escalations", ids=ids, paged=False, on_invalid=on_invalid)


def _number(load: object) -> str:
    number: object = load.load_number if isinstance(load, NewLoad) else fields(load).get("load_number")
    return number if isinstance(number, str) else ""


def _failed(load: object, why: str) -> LoadBatchItem:
    return LoadBatchItem(load_identifier=_number(load), success=False, error=why)
