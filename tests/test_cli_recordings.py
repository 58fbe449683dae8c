"""Recordings from a shell: a file, and a line that names it."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest

from envoy_async.cli import main
from envoy_async.sandbox import Sandbox
from envoy_async.sandbox.recordings import recording_bytes
from tests.test_cli_operations import running


@pytest.fixture
def call_id(environ: MutableMapping[str, str]) -> Iterator[str]:
    """Run a small sandbox in another thread, and give a call that has a recording."""
    with running(Sandbox(calls=40, loads=2, quota=None, clock=lambda: 1_763_740_800.0)) as sandbox:
        environ["ENVOY_BASE_URL"] = sandbox.base_url
        environ["ENVOY_API_KEY"] = sandbox.api_key
        calls = sandbox.store.calls.values()
        yield next(str(call["id"]) for call in calls if call["recording_status"] == "AVAILABLE")


@pytest.mark.parametrize("format", ["json", "jsonl", "csv", "table"])
def test_a_recording_is_downloaded(
    call_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    """The command writes the file and tells its path, in whatever format."""
    file = tmp_path / "t.m4a"
    assert main(["calls", "download-recording", call_id, str(file), "--output", format]) == 0
    assert file.read_bytes() == recording_bytes(call_id)
    told = capsys.readouterr().out
    assert json.loads(told) == str(file) if format == "json" else "t.m4a" in "".join(told.split())


def test_a_folder_that_is_missing_is_one_line(call_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the folder."""
    assert main(["calls", "download-recording", call_id, str(tmp_path / "none" / "t.m4a")]) == 1
    told = capsys.readouterr()
    assert (told.out, "there is no such folder" in told.err, told.err.count("\n")) == ("", True, 1)
