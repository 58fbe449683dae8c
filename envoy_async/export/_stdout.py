"""A listing to standard output.

The rule: lines go out page by page as they come, so there is nothing to resume and no file to speak for; the manifest
is returned alone. Whoever reads them may stop without going away: a cancelled export does not wait for that. (Where the
system cannot tell whether a pipe is full, as on Windows, it does.)
"""

from __future__ import annotations

import hashlib
import os
import select
import sys
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import attrs

from .._columns import columns_of
from .._paging import Pages, Record
from ..errors import ConfigurationError
from ._folder import State
from ._formats import Target
from ._listing import Part, Progress, draft
from ._manifest import Manifest
from ._threads import Stop, in_thread

T = TypeVar("T", bound=Record)
STDOUT = "-"
_AT_ONCE, _MOMENT = 4_096, 0.1  # bytes that a pipe with room takes without waiting (PIPE_BUF on Linux); seconds


async def to_stdout(pages: Pages[T], progress: Progress | None, *, plain: bool) -> Manifest:
    """Write a listing to standard output as lines of JSON; returns the manifest, which is written nowhere."""
    if not plain:
        msg = "standard output can neither be resumed nor replaced: leave resume and overwrite out"
        raise ConfigurationError(msg)
    target = Target(Path(STDOUT), "jsonl", "", pages.item, columns_of(pages.item))
    part, out, stop = Part(pages, target, State(mode="export")), _out(), Stop()
    size, digest = 0, hashlib.sha256()
    async with aclosing(pages.by_page()) as steps:
        async for page in steps:
            part.add(page.items)
            content = b"".join(part.take())
            size += len(content)
            digest.update(content)
            await in_thread(partial(_put, out, content, stop), stop)
            if progress is not None:
                progress(pages.report)
    part.stand()
    return attrs.evolve(draft(pages, target, part.state), bytes=size, sha256=digest.hexdigest())


def _out() -> BinaryIO:
    """Give standard output as it takes bytes."""
    out: BinaryIO | None = getattr(sys.stdout, "buffer", None)
    if out is None:
        raise ConfigurationError("standard output takes no bytes here, as in some notebooks: export to a file")
    sys.stdout.flush()
    return out


def _put(out: BinaryIO, content: bytes, stop: Stop) -> None:
    """Write all of it, unless it is no longer wanted; past the buffer, whose lock would outlast a cancellation."""
    try:
        number = out.fileno()
    except OSError:  # no file of the system, and nothing to wait for
        out.write(content)
        out.flush()
        return
    left = memoryview(content)
    while left:
        stop.check()
        if _ready(number):
            left = left[os.write(number, left[:_AT_ONCE]) :]


def _ready(number: int) -> bool:
    """Whether a file takes what a pipe takes at once; waits a moment for it."""
    try:
        return bool(select.select([], [number], [], _MOMENT)[1])
    except (OSError, ValueError):  # Windows; a number that is too large
        return True
