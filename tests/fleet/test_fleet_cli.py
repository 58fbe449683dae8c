"""`envoy-async export … --organizations`, against a sandbox over a real socket: in this process, and on a cluster."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from envoy_async.cli import app, distributing, exporting, fetching, main
from envoy_async.cli.progress import Meter
from envoy_async.fleet import FleetManifest
from envoy_async.sandbox import Fault, Sandbox, Store
from envoy_async.sandbox.recordings import recording_bytes
from tests.conftest import NOW
from tests.fleet import _cluster
from tests.test_cli_operations import running

DAYS = ["--since", "2025-11-02", "--until", "2025-11-15"]
SETTINGS = ("ENVOY_API_KEY", "ENVOY_ORGANIZATION_ID", "ENVOY_REDIS_URL")
AGAIN = "run it again to go on: what is whole is not fetched again"

Run = Callable[..., tuple[int, str, dict[str, str]]]


@pytest.fixture(scope="module")
def program() -> App:
    """Build the exports alone, once."""
    small = App(name="envoy-async", result_action="return_value", suppress_keyboard_interrupt=False)
    exporting.install(small, clock=lambda: datetime(2025, 11, 21, 16, tzinfo=UTC))
    fetching.install(small)
    return small


@pytest.fixture(scope="module")
def seeded() -> bytes:
    """Seed three organizations of 250, 25, and 25 calls."""
    return pickle.dumps(Sandbox(organizations=3, calls=250, loads=20, quota=None, clock=partial(float, NOW)))


@pytest.fixture
def sandbox(seeded: bytes, environ: MutableMapping[str, str]) -> Iterator[Sandbox]:
    """Run them, with a token for all in the environment."""
    copy: Sandbox = pickle.loads(seeded)  # noqa: S301 - our own, of this process
    with running(copy) as sandbox:
        for name in SETTINGS:
            environ.pop(name, None)
        environ["ENVOY_BASE_URL"] = sandbox.base_url
        environ["ENVOY_BEARER_TOKEN"] = sandbox.bearer_token
        yield sandbox


@pytest.fixture
def run(
    sandbox: Sandbox, program: App, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Give a function that exports for all three, in an empty folder: exit code, stderr, and the table in it."""
    monkeypatch.setattr(app, "make_app", lambda: program)
    monkeypatch.chdir(tmp_path)

    def command(resource: str, *arguments: str, organizations: str | None = None) -> tuple[int, str, dict[str, str]]:
        many = ",".join(sandbox.organization_ids) if organizations is None else organizations
        code = main(["export", resource, "--organizations", many, *arguments])
        out, err = capsys.readouterr()
        assert out == ""
        assert sandbox.bearer_token not in err
        return code, err, dict(re.findall(r"^(\w+)  +(.+)$", err, re.MULTILINE))

    return command


def ids_below(folder: Path, organization: str) -> list[str]:
    """Read the ids in all files of an organization."""
    files = (folder / f"organization={organization}").glob("*.jsonl")
    return [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]


def within_days(store: Store) -> list[dict[str, Any]]:
    """Give the calls of an organization on those days."""
    calls = store.calls.values()
    return [call for call in calls if "2025-11-02" <= str(call["created_at"])[:10] <= "2025-11-15"]


