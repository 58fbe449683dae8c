"""`envoy-async export`, against a sandbox over a real socket: what is written, what is told, and how it goes on."""

from __future__ import annotations

import csv
import gzip
import inspect
import json
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
from cyclopts import App

from envoy_async.cli import app, exporting, main
from envoy_async.errors import PermissionDeniedError
from envoy_async.sandbox import Fault, Sandbox
from tests.test_cli_operations import at, running

PROGRAM = [sys.executable, "-m", "envoy_async"]
NOW = datetime(2025, 11, 21, 16, tzinfo=UTC)  # the sandbox's clock, too
LISTED = {"calls", "carriers", "loads", "offers", "outreaches"}
MANIFEST = "{}.manifest.json"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def sandbox(unopened: bytes) -> Iterator[Sandbox]:
    """Run one sandbox with 250 calls and 60 loads for all tests that only read."""
    copy: Sandbox = pickle.loads(unopened)  # noqa: S301 - our own, of this process
    with running(copy) as sandbox:
        yield sandbox


@pytest.fixture
def own(unopened: bytes) -> Iterator[Sandbox]:
    """Run a sandbox of 250 calls that a test may change."""
    copy: Sandbox = pickle.loads(unopened)  # noqa: S301 - our own, of this process
    with running(copy) as sandbox:
        yield sandbox


