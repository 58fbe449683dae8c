"""Operations from a shell, against a sandbox over a real socket."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pydantic
import pytest

from envoy_async.cli import main
from envoy_async.sandbox import Fault, Sandbox

PROGRAM = [sys.executable, "-m", "envoy_async"]
STOPS = [{"location": {"city": "Gary", "state": "IN"}}, {"location": {"city": "Erie", "state": "PA"}}]
LOAD = json.dumps({"load_number": "LD1", "equipment_type": "VAN", "stops": STOPS})
NOBODY = "00000000-0000-0000-0000-000000000000"


async def serve(sandbox: Sandbox, started: Future[Callable[[], object]]) -> None:
    """Serve until the function given back is called."""
    stop = asyncio.Event()
    async with sandbox:
        loop = asyncio.get_running_loop()
        started.set_result(lambda: loop.call_soon_threadsafe(stop.set))
        await stop.wait()


@contextmanager
def running(sandbox: Sandbox) -> Generator[Sandbox]:
    """Run a sandbox in the loop of another thread, since commands run loops of their own."""
    started: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(serve(sandbox, started)))
    thread.start()
    stop = started.result(timeout=30)
    try:
        yield sandbox
    finally:
        stop()
        thread.join(timeout=30)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Run one sandbox with 250 calls and 20 loads for all tests that only read."""
    with running(Sandbox(calls=250, loads=20, quota=None)) as sandbox:
        yield sandbox


def at(sandbox: Sandbox) -> list[str]:
    """Give the flags that lead to a sandbox."""
    return ["--base-url", sandbox.base_url, "--api-key", sandbox.api_key]


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs a command against the sandbox: exit code, stdout, stderr."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, *at(sandbox)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def test_a_listing_is_jsonl_for_programs(run: Run, sandbox: Sandbox) -> None:
    """Without a terminal, every record is a line, over all pages."""
    code, out, err = run("calls", "list")
    assert (code, err) == (0, "")
    assert {json.loads(line)["id"] for line in out.splitlines()} == set(sandbox.store.calls)


def ids_in(out: str, format: str) -> list[str]:
    """Read the ids back from any format."""
    if format == "json":
        return [record["id"] for record in json.loads(out)]
    if format == "csv":
        return [row["id"] for row in csv.DictReader(out.splitlines())]
    if format == "table":
        return [line.split()[0] for line in out.splitlines() if line.startswith("call_")]
    return [json.loads(line)["id"] for line in out.splitlines()]


@pytest.mark.parametrize("format", ["json", "jsonl", "csv", "table"])
def test_all_formats_hold_the_same_records(run: Run, format: str) -> None:
    """Options reach the method, and each format tells the same ids."""
    code, out, _ = run("calls", "list", "--limit", "120", "--status", "COMPLETED", "--output", format)
    same = run("calls", "list", "--limit", "120", "--status", "COMPLETED")[1]
    ids = [json.loads(line)["id"] for line in same.splitlines()]
    assert code == 0
    assert len(ids) > 100
    assert ids_in(out, format) == ids


def test_a_single_answer_is_json(run: Run, sandbox: Sandbox) -> None:
    """An id is positional; the answer is one object."""
    call_id = next(iter(sandbox.store.calls))
    assert json.loads(run("calls", "get", call_id)[1])["id"] == call_id
    assert json.loads(run("loads", "tab-counts")[1])["all"] >= 20


def test_a_single_answer_as_a_table(run: Run, sandbox: Sandbox) -> None:
    """All fields, one per line."""
    load_id = next(iter(sandbox.store.loads))
    code, out, _ = run("loads", "get", load_id, "--output", "table")
    assert code == 0
    assert re.search(rf"^id +{load_id}", out)
    assert "max_offer_amount" in out


def test_dates_and_truths_reach_the_server(run: Run, sandbox: Sandbox) -> None:
    """Typed options are sent as the method sends them."""
    assert run("calls", "list", "--start-date", "2025-01-01", "--end-date", "2025-01-31", "--no-order-desc")[0] == 0
    assert "start_date=2025-01-01&end_date=2025-01-31&order_desc=false" in sandbox.requests[-1].path


def test_models_are_read_from_json_files_and_stdin(tmp_path: Path) -> None:
    """A load comes as text, many from a file or stdin, further fields as a mapping; a field is set by its flag."""
    path = tmp_path / "loads.json"
    path.write_text(f"[{LOAD}]")
    with running(Sandbox(calls=1, loads=1)) as own:
        assert main(["loads", "create", "--load", LOAD, "--extra", '{"weight": 3}', *at(own)]) == 0
        assert main(["loads", "create-batch", "--loads", f"@{path}", *at(own)]) == 0
        command = [*PROGRAM, "loads", "create-batch", "--loads", "-", *at(own)]
        assert subprocess.run(command, input=f"[{LOAD}]", text=True, check=False, capture_output=True).returncode == 0
        made = own.store.find_load("LD1", None)
        assert made is not None
        assert main(["loads", "update", str(made["id"]), "--no-is-posted", *at(own)]) == 0
    bodies = [execution.body for execution in own.executions]
    load = json.loads(LOAD)
    assert bodies == [{**load, "weight": 3}, {"loads": [load]}, {"loads": [load]}, {"is_posted": False}]