def files_below(folder: Path) -> dict[str, bytes]:
    """Read all parts below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jsonl")}


def test_each_organization_has_its_file(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """Every record once, in the file of its organization; a short table at the end, and one manifest over all."""
    code, err, told = run("calls", "--to", "all")
    assert code == 0, err
    for organization, store in sandbox.stores.items():
        assert sorted(ids_below(tmp_path / "all", organization)) == sorted(store.calls)
    assert list(told) == ["parts", "asked", "written", "proven"]
    assert told["parts"] == "3 of 3 organizations: 3 fetched, 0 there already, 0 failed"
    assert re.fullmatch(r"300 records, \S+ kB, to all", told["written"])
    assert told["proven"] == "complete, by the listings themselves"
    manifest = FleetManifest.load(tmp_path / "all")
    assert manifest is not None
    assert (manifest.records, manifest.proven) == (300, True)
    assert not [path for path in tmp_path.rglob("*.json*") if sandbox.bearer_token in path.read_text()]


def test_run_again_it_asks_for_nothing(run: Run, sandbox: Sandbox) -> None:
    """What is whole is kept, and no request is sent."""
    run("loads", "--to", "all")
    sandbox.requests.clear()
    code, _, told = run("loads", "--to", "all", "--concurrency", "1")
    assert (code, told["parts"]) == (0, "3 of 3 organizations: 0 fetched, 3 there already, 0 failed")
    assert told["asked"] == "0 requests"
    assert sandbox.requests == []


def test_a_redis_out_of_reach_is_told(run: Run, environ: MutableMapping[str, str]) -> None:
    """Everything is fetched all the same, and one word says why the quota was not shared."""
    environ["ENVOY_REDIS_URL"] = "redis://127.0.0.1:1"
    code, _, told = run("loads", "--to", "all")
    assert code == 0
    assert told["asked"].endswith("; Redis was out of reach: ConnectionError")


@pytest.mark.parametrize("between", [",", "\n", " , \n"])
def test_a_file_names_the_organizations(run: Run, sandbox: Sandbox, between: str) -> None:
    """With commas, blanks, or ends of lines between them."""
    Path("ids.txt").write_text(between.join(sandbox.organization_ids) + "\n")
    assert run("loads", "--to", "all", organizations="@ids.txt")[2]["parts"].startswith("3 of 3 organizations: 3 fetch")


def test_the_option_may_be_spelled_with_an_s(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """`--organisations` is the same."""
    assert main(["export", "loads", "--organisations", sandbox.organization_id, "--to", "one"]) == 0
    assert sorted(ids_below(tmp_path / "one", sandbox.organization_id)) == sorted(sandbox.store.loads)


def test_days_make_parts(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """So many days in each, in the format asked for; with the filters of the listing, and not proven."""
    filters = ["--status", "COMPLETED"]
    code, err, told = run("calls", "--to", "all", *DAYS, *filters, "--days-per-part", "10", "--format", "csv.gz")
    assert code == 0, err
    names = {path.name for path in tmp_path.rglob("*.gz")}
    assert names == {"calls-2025-11-02_2025-11-11.csv.gz", "calls-2025-11-12_2025-11-15.csv.gz"}
    assert told["parts"].startswith("6 of 3 organizations: 6 fetched")
    assert told["proven"].startswith("no: ")
    assert all("status=COMPLETED" in request.path for request in sandbox.requests)
    listed = [call for store in sandbox.stores.values() for call in within_days(store)]
    assert told["written"].startswith(f"{sum(call['status'] == 'COMPLETED' for call in listed)} records, ")


def test_recordings_come_too(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """Each recording of those days, in the folder of its organization."""
    code, err, told = run("recordings", "--to", "all", *DAYS, "--concurrency", "2")
    assert code == 0, err
    found = {path.relative_to(tmp_path / "all"): path.read_bytes() for path in tmp_path.rglob("*.m4a")}
    wanted = {
        Path(f"organization={name}", "recordings", f"{call['id']}.m4a"): recording_bytes(str(call["id"]))
        for name, store in sandbox.stores.items()
        for call in within_days(store)
        if call["recording_status"] == "AVAILABLE"
    }
    assert found == wanted
    assert told["written"].startswith(f"{len(found)} recordings, ")


def test_a_url_is_a_target_too(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """What fsspec knows can be written to."""
    code, err, told = run("loads", "--to", f"file://{tmp_path}/all")
    assert code == 0, err
    assert sorted(ids_below(tmp_path / "all", sandbox.organization_id)) == sorted(sandbox.store.loads)
    assert told["written"].endswith(f"to file://{tmp_path}/all")


def test_an_organization_that_is_refused_is_one_line(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """The others are exported all the same; the exit code says that not all were."""
    ids = [sandbox.organization_ids[0], "org_unknown", sandbox.organization_ids[1]]
    code, err, told = run("calls", "--to", "all", organizations=",".join(ids))
    assert code == 1
    assert re.match(r"organization=org_unknown/calls\.jsonl: PermissionDeniedError: ", err)
    assert told["parts"] == "3 of 3 organizations: 2 fetched, 0 there already, 1 failed"
    assert told["proven"] == "no: some shards failed"
    assert sorted(ids_below(tmp_path / "all", ids[2])) == sorted(sandbox.stores[ids[2]].calls)


def test_many_that_fail_are_told_in_part(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first are told one by one; where the others are, too."""
    monkeypatch.setattr(distributing, "_LISTED", 1)
    code, err, _ = run("calls", "--to", "all/", organizations="org_a,org_b,org_c")
    assert (code, err.count("PermissionDeniedError")) == (1, 1)
    assert "\n… and 2 more, in all/manifest.json\n" in err


