"""The rows of the table ``seen``: what they say, and how they are kept in RocksDB and the changelog.

Faust opens, recovers and closes the databases; this reads and writes them. Not through ``faust.Table``, because that
finds the partition in a weakly referenced "current event", opens the database of a partition that is no longer this
worker's, and moves that database's stored offset past rows which another owner wrote meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from streams.event import Event
from streams.taken import Revoked

# The key under which Faust's RocksDB store keeps how much of the changelog a database holds.
OFFSET_KEY = b"__faust\0offset__"
ROW_VERSION = b"1"


class Seen(Protocol):
    """The table of events that are done, in rows of raw bytes, kept per partition."""

    def get(self, partition: int, key: bytes) -> bytes | None:
        """Return the row, or ``None``. Raises `Revoked` if the partition is not open."""

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        """Write the row at once, and return when its changelog has it. Raises `Revoked` as `get`."""


class Database(Protocol):
    """What is used of ``rocksdict.Rdict`` in raw mode."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or ``None``."""

    def put(self, key: bytes, value: bytes) -> None:
        """Write to the log and the memory table."""


class SeenTable:
    """The rows of this worker's partitions.

    Args:
        databases: the open databases by partition; Faust changes it at every rebalance.
        reached: returns the changelog offset that a partition's recovery ended at.
        append: appends a row to the changelog and returns its offset when it is acknowledged.
    """

    def __init__(
        self,
        databases: Mapping[int, Database],
        *,
        reached: Callable[[int], int | None],
        append: Callable[[int, bytes, bytes], Awaitable[int]],
    ) -> None:
        self._databases = databases
        self._recovered_to = reached
        self._append = append
        self._reached: dict[int, int | None] = {}

    @property
    def databases(self) -> Mapping[int, Any]:
        """The open databases, by partition."""
        return self._databases

    def forget(self) -> None:
        """Begin anew: an assignment ended, and the next one recovers the databases again."""
        self._reached.clear()

    def get(self, partition: int, key: bytes) -> bytes | None:
        """Return the row, or ``None``.

        Raises:
            Revoked: the partition is not open.
        """
        return self._database(partition).get(key)

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        """Write the row at once, and return when the changelog has it.

        Raises:
            Revoked: the partition is not open, or no longer when the changelog answers.
        """
        database = self._database(partition)
        if partition not in self._reached:
            self._reached[partition] = self._recovered_to(partition)
        database.put(key, row)
        offset = await self._append(partition, key, row)
        if self._databases.get(partition) is not database:
            raise Revoked
        self._store_offset(partition, database, offset)

    def _store_offset(self, partition: int, database: Database, offset: int) -> None:
        """Store how far the database holds the changelog, as long as nobody else's row came between.

        Rows are acknowledged in the order in which they were written. Once another writer's row is between two of
        ours, the stored offset stays where it is: the next recovery then reads those rows.
        """
        reached = self._reached.get(partition)
        if reached is not None and offset == reached + 1:
            self._reached[partition] = offset
            database.put(OFFSET_KEY, b"%d" % offset)

    def _database(self, partition: int) -> Database:
        database = self._databases.get(partition)
        if database is None:
            raise Revoked
        return database


def seen_key(event: Event) -> bytes:
    """Return the key of the event's row: source and dedup id."""
    return f"{event.source}\0{event.dedup_id}".encode()


def encode_row(time_ms: int) -> bytes:
    """Return the row of an event that is done: a version, and the event's time in Unix milliseconds."""
    return ROW_VERSION + b" %d" % time_ms


def decode_row(row: bytes | None) -> int | None:
    """Return the time in a row; ``None`` for no row and for one of another version, whose event is then done again."""
    if row is None:
        return None
    version, _, time_ms = row.partition(b" ")
    return int(time_ms) if version == ROW_VERSION and time_ms.isdigit() else None
