"""`envoy-async export recordings`, against a sandbox over a real socket."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from envoy_async.cli import app, exporting, fetching, main
from envoy_async.sandbox import Fault, Sandbox
from envoy_async.sandbox.recordings import recording_bytes
from tests.test_cli_operations import at, running

MemoryFileSystem: Any = import_module("fsspec.implementations.memory").MemoryFileSystem  # which has no types
LINK = "/calls/{call_id}/recording"
DAY = "2025-11-21"

Run = Callable[..., tuple[int, str, dict[str, str]]]


@pytest.fixture(scope="module")
def program() -> App:
    """Build the exports alone, once."""
    small = App(name="envoy-async", result_action="return_value", suppress_keyboard_interrupt=False)
    exporting.install(small)
    fetching.install(small, clock=lambda: datetime(2025, 11, 21, 16, tzinfo=UTC))
    return small


@pytest.fixture
def sandbox(unopened: bytes) -> Iterator[Sandbox]:
    """Run a sandbox of 250 calls."""
    copy: Sandbox = pickle.loads(unopened)  # noqa: S301 - our own, of this process
    with running(copy) as sandbox:
        yield sandbox


@pytest.fixture
def run(sandbox: Sandbox, program: App, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that fetches the recordings of one day: exit code, stderr, and the table in it."""
    monkeypatch.setattr(app, "make_app", lambda: program)

    def command(*arguments: str) -> tuple[int, str, dict[str, str]]:
        code = main(["export", "recordings", "--since", DAY, *arguments, *at(sandbox)])
        out, err = capsys.readouterr()
        assert out == ""
        return code, err, dict(re.findall(r"^(\w+)  +(.+)$", err, re.MULTILINE))

    return command


def wanted(sandbox: Sandbox) -> list[str]:
    """Name the calls of the day that have a recording."""
    calls = sandbox.store.calls.items()
    found = [name for name, call in calls if call["recording_status"] == "AVAILABLE"]
    return [name for name in found if str(sandbox.store.calls[name]["created_at"])[:10] >= DAY]


def test_recordings_come_once(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """A file for each; run again, what is there is not fetched, and with `--no-verify` not even asked for."""
    names, folder = wanted(sandbox), tmp_path / "recordings"
    code, err, told = run("--to", str(folder))
    assert code == 0, err
    assert {path.stem: path.read_bytes() for path in folder.iterdir()} == {
        name: recording_bytes(name) for name in names
    }
    assert len(names) > 1
    assert told["fetched"].startswith(f"{len(names)} recordings, ")
    assert "start_date=2025-11-21&end_date=2025-11-22" in sandbox.requests[0].path
    sandbox.requests.clear()
    assert run("--to", str(folder))[2]["there"] == f"{len(names)} recordings already"
    assert len(sandbox.requests) == len(names) + 1
    sandbox.requests.clear()
    assert run("--to", str(folder), "--no-verify", "--concurrency", "2")[0] == 0
    assert len(sandbox.requests) == 1


def test_one_that_fails_is_one_line(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """The others are fetched all the same; the exit code says that not all were."""
    sandbox.fail(Fault(path=LINK, status=403))
    code, err, told = run("--to", str(tmp_path))
    assert (code, told["failed"]) == (1, "1 recording")
    assert len(list(tmp_path.iterdir())) == len(wanted(sandbox)) - 1
    assert re.match(r"call_[0-9a-f-]+: GET /calls/\{call_id\}/recording: .*403", err)


def test_many_that_fail_are_told_in_part(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first are told one by one, and all are counted."""
    monkeypatch.setattr(fetching, "_LISTED", 1)
    sandbox.fail(Fault(path=LINK, status=403, times=None))
    code, err, told = run("--to", str(tmp_path))
    assert (code, told["failed"]) == (1, f"{len(wanted(sandbox))} recordings")
    assert len(re.findall("^call_", err, re.MULTILINE)) == 1


def test_a_url_is_a_place_too(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """What fsspec knows can be written to."""
    code, err, told = run("--to", f"file://{tmp_path}/recordings")
    assert code == 0, err
    assert {path.stem for path in tmp_path.glob("recordings/*")} == set(wanted(sandbox))
    assert told["fetched"].endswith(f"to file://{tmp_path}/recordings")


@pytest.mark.parametrize("step", ["ls", "put_file", "makedirs"])
def test_a_password_in_a_url_is_not_told(run: Run, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Neither in what was done nor in what a storage says, of one recording or before the first."""

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError("memory://me:hunter2@bucket/a")

    MemoryFileSystem.store.clear()
    monkeypatch.setattr(MemoryFileSystem, step, refuse)
    code, err, told = run("--to", "memory://me:hunter2@bucket/a")
    assert "memory://***@bucket/a" in err
    assert "hunter2" not in err
    assert (code, "fetched" in told) == {"ls": (0, True), "put_file": (1, True), "makedirs": (1, False)}[step]


def test_an_error_of_the_listing_says_how_to_go_on(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """One line: the error, and that nothing is fetched twice."""
    sandbox.fail(Fault(status=403))
    code, err, _ = run("--to", str(tmp_path))
    assert (code, err.count("\n")) == (1, 1)
    assert err.endswith("; run it again to go on: what is there is not fetched again\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "nowhere/recordings"], 1, "nowhere/recordings: No such file or directory"),
        (["--to", "odd://bucket"], 2, "no target that fsspec knows"),
        (["--to", "x", "--limit", "0"], 2, "limit must be"),
        (["--to", "x", "--concurrency", "0"], 2, "--concurrency"),
        ([], 2, "--to"),
    ],
)
def test_bad_input_is_one_line(  # noqa: PLR0917 - what pytest gives
    run: Run,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    """Nothing is sent, nothing is written, and the line says what to change."""
    monkeypatch.chdir(tmp_path)
    found, err, _ = run(*arguments)
    assert (found, err.count("\n"), said in err, "again" in err) == (code, 1, True, False), err
    assert sandbox.requests == []
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_says_how_to_go_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130, and a line."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "recordings", interrupted)
    code, err, _ = run("--to", str(tmp_path))
    assert (code, err) == (130, "interrupted: run it again to go on: what is there is not fetched again\n")