def test_a_file_gets_the_listing(run: Run, tmp_path: Path) -> None:
    """`--to` writes the file and leaves stdout alone."""
    path = tmp_path / "calls.csv"
    assert run("calls", "list", "--to", str(path), "--output", "csv", "--deadline", "20") == (0, "", "")
    assert len(path.read_text().splitlines()) == 251
    assert list(tmp_path.iterdir()) == [path]


def test_a_bearer_token_is_taken(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """A token stands in for a key."""
    flags = ["--base-url", sandbox.base_url, "--bearer-token", sandbox.bearer_token]
    assert main(["calls", "list", "--limit", "1", "--organization-id", sandbox.organization_id, *flags]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_options_may_be_left_out_where_pydantic_is_loaded(run: Run) -> None:
    """The parser of the command line then checks every option by its annotation, also those that were not given."""
    assert pydantic.VERSION  # a program with FastAPI in it has loaded it
    assert run("carriers", "create", "--name", "Northbound")[0] == 0


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["calls", "list", "--limt", "3"], 2, "--limt. Did you mean --limit?"),
        (["calls", "list", "--limit", "0"], 2, "limit must be a whole number"),
        (["calls", "list", "--start-date", "soon"], 2, "--start-date"),
        (["calls", "get", "nope"], 2, "call_id has the wrong shape"),
        (["calls", "list", "--bearer-token", "t"], 2, "not both"),
        (["calls", "list", "--deadline", "0"], 2, "deadline must be a positive number"),
        (["loads", "create", "--load", '{"x": 1}'], 2, "unknown field x"),
        (["loads", "create", "--load", "@/nowhere"], 2, "cannot read /nowhere"),
        (["calls", "get", NOBODY], 1, "Call not found"),
        (["calls", "list", "--order-by", "envai_live_secret\nkey=hunter2"], 1, "not a sortable field"),
        (["calls", "list", "--to", "/nowhere/x"], 1, "/nowhere/x: No such file or directory"),
        (["calls", "list", "--to", "/"], 1, "/: "),
        (["calls", "list", "envai_live_secret", "--limit", "1", "api_key=hunter2"], 2, "***"),
    ],
)
def test_errors_are_one_line(run: Run, command: list[str], code: int, said: str) -> None:
    """2 for wrong usage and settings, 1 for all that goes wrong later; no traceback and no secret."""
    found, out, err = run(*command)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert said in err
    assert "secret" not in err
    assert "hunter2" not in err


def test_no_key_is_a_matter_of_settings() -> None:
    """Without a key, the line says where one can come from; exit code 2."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ENVOY_")}
    ended = subprocess.run([*PROGRAM, "calls", "list"], env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "ENVOY_API_KEY" in ended.stderr


def test_no_server_is_said_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """When time runs out, the line holds what came last."""
    flags = ["--base-url", "http://127.0.0.1:1", "--api-key", "k", "--deadline", "0.2"]
    assert main(["calls", "list", *flags]) == 1
    assert re.search(r"not done within 0.2 s.*: could not connect", capsys.readouterr().err)


def test_an_unknown_outcome_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A call that may have been placed is not placed again, and the line says so."""
    with running(Sandbox(calls=1, loads=1, faults=[Fault(method="POST", drop="after")])) as own:
        assert main(["calls", "create", "--extra", "{}", *at(own)]) == 1
    assert "may have run" in capsys.readouterr().err
    assert len(own.requests) == 1


def test_an_error_midway_leaves_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A listing that fails on its second page leaves nothing under the name."""
    with running(Sandbox(calls=250, loads=1, faults=[Fault(nth=2, status=403)])) as own:
        assert main(["calls", "list", "--to", str(tmp_path / "calls.jsonl"), *at(own)]) == 1
    assert capsys.readouterr().err.startswith("error: GET /calls: ")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_no_file(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a listing: 130, no traceback, no file."""
    with running(Sandbox(calls=250, loads=1, faults=[Fault(nth=2, delay=60)])) as own:
        command = [*PROGRAM, "calls", "list", "--to", str(tmp_path / "calls.jsonl"), *at(own)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            patience = time.monotonic() + 30
            while not any(part.stat().st_size for part in tmp_path.iterdir()) and time.monotonic() < patience:
                time.sleep(0.01)  # until the first page is in the part file
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_ends_quietly() -> None:
    """`| head -1` gets its line, and nobody hears a complaint."""
    with running(Sandbox(calls=2_500, loads=1, quota=None)) as own:
        command = [*PROGRAM, "calls", "list", *at(own)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["id"]
            process.stdout.close()
            complaint = process.stderr.read()
    assert (process.returncode, complaint) == (0, "")


def test_people_get_a_table_and_progress(sandbox: Sandbox) -> None:
    """On a terminal of 100 columns a listing is a table of at most 100 columns, after a progress bar."""
    screen, terminal = pty.openpty()
    env = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color"}
    command = [*PROGRAM, "calls", "list", *at(sandbox)]
    shown = bytearray()
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=env) as process:
        os.close(terminal)
        while chunk := _read(screen):
            shown += chunk
    os.close(screen)
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode())
    drawn = [line for line in text.splitlines() if line.startswith("call_")]
    assert process.returncode == 0
    assert (len(drawn), max(map(len, drawn)) <= 100) == (250, True)
    assert "250/250 · 3 pages" in text
    assert "250 records · " in text


def _read(screen: int) -> bytes:
    """Read from the terminal; its end is an error on Linux."""
    try:
        return os.read(screen, 65_536)
    except OSError:
        return b""
