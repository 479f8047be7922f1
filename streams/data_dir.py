"""The directory of a worker's databases: one process each."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


class DataDirInUse(Exception):
    """Another process works with this data directory."""


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Make the directory this process's own, until what is returned is closed.

    Raises:
        DataDirInUse: it is another's.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = (data_dir / "fan-out.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise DataDirInUse(f"another worker uses the data directory {data_dir}: give each its own") from error
    return lock
