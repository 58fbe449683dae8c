"""Checkpoints: a listing goes on in another process with exactly the rest, or says why it cannot."""

from __future__ import annotations

import asyncio
import json
import pickle
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any, cast

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from envoy_async import EnvoyClient
from envoy_async._paging import Order, Pages, Position, Strategy, _backward, _checkpoint, _seen, begin
from envoy_async._wire import Request, Response, build
from envoy_async.errors import CheckpointMismatchError, ConnectionLostError, DriftError, EnvoyError, PaginationError
from envoy_async.models import Page
from tests.test_paging import Listing, drifting, rows, uncounted_once
from tests.test_paging_strategies import SPAN, Dated, Plain, Server, into, listing, read

every_strategy = pytest.mark.parametrize("strategy", [None, "count-guard", "backward", "windows", "reconcile"])
LARGEST = 64 * 1024
STRATEGIES: list[Strategy | None] = [None, "backward", "windows", "reconcile"]


async def checkpoints(pages: Pages[Dated | Plain]) -> list[str]:
    """Read a listing to its end; the checkpoint before its first record, and after each."""
    return [pages.checkpoint(), *[pages.checkpoint() async for _ in pages]]


# --- the rest, and nothing but the rest -------------------------------------------------------------------------------


@every_strategy
@pytest.mark.parametrize("ahead", [1, 4])
async def test_a_checkpoint_after_any_record_resumes_with_the_next(strategy: Strategy | None, ahead: int) -> None:
    """Wherever a listing was left, a new one like it gives the rest, in order, and its report counts the whole."""
    whole = listing(Server(rows(35)), strategy, days=SPAN).prefetch(ahead)
    for taken, checkpoint in enumerate(await checkpoints(whole)):
        pages = listing(Server(rows(35)), strategy, days=SPAN).prefetch(ahead).resume(checkpoint)
        assert pages.report.records == taken
        assert await read(pages) == rows(35)[taken:]
        assert (pages.report.records, pages.report.finished) == (35, True)
        assert pages.report.strategy == whole.report.strategy


@every_strategy
async def test_a_checkpoint_of_a_finished_listing_resumes_to_its_end(strategy: Strategy | None) -> None:
    """Nothing is delivered again, and the listing says that it ended."""
    for count in (0, 10, 35):
        checkpoint = (await checkpoints(listing(Server(rows(count)), strategy, days=SPAN)))[-1]
        pages = listing(Server(rows(count)), strategy, days=SPAN).resume(checkpoint)
        assert await read(pages) == []
        assert pages.report.finished
        assert pages.report.records == count


@settings(max_examples=40)
@given(
    strategy=st.sampled_from([None, "backward", "reconcile"]),
    count=st.integers(0, 45),
    changes=st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 10**6)), max_size=3), max_size=25),
    crashes=st.lists(st.integers(1, 25), max_size=6),
)
async def test_crashes_lose_nothing_while_rows_come_and_go(
    strategy: Strategy | None, count: int, changes: list[list[tuple[bool, int]]], crashes: list[int]
) -> None:
    """Left at any record and resumed, again and again, between inserts and deletes: survivors once, others at most."""
    server, found = Server(rows(count), drifting(changes)), list[int]()
    pages = listing(server, strategy, size=6)
    for steps in crashes:
        with suppress(DriftError):
            found += [int(item.id) for item in await pages.collect(limit=steps)]
        pages = listing(server, strategy, size=6).resume(pages.checkpoint())
    with suppress(DriftError):  # reconcile may find no two sweeps that agree
        await into(found, pages)
    assert len(found) == len(set(found))
    assert set(rows(count)) - server.deleted <= set(found)
    assert pages.report.finished or strategy == "reconcile"


@pytest.mark.parametrize("size", [1, 7, 100])
@every_strategy
async def test_another_page_size_goes_on_all_the_same(strategy: Strategy | None, size: int) -> None:
    """The page size is no part of what a checkpoint is bound to."""
    for taken, checkpoint in enumerate(await checkpoints(listing(Server(rows(23)), strategy, days=SPAN))):
        pages = listing(Server(rows(23)), strategy, size=size, days=SPAN).resume(checkpoint)
        assert await read(pages) == rows(23)[taken:]


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 34, 35, 36])
async def test_the_limit_counts_what_was_handed_out_before(limit: int) -> None:
    """`limit` is of the whole listing, however often it is resumed."""
    for taken, checkpoint in enumerate(await checkpoints(listing(Server(rows(35)), limit=limit))):
        pages = listing(Server(rows(35)), limit=limit).resume(checkpoint)
        assert await read(pages) == rows(35)[taken:limit]
        assert pages.report.finished


