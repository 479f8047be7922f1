"""Which offsets of a partition are settled: a contiguous prefix, and the set beyond it.

Calls end out of order. The committed offset is the end of the contiguous prefix; the settled offsets beyond it go into
the commit's metadata as a bitmap, so that the next owner skips them. Kafka allows 4,096 characters of metadata
(``offset.metadata.max.bytes``), and a window of 16,384 offsets needs at most 2,748.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import deque
from dataclasses import dataclass

WINDOW = 16_384  # offsets from the prefix to the newest taken
METADATA_VERSION = "1:"


@dataclass(frozen=True, slots=True)
class CommitPoint:
    """What to commit: ``offset`` is the first that is not settled; ``metadata`` holds those settled beyond it."""

    offset: int
    metadata: str


class Progress:
    """The progress of one partition under one assignment. Offsets are taken in ascending order; gaps are allowed."""

    def __init__(self, committed: int, metadata: str = "") -> None:
        """Begin where an earlier owner stopped; ``committed`` is the first offset not in the prefix."""
        self._next = committed
        self._taken: deque[int] = deque()  # in offset order, the first one unsettled
        self._settled = decode_settled(committed, metadata)
        self._unsettled = 0

    @property
    def prefix(self) -> int:
        """The first offset that is not settled."""
        return self._taken[0] if self._taken else self._next

    @property
    def in_work(self) -> int:
        """How many taken offsets are not settled."""
        return self._unsettled

    @property
    def has_room(self) -> bool:
        """Whether another offset may be taken without outgrowing the metadata."""
        return self._next - self.prefix < WINDOW

    def take(self, offset: int) -> bool:
        """Note that ``offset`` was read; return whether its record is still to be carried out."""
        if offset < self._next:
            return False  # read again after a seek: already taken
        self._next = offset + 1
        self._taken.append(offset)
        if offset in self._settled:
            self._trim()
            return False
        self._unsettled += 1
        return True

    def settle(self, offset: int) -> None:
        """Note that everything that follows from the record at ``offset`` is acknowledged."""
        self._settled.add(offset)
        self._unsettled -= 1
        self._trim()

    def commit_point(self) -> CommitPoint:
        """Return what to commit now."""
        prefix = self.prefix
        return CommitPoint(prefix, encode_settled(prefix, self._settled))

    def settled_beyond(self) -> int:
        """Return how many offsets beyond the prefix are settled."""
        return len(self._settled)

    def _trim(self) -> None:
        while self._taken and self._taken[0] in self._settled:
            self._settled.discard(self._taken.popleft())


def encode_settled(prefix: int, settled: set[int]) -> str:
    """Return the settled offsets beyond ``prefix`` as text for the commit's metadata; empty if there are none."""
    if not settled:
        return ""
    width = max(settled) - prefix + 1
    bitmap = bytearray((width + 7) // 8)
    for offset in settled:
        bits = offset - prefix
        bitmap[bits >> 3] |= 1 << (bits & 7)
    return METADATA_VERSION + base64.b64encode(zlib.compress(bytes(bitmap), 1)).decode()


def decode_settled(prefix: int, metadata: str) -> set[int]:
    """Return the settled offsets beyond ``prefix``; metadata of another form gives none (records are repeated then)."""
    if not metadata.startswith(METADATA_VERSION):
        return set()
    try:
        packed = base64.b64decode(metadata.removeprefix(METADATA_VERSION), validate=True)
        bitmap = zlib.decompressobj().decompress(packed, WINDOW)
    except (binascii.Error, zlib.error, ValueError):
        return set()
    return {prefix + 8 * i + bit for i, byte in enumerate(bitmap) if byte for bit in range(8) if byte >> bit & 1}