def test_what_was_refused_for_quota_is_told(run: Run, sandbox: Sandbox) -> None:
    """As a number of requests."""
    sandbox.fail(Fault(path="/loads", status=429, headers={"Retry-After": "0"}))
    assert run("loads", "--to", "all")[2]["asked"] == "4 requests, 1 refused for quota (429)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "all", "--resume"], "--resume does not go with --organizations"),
        (["--to", "all", "--overwrite"], "--overwrite does not go with --organizations"),
        (["--to", "all", "--incremental"], "--incremental does not go with --organizations"),
        (["--to", "all", "--dry-run"], "--dry-run does not go with --organizations"),
        (["--to", "all", "--prefetch", "2"], "--prefetch does not go with --organizations"),
        (["--to", "all", "--since", "2025-11-01"], "--since goes with --until"),
        (["--to", "all", "--until", "2025-11-01"], "--until goes with --since"),
        (["--to", "all", "--since", "2025-11-02", "--until", "2025-11-01"], "until must not be before since"),
        (["--to", "all", "--days-per-part", "2"], "--days-per-part goes with --since"),
        (["--to", "all", *DAYS, "--days-per-part", "0"], "--days-per-part"),
        (["--to", "all", "--format", "xlsx"], "names no format"),
        (["--to", "all", "--limit", "3"], "takes no limit"),
        (["--to", "all", "--concurrency", "0"], "--concurrency"),
        (["--to", "all", "--concurrency", "2", "--engine", "tcp://x:1"], "--concurrency does not go with --engine"),
        (["--to", "all", "--api-key", "envai_live_x"], "environment of the process that fetches"),
        (["--to", "all", "--organization-id", "org_x"], "environment of the process that fetches"),
        (["--to", "-"], "must be a folder or a URL"),
        (["--to", "s3://me:hunter2@bucket/all"], "must not hold user info"),
        (["--to", "odd://bucket"], "no target that fsspec knows"),
        ([], "--to"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, sandbox: Sandbox, tmp_path: Path, arguments: list[str], said: str
) -> None:
    """In one line that says what to change; nothing is sent, nothing is written, and no password is shown."""
    code, err, _ = run("calls", *arguments)
    assert (code, err.count("\n"), said in err, "hunter2" in err) == (2, 1, True, False), err
    assert sandbox.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("organizations", "said"),
    [
        ("", "at least one"),
        ("org_a,org_a", "none of them twice"),
        ("org a/b", "by its id"),
        ("@nowhere.txt", "--organizations: cannot read nowhere.txt: No such file or directory"),
        ("@bytes.txt", "--organizations: not UTF-8 text"),
    ],
)
def test_organizations_that_are_none_are_refused(run: Run, organizations: str, said: str) -> None:
    """In one line, as wrong usage."""
    Path("bytes.txt").write_bytes(b"\xff")
    code, err, _ = run("calls", "--to", "all", organizations=organizations)
    assert (code, err.count("\n"), said in err) == (2, 1, True), err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["calls", "--engine", "tcp://x:1"], "--engine goes with --organizations"),
        (["calls", "--format", "csv"], "--format goes with --organizations"),
        (["calls", "--concurrency", "2"], "--concurrency goes with --organizations"),
        (["recordings", "--days-per-part", "2"], "--days-per-part goes with --organizations"),
        (["recordings", "--organizations", "org_a", "--no-verify"], "--no-verify does not go with --organizations"),
        (["loads", "--organizations", "org_a", "--since", "2025-11-01"], "--since"),
    ],
)
def test_options_of_one_and_of_many_do_not_mix(
    run: Run, sandbox: Sandbox, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """What is for many organizations needs `--organizations`, and the other way round."""
    assert main(["export", *arguments, "--to", "x.jsonl"]) == 2
    err = capsys.readouterr().err
    assert (err.count("\n"), said in err) == (1, True), err
    assert sandbox.requests == []


def test_a_folder_of_another_plan_is_left_alone(run: Run, sandbox: Sandbox) -> None:
    """One line says so, and nothing is sent."""
    run("loads", "--to", "all")
    sandbox.requests.clear()
    code, err, _ = run("offers", "--to", "all")
    assert (code, err.count("\n"), "is of another plan" in err) == (2, 1, True), err
    assert sandbox.requests == []


def test_ctrl_c_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130, and a line."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(distributing, "export_distributed", interrupted)
    code, err, _ = run("calls", "--to", "all")
    assert (code, err) == (130, f"interrupted: {AGAIN}\n")


def test_the_bar_counts_parts(
    capsys: pytest.CaptureFixture[str], environ: MutableMapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, one line tells how many parts are done and how many records they hold."""
    environ["COLUMNS"] = "80"
    environ["TERM"] = "xterm-256color"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Meter("calls") as meter:
        meter.show_parts(1, 2, 1_000)
        meter.show_parts(2, 2, 2_500)
    drawn = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", capsys.readouterr().err).rstrip()
    assert drawn.splitlines()[-1].rstrip() == "✓ calls ━━━━━━━━ 2/2 parts · 2,500 records"


@pytest.mark.usefixtures("without_dask")
def test_without_dask_one_line_says_what_to_install(run: Run) -> None:
    """As wrong settings, and before anything is sent."""
    code, err, _ = run("calls", "--to", "all", "--engine", "tcp://127.0.0.1:9")
    assert (code, err.count("\n"), "envoy-async[dask]" in err) == (2, 1, True), err


@pytest.mark.usefixtures("impatient")
def test_a_scheduler_that_is_not_there_is_one_line(run: Run) -> None:
    """After a while, and not for ever."""
    code, err, _ = run("calls", "--to", "all", "--engine", "tcp://127.0.0.1:9")
    assert (code, err.count("\n"), "no Dask scheduler answers at tcp://127.0.0.1:9" in err) == (1, 1, True), err


def test_a_cluster_fetches_the_same(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """With `--engine`, two worker processes fetch what this process would, byte for byte, and the same is told."""
    here = run("calls", "--to", "here", *DAYS)
    workers = {"ENVOY_BASE_URL": sandbox.base_url, "ENVOY_BEARER_TOKEN": sandbox.bearer_token, "ENVOY_API_KEY": ""}
    (tmp_path / "cluster").mkdir()
    with _cluster.Processes() as processes:
        address = _cluster.Cluster(processes, tmp_path / "cluster", workers).start(2)
        there = run("calls", "--to", "there", *DAYS, "--engine", address)
    assert there[0] == 0, there[1]
    assert there[2] == here[2] | {"written": here[2]["written"].replace("here", "there")}
    assert there[2]["parts"] == "6 of 3 organizations: 6 fetched, 0 there already, 0 failed"
    assert files_below(tmp_path / "there") == files_below(tmp_path / "here")
