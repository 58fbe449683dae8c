"""The command line: try the SDK, and run every operation from a shell.

The rule: nothing here names an operation. Commands come from the methods of the client, options from their
signatures, help from their docstrings. This module alone loads without the extra `cli`, to say what to install.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = {"cyclopts", "rich"}
_HINT = 'the command line needs two more packages: pip install "envoy-async[cli]"\n'
_INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with these arguments (default: those of the process) and return its exit code.

    0: done. 1: something went wrong. 2: wrong usage or settings. 130: Ctrl-C.
    """
    try:
        from .app import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(_HINT)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
