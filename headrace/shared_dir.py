"""Where the processes of one ingest keep what they share: a directory in memory, which no full disk can take away.

Each process maps files of `prometheus_client` that are sparse: one whose page a full disk cannot give dies by SIGBUS,
with all the requests that it was answering, and so does the one that takes its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there has a name of its own and is its owner's alone
FREE_BYTES_MIN = 32 * 1024 * 1024  # a process uses less than one MiB, and each that starts anew leaves one
PREFIX = "headrace-ingest-"

_NAME = re.compile(rf"{PREFIX}([0-9]+)-.*")


@contextlib.contextmanager
def shared_dir(data_dir: Path, *, memory: Path = MEMORY, free_bytes_min: int = FREE_BYTES_MIN) -> Iterator[Path]:
    """Give an empty directory, and remove it at the end: in memory, or in ``data_dir`` where there is none with room.

    Weakness: in ``data_dir`` a full disk ends the processes.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    place = memory if _has_room(memory, free_bytes_min) else data_dir
    _remove_left_over(memory)  # not of data_dir: it may be a volume, with process ids of another container
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _has_room(place: Path, free_bytes_min: int) -> bool:
    try:
        return os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= free_bytes_min
    except OSError:
        return False


def _remove_left_over(place: Path) -> None:
    """Remove what processes of this user left there when they were killed."""
    with contextlib.suppress(OSError):
        for path in place.iterdir():
            match = _NAME.fullmatch(path.name)
            if match and path.stat().st_uid == os.getuid() and not _runs(int(match[1])):
                shutil.rmtree(path, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
