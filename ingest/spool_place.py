"""Where spools are: the directories ``0``, ``1``, … in one place, each locked by the process that has it.

A process takes the first that is free, and so that of one that died. What remains, as after a start with fewer
processes, is an orphan: any process may adopt it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.file_lock import try_lock

PLACES_MAX = 256  # four times the processes that one ingest may have


class NoPlace(Exception):
    """No directory can be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A directory that is this process's until `release`."""

    path: Path
    _lock: int

    @property
    def occupied(self) -> bool:
        """Whether a spool is there, readable or not."""
        return _holds_spool(self.path)

    def release(self, *, remove: bool = False) -> None:
        """Give it up, and with ``remove`` delete the directory before."""
        if remove:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def claim_first(directory: Path) -> Claim:
    """Return the first place that no process has.

    Raises:
        NoPlace: the directory cannot be written, or every place is taken.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(PLACES_MAX):
            claim = _claim(directory, str(number))
            if claim is not None:
                return claim
    except OSError as error:
        raise NoPlace(f"the spool in {directory} cannot be used: {error.strerror}") from error
    raise NoPlace(f"all {PLACES_MAX} spools in {directory} are in use")


def claim_orphans(directory: Path) -> Iterator[Claim]:
    """Yield every place that holds a spool and that no process has."""
    with contextlib.suppress(OSError):
        for path in sorted(directory.iterdir()):
            if path.name.isdigit() and _holds_spool(path):
                claim = _claim(directory, path.name)
                if claim is not None:
                    yield claim


def claim_number(directory: Path, number: int) -> Claim | None:
    """Return this place if a spool is there, or ``None`` if there is none or a process has it."""
    return _claim(directory, str(number)) if _holds_spool(directory / str(number)) else None


def _holds_spool(path: Path) -> bool:
    # What every RocksDB database has. Without CURRENT it is damaged.
    return (path / "CURRENT").exists() or any(path.glob("MANIFEST-*"))


def _claim(directory: Path, name: str) -> Claim | None:
    lock = try_lock(directory / f"{name}.lock")
    return None if lock is None else Claim(directory / name, lock)
