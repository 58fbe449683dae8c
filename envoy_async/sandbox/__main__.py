"""``python -m envoy_async.sandbox``: a sandbox in a terminal, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING

from .server import Sandbox
from .serving import serve

if TYPE_CHECKING:
    from collections.abc import Sequence


def make_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(prog="python -m envoy_async.sandbox", description="A local stand-in of the API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--calls", type=int, default=2_500)
    parser.add_argument("--loads", type=int, default=400)
    parser.add_argument("--quota", type=int, default=100, help="requests per window; 0 for no limit")
    parser.add_argument("--window", type=float, default=60.0, help="seconds")
    parser.add_argument("--algorithm", choices=("fixed", "sliding"), default="fixed")
    return parser


def main(arguments: Sequence[str] | None = None, *, stop: asyncio.Event | None = None) -> int:
    """Run a sandbox until Ctrl-C, SIGTERM, or `stop`; gives the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(_sandbox(options), tell=partial(print, flush=True), stop=stop))
    except (OSError, OverflowError, ValueError) as error:  # an address in use, a port or a number there is not
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _sandbox(options: argparse.Namespace) -> Sandbox:
    """Make the sandbox asked for."""
    return Sandbox(
        seed=options.seed,
        calls=options.calls,
        loads=options.loads,
        quota=options.quota or None,
        window=options.window,
        algorithm=options.algorithm,
        host=options.host,
        port=options.port,
    )


if __name__ == "__main__":  # pragma: no cover - run in a process of its own by the tests
    sys.exit(main())
