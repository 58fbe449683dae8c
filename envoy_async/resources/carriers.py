"""Carriers: who hauls the loads."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import cast

from .._paging import Pages
from ..models import UNSET, AuditNote, Carrier, CarrierBatchItem, CarrierBatchResult, NewCarrier, Unset
from ._base import Resource, refused
from ._batch import in_batches, matched


class Carriers(Resource):
    """The carriers the organization works with."""

    async def create(
        self,
        *,
        name: str,
        mc_number: str | None | Unset = UNSET,
        dot_number: str | None | Unset = UNSET,
        email: str | None | Unset = UNSET,
        phone: str | None | Unset = UNSET,
        extra: Mapping[str, object] | None = None,
    ) -> Carrier:
        """Create a carrier and return it, or the one there is with this MC number.

        Unsafe without `mc_number`: then never sent again once it may have run. Source: `POST /carriers`
        (partial: the name was read, the other arguments are assumed).

        Args:
            name: the carrier's name.
            mc_number: its MC number, such as `MC123456`.
            dot_number: its DOT number, such as `DOT654321`.
            email: its address.
            phone: its phone number, in E.164.
            extra: further fields of the request body.
        """
        body = NewCarrier(name=name, mc_number=mc_number, dot_number=dot_number, email=email, phone=phone)
        return await self._call(Carrier, "POST", "/carriers", body=body, extra=extra, keyed=bool(mc_number))

    async def create_batch(
        self,
        carriers: Iterable[NewCarrier | Mapping[str, object]] | AsyncIterable[NewCarrier | Mapping[str, object]],
    ) -> CarrierBatchResult:
        """Create or update any number of carriers, 1,000 in a request; results come in the order given.

        Unsafe when one has no MC number: that request is then never sent again once it may have run. Once one
        request has gone through, a later one that fails is told in its items' `error`, and nothing is raised.
        Needs an API key. Source: `POST /carriers/batch` (seen).

        Args:
            carriers: the carriers; a mapping is sent as it is, with the carrier under `carrier`.

        Raises:
            InvalidResponseError: the answer's counts do not match what was sent.
        """
        return await in_batches("carriers", carriers, self._create_some, _lost)

    async def _create_some(self, carriers: Sequence[NewCarrier | Mapping[str, object]]) -> CarrierBatchResult:
        items = [{"carrier": item} if isinstance(item, NewCarrier) else item for item in carriers]
        keyed = all(_field(item, "mc_number") for item in carriers)
        answer = await self._call(CarrierBatchResult, "POST", "/carriers/batch", body={"carriers": items}, keyed=keyed)
        return matched(answer, answer.total, list(map(_name, carriers)), [told.identifier for told in answer.results])

    def list(self, *, page: int = 1, page_size: int = 100, limit: int | None = None) -> Pages[Carrier]:
        """List carriers in the server's order, which is not documented. Source: `GET /carriers` (partial).

        Args:
            page: page to begin with, counted from 1.
            page_size: records per request, 1 to 100.
            limit: most records to deliver; `None` for all.
        """
        return self._pages(Carrier, "/carriers", page=page, page_size=page_size, limit=limit)

    async def get(self, carrier_id: str) -> Carrier:
        """Return one carrier. Source: `GET /carriers/{carrier_id}` (inferred: path and answer are assumed)."""
        return await self._call(Carrier, "GET", "/carriers/{carrier_id}", ids={"carrier_id": carrier_id})

    async def update(self, carrier_id: str, *, extra: Mapping[str, object]) -> Carrier:
        """Change a carrier and return it. For admins. Needs a bearer token.

        Source: `PATCH /carriers/{carrier_id}` (partial: which fields can be written was not visible).

        Args:
            carrier_id: the carrier.
            extra: the fields of the request body; `is_active` is refused, see `enable` and `disable`.
        """
        if "is_active" in extra:
            raise refused("is_active", "is_active is not changed here: use enable or disable, which keep a reason")
        ids = {"carrier_id": carrier_id}
        return await self._call(Carrier, "PATCH", "/carriers/{carrier_id}", ids=ids, body={}, extra=extra)

    async def enable(
        self, carrier_id: str, *, reason: str | None | Unset = UNSET, reason_note: str | None | Unset = UNSET
    ) -> Carrier:
        """Make a disabled carrier eligible again and return it. Needs a bearer token.

        Source: `POST /carriers/{carrier_id}/enable` (partial: both arguments and the credential are assumed).

        Args:
            carrier_id: the carrier.
            reason: an `AuditReason` or its text.
            reason_note: free text that goes with it.
        """
        body = AuditNote(reason=reason, reason_note=reason_note)
        return await self._call(
            Carrier, "POST", "/carriers/{carrier_id}/enable", ids={"carrier_id": carrier_id}, body=body
        )

    async def disable(self, carrier_id: str, *, reason: str, reason_note: str | None | Unset = UNSET) -> Carrier:
        """Take a carrier out of the voice agent's work for the whole organization and return it.

        Needs a bearer token. Source: `POST /carriers/{carrier_id}/disable` (partial: `reason_note` and the
        credential are assumed).

        Args:
            carrier_id: the carrier.
            reason: an `AuditReason` or its text.
            reason_note: free text that goes with it.
        """
        body = AuditNote(reason=reason, reason_note=reason_note)
        return await self._call(
            Carrier, "POST", "/carriers/{carrier_id}/disable", ids={"carrier_id": carrier_id}, body=body
        )


def _field(item: NewCarrier | Mapping[str, object], name: str) -> object:
    if isinstance(item, NewCarrier):
        return cast("object", getattr(item, name))
    inner = item.get("carrier")
    return cast("Mapping[str, object]", inner).get(name) if isinstance(inner, Mapping) else None


def _name(item: NewCarrier | Mapping[str, object]) -> str:
    return str(_field(item, "mc_number") or _field(item, "name") or "")


def _lost(
    carriers: Sequence[NewCarrier | Mapping[str, object]], why: str, before: CarrierBatchResult
) -> CarrierBatchResult:
    results = tuple(CarrierBatchItem(identifier=_name(item), success=False, error=why) for item in carriers)
    count = len(results)
    return CarrierBatchResult(
        success=False,
        total=count,
        successful=0,
        failed=count,
        created=0,
        updated=0,
        results=results,
        processed_at=before.processed_at,
    )
