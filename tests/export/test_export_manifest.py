"""What an export tells: the manifest, the progress, the estimate; and what standard output gets."""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from envoy_async import EnvoyClient, RetryPolicy, __version__
from envoy_async._paging import Report
from envoy_async.errors import ConfigurationError, ServerError
from envoy_async.export import Drift, Estimate, Manifest, estimate, export
from envoy_async.export._threads import in_thread
from envoy_async.sandbox import Fault, Sandbox
from tests.export.conftest import Plain, Row, Server, fails, names, row

COUNTS = ("pages", "requests", "retries", "rate_limited", "waited")


class Pipe(io.TextIOWrapper):
    """A standard output that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii")

    @property
    def got(self) -> bytes:
        """The bytes written so far."""
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


async def test_manifest_tells_what_can_be_checked(tmp_path: Path, server: Server) -> None:
    """Counts, times, sizes, and digests are those of the file, and the one returned is the one beside it."""
    manifest = await export(server.list(colour="red"), tmp_path / "x.jsonl")

    content = (tmp_path / "x.jsonl").read_bytes()
    ids = [json.loads(each)["id"] for each in content.splitlines()]
    hashes = (hashlib.blake2b(each.encode(), digest_size=16).digest() for each in sorted(ids))
    assert manifest == Manifest(
        operation="GET /things",
        filters={"colour": "red"},
        item="Thing",
        format="jsonl",
        file="x.jsonl",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        records=250,
        id_digest=f"{sum(int.from_bytes(each, 'big') for each in hashes) % 2**128:032x}",
        since=None,
        window_start=datetime(2025, 11, 1, 0, 0, 0, 5, UTC),
        window_end=datetime(2025, 11, 1, 4, 9, 0, 5, UTC),
        pages=25,
        requests=25,
        retries=0,
        rate_limited=0,
        waited=0.0,
        drift=Drift(repeated=0, stepped_back=0, total_at_start=250, total_at_end=250),
        skipped=0,
        invalid=(),
        strategy="count-guard",
        proven=True,
        doubts=(),
        version=__version__,
    )
    assert Manifest.beside(tmp_path / "x.jsonl") == Manifest.beside(str(tmp_path / "x.jsonl")) == manifest
    text = (tmp_path / "x.jsonl.manifest.json").read_text(encoding="utf-8")
    assert list(json.loads(text))[:3] == ["operation", "filters", "item"]
    assert text.count("\n") > 20
    assert Manifest.beside(tmp_path / "y.jsonl") is None


async def test_id_digest_is_the_same_in_any_order(tmp_path: Path, server: Server) -> None:
    """Two exports of the same ids agree, whatever the order, the format, and the rest of the records."""
    one = await export(server.list(), tmp_path / "one.jsonl")
    months = itertools.cycle(range(1, 13))
    for month, each in zip(months, server.rows, strict=False):
        each["created_at"] = f"2025-{month:02}-01T00:00:00Z"
    two = await export(server.list_as(Plain), tmp_path / "two.csv")
    assert one.id_digest == two.id_digest
    server.rows.pop()
    assert (await export(server.list(), tmp_path / "three.csv")).id_digest != two.id_digest


async def test_records_that_cannot_be_read_are_told_without_their_content(tmp_path: Path, server: Server) -> None:
    """Page, place, and JSON path of each are in the manifest, also of those before an interruption, once each."""
    broken: Row = row(300, count="secret")
    server.rows[195] = broken
    server.rows[5] = {**broken, "created_at": server.rows[5]["created_at"]}
    server.refuse = lambda asked: ServerError("down") if asked == 16 else None
    assert await fails(export(server.list_as(Plain, on_invalid="collect"), tmp_path / "x.jsonl"), ServerError)
    manifest = await export(server.list_as(Plain, on_invalid="collect"), tmp_path / "x.jsonl", resume=True)

    assert (manifest.skipped, manifest.records) == (2, 248)
    assert [(each.page, each.index) for each in manifest.invalid] == [(1, 0), (25, 4)]
    assert all("count" in each.path for each in manifest.invalid)
    assert "secret" not in (tmp_path / "x.jsonl.manifest.json").read_text(encoding="utf-8")


async def test_retries_and_refusals_are_counted(tmp_path: Path, sandbox: Sandbox) -> None:
    """Requests beyond one per page are retries."""
    sandbox.fail(Fault(path="/calls", nth=2, times=2, status=503))
    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url, retry=RetryPolicy(base=1e-6)) as envoy:
        manifest = await export(envoy.calls.list(), tmp_path / "x.jsonl")
    assert (manifest.pages, manifest.requests, manifest.retries, manifest.rate_limited) == (3, 5, 2, 0)


async def test_progress_is_told_after_each_page(tmp_path: Path, server: Server) -> None:
    """The report of each page comes in order, with the records handed out so far and the count to expect."""
    told: list[Report] = []
    await export(server.list(), tmp_path / "x.jsonl", progress=told.append)
    assert [(each.pages, each.records, each.total_at_start) for each in told] == [
        (page, page * 10, 250) for page in range(1, 26)
    ]


async def test_pages_fetched_ahead_give_the_same_file(tmp_path: Path, envoy: EnvoyClient) -> None:
    """A listing that fetches ahead is exported like any other."""
    one = await export(envoy.calls.list(page_size=20), tmp_path / "one.jsonl")
    two = await export(envoy.calls.list(page_size=20).prefetch(4), tmp_path / "two.jsonl")
    assert (one.sha256, one.records) == (two.sha256, two.records)


async def test_no_secret_and_no_record_is_in_state_or_manifest(tmp_path: Path, sandbox: Sandbox) -> None:
    """Neither the API key nor a phone number gets into what lies beside the records."""

    def stop(report: Report) -> None:
        if report.pages == 12:
            raise ZeroDivisionError

    async with EnvoyClient(sandbox.api_key, base_url=sandbox.base_url) as envoy:
        assert await fails(
            export(envoy.calls.list(page_size=10), tmp_path / "x.jsonl", progress=stop), ZeroDivisionError
        )
        state = (tmp_path / "x.jsonl.parts" / "state.json").read_text(encoding="utf-8")
        await export(envoy.calls.list(page_size=10), tmp_path / "x.jsonl", resume=True)
    told = state + (tmp_path / "x.jsonl.manifest.json").read_text(encoding="utf-8")
    records = (tmp_path / "x.jsonl").read_text(encoding="utf-8")
    phones = {json.loads(line)["phone_number"] for line in records.splitlines()} - {None}
    assert phones
    assert not [secret for secret in (sandbox.api_key, *phones) if secret in told]


async def test_standard_output_gets_lines_of_json(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes out equals the file, in UTF-8 whatever the terminal's encoding, and no file is written."""
    pipe, told = Pipe(), list[Report]()
    monkeypatch.setattr("sys.stdout", pipe)
    monkeypatch.chdir(tmp_path)
    manifest = await export(server.list(), "-", progress=told.append)
    assert (names(tmp_path), len(told)) == ([], 25)

    beside = await export(server.list(), "x.jsonl")
    assert pipe.got == (tmp_path / "x.jsonl").read_bytes()
    assert (manifest.file, manifest.bytes, manifest.sha256) == ("-", beside.bytes, beside.sha256)
    assert (manifest.id_digest, manifest.records, manifest.proven) == (beside.id_digest, 250, True)
    assert len((await export(server.list(), Path("-"))).sha256) == 64


