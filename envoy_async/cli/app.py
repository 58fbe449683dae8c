"""The program: its commands, and what becomes of errors.

The rule: whatever goes wrong is one line on stderr and an exit code, never a traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.text import Text

from .. import __version__
from ..errors import ConfigurationError, EnvoyError, InvalidRequestError
from . import exporting, fetching, operations, webhooks
from .demo import demo
from .inputs import InputError
from .tables import printable

_ABOUT = """The Envoy AI API from a shell: try it with `demo`, run every operation of a group.

Operations take their key from --api-key or ENVOY_API_KEY. `COMMAND --help` tells more.
"""
_USAGE = (CycloptsError, InputError, ConfigurationError, InvalidRequestError)
_SECRET = re.compile(r"(?i)(?<![\w-])(-*\w*[-_]?(?:key|token|secret)\w*=)[^\s\"',]+|\benvai_\w+|whsec_[^\s\"',]+")
_TRY, _OPTIONS = Group("Try it", sort_key=0), Group("Options", sort_key=2)
_NATURAL = Parameter(validator=Number(gte=0))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code."""
    try:
        code = make_app()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except _USAGE as error:
        return _fail(error, 2)
    except BrokenPipeError:  # whoever read has seen enough
        _silence()
        return 0
    except (EnvoyError, OSError, OverflowError, UnicodeError) as error:
        return _fail(error, 1)
    return code if isinstance(code, int) else 0


def make_app() -> App:
    """Build the program with all its commands."""
    app = App(
        name="envoy-async",
        help=_ABOUT,
        version=f"envoy-async {__version__}",
        suppress_keyboard_interrupt=False,
    )
    app.command(demo, group=_TRY)
    app.command(sandbox, group=_TRY)
    operations.install(app)
    exporting.install(app)
    fetching.install(app)
    webhooks.install(app)
    app.register_install_completion_command()  # pyright: ignore[reportUnknownMemberType] - its kwargs are untyped
    for flag in ("--help", "--install-completion", "--version"):
        app[flag].group = _OPTIONS
    return app


def sandbox(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, _NATURAL] = 0,
    seed: int = 7,
    calls: Annotated[int, _NATURAL] = 2_500,
    loads: Annotated[int, _NATURAL] = 400,
    quota: Annotated[int, _NATURAL] = 100,
    window: Annotated[float, Parameter(validator=Number(gt=0))] = 60.0,
    algorithm: Literal["fixed", "sliding"] = "fixed",
    drift: bool = False,
) -> None:
    """Run a local stand-in of the API until Ctrl-C, and print how to reach it.

    Args:
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        seed: what the data is made from; the same seed gives the same ids.
        calls: calls to begin with.
        loads: loads to begin with.
        quota: requests per window; 0 for no limit.
        window: seconds.
        algorithm: how the server counts its windows.
        drift: insert and delete calls while they are listed.
    """
    from ..sandbox import RandomDrift, Sandbox
    from ..sandbox.serving import serve

    server = Sandbox(
        host=host,
        port=port,
        seed=seed,
        calls=calls,
        loads=loads,
        quota=quota or None,
        window=window,
        algorithm=algorithm,
        drift=RandomDrift(seed=seed) if drift else None,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(server, tell=_tell))


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(error: Exception, code: int) -> int:
    """Say in one line what went wrong."""
    line = printable(" ".join(_message(error).split()))
    shown = _SECRET.sub(lambda match: f"{match[1] or ''}***", line)
    Console(stderr=True, highlight=False).print(Text.assemble(("error: ", "bold red"), shown), soft_wrap=True)
    return code


def _message(error: Exception) -> str:
    return "; ".join([_said(error), *getattr(error, "__notes__", ())])


def _said(error: Exception) -> str:
    if isinstance(error, ConfigurationError) and re.search("API key|bearer token", error.message):
        return f"{error} (or --api-key, --bearer-token)"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _silence() -> None:
    """Let the interpreter's last flush go nowhere, since nobody reads any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
