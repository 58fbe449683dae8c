"""Outreaches: contacts with a carrier about a load."""

from __future__ import annotations

from collections.abc import Mapping

from .._converter import OnInvalid
from .._paging import Pages, Sweeping
from ..errors import Reconciliation
from ..models import UNSET, NewOutreach, Outreach, Unset
from ._base import Resource
from ._looking import Look


class Outreaches(Resource):
    """The organization's outreaches to carriers."""

    async def create(
        self,
        *,
        carrier_id: str,
        load_id: str,
        modality: str | None | Unset = UNSET,
        extra: Mapping[str, object] | None = None,
    ) -> Outreach:
        """Contact a carrier about a load, by phone, and return the outreach.

        Unsafe: never sent again once it may have run. Source: `POST /outreaches` (partial: carrier and load were
        read, `modality` is assumed).

        Args:
            carrier_id: the carrier.
            load_id: the load.
            modality: how to make contact; `call` is the only one met.
            extra: further fields of the request body.

        Raises:
            OutcomeUnknownError: the carrier may have been called; `reconcile` looks through all outreaches, since no
                filter is known.
        """
        body = NewOutreach(carrier_id=carrier_id, load_id=load_id, modality=modality)
        return await self._call(Outreach, "POST", "/outreaches", body=body, extra=extra, look=_look_for_outreach)

    def list(
        self,
        *,
        page: int = 1,
        page_size: int = 100,
        limit: int | None = None,
        strategy: Sweeping | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> Pages[Outreach]:
        """List outreaches in the server's order. Source: `GET /outreaches` (inferred: path and answer are assumed).

        Args:
            page: page to begin with, counted from 1.
            page_size: records per request, 1 to 100.
            limit: most records to deliver; `None` for all.
            strategy: how to keep up while rows come and go; `None` for the best that fits.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        return self._pages(
            Outreach,
            "/outreaches",
            page=page,
            page_size=page_size,
            limit=limit,
            strategy=strategy,
            on_invalid=on_invalid,
        )

    async def get(self, outreach_id: str) -> Outreach:
        """Return one outreach with its carrier. Source: `GET /outreaches/{outreach_id}` (partial)."""
        return await self._call(Outreach, "GET", "/outreaches/{outreach_id}", ids={"outreach_id": outreach_id})


async def _look_for_outreach(at: Look) -> Reconciliation:
    return await at.search("outreach", Outreaches(at.send).list(), ("carrier_id", "load_id"))
