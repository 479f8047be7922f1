"""Outcomes: what became of each delivery; read by ``headrace event`` and by replays."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from streams.delivery import Delivery
from streams.event import UnreadableRecord, format_time
from streams.record import Record

VERSION = 1
SETTLED, DELAYED, DEAD_LETTERED, SKIPPED = "settled", "delayed", "dead_lettered", "skipped"
SHADOWED = "shadowed"  # rendered and recorded; nothing was called


@dataclass(frozen=True, slots=True)
class Outcome:
    """The newest thing that happened to a delivery.

    ``attempts`` counts the calls made in all, ``duration_s`` is the time of this round, ``time`` is RFC 3339, and
    ``detail`` says in a sentence why it is not settled.
    """

    delivery_id: str
    outcome: str
    source: str
    event_id: str
    route: str
    destination: str
    receipt: str
    attempts: int
    status: int | None
    duration_s: float
    time: str
    replay: int = 0
    detail: str = ""
    item: int | None = None
    version: int = VERSION

    def to_record(self, topic: str) -> Record:
        """Return the record for the topic ``outcomes``: key = delivery id, value = JSON."""
        return Record(topic, self.delivery_id.encode(), orjson.dumps(self))

    @classmethod
    def from_record(cls, value: bytes) -> Outcome:
        """Read an outcome back.

        Raises:
            UnreadableRecord: it is not an outcome of a version that this code reads.
        """
        try:
            fields = orjson.loads(value)
            if fields["version"] != VERSION:
                raise UnreadableRecord("unknown outcome version")
            return cls(**fields)
        except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
            raise UnreadableRecord(f"not an outcome: {error}") from error


def outcome_of(
    delivery: Delivery,
    outcome: str,
    *,
    attempts: int,
    status: int | None,
    duration_s: float,
    now_ms: int,
    detail: str = "",
) -> Outcome:
    """Return the outcome of a delivery; ``attempts`` counts the calls made in all."""
    return Outcome(
        delivery_id=delivery.id,
        outcome=outcome,
        source=delivery.event.source,
        event_id=delivery.event.id,
        route=delivery.route,
        destination=delivery.destination,
        receipt=str(delivery.receipt),
        attempts=attempts,
        status=status,
        duration_s=round(duration_s, 4),
        time=format_time(now_ms),
        replay=delivery.replay,
        detail=detail,
        item=delivery.item,
    )
