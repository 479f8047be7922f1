"""Where the processes of one ingest keep what they share: a directory in memory, which no full disk can take away.

Each process maps files of `prometheus_client` that are sparse: one whose page a full disk cannot give dies by SIGBUS,
with all the requests that it was answering, and so does the one that takes its place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ingest.file_lock import try_lock

MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there has a name of its own and is its owner's alone
FREE_BYTES_MIN = 32 * 1024 * 1024  # a process uses less than one MiB, and each that starts anew leaves one
PREFIX = "headrace-ingest-"
LOCK = "lock"  # held while the directory is used, also by a process that runs in another container
LOGIND = Path("/run/systemd/users")  # is there where systemd-logind runs
SYSTEM_UID_MAX = 999
DYNAMIC_UIDS = range(61184, 65520)  # of systemd's DynamicUser


@contextlib.contextmanager
def shared_dir(data_dir: Path, *, memory: Path = MEMORY, free_bytes_min: int = FREE_BYTES_MIN) -> Iterator[Path]:
    """Give an empty directory, and remove it at the end: in memory, or in ``data_dir`` where that will not do.

    Weakness: in ``data_dir`` a full disk ends the processes.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    for place in (memory, data_dir):
        _remove_left_over(place)
    usable = not cleared_at_logout(os.getuid()) and _has_room(memory, free_bytes_min)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory if usable else data_dir))
    lock = try_lock(path / LOCK)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def cleared_at_logout(uid: int, *, logind: Path = LOGIND) -> bool:
    """Return whether what this user has in `MEMORY` may be removed while the processes run.

    systemd-logind does so when a user who is no system user logs out of the last session (logind.conf, ``RemoveIPC``).
    """
    return uid > SYSTEM_UID_MAX and uid not in DYNAMIC_UIDS and logind.is_dir()


def _has_room(place: Path, free_bytes_min: int) -> bool:
    try:
        return os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= free_bytes_min
    except OSError:
        return False


def _remove_left_over(place: Path) -> None:
    """Remove what processes of this user left there when they were killed."""
    with contextlib.suppress(OSError):
        for path in place.glob(f"{PREFIX}*"):
            # Before it has its lock, a directory is about to be used.
            if path.stat().st_uid != os.getuid() or not (path / LOCK).exists():
                continue
            lock = try_lock(path / LOCK)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)
