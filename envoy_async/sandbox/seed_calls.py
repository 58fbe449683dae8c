"""Writes calls whose status, times, numbers, recording, and load tell one story.

Read in the documentation: SCHEDULED, COMPLETED, INBOUND, AVAILABLE, and that calls may be live. Assumptions of ours:
IN_PROGRESS, NO_ANSWER, FAILED, CANCELLED, OUTBOUND, PROCESSING, and the call types besides Customer Support.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import attrs

from . import trade
from .answers import Record, seconds_of, timestamp
from .seed_people import phone_number, raw_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from .seed import Identity

UNLINKED_SHARE = 0.12
INBOUND_SHARE = 0.55
RECORDED_SHARE = 0.94
ESCALATED_SHARE = 0.04
RECORDING_DELAY = 120.0
DIALING_DELAYS = ((1.0, 240.0), (1.0, 240.0), (1.0, 240.0), (1_800.0, 172_800.0))  # one in four is for later
OUTCOMES = ("COMPLETED", "NO_ANSWER", "CANCELLED", "FAILED")
OUTCOME_SHARES = (86, 6, 4, 4)
RESPONSES = ("ACTIVE", "RESPONDED", "TIMED_OUT", "CANCELLED")


@attrs.frozen(kw_only=True)
class Story:
    """How one call went, in Unix seconds; None where it did not get that far."""

    status: str
    planned: float
    started: float | None = None
    ended: float | None = None


class CallWriter:
    """Writes one call after the other."""

    def __init__(
        self, rng: Random, ids: Callable[[str], str], identity: Identity, *, own_number: str, loads: Sequence[Record]
    ) -> None:
        """Write calls between `own_number` and the rest of the world, about `loads` (in order of creation)."""
        self._rng = rng
        self._ids = ids
        self._identity = identity
        self._own_number = own_number
        self._loads = loads
        self._load_ages = [str(load["created_at"]) for load in loads]

    def write(self, created: float, now: float) -> Record:
        """Write the call that was created at `created` as it stands at `now` (both Unix seconds)."""
        rng = self._rng
        inbound = rng.random() < INBOUND_SHARE
        story = self._story(created, now, inbound=inbound)
        other, load = phone_number(rng), self._load(created)
        return {
            "id": self._ids("call_"),
            "status": story.status,
            "call_time": timestamp(story.planned),
            "created_at": timestamp(created),
            "updated_at": timestamp(story.ended or story.started or created),
            "call_direction": "INBOUND" if inbound else "OUTBOUND",
            "phone_number": other,
            "to_number": self._own_number if inbound else other,
            "from_number": other if inbound else self._own_number,
            "call_start_time": None if story.started is None else timestamp(story.started),
            "call_end_time": None if story.ended is None else timestamp(story.ended),
            "call_type": rng.choice(trade.CALL_TYPES),
            "load_id": load and load["id"],
            "organization_id": self._identity.organization_id,
            "created_by_id": rng.choice(self._identity.user_ids),
            "recording_status": self._recording(story, now),
            "load_number": load and load["load_number"],
        }

    def write_new(self, moment: float) -> Record:
        """Write the call that is created at `moment`, which is now."""
        return self.write(moment, moment)

    def escalations(self, call: Record) -> list[Record]:
        """Write what the agent asked a person during a call (mostly nothing); oldest ones are answered."""
        rng = self._rng
        if call["load_id"] is None or call["call_start_time"] is None or rng.random() > ESCALATED_SHARE:
            return []
        kind = rng.choice(trade.ESCALATIONS)
        about: Record = {"load_id": call["load_id"], "call_id": call["id"]}
        return [self._escalation(about, kind, rng.choice(RESPONSES), seconds_of(call["call_start_time"]))]

    def ask(self, about: Record, moment: float) -> Record:
        """Write what the agent asks a person about a load, in a call or none, at `moment`, which is now."""
        return self._escalation(about, self._rng.choice(trade.ESCALATIONS), "ACTIVE", moment)

    def _escalation(self, about: Record, question: tuple[str, str], status: str, asked: float) -> Record:
        """Write one escalation."""
        rng, answered = self._rng, status == "RESPONDED"
        kind, message = question
        return {
            "id": f"esc_{raw_uuid(rng)}",
            "load_id": about["load_id"],
            "agent_type": rng.choice(trade.AGENT_TYPES),
            "message": message.format(amount=rng.randrange(900, 4_000, 25)),
            "status": status,
            "created_at": timestamp(asked),
            "call_id": about["call_id"],
            "escalation_type": kind,
            "response_message": "Approved." if answered else None,
            "response_user_id": rng.choice(self._identity.user_ids) if answered else None,
            "responded_at": timestamp(asked + 45.0) if answered else None,
            "resolved_at": None if status == "ACTIVE" else timestamp(asked + 60.0),
        }

    def _story(self, created: float, now: float, *, inbound: bool) -> Story:
        """Draw how a call goes, and stop the story at `now`: what lies after it has not happened yet."""
        rng = self._rng
        planned = created if inbound else created + rng.uniform(*rng.choice(DIALING_DELAYS))
        outcome = rng.choices(OUTCOMES, OUTCOME_SHARES)[0]
        duration = 2.0 if outcome == "FAILED" else min(2_400.0, rng.lognormvariate(5.2, 0.7))
        if planned > now:
            return Story(status="SCHEDULED", planned=planned)
        if inbound and outcome in {"NO_ANSWER", "CANCELLED"}:
            outcome = "COMPLETED"  # the agent always picks up
        if outcome in {"NO_ANSWER", "CANCELLED"}:
            return Story(status=outcome, planned=planned)
        if planned + duration > now:
            return Story(status="IN_PROGRESS", planned=planned, started=planned)
        return Story(status=outcome, planned=planned, started=planned, ended=planned + duration)

    def _load(self, created: float) -> Record | None:
        """Choose what the call is about: mostly one of the latest loads at that moment, sometimes none."""
        known = bisect_right(self._load_ages, timestamp(created))
        back = int(self._rng.expovariate(1 / 25))
        unlinked = self._rng.random() < UNLINKED_SHARE
        return None if unlinked or not known else self._loads[known - 1 - back % known]

    def _recording(self, story: Story, now: float) -> str | None:
        """Tell whether the call can be listened to."""
        recorded = self._rng.random() < RECORDED_SHARE
        if story.status != "COMPLETED" or story.ended is None or not recorded:
            return None
        return "PROCESSING" if now - story.ended < RECORDING_DELAY else "AVAILABLE"
