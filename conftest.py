"""Every ``python`` block of README.md and docs/ is a test, run against a sandbox of its own page.

Blocks of a page share their names. A block may use ``await`` and ``async with`` at its top level. What a page
needs and readers do not goes into a comment: ``<!--- invisible-code-block: python`` … ``-->``. Blocks in other
languages are not run here.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
import pickle
import tempfile
import threading
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pytest_asyncio import is_async_test
from sybil import Sybil
from sybil.evaluators.python import pad
from sybil.parsers.myst import CodeBlockParser

if TYPE_CHECKING:
    from collections.abc import Generator

    from sybil import Example

ROOT = Path(__file__).parent
NOON = 1_763_740_800.0  # Unix seconds; a page must not pass by day and fail by night
SETTINGS = (
    "ENVOY_API_KEY",
    "ENVOY_BASE_URL",
    "ENVOY_BEARER_TOKEN",
    "ENVOY_ORGANIZATION_ID",
    "ENVOY_WEBHOOK_SECRET",
)


def run_block(example: Example) -> None:
    """Run one block, in an event loop of its own if it awaits."""
    source = pad(example.parsed, example.line + example.parsed.line_offset)
    code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, example.namespace))
    else:
        exec(code, example.namespace)


@cache
def unopened() -> bytes:
    """Seed the sandbox of all pages once; every page opens a copy of its own."""
    from envoy_async.sandbox import Sandbox  # at first use: most runs of a single test need no sandbox

    return pickle.dumps(Sandbox(seed=7, calls=2_500, quota=None, clock=partial(float, NOON)))


async def serve(started: Future[tuple[dict[str, str], asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    """Serve a sandbox until told to stop, and tell how to reach and how to stop it."""
    stop = asyncio.Event()
    async with pickle.loads(unopened()) as sandbox:  # noqa: S301 - our own, of this process
        settings = {"ENVOY_BASE_URL": sandbox.base_url, "ENVOY_API_KEY": sandbox.api_key}
        started.set_result((settings, asyncio.get_running_loop(), stop))
        await stop.wait()


@contextmanager
def sandbox_in_thread() -> Generator[dict[str, str]]:
    """Run a sandbox in the loop of another thread, because blocks bring loops of their own."""
    started: Future[tuple[dict[str, str], asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    def run() -> None:
        try:
            asyncio.run(serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="sandbox of the documentation")
    thread.start()
    settings, loop, stop = started.result(timeout=30)
    try:
        yield settings
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=30)


@contextmanager
def environment(settings: dict[str, str]) -> Generator[None]:
    """Let only these ENVOY settings stand in the environment for a while."""
    before = {name: os.environ.pop(name) for name in SETTINGS if name in os.environ}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in SETTINGS:
            os.environ.pop(name, None)
        os.environ.update(before)


def open_page(namespace: dict[str, Any]) -> None:
    """Give a page its sandbox, its settings, and an empty folder to write to."""
    with ExitStack() as stack:
        stack.enter_context(environment(stack.enter_context(sandbox_in_thread())))
        stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))
        namespace["_page"] = stack.pop_all()


def close_page(namespace: dict[str, Any]) -> None:
    """Take back what ``open_page`` gave."""
    namespace.pop("_page").close()


PAGES = Sybil([CodeBlockParser("python", run_block)], pattern="*.md", setup=open_page, teardown=close_page)
collect_page = PAGES.pytest()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect README.md and the pages under docs/."""
    page = file_path == ROOT / "README.md" or file_path.is_relative_to(ROOT / "docs")
    return collect_page(file_path, parent) if page and "_build" not in file_path.parts else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Keep looptime out of plain tests: it asks the policy for a loop, which makes one up and leaves it open."""
    if not is_async_test(pyfuncitem):
        pyfuncitem.funcargs.pop("event_loop_policy", None)
    return (yield)
