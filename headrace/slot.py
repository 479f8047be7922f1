"""A slot: one of the directories ``worker-0``, ``worker-1``, … that workers share out among themselves.

For replicas that have one volume and no number of their own (``docker compose up --scale worker=3``): each takes the
first slot that is free. A container that is made anew takes over the slot, and with it the tables, of one that ended.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ingest.file_lock import try_lock

SLOTS_MAX = 256  # as many as a topic would reasonably have partitions: a bound for the search, not for anything else


class NoSlot(Exception):
    """No slot can be claimed; the text says why."""


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[Path]:
    """Claim the first free slot of ``directory`` while the block runs, and yield its path.

    The claim is a lock on ``worker-N.lock`` (flock(2)): it ends with the process, however that ends, and holds for
    every process that sees the same local file system, in other containers too. The file stays.

    Raises:
        NoSlot: the directory cannot be written, or all slots are claimed.
    """
    file, path = _claim(directory)
    try:
        yield path
    finally:
        os.close(file)


def _claim(directory: Path) -> tuple[int, Path]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(SLOTS_MAX):
            file = try_lock(directory / f"worker-{number}.lock")
            if file is not None:
                return file, directory / f"worker-{number}"
    except OSError as error:
        raise NoSlot(f"no slot can be claimed in {directory}: {error.strerror}") from error
    raise NoSlot(f"all {SLOTS_MAX} slots of {directory} are claimed by other workers")
