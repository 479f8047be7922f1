"""Events in a RocksDB database on this machine's disk, in the order in which they came: the spool of one process.

Every call may wait for the disk, and none may run beside another: `ingest.spool` gives them a thread of their own.

A key is sequence, size and time of an event, so that counting reads no values. A record is a version, the event's
fields as JSON, and its raw body. RocksDB checks each by a checksum.
"""

from __future__ import annotations

import dataclasses
import shutil
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from rocksdict import DBRecoveryMode, Options, Rdict, WriteBatch, WriteOptions

from streams.event import Event

_KEY = struct.Struct(">QIQ")
_HEAD = struct.Struct(">BI")
_VERSION = 1
_WRITE_BUFFER_BYTES = 16 * 1024 * 1024
_REOPEN_S = 1.0  # between two tries to open a database that a failed write has closed


class SpoolFull(Exception):
    """Nothing more may wait: a bound of the spool or of the disk is reached."""


class SpoolBroken(Exception):
    """The disk refused to read or write. What was to be written is not known to be kept."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One event that waits; ``event`` is ``None`` if this version of Headrace cannot read it."""

    key: bytes
    event: Event | None

    @property
    def size(self) -> int:
        """How many bytes it counts."""
        return size_of(self.key)


@dataclasses.dataclass(frozen=True, slots=True)
class Stock:
    """How much waits."""

    events: int
    bytes: int