@every_strategy
async def test_a_later_sweep_is_resumed(strategy: Strategy | None) -> None:
    """Resumed after rows had moved and a sweep had begun again, nothing comes twice, and nothing is claimed."""

    def move(server: Listing) -> None:
        if len(server.asked) == 2:
            server.delete(3)

    ordered = strategy not in {None, "reconcile"}
    server = Server(rows(35), move)

    def begun(server: Server) -> Pages[Dated | Plain]:
        return listing(server, strategy, item=Dated if ordered else Plain, days=SPAN, newest_first=ordered)

    pages, found = begun(server), list[int]()
    async for item in pages:
        found.append(int(item.id))
        again = begun(Server(list(server.rows))).resume(pages.checkpoint())
        whole = found + await read(again)
        assert len(whole) == len(set(whole)) == again.report.records
        assert set(server.rows) <= set(whole)


async def test_checkpoints_between_pages() -> None:
    """In `by_page` the page last handed out counts as delivered, whole."""
    pages, found = listing(Server(rows(35))), list[int]()
    async for page in pages.by_page():
        found += [int(item.id) for item in page.items]
        again = listing(Server(rows(35))).resume(pages.checkpoint())
        assert found + await read(again) == rows(35)


@pytest.mark.parametrize("taken", [0, 4, 10, 14])
async def test_the_checkpoint_of_a_collect_that_failed_is_where_it_began(taken: int) -> None:
    """What `collect` had taken is put back: until it was handed out again, the checkpoint is where `collect` began."""
    server = Server(rows(35), fail_on=frozenset({3}))
    pages = listing(server)
    for _ in range(taken):
        await anext(pages)
    with pytest.raises(ConnectionLostError) as caught:
        await pages.collect()
    assert caught.value.checkpoint is not None
    assert await read(listing(Server(rows(35))).resume(caught.value.checkpoint)) == rows(35)[taken:]
    assert await read(listing(Server(rows(35))).resume(pages.checkpoint())) == rows(35)[taken:]
    some = [int(item.id) for item in await pages.collect(limit=5)]
    assert (
        await read(listing(Server(rows(35))).resume(pages.checkpoint()))
        == rows(35)[taken if taken < 15 else taken + 5 :]
    )
    assert some + await read(pages) == rows(35)[taken:]


async def test_a_collect_that_is_cancelled_puts_back_what_it_took() -> None:
    """A timeout around `collect` leaves the listing, and its checkpoint, where `collect` began."""
    server = Server(rows(35))

    async def send(request: Request) -> Response:
        if len(server.asked) == 2:
            await asyncio.Event().wait()
        return await server.send(request)

    pages = listing(server)
    pages._ahead.send = send
    await pages.first()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pages.collect()
    assert await read(listing(Server(rows(35))).resume(pages.checkpoint())) == rows(35)[1:]
    server.asked.clear()
    assert pages.report.records == 1


async def test_a_listing_tells_what_it_lists() -> None:
    """`operation`, `filters` as sent without page and page size, and `item`: what an export writes down."""
    pages = listing(Server(rows(5)), days=SPAN)
    assert pages.operation == "GET /rows"
    assert pages.filters == {"start_date": "2025-09-20", "end_date": "2025-11-22"}
    assert pages.item is Dated


@every_strategy
@pytest.mark.parametrize("broken", [1, 2, 4])
async def test_errors_carry_a_checkpoint_through_pickling(strategy: Strategy | None, broken: int) -> None:
    """Every error of a listing says where it stood, also in another process."""
    pages, found = listing(Server(rows(35), fail_on=frozenset({broken})), strategy, days=SPAN), list[int]()
    with pytest.raises(ConnectionLostError) as caught:
        await into(found, pages)
    copy: EnvoyError = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert copy.checkpoint == pages.checkpoint()
    assert copy.checkpoint is not None
    assert found + await read(listing(Server(rows(35)), strategy, days=SPAN).resume(copy.checkpoint)) == rows(35)


