"""Offers: what carriers ask for hauling a load."""

from __future__ import annotations

from collections.abc import Mapping

from .._converter import OnInvalid
from .._paging import Pages, Sweeping
from ..errors import Reconciliation
from ..models import UNSET, NewOffer, Offer, OfferUpdate, Unset
from ._base import Resource
from ._looking import Look


class Offers(Resource):
    """The offers for the organization's loads."""

    async def create(
        self,
        *,
        load_id: str,
        offer_amount: float,
        carrier_id: str | None | Unset = UNSET,
        contact_id: str | None | Unset = UNSET,
        call_id: str | None | Unset = UNSET,
        notes: str | None | Unset = UNSET,
        extra: Mapping[str, object] | None = None,
    ) -> Offer:
        """Record an offer and return it. Unsafe: never sent again once it may have run.

        Source: `POST /offers` (partial: load and amount were read, the other arguments are assumed).

        Args:
            load_id: the load.
            offer_amount: what the carrier asks for, in US dollars (assumed).
            carrier_id: the carrier.
            contact_id: the person at the carrier.
            call_id: the call in which it was made.
            notes: free text.
            extra: further fields of the request body.

        Raises:
            OutcomeUnknownError: the offer may have been recorded; `reconcile` looks through all offers, since no
                filter is known.
        """
        body = NewOffer(
            load_id=load_id,
            offer_amount=offer_amount,
            carrier_id=carrier_id,
            contact_id=contact_id,
            call_id=call_id,
            notes=notes,
        )
        return await self._call(Offer, "POST", "/offers", body=body, extra=extra, look=_look_for_offer)

    def list(
        self,
        *,
        page: int = 1,
        page_size: int = 100,
        limit: int | None = None,
        strategy: Sweeping | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> Pages[Offer]:
        """List offers in the server's order, which is not documented. Source: `GET /offers` (partial).

        Args:
            page: page to begin with, counted from 1.
            page_size: records per request, 1 to 100.
            limit: most records to deliver; `None` for all.
            strategy: how to keep up while rows come and go; `None` for the best that fits.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        return self._pages(
            Offer, "/offers", page=page, page_size=page_size, limit=limit, strategy=strategy, on_invalid=on_invalid
        )

    async def get(self, offer_id: str) -> Offer:
        """Return one offer. Source: `GET /offers/{offer_id}` (inferred: path and answer are assumed)."""
        return await self._call(Offer, "GET", "/offers/{offer_id}", ids={"offer_id": offer_id})

    async def update(
        self,
        offer_id: str,
        *,
        status: str,
        notes: str | None | Unset = UNSET,
        extra: Mapping[str, object] | None = None,
    ) -> Offer:
        """Change an offer, such as accept it, and return it. Unsafe: never sent again once it may have run.

        Source: `PATCH /offers/{offer_id}` (partial: the status was read, `notes` is assumed).

        Args:
            offer_id: the offer.
            status: an `OfferStatus` or its text, such as `accepted`.
            notes: free text.
            extra: further fields of the request body.

        Raises:
            OutcomeUnknownError: the offer may have been changed; `reconcile` looks at it (that a change moves its
                `updated_at` is assumed).
        """

        async def look(at: Look) -> Reconciliation:
            return at.changed("offer", await Offers(at.send).get(offer_id))

        body = OfferUpdate(status=status, notes=notes)
        return await self._call(
            Offer, "PATCH", "/offers/{offer_id}", ids={"offer_id": offer_id}, body=body, extra=extra, look=look
        )


async def _look_for_offer(at: Look) -> Reconciliation:
    return await at.search("offer", Offers(at.send).list(), ("load_id", "offer_amount"))