@pytest.fixture
def run(exports: App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that runs an export against a sandbox: exit code, stdout, stderr."""
    monkeypatch.setattr(app, "make_app", lambda: exports)

    def command(sandbox: Sandbox, *arguments: str) -> tuple[int, str, str]:
        code = main(["export", *arguments, *at(sandbox)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def ids_in(path: Path) -> list[str]:
    """Read the ids back from any format, with the programs people would use."""
    if path.suffix == ".parquet":
        parquet: Any = import_module("pyarrow.parquet")  # untyped
        return cast("list[str]", parquet.read_table(path)["id"].to_pylist())
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    if ".csv" in path.name:
        return [row["id"] for row in csv.DictReader(text.splitlines())]
    return [json.loads(line)["id"] for line in text.splitlines()]


def names_in(folder: Path) -> list[str]:
    """Name what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def program(now: datetime) -> App:
    """Build the exports alone, as of a moment: all commands at once take a while."""
    small = App(name="envoy-async", result_action="return_value", suppress_keyboard_interrupt=False)
    exporting.install(small, clock=lambda: now)
    return small


@pytest.fixture(scope="module")
def exports() -> App:
    """Build the exports once for all tests."""
    return program(NOW)


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.jsonl.gz", "calls.csv", "calls.parquet"])
def test_a_file_holds_every_record_once(run: Run, sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """The name says the format; beside the file lies its manifest, and nothing else; stdout stays empty."""
    path = tmp_path / name
    code, out, err = run(sandbox, "calls", "--to", str(path))
    assert (code, out) == (0, ""), err
    assert sorted(ids_in(path)) == sorted(sandbox.store.calls)
    assert names_in(tmp_path) == [name, MANIFEST.format(name)]


def test_the_end_is_told_on_stderr(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """A short table: what was fetched, waited, drifted, and written, and whether it is proven to be complete."""
    path = tmp_path / "calls.jsonl"
    err = run(sandbox, "calls", "--to", str(path))[2]
    said = dict(re.findall(r"^(\w+)  +(.+)$", err, re.MULTILINE))
    assert list(said) == ["fetched", "waited", "drifted", "written", "proven"]
    assert said["written"].startswith("250 records, ")
    assert said["proven"].startswith("complete")
    assert "250 records at the start, 250 at the end" in said["drifted"]


@pytest.mark.parametrize("group", sorted(LISTED))
def test_every_listing_has_a_command(run: Run, sandbox: Sandbox, tmp_path: Path, group: str) -> None:
    """Calls, loads, carriers, offers, and outreaches, each whole."""
    code, _, err = run(sandbox, group, "--to", str(tmp_path / "all.jsonl"))
    assert code == 0, err
    assert sorted(ids_in(tmp_path / "all.jsonl")) == sorted(getattr(sandbox.store, group))


def test_what_can_be_exported_is_what_is_listed_by_page_without_ids(exports: App) -> None:
    """The client's methods are the source, and their filters the options; places and orders are not offered."""
    found = {operation.group: operation for operation in exporting.exportable()}
    assert set(found) == LISTED
    own = {"--to", "--resume", "--overwrite", "--incremental", "--dry-run", "--prefetch"}
    for group, operation in found.items():
        arguments = exports["export"][group].assemble_argument_collection(parse_docstring=True)
        names = {argument.names[0] for argument in arguments}
        filters = {f"--{name.replace('_', '-')}" for name in inspect.signature(operation.method).parameters}
        hidden = {"--self", "--page", "--order-by", "--order-desc", "--start-date", "--end-date"}
        days = {"--since", "--until"} if "--start-date" in filters else set[str]()
        assert filters - hidden | own | days <= names
        assert not names & hidden
        assert bool(names & {"--since", "--until"}) == (group == "calls")


def test_days_are_those_of_the_listing(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """`--since` and `--until` are the first and the last day; filters go with them."""
    days = sorted({str(call["created_at"])[:10] for call in sandbox.store.calls.values()})
    first, last = days[3], days[-3]
    path = tmp_path / "some.jsonl"
    code, _, err = run(sandbox, "calls", "--since", first, "--until", last, "--status", "COMPLETED", "--to", str(path))
    wanted = [
        call_id
        for call_id, call in sandbox.store.calls.items()
        if first <= str(call["created_at"])[:10] <= last and call["status"] == "COMPLETED"
    ]
    assert code == 0, err
    assert sorted(ids_in(path)) == sorted(wanted)
    assert 0 < len(wanted) < 250


def test_the_last_day_is_tomorrow_unless_given(sandbox: Sandbox, tmp_path: Path) -> None:
    """Wherever the vendor counts its days, calls of this moment are in: it may be tomorrow there already."""
    path = tmp_path / "calls.jsonl"
    program(datetime(2025, 12, 31, 23, 59, tzinfo=UTC))(
        ["export", "calls", "--since", "2025-11-01", "--to", str(path), *at(sandbox)], exit_on_error=False
    )
    filters = json.loads((tmp_path / MANIFEST.format("calls.jsonl")).read_text())["filters"]
    assert (filters["start_date"], filters["end_date"]) == ("2025-11-01", "2026-01-01")


def test_an_error_half_way_keeps_what_was_fetched(run: Run, own: Sandbox, tmp_path: Path) -> None:
    """One line says how to go on; then the file is that of an export nobody disturbed, at no request more."""
    peaceful, path = tmp_path / "peaceful.jsonl", tmp_path / "calls.jsonl"
    assert run(own, "calls", "--to", str(peaceful))[0] == 0
    usual = len(own.requests)
    own.fail(Fault(nth=3, status=403))
    code, out, err = run(own, "calls", "--to", str(path))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: GET /calls: ")
    assert re.search(r"; what was fetched is kept in .*calls\.jsonl\.parts: go on with --resume\n$", err)
    assert not path.exists()
    own.faults.clear()
    assert run(own, "calls", "--to", str(path), "--resume")[0] == 0
    assert path.read_bytes() == peaceful.read_bytes()
    assert len(own.requests) <= 2 * usual + 2
    assert names_in(tmp_path) == sorted(
        f"{name}{end}" for name in ("calls.jsonl", "peaceful.jsonl") for end in ("", ".manifest.json")
    )


@pytest.mark.parametrize("options", [[], ["--incremental"]])
def test_the_next_day_an_export_goes_on_with_its_own_days(
    own: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """What was begun before midnight goes on after it, and ends with the day it was begun with."""
    path = tmp_path / "calls.jsonl"
    command = ["export", "calls", "--since", "2025-11-01", "--page-size", "10", "--to", str(path), *options, *at(own)]
    own.fail(Fault(nth=3, status=403))
    with pytest.raises(PermissionDeniedError):
        program(datetime(2025, 11, 21, 23, 59, tzinfo=UTC))(command, exit_on_error=False)
    own.faults.clear()
    program(datetime(2025, 11, 22, 0, 1, tzinfo=UTC))([*command, "--resume"], exit_on_error=False)
    filters = json.loads((tmp_path / MANIFEST.format("calls.jsonl")).read_text())["filters"]
    assert (filters["start_date"], filters["end_date"]) == ("2025-11-01", "2025-11-22")


def test_another_listing_does_not_go_on_with_the_file(run: Run, own: Sandbox, tmp_path: Path) -> None:
    """With other filters, `--resume` is refused, and what was kept stays."""
    path = tmp_path / "calls.jsonl"
    own.fail(Fault(nth=3, status=403))
    assert run(own, "calls", "--to", str(path))[0] == 1
    own.requests.clear()
    code, _, err = run(own, "calls", "--to", str(path), "--resume", "--since", "2025-11-01")
    assert (code, err.count("\n"), own.requests) == (1, 1, [])
    assert "another set of filters" in err
    assert run(own, "calls", "--to", str(path), "--resume")[0] == 0


def test_a_dry_run_writes_nothing(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """Pages, requests, and minutes are printed to stdout, after one request."""
    before = len(sandbox.requests)
    code, out, err = run(sandbox, "calls", "--to", str(tmp_path / "calls.parquet"), "--dry-run")
    told = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (code, err) == (0, "")
    assert {name: text.strip() for name, text in told.items() if name != "minutes"} == {
        "records": "250",
        "pages": "3",
        "requests": "3",
    }
    assert "requests a minute" in told["minutes"]
    assert len(sandbox.requests) == before + 1
    assert names_in(tmp_path) == []


def test_a_file_that_is_there_stays(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing is sent and nothing is lost; the line names the option that replaces it."""
    path = tmp_path / "calls.jsonl"
    path.write_text("mine")
    before = len(sandbox.requests)
    code, _, err = run(sandbox, "calls", "--to", str(path))
    assert (code != 0, err.count("\n"), path.read_text(), len(sandbox.requests)) == (True, 1, "mine", before)
    assert "--overwrite" in err
    assert run(sandbox, "calls", "--to", str(path), "--overwrite")[0] == 0
    assert len(ids_in(path)) == 250


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["calls", "--to", "/nowhere/calls.jsonl"], None, "/nowhere"),
        (["calls", "--to", "calls.xlsx"], None, "calls.xlsx"),
        (["calls"], 2, "--to"),
        (["calls", "--to", "x.jsonl", "--until", "2025-01-01"], 2, "--until goes with --since"),
        (["calls", "--to", "x.jsonl", "--since", "2025-02-01", "--until", "2025-01-01"], 2, "is before the first"),
        (["calls", "--to", "x.jsonl", "--since", "soon"], 2, "--since"),
        (["loads", "--to", "x.jsonl", "--since", "2025-01-01"], 2, "--since"),
        (["calls", "--to", "x.jsonl", "--prefetch", "-1"], 2, "--prefetch"),
        (["calls", "--to", "x.jsonl", "--incremental", "--overwrite"], 2, "not both"),
        (["calls", "--to", "-", "--incremental"], 2, "stdout"),
        (["calls", "--to", "-", "--resume"], None, "resume"),
        (["calls", "--to", "x.jsonl", "--limit", "0"], 2, "limit must be a whole number"),
    ],
)
def test_bad_input_is_one_line(  # noqa: PLR0917 - what pytest gives
    run: Run,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int | None,
    said: str,
) -> None:
    """Nothing is sent, nothing is written, and the line says what to change."""
    monkeypatch.chdir(tmp_path)
    before = len(sandbox.requests)
    found, out, err = run(sandbox, *arguments)
    assert (found, out, err.count("\n")) == (code or found, "", 1)
    assert found in {1, 2}
    assert said in err
    assert "to go on" not in err
    assert len(sandbox.requests) == before
    assert names_in(tmp_path) == []


def test_an_incremental_export_adds_what_came(run: Run, own: Sandbox, tmp_path: Path) -> None:
    """The second run asks for the last days only, and the file holds old and new records, each once."""
    path = tmp_path / "calls.jsonl"
    assert run(own, "calls", "--to", str(path), "--incremental", "--since", "2020-01-01")[0] == 0
    own.store.insert_call()
    own.requests.clear()
    code, _, err = run(own, "calls", "--to", str(path), "--incremental", "--since", "2020-01-01")
    assert code == 0, err
    assert sorted(ids_in(path)) == sorted(own.store.calls)
    assert not [request for request in own.requests if "start_date=2020" in request.path]


def test_an_incremental_export_leaves_no_gap(run: Run, own: Sandbox, tmp_path: Path) -> None:
    """A first day after that on which the update has to begin is refused, and the file stays as it is."""
    path = tmp_path / "calls.jsonl"
    assert run(own, "calls", "--to", str(path), "--incremental")[0] == 0
    before = path.read_bytes()
    own.requests.clear()
    code, _, err = run(own, "calls", "--to", str(path), "--incremental", "--since", "2025-11-22")
    assert (code, err.count("\n"), own.requests, path.read_bytes()) == (2, 1, [], before)
    assert "--since must not be later than 2025-11-" in err


def test_stdout_gets_json_lines(run: Run, sandbox: Sandbox) -> None:
    """`--to -` is for pipes: records on stdout, the table on stderr, no file anywhere."""
    code, out, err = run(sandbox, "calls", "--to", "-", "--prefetch", "2")
    assert code == 0, err
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == sorted(sandbox.store.calls)
    assert "to stdout" in err


def test_an_error_of_an_export_to_stdout_does_not_promise_to_go_on(run: Run, own: Sandbox) -> None:
    """There is nothing to go on from, so the line says what went wrong and no more."""
    own.fail(Fault(nth=2, status=403))
    code, _, err = run(own, "calls", "--to", "-")
    assert (code, err.count("\n"), "--resume" in err) == (1, 1, False)


def test_ctrl_c_says_how_to_go_on(run: Run, own: Sandbox, tmp_path: Path) -> None:
    """Exit code 130, one line, nothing under the final name; with `--resume` the file is whole."""
    own.fail(Fault(nth=3, delay=60))
    path = tmp_path / "calls.jsonl"
    command = [*PROGRAM, "export", "calls", "--to", str(path), *at(own)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        patience = time.monotonic() + 30
        while len(own.requests) < 2 and time.monotonic() < patience:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "interrupted: run it again with --resume to go on\n")
    assert not path.exists()
    own.faults.clear()
    assert run(own, "calls", "--to", str(path), "--resume")[0] == 0
    assert sorted(ids_in(path)) == sorted(own.store.calls)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "interrupted: run it again with --resume to go on\n"),
        (["--to", "-"], ""),
        (["--dry-run"], ""),
    ],
)
def test_ctrl_c_promises_only_what_holds(  # noqa: PLR0917 - what pytest gives
    run: Run,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    said: str,
) -> None:
    """There is nothing to go on with after a dry run, or when records went to stdout."""

    async def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "export", interrupted)
    monkeypatch.setattr(exporting, "estimate", interrupted)
    target = [] if "--to" in options else ["--to", str(tmp_path / "calls.jsonl")]
    assert run(sandbox, "calls", *target, *options) == (130, "", said)


@pytest.mark.parametrize(
    ("options", "strategy"),
    [
        ([], "backward"),
        (["--since", "2025-11-15", "--until", "2025-11-21"], "windows"),
        (["--strategy", "count-guard"], "count-guard"),
    ],
)
def test_calls_are_read_upwards_unless_told_otherwise(
    run: Run, sandbox: Sandbox, tmp_path: Path, options: list[str], strategy: str
) -> None:
    """The manifest says how: from the end of an ascending listing, day by day, or as `--strategy` says."""
    code, _, err = run(sandbox, "calls", "--to", str(tmp_path / "calls.jsonl"), *options)
    assert code == 0, err
    assert json.loads((tmp_path / MANIFEST.format("calls.jsonl")).read_text())["strategy"] == strategy


def test_a_record_that_cannot_be_read_is_left_out_on_request(run: Run, own: Sandbox, tmp_path: Path) -> None:
    """With `--on-invalid collect` the others are exported, and the table counts it."""
    next(iter(own.store.calls.values()))["updated_at"] = 17
    code, _, err = run(own, "calls", "--to", str(tmp_path / "calls.jsonl"))
    assert (code, "--resume" in err) == (1, True)
    path = tmp_path / "others.jsonl"
    code, _, err = run(own, "calls", "--to", str(path), "--on-invalid", "collect", "--strategy", "count-guard")
    assert code == 0, err
    assert len(ids_in(path)) == len(own.store.calls) - 1
    assert "1 record that could not be read" in err