@every_strategy
async def test_records_that_cannot_be_read_are_counted_once(strategy: Strategy | None) -> None:
    """`skipped` goes on counting after a resume."""
    broken = frozenset({0, 9, 10, 22, 34})
    whole = listing(Server(rows(35), broken=broken), strategy, days=SPAN, on_invalid="skip")
    good = [row for row in rows(35) if row not in broken]
    for taken, checkpoint in enumerate(await checkpoints(whole)):
        pages = listing(Server(rows(35), broken=broken), strategy, days=SPAN, on_invalid="skip").resume(checkpoint)
        assert await read(pages) == good[taken:]
        assert pages.report.skipped >= len(broken)
        assert not pages.report.proven


async def test_the_report_goes_on_counting() -> None:
    """Requests, pages, and waits of all parts are added up; the read of the begun page counts again."""
    first = listing(Server(rows(35)))
    for _ in range(14):
        await anext(first)
    pages = listing(Server(rows(35))).resume(first.checkpoint())
    await read(pages)
    report = pages.report
    assert (report.pages, report.requests, report.waited, report.total_at_start) == (5, 5, 1.25, 35)
    assert report.proven


# --- what it is -------------------------------------------------------------------------------------------------------


@attrs.frozen
class Quick:
    """A listing without a server: its pages are made as they are asked for."""

    count: int
    ids: str

    async def send(self, request: Request) -> Response:
        """Pass the number of the page on."""
        return Response(200, {}, dict(request.query)["page"].encode())

    def read(self, response: Response) -> Page[Plain]:
        """Make the page."""
        number = int(response.body)
        items = tuple(Plain(id=f"{self.ids}{row}") for row in range((number - 1) * 100, min(number * 100, self.count)))
        more = number * 100 < self.count
        return Page(
            items=items, number=number, size=100, total_count=self.count, total_pages=self.count // 100, has_next=more
        )

    def pages(self, strategy: Strategy) -> Pages[Plain]:
        """List it."""
        position: Position[Plain] = begin(strategy, page=1, size=100, limit=None, order=Order(doubt=None))
        return Pages(self.send, build("GET", "/rows"), self.read, position, item=Plain)


@pytest.mark.parametrize("strategy", ["count-guard", "reconcile"])
async def test_a_checkpoint_is_small_however_long_the_listing(strategy: Strategy) -> None:
    """After 50,000 records with ids of 200 characters it has at most 64 KiB, and none of the latest comes again."""
    pages, taken = Quick(50_000, "é" * 200).pages(strategy), 0
    async for _ in pages:
        taken += 1
        if taken in {5_499, 5_500, 5_501, 10_001, 49_950}:
            assert len(pages.checkpoint().encode()) <= LARGEST
        if taken == 49_950:
            break
    checkpoint = pages.checkpoint()
    assert json.loads(checkpoint)["counts"]["records"] == 49_950
    again = Quick(50_000, "é" * 200).pages(strategy).resume(checkpoint)
    assert len(await again.collect(limit=50)) == 50


async def test_a_resumed_listing_forgets_old_digests_in_time() -> None:
    """The memory of a resumed listing is bounded too: after 10,000 more records the digests of before are let go."""
    first = Quick(20_000, "").pages("count-guard")
    await first.collect(limit=150)
    again = Quick(20_000, "").pages("count-guard").resume(first.checkpoint())
    assert [int(item.id) for item in await again.collect()] == rows(20_000)[150:]
    assert not again._position.seen._earlier
    assert again.report.finished


async def test_a_checkpoint_shows_nothing(envoy: EnvoyClient) -> None:
    """It is JSON, and holds no record, no id, no filter, no credential, no organization, and no address."""
    pages = envoy.calls.list(search="5550100", page_size=10)
    calls = [call async for call in pages]
    one = envoy.calls.list(page_size=10)
    calls += await one.collect(limit=25)
    for text in (pages.checkpoint(), one.checkpoint()):
        assert set(json.loads(text)) == {
            *("version", "operation", "filters", "scope", "strategy", "route", "counts", "whole", "seen", "check")
        }
        assert "5550100" not in text
        for call in calls:
            assert call.id not in text
            assert str(call.load_number) not in text
        settings = envoy._transport.settings
        assert settings.base_url not in text
        assert "127.0.0.1" not in text


