"""The position in one partition of an events topic: what was taken, and how far everything is done.

Fan-out commits by itself, and trusts nothing that Faust keeps about offsets: ``Consumer._new_offset`` commits past a
record in work where it is the first, and jumps are booked as gaps that compaction left (`streams.recovery_fix`).
Events topics are not compacted, so the next record is the next offset, but for what retention took away.
"""

from __future__ import annotations

from streams.offsets import Progress


class RecordsSkipped(Exception):
    """Records that are still in the log were passed over: going on would lose them, starting again reads them."""


class Position:
    """The position under one assignment. ``committed`` is the committed offset, or the log's start without one."""

    def __init__(self, committed: int) -> None:
        self.committed = committed
        self._next = committed
        self._progress = Progress(committed)

    @property
    def done(self) -> int:
        """The first offset that is not done; what may be committed."""
        return self._progress.prefix

    def follows(self, offset: int) -> bool:
        """Return whether ``offset`` is the next one, or one that was taken before."""
        return offset <= self._next

    def skip_to(self, offset: int, *, log_start: int) -> None:
        """Go on at ``offset``, beyond the next one, because the records between are no longer in the log.

        Raises:
            RecordsSkipped: they are.
        """
        if log_start < offset:
            raise RecordsSkipped(f"offset {offset} came where {self._next} was due, and the log begins at {log_start}")
        self._next = max(self._next, offset)

    def take(self, offset: int) -> bool:
        """Note the record at ``offset``; return whether it is to be worked on: one that was taken before is not."""
        if offset < self._next:
            return False
        self._next = offset + 1
        return self._progress.take(offset)

    def finish(self, offset: int) -> None:
        """Note that everything that follows from a taken record is acknowledged."""
        self._progress.settle(offset)
