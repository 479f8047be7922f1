"""The room of one destination's queue: how many records of each of its two topics may be in work.

Both topics have as much, so that what waits in one takes nothing from the other: ``IN_WORK_PER_SLOT`` records for each
call that may be in flight, ``CHAINED_MAX`` that wait for others of their key, ``BODY_BYTES_IN_WORK_MAX`` of bodies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

IN_WORK_PER_SLOT = 4  # those beyond the slots wait out a backoff or a limit
CHAINED_MAX = 1024
BODY_BYTES_IN_WORK_MAX = 24 * 1024 * 1024  # parsed and rendered, a body takes some ten times its size


class Room:
    """Counts what is in work; ``high`` says of which topic."""

    def __init__(self, *, slots: int) -> None:
        self._records_max = slots * IN_WORK_PER_SLOT
        self._records = {False: 0, True: 0}
        self._chained = {False: 0, True: 0}
        self._bytes = {False: 0, True: 0}

    @property
    def in_work(self) -> int:
        """How many records are taken and not settled, those aside that wait for others of their key."""
        return sum(self._records.values()) - sum(self._chained.values())

    def free(self, *, high: bool) -> int:
        """Return how many records may be taken now; 0 or less is none."""
        if self._bytes[high] >= BODY_BYTES_IN_WORK_MAX or self._chained[high] >= CHAINED_MAX:
            return 0
        return self._records_max - (self._records[high] - self._chained[high])

    def take(self, body_bytes: int, *, high: bool) -> None:
        """Count a record that is taken."""
        self._records[high] += 1
        self._bytes[high] += body_bytes

    def leave(self, body_bytes: int, *, high: bool) -> None:
        """Count a record that is settled or given back."""
        self._records[high] -= 1
        self._bytes[high] -= body_bytes

    @contextlib.contextmanager
    def chained(self, *, high: bool) -> Iterator[None]:
        """Count a taken record as one that waits for others of its key while the block runs."""
        self._chained[high] += 1
        try:
            yield
        finally:
            self._chained[high] -= 1

    def used_ratios(self) -> dict[str, float]:
        """Return the used share of each limit, by its name."""
        return {
            "records_in_work": self.in_work / self._records_max,
            "body_bytes_in_work": sum(self._bytes.values()) / BODY_BYTES_IN_WORK_MAX,
        }
