"""Where output goes: the terminal or pipe, or a file that appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def opened(to: Path | None) -> Generator[TextIO]:
    """Open what to write to: stdout, or *to*, which gets its new content only if the block ends well."""
    if to is None:
        yield sys.stdout
        sys.stdout.flush()
    elif to.exists() and not to.is_file():  # a pipe or a device, which must not be replaced
        with to.open("w", encoding="utf-8", newline="") as file:
            yield file
    else:
        with _replacing(to.resolve()) as file:  # behind a symbolic link, the file is replaced, not the link
            yield file


@contextmanager
def _replacing(path: Path) -> Generator[TextIO]:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        new = part.open("x", encoding="utf-8", newline="")
    except OSError as error:  # people know the file they named, not the part
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with new as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
