"""A modelled `GET /calls` whose rows come and go.

The rule: the server knows nothing of paging strategies. Requests travel: several at once are handled, and answered, in
any order. Assumed, since the vendor does not say: `order_desc=false` is exactly the other way round, rows are added at
the newest end only, and a day is a day of the server's own zone, which the reader does not know.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from random import Random
from typing import TypeAlias

import attrs

from envoy_async._wire import Attempt, Request, Response
from envoy_async.errors import ConnectionLostError, EnvoyError, ValidationError

EPOCH = 1_763_740_800
DAY = 86_400
EPOCH_DAY = datetime.fromtimestamp(EPOCH, UTC).date()
Answer: TypeAlias = Callable[["CallsServer", dict[str, str]], "Told | None"]


class NeverEndsError(EnvoyError):
    """A listing asks for more and more pages."""


@lru_cache(512)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY, UTC).date().isoformat()


@attrs.define
class Row:
    """A call as it is stored."""

    id: str
    at: int
    """When it was created, in seconds since 1970."""
    status: str = "SCHEDULED"
    valid: bool = True
    json: str = ""

    def text(self) -> str:
        """Write it as JSON; one that is not valid has lost its `call_time`."""
        self.json = self.json or self.write()
        return self.json

    def write(self) -> str:
        """Write it anew."""
        day, second = divmod(self.at, DAY)
        minute, second = divmod(second, 60)
        at = f'"{_day(day)}T{minute // 60:02}:{minute % 60:02}:{second:02}Z"'
        called = f'"call_time":{at},' if self.valid else ""
        return f'{{"id":"{self.id}","status":"{self.status}",{called}"created_at":{at},"updated_at":{at}}}'


@attrs.frozen
class Told:
    """What an answer tells: its rows, and the figures beside them."""

    rows: list[Row]
    number: int
    size: int
    total: int
    has_next: bool

    def body(self) -> bytes:
        """Write it as the server would."""
        told = (
            f'"page":{self.number},"page_size":{self.size},"total_count":{self.total},'
            f'"total_pages":{-(-self.total // self.size)},"has_next":{"true" if self.has_next else "false"}'
        )
        return f'{{"data":[{",".join(row.text() for row in self.rows)}],"pagination":{{{told}}}}}'.encode()


@attrs.frozen
class Drift:
    """What happens to the rows before each request is handled."""

    tries: int = 0
    """So many inserts and so many deletes may happen …"""
    chance: float = 0.0
    """… each with this probability."""
    storm: float = 0.0
    """The probability that one to three pages of rows are deleted at once, and of as many inserted at once."""


DRIFTS = {"none": Drift(), "light": Drift(1, 0.1), "heavy": Drift(3, 0.3), "storm": Drift(3, 0.3, 0.06)}


@attrs.define(eq=False)
class CallsServer:
    """Calls, oldest first, that are listed, added, deleted, and changed."""

    random: Random
    drift: Drift = DRIFTS["none"]
    zone: int = 0
    """How far its days are ahead of UTC, in seconds."""
    gap: int = 3_600
    """Longest time between two calls, in seconds."""
    tied: float = 0.05
    """The probability that a call is as new as the one before it."""
    largest: int = 100
    """Rows it gives per page at most."""
    unsteady: bool = False
    """Whether calls of the same instant come in another order each time."""
    alike: bool = False
    """Whether calls of the same instant come in the same order up and down."""
    whole_last_day: bool = True
    """Whether `end_date` itself belongs to the span."""
    past_end: int = 200
    """What it answers to a page behind the last one."""
    failing: float = 0.0
    """The probability that a request is lost."""
    longest_way: float = 1.0
    odd: Answer = lambda _, __: None
    rows: list[Row] = attrs.field(factory=list[Row])
    deleted: set[str] = attrs.field(factory=set[str])
    born: int = 0
    now: int = EPOCH
    most: int = 10_000
    """So many requests are no listing any more."""
    requests: int = 0
    flying: int = 0
    """Requests under way."""
    told: set[str] = attrs.field(factory=set[str])
    """Calls that came in any answer."""
    idle: int = 0
    """Answers since one that held a call that came in no other."""

    def insert(self, count: int = 1) -> None:
        """Add calls, newer than all others or as new as the newest."""
        for _ in range(count):
            self.now += 0 if self.random.random() < self.tied else self.random.randrange(1, self.gap + 1)
            self.rows.append(Row(f"call_{self.born}", self.now))
            self.born += 1

    def delete(self, index: int, count: int = 1) -> None:
        """Delete calls that lie side by side."""
        self.deleted.update(row.id for row in self.rows[index : index + count])
        del self.rows[index : index + count]

    def update(self, index: int) -> None:
        """Change a call, which moves it nowhere."""
        self.rows[index].status, self.rows[index].json = "COMPLETED", ""

    def change(self, size: int) -> None:
        """Let happen what happens before a request is handled."""
        rng, drift = self.random, self.drift
        for _ in range(drift.tries):
            if rng.random() < drift.chance:
                self.insert()
            if rng.random() < drift.chance and self.rows:
                self.delete(rng.randrange(len(self.rows)))
            if rng.random() < drift.chance and self.rows:
                self.update(rng.randrange(len(self.rows)))
        if rng.random() < drift.storm:
            self.insert(rng.randrange(size, 3 * size + 1))
        if rng.random() < drift.storm and self.rows:
            self.delete(rng.randrange(len(self.rows)), rng.randrange(size, 3 * size + 1))

    def chosen(self, query: dict[str, str]) -> tuple[int, int]:
        """Say where the rows asked for begin and end."""
        first, last = query.get("start_date"), query.get("end_date")
        if first is None or last is None:
            return 0, len(self.rows)
        begin, end = (_midnight(day) - self.zone for day in (first, last))
        end += DAY if self.whole_last_day else 0
        return bisect_left(self.rows, begin, key=_at), bisect_left(self.rows, end, key=_at)

    def tell(self, query: dict[str, str]) -> Told:
        """Answer a page of what there is now."""
        number, size = int(query["page"]), min(int(query["page_size"]), self.largest)
        low, high = self.chosen(query)
        start, total = (number - 1) * size, high - low
        rows = self.rows
        if self.unsteady:
            rows = sorted(rows, key=lambda row: (row.at, self.random.random()))
        if query.get("order_by", "created_at") != "created_at":
            raise ValueError("the model sorts by created_at only")
        if self.alike and query.get("order_desc") != "false":
            rows = sorted(rows, key=lambda row: -row.at)[::-1]
        if query.get("order_desc") == "false":
            found = rows[min(high, low + start) : min(high, low + start + size)]
        else:
            found = rows[max(low, high - start - size) : max(low, high - start)][::-1]
        return Told(found, number, size, total, start + size < total)

    def remember(self, rows: list[Row]) -> None:
        """Count the answers that bring nothing new."""
        new = {row.id for row in rows} - self.told
        self.idle = 0 if new else self.idle + 1
        self.told |= new

    async def travel(self) -> None:
        """Let a request, or its answer, take its time."""
        if self.longest_way:
            await asyncio.sleep(self.random.random() * self.longest_way)

    async def send(self, request: Request) -> Response:
        """Take one request: a way there, the changes of the moment, and a way back."""
        query = dict(request.query)
        self.requests += 1
        if self.requests > self.most:
            raise NeverEndsError("no end in sight")
        self.flying += 1
        try:
            await self.travel()
            self.change(int(query["page_size"]))
            lost = self.random.random() < self.failing
            told = self.odd(self, query) or self.tell(query)
            self.remember(told.rows)
            body = told.body()
            await self.travel()
        finally:
            self.flying -= 1
        if lost:
            raise ConnectionLostError("lost")
        if self.past_end != 200 and told.number > 1 and not told.rows:
            error = ValidationError("page is behind the last one")
            error.status = self.past_end
            raise error
        return Response(200, {}, body, (Attempt(0.0, 0.0, 200),))


def _at(row: Row) -> int:
    return row.at


def _midnight(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY
