"""The dlt source: what runs into DuckDB leave there, what a later one asks for, and what none of them tells.

One pipeline runs three times, with changes in between, for all tests that only look at what it left.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.extract.exceptions import ResourceExtractionError
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources import DltSource

from envoy_async.errors import ConfigurationError, EnvoyError, PermissionDeniedError
from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.store import Store
from envoy_async.warehouse import source
from tests.conftest import NOW

Table = dict[str, dict[str, Any]]
TABLES = ("calls", "loads", "carriers", "offers", "outreaches")
TODAY = datetime.fromtimestamp(NOW, UTC)
WEEK = timedelta(days=7)
EVER = timedelta(days=3_650)
CONTEXTS: tuple[object, ...] = ({"a": [1, {"b": None}]}, [1, "two"], {}, [])


class Log(logging.Handler):
    """Keeps every line that a logger writes."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        text = logging.Formatter().format(record)  # dlt changes ours
        self.lines.append(f"{record.levelname} {record.name} {text} {vars(record)}")


@attrs.frozen
class Run:
    """What one run was faced with, asked for, loaded, and left."""

    there: dict[str, int]
    asked: list[dict[str, str]]  # the queries of GET /calls
    loaded: dict[str, int]
    tables: dict[str, Table]
    stops: int
    columns: dict[str, str]


@attrs.frozen
class Runs:
    """Three runs of one pipeline."""

    key: str
    folder: Path
    log: list[str]
    changed: dict[str, str]
    first: Run
    second: Run
    third: Run


def load(folder: Path, what: DltSource) -> tuple[dict[str, int], dict[str, Table], int, dict[str, str]]:
    """Run the pipeline of this folder, and tell what it loaded, what its tables hold, and their columns."""
    database = dlt.destinations.duckdb(str(folder / "warehouse.duckdb"))
    pipeline: Any = dlt.pipeline(
        "envoy", pipelines_dir=str(folder / "state"), destination=database, dataset_name="envoy"
    )
    logging.getLogger("dlt").setLevel(logging.DEBUG)  # the pipeline has set its own
    pipeline.run(what)
    tables: dict[str, Table] = {}
    with pipeline.sql_client() as sql:
        for name in TABLES:
            with sql.execute_query(f"SELECT * FROM {name}") as found:  # noqa: S608 - our own names
                names = [column[0] for column in found.description]
                rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            assert len({row["id"] for row in rows}) == len(rows), name
            tables[name] = {row["id"]: row for row in rows}
        stops = sql.execute_sql("SELECT count(*) FROM loads__stops")
        types = sql.execute_sql("SELECT table_name || '.' || column_name, data_type FROM information_schema.columns")
    return pipeline.last_trace.last_normalize_info.row_counts, tables, stops[0][0], dict(types)


async def run(sandbox: Sandbox, folder: Path, **settings: Any) -> Run:
    """Load what the sandbox holds, in another thread, since its loop serves in this one."""
    there = {name: len(getattr(sandbox.store, name)) for name in TABLES}
    what = source(sandbox.api_key, base_url=sandbox.base_url, clock=lambda: TODAY, **settings)
    before = len(sandbox.requests)
    done = await asyncio.to_thread(load, folder, what)
    return Run(there, calls_asked(sandbox, before), *done)


def calls_asked(sandbox: Sandbox, before: int = 0) -> list[dict[str, str]]:
    """Give the queries of the listings of calls."""
    asked = [urlsplit(request.path) for request in sandbox.requests[before:]]
    return [dict(parse_qsl(url.query)) for url in asked if url.path.endswith("/calls")]