@pytest.mark.parametrize(("resume", "overwrite"), [(True, False), (False, True)])
async def test_standard_output_cannot_be_resumed(server: Server, resume: bool, overwrite: bool) -> None:
    """What went out cannot be taken back, so nothing is sent."""
    with pytest.raises(ConfigurationError, match="standard output can neither be resumed nor replaced"):
        await export(server.list(), "-", resume=resume, overwrite=overwrite)
    assert server.asked == []


async def test_estimate_asks_for_one_page(envoy: EnvoyClient, sandbox: Sandbox, server: Server) -> None:
    """Records, pages, and requests are told by one page, and minutes by the quota the server tells."""
    sent = len(sandbox.requests)
    found = await estimate(envoy.calls.list(page_size=20))
    assert (found.records, found.pages, found.requests) == (250, 13, 13)
    assert len(sandbox.requests) == sent + 1
    assert await estimate(server.list(size=20)) == Estimate(
        records=250, pages=13, requests=13, minutes=0.13, quota_limit=100
    )
    assert (await estimate(envoy.calls.list(strategy="reconcile", page_size=20))).requests == 26
    server.headers = {"X-RateLimit-Limit": "26"}
    assert (await estimate(server.list(size=20))).minutes == 0.5
    server.rows = []
    assert await estimate(server.list()) == Estimate(records=0, pages=1, requests=1, minutes=1 / 26, quota_limit=26)


@pytest.mark.parametrize(("more", "told"), [(True, (None, None, None, None)), (False, (10, 1, 1, 0.01))])
async def test_estimate_says_nothing_it_was_not_told(
    server: Server, more: bool, told: tuple[float | None, ...]
) -> None:
    """Without a count, only a listing that ends with its first page is known."""
    server.counts = False
    server.rows = server.rows[: 20 if more else 10]
    found = await estimate(server.list())
    assert (found.records, found.pages, found.requests, found.minutes) == told


async def test_work_in_a_thread_passes_its_error_on() -> None:
    """An error in the thread is that of the caller, and one of work given up is dropped."""

    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_thread(broken)
    running = asyncio.ensure_future(in_thread(broken))
    await asyncio.sleep(0)
    running.cancel()
    assert await fails(running, asyncio.CancelledError)