class SpoolStore:
    """One database. Opened by the first call, and again after a failed write: RocksDB refuses all that follow one."""

    def __init__(
        self, path: Path, *, disk_free_bytes_min: int = 0, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self._disk_free_bytes_min = disk_free_bytes_min
        self._monotonic_s = monotonic_s
        self._db: Any = None
        self._opened_at_s = float("-inf")
        self._next = 0
        self._head = b""  # nothing waits before it: a search from the start would pass over all that was deleted

    def count(self) -> Stock:
        """Return how much waits, by reading every key.

        Raises:
            SpoolBroken: the database cannot be opened or read.
        """
        try:
            events = size = 0
            for key in self._database().keys():  # noqa: SIM118 - no dict
                events += 1
                size += size_of(key)
        except Exception as error:  # rocksdict raises nothing more special
            raise self._broken(error) from error
        return Stock(events, size)

    def append(self, records: Sequence[tuple[int, bytes]]) -> None:
        """Return once the disk has all of these: time in Unix milliseconds, and what `encode` gave. All or none.

        Raises:
            SpoolFull: the disk has too little free space.
            SpoolBroken: they are not known to be kept; they may be.
        """
        try:
            database = self._database()
            free = shutil.disk_usage(self.path).free
            batch = WriteBatch(raw_mode=True)
            for number, (time_ms, record) in enumerate(records, self._next):
                batch.put(_KEY.pack(number, len(record), time_ms), record)
            synced = WriteOptions()
            synced.sync = True
            if free >= self._disk_free_bytes_min:
                self._next += len(records)  # also if it fails: a part may be there
                database.write(batch, synced)
        except Exception as error:  # rocksdict raises nothing more special
            raise self._broken(error) from error
        if free < self._disk_free_bytes_min:
            raise SpoolFull("the disk has too little free space")

    def read(self, after: bytes | None, *, events_max: int, bytes_max: int) -> list[Entry]:
        """Return the oldest events, or those behind the key ``after``: one at least, if any waits.

        Raises:
            SpoolBroken: the disk refused.
        """
        entries: list[Entry] = []
        size = 0
        try:
            rows = self._database().iter()
            rows.seek(after + b"\0" if after is not None else self._head)
            while rows.valid() and len(entries) < events_max and size < bytes_max:
                key = rows.key()
                entries.append(Entry(key, decode(rows.value())))
                size += size_of(key)
                rows.next()
            rows.status()  # a fault looks like the end
        except Exception as error:  # rocksdict raises nothing more special
            raise self._broken(error) from error
        return entries

    def delete(self, keys: Sequence[bytes]) -> None:
        """Forget these. Not synced: a power failure may bring them back, and they are then published twice.

        Raises:
            SpoolBroken: the disk refused; they may be there still.
        """
        try:
            batch = WriteBatch(raw_mode=True)
            for key in keys:
                batch.delete(key)
            self._database().write(batch)
        except Exception as error:  # rocksdict raises nothing more special
            raise self._broken(error) from error

    def oldest_ms(self) -> int | None:
        """Return the time of the event that has waited longest in Unix milliseconds, or ``None``.

        Raises:
            SpoolBroken: the disk refused.
        """
        try:
            rows = self._database().iter()
            rows.seek(self._head)
            if not rows.valid():
                return None
            self._head = rows.key()
            return int(_KEY.unpack(self._head)[2])
        except Exception as error:  # rocksdict raises nothing more special
            raise self._broken(error) from error

    def compact(self) -> None:
        """Give the space of what was deleted back to the disk.

        Raises:
            SpoolBroken: the disk refused.
        """
        try:
            self._database().compact_range(None, None)
        except Exception as error:  # rocksdict raises nothing more special
            raise self._broken(error) from error

    def close(self) -> None:
        """Close the database. What waits stays."""
        database, self._db = self._db, None
        if database is not None:
            database.close()

    def _database(self) -> Any:
        if self._db is None:
            now_s = self._monotonic_s()
            if now_s - self._opened_at_s < _REOPEN_S:
                raise SpoolBroken("the database was closed after an error")
            self._opened_at_s = now_s
            self.path.mkdir(parents=True, exist_ok=True)
            # RocksDB would make a new database there, and delete the tables of the old one.
            if not (self.path / "CURRENT").exists() and [*self.path.glob("*.sst"), *self.path.glob("*.log")]:
                raise SpoolBroken("Corruption: the file CURRENT is missing")
            self._db = Rdict(str(self.path), _options())
            self._head = b""
            rows = self._db.iter()
            rows.seek_to_last()
            if rows.valid():
                self._next = max(self._next, _KEY.unpack(rows.key())[0] + 1)
        return self._db

    def _broken(self, error: Exception) -> SpoolBroken:
        if isinstance(error, SpoolBroken):
            return error
        database, self._db = self._db, None
        if database is not None:
            try:
                database.close()
            except Exception as again:  # rocksdict raises nothing more special
                return SpoolBroken(f"{error}; {again}")
        return SpoolBroken(str(error))


def mend(path: Path) -> Stock:
    """Let RocksDB put together what it can still read of the damaged database at ``path``, and return how much that is.

    Nobody else may have it open. What cannot be read is dropped: keep a copy.

    Raises:
        SpoolBroken: it cannot be opened afterwards either.
    """
    store = SpoolStore(path)
    try:
        Rdict.repair(str(path), _options())
    except Exception as error:  # rocksdict raises nothing more special
        raise SpoolBroken(str(error)) from error
    try:
        return store.count()
    finally:
        store.close()


def size_of(key: bytes) -> int:
    """Return how many bytes the event of this key counts."""
    return int(_KEY.unpack(key)[1])


def encode(event: Event) -> bytes:
    """Return an event as a record."""
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    del fields["body"]
    key: bytes = fields.pop("key")
    head = orjson.dumps({**fields, "key": key.decode(), "headers": dict(event.headers)})
    return b"".join((_HEAD.pack(_VERSION, len(head)), head, event.body))


def decode(record: bytes) -> Event | None:
    """Return the event of a record, or ``None`` if another version wrote it that this one cannot read."""
    version, length = _HEAD.unpack_from(record)
    if version != _VERSION:
        return None
    fields = orjson.loads(record[_HEAD.size : _HEAD.size + length])
    key = fields.pop("key").encode()
    try:
        return Event(**fields, key=key, body=record[_HEAD.size + length :])
    except TypeError:  # it has fields that this version does not know
        return None


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    # RocksDB's own mode opens up to the first damage and drops the rest without a word. All is written with a sync, so
    # that a crash can leave nothing but an unfinished end; anything else is told.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(1024 * 1024)
    return options
