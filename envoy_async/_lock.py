"""The kernel's lock on a file, which ends with the process that holds it.

The rule: whoever takes a lock looks afterwards whether its file still has its name, since the one who held it before
may have moved or removed it. Where there are no locks (Python on Windows, some file systems), each is free.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def lock(file: BinaryIO) -> bool:
    """Take the lock on an open file, without waiting; returns whether it was free."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def is_at(file: BinaryIO, path: Path) -> bool:
    """Tell whether an open file is the one of this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
