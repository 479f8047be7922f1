"""A lock that ends with its process, however that ends: flock(2) on a file that stays."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def try_lock(path: Path) -> int | None:
    """Return an open file that is locked, or ``None`` if another process has locked it; close it to unlock.

    It holds for every process that sees the same local file system, in other containers too.

    Raises:
        OSError: the file cannot be made or locked.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except OSError:
        os.close(file)
        raise
    return file