# --- what it fits -----------------------------------------------------------------------------------------------------


KEY, OTHER_KEY = "envai_live_1", "envai_live_2"
URL, OTHER_URL = "https://one.example/v1", "https://two.example/v1"


async def test_a_checkpoint_fits_only_its_own_listing() -> None:
    """Of another operation, path, filter, or strategy: an error that says which, before anything is sent."""
    async with EnvoyClient(KEY, base_url=URL) as envoy:
        checkpoint = envoy.calls.list(status="COMPLETED").checkpoint()
        envoy.calls.list(status="COMPLETED", page_size=20).resume(checkpoint)
        others: dict[str, Sequence[Pages[Any]]] = {
            "operation": [envoy.loads.list(), envoy.offers.list()],
            "filters": [
                envoy.calls.list(),
                envoy.calls.list(status="FAILED"),
                envoy.calls.list(status="COMPLETED", search="x"),
                envoy.calls.list(status="COMPLETED", order_desc=True),
            ],
            "strategy": [envoy.calls.list(status="COMPLETED", strategy="backward")],
        }
        for what, listings in others.items():
            for other in listings:
                with pytest.raises(CheckpointMismatchError, match=f"another (set of )?{what}"):
                    other.resume(checkpoint)
        first, second = (f"0b7e6a1c-52f4-4d0e-9a43-3c1f6f2b8d9{n}" for n in (0, 1))
        of_load = envoy.loads.calls(first).checkpoint()
        with pytest.raises(CheckpointMismatchError, match="another set of filters"):
            envoy.loads.calls(second).resume(of_load)


async def test_a_checkpoint_fits_only_its_own_account() -> None:
    """Another organization, server, or (where no organization is named) key: refused. A new key of the same: fine."""

    def client(key: str = KEY, url: str = URL, organization: str | None = "org_1") -> EnvoyClient:
        return EnvoyClient(key, base_url=url, organization_id=organization)

    fits = [(client(), client()), (client(), client(OTHER_KEY)), (client(organization=None), client(organization=None))]
    others = [
        (client(), client(organization="org_2")),
        (client(), client(organization=None)),
        (client(), client(url=OTHER_URL)),
        (client(organization=None), client(OTHER_KEY, organization=None)),
        (client(organization=None), client(url=OTHER_URL, organization=None)),
    ]
    for first, second in fits:
        second.calls.list().resume(first.calls.list().checkpoint())
    for first, second in others:
        with pytest.raises(CheckpointMismatchError, match="organization, account, or server"):
            second.calls.list().resume(first.calls.list().checkpoint())
    for pair in (*fits, *others):
        for one in pair:
            await one.close()


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.5, []], ids=repr)
def test_a_checkpoint_of_another_version_is_refused(version: object) -> None:
    """The error says that another version of the SDK wrote it."""
    told = json.loads(listing(Server(rows(5))).checkpoint())
    with pytest.raises(CheckpointMismatchError, match="another version"):
        listing(Server(rows(5))).resume(json.dumps({**told, "version": version}))


