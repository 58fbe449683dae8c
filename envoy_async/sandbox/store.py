"""The whole state of the stand-in: JSON-ready records in plain dicts, changed in place.

Everything is synchronous, so a change and the answer that shows it are never torn apart.
"""

from __future__ import annotations

from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

import attrs

from . import seed_market
from .answers import Record, seconds_of, timestamp
from .deliveries import Dispatch
from .events import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Rows: TypeAlias = dict[str, Record]

BY_AGE = itemgetter("created_at", "id")


@attrs.frozen(kw_only=True)
class Contents:
    """What a store starts with, each list in order of creation."""

    organization_id: str
    phone_number: str
    loads: list[Record]
    calls: list[Record]
    verifications: list[Record]
    escalations: list[Record]
    carriers: list[Record] = attrs.field(factory=list[Record])


class Store:
    """All records by id, what belongs to loads, and which calls came or went since the start."""

    def __init__(
        self,
        contents: Contents,
        *,
        clock: Callable[[], float],
        new_id: Callable[[str], str],
        compose: Callable[[float], Record],
        ask: Callable[[Record, float], Record],
    ) -> None:
        """Take the contents; `new_id` makes an id, `compose` a call, and `ask` an escalation for Unix seconds."""
        self.organization_id = contents.organization_id
        self.phone_number = contents.phone_number
        self.calls, self.loads = _by_id(contents.calls), _by_id(contents.loads)
        self.carriers = _by_id(contents.carriers)
        self.lanes, self.lane_preferences, self.outreaches = Rows(), Rows(), Rows()
        self.audit: list[Record] = []
        self.api_keys, self.endpoints, self.messages, self.attempts = Rows(), Rows(), Rows(), Rows()
        self.verifications = contents.verifications
        self.escalations = contents.escalations
        self.inserted: list[str] = []
        self.deleted: list[str] = []
        self.agenda: list[tuple[float, str]] = []  # a heap: when to look at which call made here (Unix seconds)
        self.queues: dict[str, list[tuple[float, int, str]]] = {}  # heaps by endpoint: when to send which attempt
        self.dispatch = Dispatch()
        self.clock = clock
        self.new_id = new_id
        self._compose, self._ask = compose, ask
        self._last = max((seconds_of(call["created_at"]) for call in contents.calls), default=0.0)
        self._opened = clock()
        seed_market.fill(self)

    @cached_property
    def offers(self) -> Rows:
        """All offers by id; the seeded ones are made at first use, since few users look at them."""
        return seed_market.make_offers(self, self._opened)

    def moment(self) -> float:
        """Give now in Unix seconds, but always later than any moment given before: nothing ties."""
        self._last = max(self.clock(), self._last + 2e-6)  # one microsecond would be lost to rounding at times
        return self._last

    def stamp(self) -> str:
        """Give `moment` as a timestamp text."""
        return timestamp(self.moment())

    def insert_call(self) -> Record:
        """Let a new call appear; it has the newest ``created_at``."""
        return self.add_call(self._compose(self.moment()))

    def insert_escalation(self, load_id: str) -> Record:
        """Let the agent ask a person about a load, in the newest call about it; KeyError when there is no such load."""
        load = self.loads[load_id]
        calls = newest_first(call for call in self.calls.values() if call["load_id"] == load["id"])
        escalation = self._ask({"load_id": load_id, "call_id": calls[0]["id"] if calls else None}, self.moment())
        self.escalations.append(escalation)
        emit(self, "escalation.created", escalation)
        return escalation

    def add_call(self, call: Record) -> Record:
        """Keep a call and note that it came after the start."""
        call_id = str(call["id"])
        self.calls[call_id] = call
        self.inserted.append(call_id)
        return call

    def delete_call(self, call_id: str) -> None:
        """Let a call vanish; KeyError when there is none of this id."""
        del self.calls[call_id]
        self.deleted.append(call_id)

    def find_load(self, load_number: object, tms_load_id: object) -> Record | None:
        """Find the load an upsert means: same ``load_number``, or same ``tms_load_id`` when one is given."""
        loads = list(self.loads.values())  # looked through column by column: a batch asks 1,000 times
        wanted = {"load_number": load_number} | ({} if tms_load_id is None else {"tms_load_id": tms_load_id})
        columns = [(value, list(map(itemgetter(name), loads))) for name, value in wanted.items()]
        places = [column.index(value) for value, column in columns if value in column]
        return loads[min(places)] if places else None


def newest_first(rows: Iterable[Record]) -> list[Record]:
    """Order by ``created_at`` downwards, ties by id; nearly free because rows come in order of creation."""
    return sorted(rows, key=BY_AGE, reverse=True)


def _by_id(records: Iterable[Record]) -> Rows:
    """Arrange records under their ids."""
    return {str(record["id"]): record for record in records}
