"""A record to be published: everything but the partition, which follows from the key."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``value`` ``None`` is a tombstone: it removes the key from a compacted topic."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