async def test_resume_comes_before_the_first_step() -> None:
    """A listing that was stepped, is being stepped, or was resumed and stepped cannot be put somewhere else."""
    pages = listing(Server(rows(35)))
    start = pages.checkpoint()
    pages.resume(start)
    await anext(pages)
    with pytest.raises(PaginationError, match="before the first step"):
        pages.resume(start)

    async def never(_: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    waiting = listing(Server(rows(35)))
    waiting._ahead.send = never
    task = asyncio.ensure_future(waiting.first())
    await asyncio.sleep(0)
    with pytest.raises(PaginationError, match="before the first step"):
        waiting.resume(start)
    task.cancel()
    await asyncio.wait({task})


# --- damage -----------------------------------------------------------------------------------------------------------


NO_CHECKPOINT = [
    *("", "{", "null", "[]", "5", '"x"', "{}", "\ud800", "[" * 100_000, " " * (LARGEST + 1), "NaN", "1" * 5_000),
    *(b"{}", None, 5, ["x"]),
]


@pytest.mark.parametrize("text", NO_CHECKPOINT, ids=lambda text: repr(text)[:12])
def test_what_is_no_checkpoint_is_refused(text: object) -> None:
    """Anything at all: a `CheckpointMismatchError`, and the listing is as it was."""
    pages = listing(Server(rows(5)))
    with pytest.raises(CheckpointMismatchError):
        pages.resume(cast("str", text))
    assert asyncio.run(read(pages)) == rows(5)


async def test_a_field_that_was_changed_is_noticed() -> None:
    """A field that is missing, or says something else, anywhere: refused before anything is sent."""
    for strategy in (None, STRATEGIES[2]):
        told = json.loads(await _left(strategy))
        for changed in _changed(told, [None, 7, "x"]):
            server = Server(rows(35))
            with pytest.raises(CheckpointMismatchError):
                listing(server, strategy, days=SPAN).resume(json.dumps(changed))


async def test_a_field_of_another_kind_is_no_other_error() -> None:
    """Even with the right digest, what cannot stand in a checkpoint is a `CheckpointMismatchError` or of no weight."""
    wrong: list[object] = [None, -1, 1.5, "x", [], {}, 10**18, 10**400, "0001-01-01", "9999-12-31"]
    for strategy in (None, STRATEGIES[2]):
        told = json.loads(await _left(strategy))
        del told["check"]
        for changed in _changed(told, wrong):
            check = _checkpoint._digest(_checkpoint._dumped(changed))
            with suppress(CheckpointMismatchError):
                listing(Server(rows(35)), strategy, days=SPAN).resume(json.dumps({**changed, "check": check}))


async def _left(strategy: Strategy | None, taken: int = 14) -> str:
    """Give the checkpoint of a listing that was left after so many records."""
    pages = listing(Server(rows(35)), strategy, days=SPAN)
    for _ in range(taken):
        await anext(pages)
    return pages.checkpoint()


def _changed(told: dict[str, object], wrong: list[object]) -> Iterator[dict[str, object]]:
    """Give it with one field left out, or replaced, each in turn; also the fields of its parts."""
    for name, value in told.items():
        yield {key: other for key, other in told.items() if key != name}
        for other in wrong:
            if (other, type(other)) != (value, type(value)):
                yield {**told, name: other}
        if isinstance(value, dict):
            for part in _changed(cast("dict[str, object]", value), wrong):
                yield {**told, name: part}


@settings(max_examples=60)
@given(data=st.data(), taken=st.integers(0, 35), strategy=st.sampled_from(STRATEGIES))
async def test_damaged_text_is_refused(data: st.DataObject, taken: int, strategy: Strategy | None) -> None:
    """Characters lost, added, or changed at random: refused, unless the JSON says the same as before."""
    whole = text = await _left(strategy, taken)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 4))
        text = text[:start] + data.draw(st.text('0123456789-":{}[],eEtrufalsn+TZ', max_size=3)) + text[end:]
    same = False
    with suppress(ValueError):
        same = json.loads(text) == json.loads(whole)
    pages = listing(Server(rows(35)), strategy, days=SPAN)
    try:
        pages.resume(text)
    except CheckpointMismatchError:
        pass
    else:
        assert same
        assert await read(pages) == rows(35)[taken:]


# --- exactly once -----------------------------------------------------------------------------------------------------


class KilledError(Exception):
    """The process dies here."""


@attrs.define
class Killer:
    """Kills at the given step, once."""

    at: int
    steps: int = 0

    def __call__(self) -> None:
        """Die, if it is time."""
        self.steps += 1
        if self.steps == self.at:
            raise KilledError


async def load_into(database: Path, pages: Pages[Dated | Plain], die: Killer) -> None:
    """Write the pages that are missing, each with its checkpoint, in one transaction."""
    with closing(sqlite3.connect(database)) as store:
        store.execute("CREATE TABLE IF NOT EXISTS rows (id TEXT)")  # no key: a record that came twice would show
        store.execute("CREATE TABLE IF NOT EXISTS checkpoint (one INTEGER PRIMARY KEY, text TEXT)")
        if saved := store.execute("SELECT text FROM checkpoint").fetchone():
            pages.resume(saved[0])
        async for page in pages.by_page():
            die()
            with store:
                for item in page.items:
                    store.execute("INSERT INTO rows VALUES (?)", (item.id,))
                    die()
                store.execute("REPLACE INTO checkpoint VALUES (1, ?)", (pages.checkpoint(),))
                die()
            die()