def change(store: Store) -> dict[str, str]:
    """Let calls come and go, and records change; returns the ids by what happened to them."""
    calls = sorted(store.calls, key=lambda call_id: str(store.calls[call_id]["created_at"]))
    changed = {"old": calls[0], "gone": calls[1], "late": calls[-1], "new": str(store.insert_call()["id"])}
    for name in ("old", "late"):
        store.calls[changed[name]].update(status="VOICEMAIL", updated_at=store.stamp())
    store.delete_call(changed["gone"])
    for name in ("loads", "carriers", "offers"):
        changed[name], record = next(iter(getattr(store, name).items()))
        record["updated_at"] = store.stamp()
    store.loads[changed["loads"]]["load_status"] = "Cancelled"
    store.carriers[changed["carriers"]]["name"] = "Renamed Freight"
    store.offers[changed["offers"]]["status"] = "withdrawn"
    return changed


async def run_thrice(folder: Path, log: list[str]) -> Runs:
    """Run, change, run, and load the calls once more with an overlap that covers everything."""
    async with Sandbox(calls=120, loads=20, quota=None, clock=lambda: NOW) as sandbox:
        for record, context in zip(sandbox.store.loads.values(), CONTEXTS, strict=False):
            record["context"] = context
        first = await run(sandbox, folder)
        changed = change(sandbox.store)
        second = await run(sandbox, folder)
        third = await run(sandbox, folder, resources=["calls"], overlap=EVER)
        return Runs(sandbox.api_key, folder, log, changed, first, second, third)


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep dlt from telling its makers of our runs, and from the settings in our home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
        patch.setenv("DLT_DATA_DIR", str(tmp_path_factory.mktemp("dlt")))
        patch.setenv("DLT_PROJECT_DIR", str(tmp_path_factory.mktemp("project")))
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, quiet: None) -> Runs:
    """Three runs of one pipeline, with every line that was logged meanwhile."""
    log, loggers = Log(), [logging.getLogger(name) for name in ("envoy_async", "dlt")]
    before = [logger.level for logger in loggers]
    with pytest.MonkeyPatch.context() as patch:
        for name in (None, "dlt"):  # which hands nothing up
            patch.setattr(logging.getLogger(name), "handlers", [log])
        loggers[0].setLevel(logging.DEBUG)
        try:
            return asyncio.run(run_thrice(tmp_path_factory.mktemp("warehouse"), log.lines))
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def test_first_run_loads_every_record(runs: Runs) -> None:
    """Each of the five tables has a row for each record there is."""
    assert {name: len(runs.first.tables[name]) for name in TABLES} == runs.first.there
    assert min(runs.first.there.values()) > 1


def test_a_field_keeps_its_type(runs: Runs) -> None:
    """Moments have a zone, numbers and truths are such, enums are text, and what may be any JSON stays that."""
    types = {
        "calls.created_at": "TIMESTAMP WITH TIME ZONE",
        "calls.status": "VARCHAR",
        "loads.weight": "DOUBLE",
        "loads.posted_rate": "BIGINT",
        "loads.is_posted": "BOOLEAN",
        "loads.context": "JSON",
        "loads.driver__first_name": "VARCHAR",
        "outreaches.conversation_id": "VARCHAR",  # null in every row
        "offers.carrier__created_at": "TIMESTAMP WITH TIME ZONE",
        "loads__stops.location__city": "VARCHAR",
    }
    assert {name: runs.first.columns.get(name) for name in types} == types
    assert [name for name in runs.first.columns if "__v_" in name] == []  # dlt's name for a second type
    contexts = [json.loads(row["context"]) for row in runs.first.tables["loads"].values() if row["context"]]
    assert sorted(contexts, key=str) == sorted(CONTEXTS, key=str)


def test_a_value_is_the_one_of_the_record(runs: Runs) -> None:
    """A moment is the same to the microsecond, and what was null is null."""
    row = max(runs.first.tables["calls"].values(), key=lambda call: call["created_at"])
    assert row["created_at"] == datetime(2025, 11, 21, 15, 56, 16, 370739, UTC)
    assert {row["conversation_id"] for row in runs.first.tables["outreaches"].values()} == {None}


