"""Faults 55, 56, 58, 59, 60, 62 to 66: what the order, the counts, and a resume of a listing can get wrong."""

from __future__ import annotations

import asyncio
import json
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import cast

import pytest

from envoy_async import Pages, RetryPolicy, errors
from envoy_async.models import Call
from tests.faults.conftest import clean, fails
from tests.faults.test_faults_listings import Rows, Told, serving
from tests.transport.conftest import KEY, MisbehavingServer, Step, answer, make_client

once = RetryPolicy(max_attempts=1)


async def read(pages: Pages[Call], found: list[int]) -> None:
    """Read a listing; what came before an error is kept."""
    async for call in pages:
        found.append(int(call.id))  # noqa: PERF401 - a comprehension would lose it


@pytest.mark.parametrize("seed", range(5))
async def test_fault_055_equal_sort_keys(seed: int) -> None:
    """Records of one moment that come in another order each time: all of them come, or that is not claimed."""
    rng = Random(seed)

    def shuffle(rows: Rows) -> None:
        rows.rows.sort(key=lambda row: (row // 7, rng.random()))

    rows = Rows(list(range(60)), shuffle, made_at=lambda row: row // 7)
    async with serving(rows) as server, make_client(server.url) as envoy:
        for pages in (envoy.calls.list(page_size=10), envoy.loads.list(page_size=10)):
            found: list[str] = [record.id async for record in cast("Pages[Call]", pages)]
            assert len(found) == len(set(found))
            assert len(found) == 60 or not pages.report.proven
            assert len(found) == 60 or pages.report.doubts


@pytest.mark.parametrize("seed", range(5))
async def test_fault_056_sort_key_that_changes(seed: int) -> None:
    """Records that jump to the top while they are listed: none comes twice, and what may be missing is told."""
    rng = Random(seed)

    def touch(rows: Rows) -> None:
        rows.rows.insert(0, rows.rows.pop(rng.randrange(len(rows.rows))))

    rows = Rows(list(range(60)), touch)
    async with serving(rows) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list(order_by="updated_at", page_size=20)
        found: list[int] = []
        await read(pages, found)
        assert len(found) == len(set(found))
        assert not pages.report.proven
        assert pages.report.doubts
        careful, found = envoy.calls.list(order_by="updated_at", page_size=20, strategy="reconcile"), []
        with suppress(errors.DriftError):
            await read(careful, found)
        assert len(found) == len(set(found))
        assert set(found) == set(range(60)) or not careful.report.proven


async def test_fault_058_inserts_outrun_the_reader() -> None:
    """When more rows come in than are read, the listing says so; read on in calmer times, it is whole."""

    def flood(rows: Rows) -> None:
        for _ in range(4):
            rows.insert()

    rows, found = Rows(list(range(8)), flood), list[int]()
    async with serving(rows) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list(page_size=2)
        await fails(read(pages, found), errors.PaginationError)
        assert len(server.executed) <= 5 * ((8 + 4) // 2 + 10)
        rows.drift = lambda _: None
        while not pages.report.finished:
            with suppress(errors.PaginationError):
                await read(pages, found)
    assert len(found) == len(set(found))
    assert set(range(8)) <= set(found)


async def test_fault_059_has_next_says_no_and_the_count_says_more() -> None:
    """While pages are full the count is followed, all is delivered, and nothing is claimed."""
    rows, found = Rows(list(range(35)), tell=lambda told: {**told, "has_next": False}), list[int]()
    async with serving(rows) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list(page_size=10)
        await read(pages, found)
        assert len(server.executed) == 4
    assert found == list(range(35))
    assert not pages.report.proven
    assert pages.report.doubts


async def test_fault_059_has_next_says_yes_and_the_count_says_all() -> None:
    """One page beyond the count settles it, when that page says that nothing follows."""

    def yes_too_long(told: Told) -> Told:
        return {**told, "has_next": cast("int", told["page"]) <= 4}

    rows, found = Rows(list(range(35)), tell=yes_too_long), list[int]()
    async with serving(rows) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list(page_size=10)
        await read(pages, found)
        assert len(server.executed) == 5
    assert found == list(range(35))
    assert pages.report.finished
    assert not pages.report.proven


WRONG: dict[str, Told] = {
    "negative": {"total_count": -35},
    "negative pages": {"total_pages": -4},
    "text": {"total_count": "35"},
    "text pages": {"total_pages": "four"},
    "fraction": {"total_count": 35.5},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
async def test_fault_060_counts_that_are_none(wrong: Told) -> None:
    """A count below zero, or that is no whole number, is an unreadable answer, which names the field."""
    rows = Rows(list(range(35)), tell=lambda told: {**told, **wrong})
    async with serving(rows) as server, make_client(server.url) as envoy:
        error = await fails(envoy.calls.list(page_size=10).collect(), errors.InvalidResponseError)
    assert "$.pagination" in str(error)


@pytest.mark.parametrize("gone", [("total_count",), ("total_pages",), ("total_count", "total_pages"), ("has_next",)])
async def test_fault_060_counts_that_are_missing(gone: tuple[str, ...]) -> None:
    """Without counts `has_next` leads to the end, without it the counts do; unproven where nothing is counted."""

    def without(told: Told) -> Told:
        return {name: value for name, value in told.items() if name not in gone}

    found: list[int] = []
    async with serving(Rows(list(range(35)), tell=without)) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list(page_size=10)
        await read(pages, found)
    assert found == list(range(35))
    assert pages.report.proven is ("total_count" not in gone)


@pytest.mark.parametrize("ahead", [1, 4])
async def test_fault_062_a_page_fails_for_ever(ahead: int) -> None:
    """All before it is delivered; the error says where it stood, and the same listing, or a new one, goes on there."""
    rows, down = Rows(list(range(95))), [True]
    good = serving(rows)

    async def run(writer: asyncio.StreamWriter) -> None:
        good.executed[:] = server.executed
        step = answer(500, {}) if down and "page=4" in server.executed[-1].target else good._script[0]
        await step.run(writer)

    found: list[int] = []
    async with MisbehavingServer(Step("page", run)) as server, make_client(server.url, retry=once) as envoy:
        pages = envoy.calls.list(page_size=10).prefetch(ahead)
        for _ in range(2):
            await fails(read(pages, found), errors.ServerError)
            assert found == list(range(30))
        error = await fails(read(pages, found), errors.ServerError)
        assert isinstance(error.checkpoint, str)
        down.clear()
        copy: errors.EnvoyError = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        rest: list[int] = []
        await read(envoy.calls.list(page_size=10).resume(cast("str", copy.checkpoint)), rest)
        await read(pages, found)
        await pages.aclose()
    assert found == list(range(95))
    assert rest == list(range(30, 95))


@pytest.mark.parametrize("ahead", [1, 4])
@pytest.mark.parametrize("leave", ["break", "cancel"])
async def test_fault_063_the_reader_leaves(leave: str, ahead: int) -> None:
    """Broken off or cancelled within a page: no task is left, and the checkpoint is of the last record handed out."""
    rows, found = Rows(list(range(95))), list[int]()
    async with serving(rows) as server, make_client(server.url) as envoy:
        pages, before, waiting = envoy.calls.list(page_size=10).prefetch(ahead), asyncio.all_tasks(), asyncio.Event()

        async def take() -> None:
            async for call in pages:
                found.append(int(call.id))
                if len(found) == 25 and leave == "break":
                    break
                if len(found) == 25:
                    waiting.set()
                    await asyncio.Event().wait()

        task = asyncio.ensure_future(take())
        if leave == "cancel":
            await waiting.wait()
            task.cancel()
        await asyncio.wait({task})
        del task
        await pages.aclose()
        mine = {one for one in asyncio.all_tasks() - before if "MisbehavingServer" not in repr(one)}
        assert mine == set()
        again = envoy.calls.list(page_size=10).resume(pages.checkpoint())
        await read(again, found)
    assert found == list(range(95))


@pytest.mark.parametrize("status", [404, 422])
async def test_fault_064_a_page_past_the_end_is_refused(status: int) -> None:
    """Rows deleted at the end make the next page vanish: the listing ends, and what is left of it was delivered."""
    rows, deleted = Rows(list(range(40))), list[int]()
    good = serving(rows)

    async def run(writer: asyncio.StreamWriter) -> None:
        good.executed[:] = server.executed
        if len(server.executed) == 3:
            deleted.extend(rows.rows[17:])
            del rows.rows[17:]
        past = "page=3" in server.executed[-1].target and len(rows.rows) <= 20
        refused = {"error": {"code": "validation_error", "message": "page is out of range"}}
        await (answer(status, refused) if past else good._script[0]).run(writer)

    found: list[int] = []
    async with MisbehavingServer(Step("page", run)) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list(page_size=10)
        await read(pages, found)
    assert found == list(range(20))  # three of them were there when page 2 was read
    assert deleted
    assert pages.report.finished


async def test_fault_065_resumed_where_it_does_not_fit() -> None:
    """With other filters, another key, or a checkpoint of another version: refused before anything is sent."""
    async with serving(Rows(list(range(35)))) as server:
        async with make_client(server.url) as envoy, make_client(server.url, credentials="another-key") as other:
            pages = envoy.calls.list(page_size=10)
            await pages.collect(limit=15)
            checkpoint, asked = pages.checkpoint(), len(server.executed)
            told = json.loads(checkpoint)
            newer = json.dumps({**told, "version": 99})

            def wrong() -> list[tuple[Pages[Call], str]]:
                return [
                    (envoy.calls.list(status="COMPLETED"), checkpoint),
                    (envoy.calls.list(strategy="backward"), checkpoint),
                    (cast("Pages[Call]", envoy.loads.list()), checkpoint),
                    (other.calls.list(), checkpoint),
                    (envoy.calls.list(), newer),
                    (envoy.calls.list(), checkpoint[:-9]),
                    (envoy.calls.list(), ""),
                ]

            for listing, text in wrong():
                with pytest.raises(errors.CheckpointMismatchError) as caught:
                    listing.resume(text)
                clean(caught.value)
            assert len(server.executed) == asked
        assert KEY not in checkpoint


JOB = """
import asyncio, os, sqlite3, sys
from envoy_async import EnvoyClient

async def work(url, key, database, death):
    store = sqlite3.connect(database)
    store.execute("CREATE TABLE IF NOT EXISTS calls (id TEXT)")
    store.execute("CREATE TABLE IF NOT EXISTS checkpoints (job TEXT PRIMARY KEY, checkpoint TEXT)")
    async with EnvoyClient(key, base_url=url) as envoy:
        pages, steps = envoy.calls.list(page_size=10), 0
        saved = store.execute("SELECT checkpoint FROM checkpoints").fetchone()
        if saved:
            pages.resume(saved[0])
        async for page in pages.by_page():
            with store:
                for call in page.items:
                    store.execute("INSERT INTO calls VALUES (?)", (call.id,))
                    steps += 1
                    if steps == death:
                        os.kill(os.getpid(), 9)
                store.execute("REPLACE INTO checkpoints VALUES ('job', ?)", (pages.checkpoint(),))
            steps += 1
            if steps == death:
                os.kill(os.getpid(), 9)
    store.close()

asyncio.run(work(*sys.argv[1:4], int(sys.argv[4])))
"""


async def run_job(url: str, database: Path, death: int) -> int | None:
    """Run the job in a process of its own; returns how it ended."""
    command = (sys.executable, "-P", "-c", JOB, url, KEY, str(database), str(death))
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    _, err = await process.communicate()
    assert err == b""
    return process.returncode


async def test_fault_066_killed_between_delivery_and_checkpoint(tmp_path: Path) -> None:
    """`kill -9` inside and between transactions that hold rows and checkpoint: run again, each record is there once."""
    database = tmp_path / "calls.db"
    async with serving(Rows(list(range(35)))) as server:
        ends = [await run_job(server.url, database, death) for death in (15, 11, 0)]
    assert ends == [-9, -9, 0]
    with closing(sqlite3.connect(database)) as store:
        assert [int(row[0]) for row in store.execute("SELECT id FROM calls ORDER BY rowid")] == list(range(35))