@pytest.mark.parametrize("strategy", [None, "backward"])
async def test_rows_and_checkpoint_in_one_transaction_come_exactly_once(
    tmp_path: Path, strategy: Strategy | None
) -> None:
    """Killed at every point, between and inside the transactions, and run again: each record is stored once."""
    for at in range(1, 35 + 3 * 4 + 1):
        database, die = tmp_path / f"{strategy}-{at}.db", Killer(at)
        with pytest.raises(KilledError):
            await load_into(database, listing(Server(rows(35)), strategy), die)
        await load_into(database, listing(Server(rows(35)), strategy), die)
        with closing(sqlite3.connect(database)) as store:
            assert [int(row[0]) for row in store.execute("SELECT id FROM rows ORDER BY rowid")] == rows(35)


@pytest.mark.parametrize("seed", range(5))
async def test_exactly_once_also_while_rows_come_and_go(tmp_path: Path, seed: int) -> None:
    """Killed again and again while rows are inserted and deleted: survivors are stored once, others at most once."""
    rng, database = Random(seed), tmp_path / "calls.db"

    def drift(server: Listing) -> None:
        if rng.random() < 0.4:
            server.insert() if rng.random() < 0.5 else server.delete(rng.randrange(len(server.rows)))

    server, done = Server(rows(95), drift), False
    while not done:
        with suppress(KilledError):
            await load_into(database, listing(server), Killer(rng.randrange(1, 60)))
            done = True
    with closing(sqlite3.connect(database)) as store:
        found = [int(row[0]) for row in store.execute("SELECT id FROM rows")]
    assert len(found) == len(set(found))
    assert set(rows(95)) - server.deleted <= set(found)


async def test_doubts_and_the_page_begun_at_travel_with_a_checkpoint() -> None:
    """What spoke against a proof before a checkpoint does so after it, and another first page is another listing."""
    pages = listing(Server(rows(95), answer=uncounted_once), "count-guard")
    assert len([await anext(pages) for _ in range(45)]) == 45
    doubts = pages.report.doubts
    assert doubts
    resumed = listing(Server(rows(95)), "count-guard").resume(pages.checkpoint())
    assert await read(resumed) == rows(95)[45:]
    assert resumed.report.doubts == doubts
    assert not resumed.report.proven
    later = listing(Server(rows(95)), "count-guard", page=5)
    await anext(later)
    with pytest.raises(CheckpointMismatchError):
        listing(Server(rows(95)), "count-guard").resume(later.checkpoint())


async def test_an_answer_longer_than_a_checkpoint_remembers_goes_on_by_place() -> None:
    """A listing of one array, resumed after 7,000 records, gives none of them again."""

    def made() -> Pages[Plain]:
        position: Position[Plain] = begin(None, page=1, size=100, limit=None, paged=False)
        page = Page(
            items=tuple(Plain(id=str(n)) for n in range(8_000)),
            number=1, size=8_000, total_count=8_000, total_pages=1, has_next=False,
        )  # fmt: skip

        async def send(_: Request) -> Response:
            return Response(200, {}, b"")

        return Pages(send, build("GET", "/rows", paged=False), lambda _: page, position, item=Plain)

    pages = made()
    for _ in range(7_000):
        await anext(pages)
    assert [int(item.id) async for item in made().resume(pages.checkpoint())] == list(range(7_000, 8_000))


async def test_a_shared_day_beyond_a_checkpoints_memory_is_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that go on with fewer ids than were delivered say that the day two spans share may repeat."""
    monkeypatch.setattr(_backward, "_PAGES", 1)
    monkeypatch.setattr(_backward, "_DAYS", 2)
    monkeypatch.setattr(_seen, "_KEPT", 20)
    pages = listing(Server(rows(95)), "windows", days=SPAN)
    for _ in range(40):
        await anext(pages)
    resumed = listing(Server(rows(95)), "windows", days=SPAN).resume(pages.checkpoint())
    assert await read(resumed) == rows(95)[40:]
    assert any("a day may repeat" in doubt for doubt in resumed.report.doubts)
