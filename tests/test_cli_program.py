"""The program itself: how it starts, what it needs, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

import envoy_async
from envoy_async.cli import main
from envoy_async.cli.app import make_app

PROGRAM = [sys.executable, "-m", "envoy_async"]
WITHOUT = """
import runpy, sys
sys.modules[{!r}] = None
sys.argv[1:] = ["--version"]
runpy.run_module("envoy_async", run_name="__main__")
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a process to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_python_m_is_the_same_program(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m envoy_async` and the entry point print the same version and exit 0."""
    started = run(*PROGRAM, "--version")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == started.stdout == f"envoy-async {envoy_async.__version__}\n"
    assert (started.returncode, started.stderr) == (0, "")


@pytest.mark.parametrize("module", ["cyclopts", "rich"])
def test_without_the_extra_one_line_says_what_to_install(module: str) -> None:
    """Exit code 1, one line on stderr, no traceback."""
    ended = run(sys.executable, "-c", WITHOUT.format(module))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert 'pip install "envoy-async[cli]"' in ended.stderr


def test_another_missing_module_is_not_hidden() -> None:
    """The hint appears for its own packages only."""
    ended = run(sys.executable, "-c", WITHOUT.format("aiohttp"))
    assert ended.returncode == 1
    assert "aiohttp" in ended.stderr
    assert "pip install" not in ended.stderr


def test_importing_the_sdk_does_not_load_the_command_line() -> None:
    """Neither the package nor the client brings cli, cyclopts, or rich along; nor does the entry point's module."""
    loaded = "import sys, envoy_async.cli; print(*sys.modules)"
    assert {"cyclopts", "rich"} & set(run(sys.executable, "-c", loaded).stdout.split()) == set()
    loaded = "import sys, envoy_async; envoy_async.EnvoyClient; print(*sys.modules)"
    assert {"envoy_async.cli", "cyclopts", "rich"} & set(run(sys.executable, "-c", loaded).stdout.split()) == set()


def test_help_names_programs_and_groups(capsys: pytest.CaptureFixture[str]) -> None:
    """The overview shows what there is; so does no argument at all."""
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == overview
    assert [name for name in ("demo", "sandbox", "calls", "loads", "--version") if name not in overview] == []


def test_no_secret_of_the_environment_is_in_any_help() -> None:
    """Help shows where a key comes from, never the key."""
    env = {**os.environ, "ENVOY_API_KEY": "envai_live_secret", "ENVOY_BEARER_TOKEN": "hunter2"}
    command = [*PROGRAM, "calls", "list", "--help"]
    shown = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "ENVOY_API_KEY" in shown.stdout
    assert not re.search("secret|hunter2", shown.stdout + shown.stderr)


@pytest.mark.parametrize("settings", [[], ["--drift", "--quota", "0"]])
def test_the_sandbox_runs_until_ctrl_c(settings: list[str]) -> None:
    """It prints address, credentials, and lines to paste, and ends with 0 and no traceback."""
    command = [*PROGRAM, "sandbox", "--calls", "3", "--loads", "2", *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(9)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert re.fullmatch(r"export ENVOY_BASE_URL=http://127\.0\.0\.1:\d+/api/v1\n", printed[6])
    assert printed[7].startswith("export ENVOY_API_KEY=")
    assert printed[8].startswith("export ENVOY_BEARER_TOKEN=")


@pytest.mark.parametrize("wrong", [["--port", "-1"], ["--window", "0"], ["--algorithm", "odd"], ["--quota", "x"]])
def test_wrong_settings_of_the_sandbox_are_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit code 2."""
    assert main(["sandbox", *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_port_that_cannot_be_had_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An address of another machine cannot be listened on: exit code 1."""
    assert main(["sandbox", "--host", "192.0.2.1", "--calls", "1", "--loads", "1"]) == 1
    assert re.fullmatch(r"error: .*192\.0\.2\.1.*\n", capsys.readouterr().err)


def test_the_program_is_made_anew_each_time() -> None:
    """Two programs in one process share nothing."""
    assert make_app() is not make_app()
