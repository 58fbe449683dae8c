"""Readers of a modelled `GET /calls` that are judged by the guarantee.

The rule: the judge knows nothing but the guarantee: what existed when the listing started and was not deleted before it
ended comes exactly once, nothing comes twice, and no proof is claimed where this does not hold. A quarter of the
listings are given up and resumed on the way, some of them with requests that fail, or rows that cannot be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date, timedelta
from random import Random
from unittest.mock import patch

import attrs

from envoy_async._converter import structure
from envoy_async._converter._pages import OnInvalid
from envoy_async._paging import Pages, _backward
from envoy_async._paging._strategies import Strategy
from envoy_async._wire import build
from envoy_async.errors import ConnectionLostError, EnvoyError
from envoy_async.models import Call, Page
from envoy_async.resources.calls import Calls
from tests.simulations._calls import DAY, DRIFTS, EPOCH, Answer, CallsServer, Told


def _ties(server: CallsServer) -> None:
    """Calls share their instant with up to two pages of others."""
    rng, at, left = server.random, EPOCH, 0
    for row in server.rows:
        left -= 1
        if left < 0:
            left = rng.randrange(1, 41)
            at = row.at
        row.at = at


def _unsteady(server: CallsServer) -> None:
    _ties(server)
    server.unsteady = True


def _alike(server: CallsServer) -> None:
    _ties(server)
    server.alike = True


def _clamped(server: CallsServer) -> None:
    server.largest = server.random.randrange(2, 6)


def _behind(server: CallsServer) -> None:
    server.past_end = 422


def _half_open(server: CallsServer) -> None:
    server.whole_last_day = False


def _first_page(server: CallsServer, query: dict[str, str]) -> Told:
    """Give the first page whatever is asked for."""
    told = server.tell({**query, "page": "1"})
    return attrs.evolve(told, number=int(query["page"]), has_next=True)


def _two_pages(server: CallsServer, query: dict[str, str]) -> Told:
    """Give two pages in turn whatever is asked for."""
    told = server.tell({**query, "page": str(1 + server.requests % 2)})
    return attrs.evolve(told, number=int(query["page"]), has_next=True)


def _forever(server: CallsServer, query: dict[str, str]) -> Told:
    """Say of each page that another follows."""
    return attrs.evolve(server.tell(query), has_next=True)


def _answering(answer: Answer) -> Callable[[CallsServer], None]:
    def change(server: CallsServer) -> None:
        server.odd = answer

    return change


LONGEST: dict[Strategy | None, int] = {"windows": 200, "reconcile": 12}
"""Pages at most, where not 60: short listings are not cut into spans, and sweeping reads everything several times."""
CHOICES: tuple[OnInvalid, ...] = ("raise", "raise", "skip", "collect")
STRATEGIES: tuple[Strategy, ...] = ("count-guard", "backward", "windows", "reconcile")
STALLS = {"has_next for ever": _forever, "one page again and again": _first_page, "two pages in turn": _two_pages}
KINDS: dict[str, Callable[[CallsServer], None]] = {
    "usual": lambda _: None,
    "calls of one instant in no order": _unsteady,
    "calls of one instant in one order both ways": _alike,
    "page_size clamped": _clamped,
    "422 behind the last page": _behind,
    "end_date not included": _half_open,
    "short spans": lambda _: None,
    **{name: _answering(answer) for name, answer in STALLS.items()},
}


@attrs.frozen
class Case:
    """One listing to be read: everything about it follows from this."""

    strategy: Strategy | None
    """`None` for what everybody does: page after page."""
    drift: str
    prefetch: int
    seed: int
    kind: str = "usual"
    """Which server: the usual one, or one that is odd in the way of this name."""


@attrs.frozen(kw_only=True)
class Found:
    """What came of reading one listing."""

    lost: int
    twice: int
    requests: int
    pages: int
    """Requests that plain paging needs when nothing changes."""
    idle: int
    """Answers at the end that brought nothing new."""
    proven: bool = False
    ended: str = ""
    """Empty when the listing was read to its end, otherwise the name of the error."""
    back: int = 0
    tied: bool = False
    """Whether some calls are of one instant."""
    disturbed: bool = False
    """Whether it was given up and resumed on the way, or requests failed."""
    untidy: str = ""
    """What the report or the background work did wrong, if anything."""


@attrs.define
class Reader:
    """Reads one listing of a seeded server, maybe with interruptions, and judges what came."""

    case: Case
    random: Random
    server: CallsServer
    size: int
    days: tuple[date, date] | None
    invalid: OnInvalid = "raise"
    left: int = 0
    """Times it will yet be given up and resumed."""
    steps: int = 0
    delivered: list[str] = attrs.field(factory=list[str])

    @classmethod
    def of(cls, case: Case) -> Reader:
        """Make server and reader from the seed; the rows are the same for each drift and strategy."""
        rng = Random(case.seed)
        size, share = rng.randrange(5, 21), rng.random()
        server = CallsServer(
            Random(case.seed + 1), zone=rng.randrange(-12, 15) * 3_600, gap=rng.choice([60, 1_800, 20_000, 100_000])
        )
        server.tied = rng.choice([0.0, 0.05])
        most = 60 if case.kind != "usual" else LONGEST.get(case.strategy, 60)
        server.insert(int(share**3 * most * size) + rng.randrange(size))
        disturbed = rng.random() < 0.25 and case.kind in {"usual", "short spans"} and case.strategy is not None
        reader = cls(case, rng, server, size, _some_days(server, rng, always=case.strategy == "windows"))
        if disturbed:
            reader.left, server.failing = rng.randrange(1, 4), rng.choice([0.0, 0.0, 0.03])
            _spoil(reader)
        KINDS[case.kind](server)
        server.most = 1_000 + 40 * len(server.rows) // min(size, server.largest)
        server.drift, server.longest_way = DRIFTS[case.drift], 0.0 if case.prefetch == 1 else 1.0
        return reader

    def pages(self) -> Pages[Call]:
        """Begin the listing."""
        first, last = self.days or (None, None)
        pages = Calls(self.server.send).list(
            strategy=self.case.strategy,
            start_date=first,
            end_date=last,
            page_size=self.size,
            on_invalid=self.invalid,
        )
        return pages.prefetch(self.case.prefetch)

    async def read(self) -> Found:
        """Read it to its end, and judge."""
        cut = self.case.kind in {"short spans", "end_date not included"}
        # spans are worth it for long listings only; here from four pages and three days on
        with patch.multiple(_backward, _PAGES=4, _DAYS=3) if cut else nullcontext():
            return await self.read_on()

    async def read_on(self) -> Found:
        """Read it to its end, and judge."""
        disturbed, judge = self.left > 0, self.judge()
        pages, ended, untidy = self.pages(), "", ""
        try:
            while not await self.take(pages):
                pages = await self.again(pages)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            ended = type(error).__name__
            untidy = "" if isinstance(error, EnvoyError) else f"raised {error!r}"
        report, count = pages.report, len(self.delivered)
        if report.records != count:
            untidy = f"report says {report.records} records, {count} came"
        await pages.aclose()
        if self.server.flying or len(asyncio.all_tasks()) > 1:
            untidy = "background work goes on"
        found = attrs.evolve(judge(), proven=report.proven, ended=ended, back=report.stepped_back)
        return attrs.evolve(found, disturbed=disturbed, untidy=untidy)

    async def read_plainly(self) -> Found:
        """Do what everybody does: page after page, without what came before."""
        server, number, more, found, judge = self.server, 1, True, dict[str, None](), self.judge()
        request = build("GET", "/calls", query=self.query)
        while more:
            page = structure((await server.send(request.at_page(number, self.size))).body, Page[Call])
            found.update((call.id, None) for call in page.items)
            number, more = number + 1, page.has_next
        self.delivered.extend(found)
        return judge()

    def judge(self) -> Callable[[], Found]:
        """Look at what is there when the listing starts; what is returned says, at its end, what came of it."""
        server = self.server
        low, high = server.chosen(self.query)
        there = {row.id for row in server.rows[low:high] if row.valid}
        pages = max(1, -(-(high - low) // min(self.size, server.largest)))

        def judged() -> Found:
            came = set(self.delivered)
            lost, twice = len(there - server.deleted - came), len(self.delivered) - len(came)
            return Found(
                lost=lost, twice=twice, requests=server.requests, pages=pages, idle=server.idle, tied=server.tied > 0
            )

        return judged

    @property
    def query(self) -> dict[str, str]:
        """Give the days as the server gets them."""
        return {} if self.days is None else {"start_date": str(self.days[0]), "end_date": str(self.days[1])}

    async def take(self, pages: Pages[Call], most: int | None = None) -> bool:
        """Take records until the end, which it tells, or until it is time to give up; goes on after lost requests."""
        if most is None:
            most = self.random.randrange(1, 12 * self.size) if self.left else 10**9
        while True:
            try:
                async for call in pages:
                    self.delivered.append(call.id)
                    most -= 1
                    if self.random.random() < 0.01:
                        await asyncio.sleep(self.random.random() * 3)
                    if most <= 0:
                        return False
            except ConnectionLostError:
                continue
            return True

    async def again(self, pages: Pages[Call]) -> Pages[Call]:
        """Give the listing up: what came after the checkpoint is forgotten, as after a crash."""
        self.left -= 1
        state, kept = pages.checkpoint(), len(self.delivered)
        if self.random.random() < 0.5:
            await self.take(pages, self.random.randrange(1, 3 * self.size))
            del self.delivered[kept:]
        await pages.aclose()
        for _ in range(self.random.randrange(4)):
            self.server.change(self.size)
        return self.pages().resume(state)


def _some_days(server: CallsServer, rng: Random, *, always: bool) -> tuple[date, date] | None:
    """Choose days to be listed: all that there are, or some."""
    share, ends = rng.random(), (rng.random(), rng.random())
    if not always and share < 0.7:
        return None
    first, last = (EPOCH // DAY - 1, server.now // DAY + 1)
    if share < 0.4 or share > 0.9:
        first, last = sorted(first + int(end * (last - first)) for end in ends)
    first_day, last_day = (date(1970, 1, 1) + timedelta(days=number) for number in (first, last + rng.randrange(3)))
    return first_day, last_day


def _spoil(reader: Reader) -> None:
    """Have some rows lost a field, and the reader leave them out."""
    reader.invalid = reader.random.choice(CHOICES)
    if reader.invalid != "raise":
        for row in reader.server.rows:
            row.valid = reader.random.random() > 0.03
