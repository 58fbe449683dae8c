"""Lane preferences: on which lanes a carrier is used."""

from __future__ import annotations

from collections.abc import Mapping

from .._converter import OnInvalid
from .._paging import Pages
from ..models import (
    UNSET,
    AuditNote,
    DisableForLoad,
    DisableForLoadResult,
    LanePreference,
    LanePreferenceUpdate,
    LanePreferenceWithLane,
    Unset,
)
from ._base import Resource

_ONE = "/carriers/{carrier_id}/lane-preferences/{preference_id}"


class LanePreferences(Resource):
    """The lanes of a carrier. All operations need a bearer token, of an owner or admin."""

    def list(
        self, carrier_id: str, *, is_active: bool | None = None, on_invalid: OnInvalid = "raise"
    ) -> Pages[LanePreferenceWithLane]:
        """List a carrier's lane preferences in the server's order, which is not documented.

        Needs a bearer token. Source: `GET /carriers/{carrier_id}/lane-preferences` (partial).

        Args:
            carrier_id: the carrier.
            is_active: keep only those in this state.
            on_invalid: whether a record that cannot be read raises, is skipped, or is collected in `report.invalid`.
        """
        query = {"is_active": is_active}
        template, ids = "/carriers/{carrier_id}/lane-preferences", {"carrier_id": carrier_id}
        return self._pages(LanePreferenceWithLane, template, ids=ids, query=query, paged=False, on_invalid=on_invalid)

    async def update(self, carrier_id: str, preference_id: str, *, is_active: bool) -> LanePreference:
        """Switch a lane preference on or off without a reason, and return it. Needs a bearer token.

        Source: `PATCH /carriers/{carrier_id}/lane-preferences/{preference_id}` (partial).

        Args:
            carrier_id: the carrier.
            preference_id: the lane preference.
            is_active: whether the carrier may be used on the lane.
        """
        ids = {"carrier_id": carrier_id, "preference_id": preference_id}
        return await self._call(LanePreference, "PATCH", _ONE, ids=ids, body=LanePreferenceUpdate(is_active=is_active))

    async def restrict(
        self, carrier_id: str, preference_id: str, *, reason: str, reason_note: str | None | Unset = UNSET
    ) -> LanePreference:
        """Keep a carrier off a lane, with a reason, and return the preference; harmless when it is off.

        Needs a bearer token. Source: `POST /carriers/{carrier_id}/lane-preferences/{preference_id}/restrict`
        (partial: `reason_note` is assumed).

        Args:
            carrier_id: the carrier.
            preference_id: the lane preference.
            reason: `pause_on_lane`, `service_quality`, `compliance`, `other`, or a code not met yet.
            reason_note: free text that goes with it.
        """
        ids = {"carrier_id": carrier_id, "preference_id": preference_id}
        body = AuditNote(reason=reason, reason_note=reason_note)
        return await self._call(LanePreference, "POST", f"{_ONE}/restrict", ids=ids, body=body)

    async def unrestrict(
        self,
        carrier_id: str,
        preference_id: str,
        *,
        reason: str | None | Unset = UNSET,
        reason_note: str | None | Unset = UNSET,
    ) -> LanePreference:
        """Let a carrier back on a lane and return the preference; harmless when it is on. Needs a bearer token.

        Source: `POST /carriers/{carrier_id}/lane-preferences/{preference_id}/unrestrict` (partial: both texts are
        assumed).

        Args:
            carrier_id: the carrier.
            preference_id: the lane preference.
            reason: `pause_on_lane`, `service_quality`, `compliance`, `other`, or a code not met yet.
            reason_note: free text that goes with it.
        """
        ids = {"carrier_id": carrier_id, "preference_id": preference_id}
        body = AuditNote(reason=reason, reason_note=reason_note)
        return await self._call(LanePreference, "POST", f"{_ONE}/unrestrict", ids=ids, body=body)

    async def disable_for_load(
        self, carrier_id: str, *, load_id: str, extra: Mapping[str, object] | None = None
    ) -> DisableForLoadResult:
        """Keep a carrier off the lane of a load: the preference is found or created, and off at once.

        Needs a bearer token. Source: `POST /carriers/{carrier_id}/lane-preferences/disable-for-load` (partial).

        Args:
            carrier_id: the carrier.
            load_id: the load.
            extra: further fields of the request body.
        """
        template, ids = "/carriers/{carrier_id}/lane-preferences/disable-for-load", {"carrier_id": carrier_id}
        body = DisableForLoad(load_id=load_id)
        return await self._call(DisableForLoadResult, "POST", template, ids=ids, body=body, extra=extra)