def test_second_run_merges_by_id(runs: Runs) -> None:
    """New records come, and changed ones take the place of their rows, with the rows of their lists; no id is twice."""
    calls, changed = runs.second.tables["calls"], runs.changed
    assert calls.keys() == runs.first.tables["calls"].keys() | {changed["new"]}
    assert calls[changed["late"]]["status"] == "VOICEMAIL"
    for name, field, value in (
        ("loads", "load_status", "Cancelled"),
        ("carriers", "name", "Renamed Freight"),
        ("offers", "status", "withdrawn"),
    ):
        assert runs.second.tables[name].keys() == runs.first.tables[name].keys()
        assert runs.first.tables[name][changed[name]][field] != value
        assert runs.second.tables[name][changed[name]][field] == value
    assert runs.first.stops == runs.second.stops == 2 * runs.first.there["loads"]


def test_a_later_run_asks_for_the_latest_calls(runs: Runs) -> None:
    """The first listing of calls names no days; a later one begins a day before the overlap, and ends in a year."""
    assert [query for query in runs.first.asked if "start_date" in query or "end_date" in query] == []
    days = [(query["start_date"], query["end_date"]) for query in runs.second.asked]
    assert days == [("2025-11-13", "2026-11-22")]
    assert runs.third.asked[0]["start_date"] == "2015-11-23"


def test_a_later_run_loads_what_is_newer_than_the_overlap(runs: Runs) -> None:
    """Of what is read, only the rows of the last week are loaded again."""
    for name, field in (("calls", "created_at"), ("loads", "updated_at"), ("outreaches", "created_at")):
        latest = max(row[field] for row in runs.first.tables[name].values())
        rows = runs.second.tables[name].values()
        assert runs.second.loaded[name] == sum(row[field] >= latest - WEEK for row in rows) < len(rows)
    assert runs.third.loaded["calls"] == runs.third.there["calls"]


def test_what_lies_before_the_overlap_is_seen_with_a_longer_one(runs: Runs) -> None:
    """A call that changed long after its creation is loaded then; one that was deleted keeps its row."""
    old, gone = runs.changed["old"], runs.changed["gone"]
    assert runs.second.tables["calls"][old] == runs.first.tables["calls"][old]
    assert runs.third.tables["calls"][old]["status"] == "VOICEMAIL"
    assert gone in runs.third.tables["calls"]


def test_each_listing_reports_in_the_log(runs: Runs) -> None:
    """What a listing went through and whether that is proven is not lost, though dlt holds the loop."""
    reports = [line for line in runs.log if line.startswith("INFO envoy_async ") and " Report(" in line]
    assert sorted(line.split()[2] for line in reports) == sorted(f"{name}:" for name in (*TABLES, *TABLES, "calls"))


def test_no_file_and_no_log_line_holds_the_key(runs: Runs) -> None:
    """State, schema, trace, and database of the pipeline know nothing of the credentials, nor do the logs."""
    files = {path: path.read_bytes() for path in runs.folder.rglob("*") if path.is_file()}
    texts = [gzip.decompress(content) if path.suffix == ".gz" else content for path, content in files.items()]
    assert {"warehouse.duckdb", "state.json", "trace.pickle"} <= {path.name for path in files}
    assert any(text.startswith(b"INSERT") for text in texts)
    assert [text for text in texts if runs.key.encode() in text] == []
    assert {line.split()[1].partition(".")[0] for line in runs.log} >= {"dlt", "envoy_async"}
    assert [line for line in runs.log if runs.key in line] == []


def rows_of(what: DltSource) -> list[Any]:
    """Iterate without a pipeline; dlt keeps one for each thread, and a new thread may have the number of an old one."""
    Container()[PipelineContext].deactivate()
    return list(what)


