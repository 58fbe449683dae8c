"""Faults 53, 54, 57, 61: listings that drift, turn in circles, or come in other portions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from envoy_async import errors
from tests.faults.conftest import fails
from tests.transport.conftest import RECORD, MisbehavingServer, Step, answer, make_client

Told = dict[str, object]


@attrs.define
class Rows:
    """The rows of a listing, newest first; `drift` changes them before each answer, `tell` what is said of them."""

    rows: list[int]
    drift: Callable[[Rows], None] = lambda _: None
    largest: int = 100
    tell: Callable[[Told], Told] = lambda told: told
    made_at: Callable[[int], int] = int
    """How many seconds before noon a row was made."""
    deleted: set[int] = attrs.field(factory=set[int])
    born: int = 0

    def insert(self) -> None:
        """Add a row that is newer than all others."""
        self.born += 1
        self.rows.insert(0, -self.born)

    def delete(self, place: int) -> None:
        """Delete the row at this place."""
        self.deleted.add(self.rows.pop(place))

    def page(self, query: Mapping[str, list[str]]) -> Told:
        """Make the answer to one request."""
        self.drift(self)
        number, size = int(query["page"][0]), min(int(query["page_size"][0]), self.largest)
        start, total = (number - 1) * size, len(self.rows)
        records = [
            {**RECORD, "id": str(row), "created_at": made(self.made_at(row))} for row in self.rows[start : start + size]
        ]
        told: Told = {
            "page": number,
            "page_size": size,
            "total_count": total,
            "total_pages": -(-total // size),
            "has_next": start + size < total,
        }
        return {"data": records, "pagination": self.tell(told)}


def made(row: int) -> str:
    """Tell when a row was made: row 0 at noon, the others a second apart, those that came in later after it."""
    return (datetime(2025, 11, 21, 12, tzinfo=UTC) - timedelta(seconds=row)).isoformat()


def serving(rows: Rows) -> MisbehavingServer:
    """Make a server of these rows."""

    async def run(writer: asyncio.StreamWriter) -> None:
        query = parse_qs(urlsplit(server.executed[-1].target).query)
        await answer(200, rows.page(query)).run(writer)

    server = MisbehavingServer(Step("page", run))
    return server


@pytest.mark.parametrize("seed", range(5))
async def test_fault_053_insert_between_pages(seed: int) -> None:
    """Rows that come in while a listing is read push others down; nothing comes twice, and nothing is lost."""
    rng = Random(seed)

    def drift(rows: Rows) -> None:
        for _ in range(rng.randrange(4)):
            rows.insert()

    rows = Rows(list(range(200)), drift)
    async with serving(rows) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list(page_size=10)
        found = [int(call.id) async for call in pages]
    assert len(found) == len(set(found))
    assert set(range(200)) <= set(found)
    assert pages.report.proven


@pytest.mark.parametrize("seed", range(5))
async def test_fault_054_delete_between_pages(seed: int) -> None:
    """Rows that are deleted while a listing is read pull unread ones up; none of those is lost."""
    rng = Random(seed)

    def drift(rows: Rows) -> None:
        for _ in range(rng.randrange(4)):
            rows.delete(rng.randrange(len(rows.rows)))

    rows = Rows(list(range(200)), drift)
    async with serving(rows) as server, make_client(server.url) as envoy:
        pages = envoy.calls.list(page_size=10)
        found = [int(call.id) async for call in pages]
    assert len(found) == len(set(found))
    assert set(range(200)) - rows.deleted <= set(found)
    assert rows.deleted
    assert pages.report.stepped_back > 0
    assert pages.report.proven


CIRCLES: dict[str, Callable[[Told], Told]] = {
    "has_next for ever": lambda told: {**told, "has_next": True},
    "the same page again": lambda told: {**told, "page": 1, "has_next": True},
}


@pytest.mark.parametrize("tell", CIRCLES.values(), ids=list(CIRCLES))
async def test_fault_057_has_next_for_ever(tell: Callable[[Told], Told]) -> None:
    """Three pages without anything new end in an error, with all that was there delivered before."""
    async with serving(Rows(list(range(25)), tell=tell)) as server, make_client(server.url) as envoy:
        found: list[int] = []

        async def read() -> None:
            async for call in envoy.calls.list(page_size=10):
                found.append(int(call.id))  # noqa: PERF401 - a comprehension would lose it

        await fails(read(), errors.LoopError)
        assert len(server.executed) <= 3 + 3
    assert found[:10] == list(range(10))
    assert len(found) == len(set(found))


async def test_fault_057_empty_pages_for_ever() -> None:
    """Empty pages that promise more are no progress either."""
    async with serving(Rows([], tell=CIRCLES["has_next for ever"])) as server, make_client(server.url) as envoy:
        await fails(envoy.calls.list().collect(), errors.LoopError)
        assert len(server.executed) <= 4


@pytest.mark.parametrize("largest", [1, 7, 50, 99])
async def test_fault_061_page_size_capped_by_the_server(largest: int) -> None:
    """A server that gives fewer rows per page than asked for loses us none."""
    async with serving(Rows(list(range(120)), largest=largest)) as server, make_client(server.url) as envoy:
        found = [int(call.id) async for call in envoy.calls.list(page_size=100)]
        assert found == list(range(120))
        assert len(server.executed) <= -(-120 // largest) + 1
