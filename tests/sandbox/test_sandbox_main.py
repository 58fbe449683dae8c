"""``python -m envoy_async.sandbox`` tells how to reach it and ends quietly."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from envoy_async.sandbox import Sandbox
from envoy_async.sandbox.__main__ import main
from envoy_async.sandbox.serving import serve

OPTIONS = ["--calls", "3", "--loads", "2"]


def test_it_prints_lines_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    """Address, credentials, and three export lines; exit code 0."""
    stop = asyncio.Event()
    stop.set()
    assert main([*OPTIONS, "--quota", "0", "--seed", "3", "--algorithm", "sliding"], stop=stop) == 0
    printed = capsys.readouterr().out
    url = re.search(r"^base_url: (http://127\.0\.0\.1:\d+/api/v1)$", printed, re.MULTILINE)
    assert url is not None
    assert f"export ENVOY_BASE_URL={url[1]}\n" in printed
    same = Sandbox(seed=3, calls=3, loads=2)
    assert f"export ENVOY_API_KEY={same.api_key}\n" in printed
    assert f"export ENVOY_BEARER_TOKEN={same.bearer_token}\n" in printed
    facts = dict(line.split(maxsplit=1) for line in printed.split("\n\n")[0].splitlines())
    assert facts == {
        "base_url:": url[1],
        "api_key:": same.api_key,
        "bearer_token:": same.bearer_token,
        "email:": same.email,
        "password:": same.password,
    }


async def test_serving_ends_with_a_signal_or_a_cancellation() -> None:
    """Either way the port is closed."""
    for end in ("signal", "cancel"):
        sandbox, told = Sandbox(calls=1, loads=1), asyncio.Event()
        serving = asyncio.create_task(serve(sandbox, tell=lambda _, told=told: told.set()))  # type: ignore[misc]
        await told.wait()
        if end == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
            await serving
        else:
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
        with pytest.raises(RuntimeError):
            assert sandbox.base_url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_process_ends_with_exit_code_0(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it without a traceback; until then it answers."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "envoy_async.sandbox", *OPTIONS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/calls", timeout=10)  # noqa: S310 - our own address
        refused.value.close()
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (refused.value.code, process.returncode) == (401, 0)
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--port", "99999"], "port"), (["--window", "0"], "positive"), (["--host", "192.0.2.1"], "192.0.2.1")],
)
def test_what_cannot_be_had_is_one_line(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A port there is not, a window without length, an address of another machine: exit code 1 and no traceback."""
    assert main([*OPTIONS, *options]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert said in shown.err