async def test_without_a_pipeline_it_gives_rows(sandbox: Sandbox) -> None:
    """One resource alone can be iterated; `since` asks for its day and a day before, and leaves out what is older."""
    since = datetime(2025, 11, 1, 1, tzinfo=timezone(timedelta(hours=9)))
    what = source(sandbox.api_key, base_url=sandbox.base_url, resources=["calls"], since=since, clock=lambda: TODAY)
    rows = await asyncio.to_thread(rows_of, what)
    texts = [str(call["created_at"]) for call in sandbox.store.calls.values()]
    assert [row["created_at"].isoformat() for row in rows] == [
        datetime.fromisoformat(text).isoformat() for text in sorted(texts, reverse=True) if text >= "2025-10-31T16"
    ]
    assert calls_asked(sandbox)[0]["start_date"] == "2025-10-30"
    assert type(rows[0]["status"]) is str
    assert list(what.resources) == ["calls"]


async def test_records_that_cannot_be_read_are_left_out(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """With `on_invalid="skip"` the others are loaded, and a warning says how many are missing; else the run fails."""
    fields = ("status", "load_status", "name", "status", "direction")
    for name, field in zip(TABLES, fields, strict=True):
        next(iter(getattr(sandbox.store, name).values()))[field] = 7
    what = source(sandbox.api_key, base_url=sandbox.base_url, overlap=EVER, on_invalid="skip")
    rows = await asyncio.to_thread(rows_of, what)
    told = re.findall(r"(\w+): (\d+) records were left out", caplog.text)
    assert sorted(name for name, _ in told) == sorted(TABLES)  # a carrier stands in offers, too
    assert len(rows) == sum(len(getattr(sandbox.store, name)) for name in TABLES) - sum(int(left) for _, left in told)
    with pytest.raises(ResourceExtractionError):
        await asyncio.to_thread(rows_of, source(sandbox.api_key, base_url=sandbox.base_url, resources=["loads"]))


async def test_a_listing_that_fails_ends_the_run(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run fails with the error of the SDK as cause, and no connection, thread, or word of trouble stays behind."""
    sandbox.fail(Fault(path="/carriers", status=403, delay=0.2))
    for path in ("/calls", "/offers"):  # of which the second page is under way then
        sandbox.fail(Fault(path=path, nth=2, delay=60))
    pipeline: Any = dlt.pipeline("failing", pipelines_dir=str(tmp_path), destination="duckdb")
    what = source(sandbox.api_key, base_url=sandbox.base_url)
    with pytest.raises(PipelineStepFailed) as caught:
        await asyncio.to_thread(pipeline.extract, what)
    causes: list[BaseException | None] = [caught.value]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__)
    assert [type(cause) for cause in causes if isinstance(cause, EnvoyError)] == [PermissionDeniedError]
    assert [thread.name for thread in threading.enumerate() if "extract" in thread.name] == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"resources": ["calls", "webhooks"]}, "resources"),
        ({"resources": "calls"}, "resources"),
        ({"resources": []}, "resources"),
        ({"since": datetime(2025, 11, 1)}, "since"),  # noqa: DTZ001 - that is the point
        ({"overlap": -WEEK}, "overlap"),
        ({"on_invalid": "collect"}, "on_invalid"),
        ({"base_url": "http://example.invalid"}, "base_url"),
        ({"credentials": 7}, "credentials"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], named: str) -> None:
    """At once, before dlt runs anything, by the name of the setting."""
    given: dict[str, Any] = {"credentials": "key", **settings}
    with pytest.raises(ConfigurationError, match=named):
        source(**given)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials it is the one a client would take; without that there is none."""
    monkeypatch.setenv("ENVOY_API_KEY", "key")
    assert source().name == "envoy"
    monkeypatch.delenv("ENVOY_API_KEY")
    with pytest.raises(ConfigurationError, match="ENVOY_API_KEY"):
        source()


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `ConfigurationError` with the line to paste."""
    monkeypatch.setitem(sys.modules, "dlt", None)
    with pytest.raises(ConfigurationError, match=r'pip install "envoy-async\[dlt\]"'):
        source("key")


def test_dlt_loads_when_it_is_needed() -> None:
    """Neither the package nor this module imports dlt; the first source does."""
    program = "import sys, envoy_async.warehouse; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "envoy_async.warehouse" in loaded
    assert [name for name in loaded if name.partition(".")[0] == "dlt"] == []
