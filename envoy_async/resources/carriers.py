"""Carriers: who hauls the loads."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import cast

from .._converter import OnInvalid
from .._paging import Pages, Sweeping
from .._wire import BadInput
from ..errors import Reconciliation, refused
from ..models import UNSET, AuditNote, Carrier, CarrierBatchItem, CarrierBatchResult, NewCarrier, Unset
from ._base import Resource, ready
from ._batch import in_batches, matched
from ._checks import check
from ._looking import Look
from ._reading import fields


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

        Raises:
            OutcomeUnknownError: the carrier may have been created; `reconcile` looks for one of this name.
        """
        body = NewCarrier(name=name, mc_number=mc_number, dot_number=dot_number, email=email, phone=phone)
        keyed = bool({"mc_number": mc_number, **fields(extra)}["mc_number"])
        look = None if keyed else _look_for_carrier
        return await self._call(Carrier, "POST", "/carriers", body=body, extra=extra, keyed=keyed, look=look)

    async def create_batch(
        self,
        carriers: Iterable[NewCarrier | Mapping[str, object]] | AsyncIterable[NewCarrier | Mapping[str, object]],
    ) -> CarrierBatchResult:
        """Create or update any number of carriers, 1,000 in a request; results come in the order given.

        Each carrier stands alone: one that cannot be sent, or that the server refuses, has `success` false and an
        `error`. So have all carriers of a request that fails after another went through. Unsafe when a carrier has no
        MC number: its request is then never sent again once it may have run. Needs an API key.
        Source: `POST /carriers/batch` (seen).

        Args:
            carriers: the carriers; a mapping is sent as it is, with the carrier under `carrier`.

        Raises:
            InvalidResponseError: the answer's counts do not match what was sent.
        """
        return await in_batches("carriers", carriers, ready=_ready, send=self._create_some, fail=_failed)

    async def _create_some(self, carriers: Sequence[Mapping[str, object]]) -> CarrierBatchResult:
        keyed = all(_field(item, "mc_number") for item in carriers)
        body = {"carriers": carriers}
        answer = await self._call(CarrierBatchResult, "POST", "/carriers/batch", body=body, keyed=keyed)
        return matched(
            answer,
            "/carriers/batch",
            answer.total,
            list(map(_name, carriers)),
            [told.identifier for told in answer.results],
        )

    def list(
        self,
        *,
        page: int = 1,
        page_size: int = 100,
        limit: int | None = None,
        strategy: Sweeping | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> Pages[Carrier]:
        """List carriers in the server's order, which is not documented. Source: `GET /carriers` (partial).

        Args:
            page: page to begin with, counted from 1.
            page_size: records per request, 1 to 100.
            limit: most records to deliver; `None` for all.
            strategy: how to keep up while rows come and go; `None` for the best that fits.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        return self._pages(
            Carrier, "/carriers", page=page, page_size=page_size, limit=limit, strategy=strategy, on_invalid=on_invalid
        )

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
        if "is_active" in fields(extra):
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
            reason: `pause_on_lane`, `service_quality`, `compliance`, `other`, or a code not met yet.
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
            reason: `pause_on_lane`, `service_quality`, `compliance`, `other`, or a code not met yet.
            reason_note: free text that goes with it.
        """
        body = AuditNote(reason=reason, reason_note=reason_note)
        return await self._call(
            Carrier, "POST", "/carriers/{carrier_id}/disable", ids={"carrier_id": carrier_id}, body=body
        )


async def _look_for_carrier(at: Look) -> Reconciliation:
    return await at.search("carrier", Carriers(at.send).list(), ("name",))


def _ready(item: NewCarrier | Mapping[str, object]) -> dict[str, object]:
    whole = ready({"carrier": item} if isinstance(item, NewCarrier) else item)
    try:
        check(whole.get("carrier"))
    except BadInput as bad:
        raise BadInput(f"carrier: {bad}", f"carrier.{bad.param}" if bad.param else "carrier") from None
    return whole


def _field(item: object, name: str) -> object:
    carrier = item if isinstance(item, NewCarrier) else fields(item).get("carrier")
    return cast("object", getattr(carrier, name)) if isinstance(carrier, NewCarrier) else fields(carrier).get(name)


def _name(item: object) -> str:
    names = (_field(item, "mc_number"), _field(item, "name"))
    return next((name for name in names if isinstance(name, str) and name), "")


def _failed(item: object, why: str) -> CarrierBatchItem:
    return CarrierBatchItem(identifier=_name(item), success=False, error=why)
