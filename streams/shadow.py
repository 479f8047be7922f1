"""Shadow records: what would have been called, by a route that calls nothing (yet).

Topic ``shadow``, compact and delete, key = delivery id. The parameters are what the mapping made of the event, so they
hold what the event holds; credentials are a destination's and never among them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.delivery import Delivery
from streams.event import UnreadableRecord, format_time
from streams.record import Record

VERSION = 1
PARAMETERS_BYTES_MAX = 256 * 1024  # larger ones are kept as their SHA-256 alone: they can be told apart, not shown


@dataclass(frozen=True, slots=True)
class Shadow:
    """What one delivery would have called. ``error`` says why it could not have, ``""`` if it could.

    ``accepted`` is when the event was accepted and ``time`` when this was written, both RFC 3339.
    """

    delivery_id: str
    source: str
    event_id: str
    event_type: str
    route: str
    destination: str
    action: str
    receipt: str
    accepted: str
    time: str
    parameters: Any = field(default=None, repr=False)
    parameters_sha256: str = ""
    error: str = ""
    item: int | None = None
    version: int = VERSION

    def to_record(self, topic: str) -> Record:
        """Return the record for the topic ``shadow``."""
        return Record(topic, self.delivery_id.encode(), orjson.dumps(self))

    @classmethod
    def from_record(cls, value: bytes) -> Shadow:
        """Read a shadow record back.

        Raises:
            UnreadableRecord: it is none of a version that this code reads.
        """
        try:
            fields = orjson.loads(value)
            if fields["version"] != VERSION:
                raise UnreadableRecord("unknown shadow version")
            return cls(**fields)
        except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
            raise UnreadableRecord(f"not a shadow record: {error}") from error


def shadow_of(delivery: Delivery, *, action: str, parameters: object, error: str, now_ms: int) -> Shadow:
    """Return the shadow record of a delivery; parameters that JSON cannot hold are an error of their own."""
    try:
        encoded = orjson.dumps(parameters)
    except (TypeError, ValueError):
        parameters, encoded, error = None, b"null", error or "the parameters cannot be written as JSON"
    small = len(encoded) <= PARAMETERS_BYTES_MAX
    event = delivery.event
    return Shadow(
        delivery_id=delivery.id,
        source=event.source,
        event_id=event.id,
        event_type=event.type,
        route=delivery.route,
        destination=delivery.destination,
        action=action,
        receipt=str(delivery.receipt),
        accepted=event.time,
        time=format_time(now_ms),
        parameters=parameters if small else None,
        parameters_sha256=hashlib.sha256(encoded).hexdigest(),
        error=error,
        item=delivery.item,
    )
