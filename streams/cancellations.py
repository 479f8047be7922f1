"""Deliveries that somebody has cancelled: the fold of the compacted topic ``cancellations``, the same on all workers.

A cancellation names one delivery, and the replay in which it waited, so that a later replay is not cancelled with it.
The worker that comes upon the delivery writes its outcome and then ends the cancellation. One whose delivery had
settled just before stays in the topic: a record of some hundred bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from streams.record import Record
from streams.topics import TopicNames


class Cancelled(Exception):
    """The delivery is not to be called any more; the text says why."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """One delivery, of one replay, is not to be called: why, and since when (RFC 3339)."""

    delivery_id: str
    replay: int
    reason: str
    since: str

    def to_record(self, topic: str) -> Record:
        """Return the record that cancels; a tombstone of the same key ends it."""
        value = orjson.dumps({"version": 1, "replay": self.replay, "reason": self.reason, "since": self.since})
        return Record(topic, self.delivery_id.encode(), value)


def ended(names: TopicNames, delivery_id: str) -> Record:
    """Return the record that ends a cancellation, once it has been carried out."""
    return Record(names.cancellations, delivery_id.encode(), None)


class Cancellations:
    """The deliveries that are cancelled and have not been come upon."""

    def __init__(self) -> None:
        self._by_id: dict[str, Cancellation] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def reason(self, delivery_id: str, replay: int) -> str | None:
        """Return why the delivery is cancelled, ``None`` if it is not."""
        found = self._by_id.get(delivery_id)
        return found.reason if found is not None and found.replay == replay else None

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record of the topic; one that cannot be read cancels nothing, for a call must not be lost by it."""
        delivery_id = (key or b"").decode(errors="replace")
        cancellation = _read(delivery_id, value)
        if cancellation is None:
            self._by_id.pop(delivery_id, None)
        else:
            self._by_id[delivery_id] = cancellation


def _read(delivery_id: str, value: bytes | None) -> Cancellation | None:
    try:
        fields = orjson.loads(value or b"null")
        return Cancellation(delivery_id, int(fields["replay"]), str(fields["reason"]), str(fields["since"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
