"""The demo: what it prints is what was measured, and the file holds what was there all the time."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import attrs
import pytest

from envoy_async import EnvoyClient
from envoy_async.cli import main
from envoy_async.cli.demo import Scene, settle, tell
from envoy_async.models import Call

MEASURED = ["records", "pages", "requests", "rate_limited", "waited_seconds"]
KEYS = [*MEASURED, "inserted", "deleted", "lost", "duplicated", "path"]
SMALL = ["--calls", "900", "--seed", "3", "--quota", "30", "--window", "1"]


async def delivered_by(scene: Scene) -> tuple[list[Call], object]:
    """List the calls of a scene."""
    async with scene.server as server, EnvoyClient(server.api_key, base_url=server.base_url) as envoy:
        pages = envoy.calls.list()
        return await pages.collect(), pages.report


def test_the_file_holds_what_stayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object with ten keys; records and deletions add up; the file is those records, each once."""
    path = tmp_path / "calls.jsonl"
    assert main(["demo", "--json", "--to", str(path), *SMALL]) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    lines = path.read_text().splitlines()
    assert (list(figures), err, out.count("\n")) == (KEYS, "", 1)
    assert (figures["lost"], figures["duplicated"], figures["path"]) == (0, 0, str(path))
    assert figures["rate_limited"] >= 1
    assert figures["requests"] == figures["pages"] + figures["rate_limited"]
    assert figures["waited_seconds"] > 0
    assert figures["inserted"] > 0 < figures["deleted"]
    assert figures["records"] + figures["deleted"] == 900
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == figures["records"]
    assert list(tmp_path.iterdir()) == [path]


def test_the_story_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was fetched, waited, retried, drifted, and proven, and the verdict on a line of its own."""
    assert main(["demo", "--to", str(tmp_path / "calls.jsonl"), *SMALL]) == 0
    out = capsys.readouterr().out
    told = dict(re.findall(r"^(\w+(?: \w+)?)  +(.+?) *$", out, re.MULTILINE))
    assert list(told) == ["fetched", "waited", "retried", "drifted", "left out", "written", "proven", "plain paging"]
    assert int(re.search(r"(\d+) steps back", told["drifted"])[1]) > 0  # type: ignore[index]
    assert "0 lost, 0 duplicated" in out.splitlines()


def test_what_is_missing_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader that lost two calls and got one twice is found out, and the verdict says so."""
    scene = Scene(calls=300, seed=7, quota=30, window=1.0)
    calls, report = asyncio.run(delivered_by(scene))
    staying = [call for call in calls if call.id in scene.start - set(scene.server.store.deleted)]
    faulty = [*(call for call in calls if call not in staying[:2]), staying[5]]
    outcome, kept = settle(scene, report, faulty, Path("x"))  # type: ignore[arg-type]
    assert (outcome.lost, outcome.duplicated, outcome.complete) == (2, 1, False)
    assert kept == staying[2:]
    tell(attrs.evolve(outcome, report=attrs.evolve(outcome.report, proven=False)))
    assert "2 lost, 1 duplicated" in capsys.readouterr().out.splitlines()


def test_an_unwritable_place_fails_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is listed when the file could not be written anyway."""
    assert main(["demo", "--to", "/nowhere/calls.jsonl", "--json"]) == 1
    assert capsys.readouterr().err == "error: /nowhere/calls.jsonl: No such file or directory\n"
