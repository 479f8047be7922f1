"""A delivery: one event on one route; what is carried out, retried, settled or dead-lettered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import orjson

from connectors.attempt import Attempt
from connectors.errors import CallError
from streams.event import Event, Receipt, UnreadableRecord
from streams.record import Record
from streams.routing import SHADOW, Route
from streams.tracing import traceparent_header, traceparent_of

DELIVERY_ID_CHARS = 64  # of an idempotency key; what follows is a replay's number
PRIORITY_HEADER = "headrace-priority"
ORDERED_HEADER = "headrace-ordered"
FAILURES_HEADER = "headrace-failures"
FAILURES_KEPT = 3
SHADOW_HEADER = "headrace-shadow"


@dataclass(frozen=True)
class Delivery:
    """One event, or one item of it, on its way along one route to one destination.

    ``item`` is the item's index on a route with ``each``, else ``None``. ``high`` and ``ordered`` are as the route's
    when it was made: which of the destination's two queues it belongs to, and whether it waits for its key's others.
    ``round`` counts the stays in ``retries.<delay>`` so far, ``attempts`` the calls made in all, and ``replay`` the
    replays from the dead letters. ``key_replay`` is the replay's number where the destination must not answer from
    its memory of an earlier refusal, else 0. ``not_before_ms`` is Unix milliseconds: no attempt before then.
    ``shadow`` says that nothing is called for it: what would be is rendered and recorded.
    ``first_failure_ms`` is 0 until an attempt failed, and ``failures`` are the last attempts that did, oldest first.
    ``trace`` is the ``traceparent`` of the fan-out that made it: every round follows it, and a replay links to it.
    """

    event: Event
    receipt: Receipt
    route: str
    destination: str
    item: int | None = None
    high: bool = False
    ordered: bool = False
    round: int = 0
    attempts: int = 0
    replay: int = 0
    key_replay: int = 0
    not_before_ms: int = 0
    first_failure_ms: int = 0
    failures: tuple[Attempt, ...] = ()
    trace: str = ""
    shadow: bool = False

    @cached_property
    def id(self) -> str:
        """The delivery id: hex SHA-256 of source, dedup id and route name, and of the item's index."""
        return delivery_id(self.event.source, self.event.dedup_id, self.route, self.item)

    @property
    def idempotency_key(self) -> str:
        """The ``Idempotency-Key`` of every call of this delivery."""
        return f"{self.id}-{self.key_replay}" if self.key_replay else self.id

    @classmethod
    def along(cls, route: Route, event: Event, receipt: Receipt) -> Delivery:
        """Return the delivery of ``event`` on ``route``: a shadow, where the route does not carry the event out."""
        return cls(
            event,
            receipt,
            route.name,
            route.destination,
            high=route.high,
            ordered=route.ordered,
            shadow=route.carries(event) == SHADOW,
        )

    def to_record(self, topic: str) -> Record:
        """Return the record for ``deliveries.<destination>`` or ``retries.<delay>``; its key is the event's."""
        return Record(topic, self.event.key, self.event.body, self.to_headers())

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Return the event's headers and the delivery's own; numbers that are 0 are left out."""
        numbers = {
            "headrace-round": self.round,
            "headrace-attempts": self.attempts,
            "headrace-replay": self.replay,
            "headrace-key-replay": self.key_replay,
            "headrace-not-before": self.not_before_ms,
            "headrace-first-failure": self.first_failure_ms,
        }
        return [
            *self.event.to_headers(),
            ("headrace-route", self.route.encode()),
            ("headrace-destination", self.destination.encode()),
            ("headrace-receipt", str(self.receipt).encode()),
            *([(PRIORITY_HEADER, b"high")] if self.high else []),
            *([(ORDERED_HEADER, b"1")] if self.ordered else []),
            *([("headrace-item", b"%d" % self.item)] if self.item is not None else []),
            *((name, b"%d" % number) for name, number in numbers.items() if number),
            *traceparent_header(self.trace),
            *([(SHADOW_HEADER, b"1")] if self.shadow else []),
            *([(FAILURES_HEADER, orjson.dumps(self.failures))] if self.failures else []),
        ]

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Delivery:
        """Read a delivery back from a record's raw key, value and headers.

        Raises:
            UnreadableRecord: it is not a delivery of a version that this code reads.
        """
        return cls.from_fields(key, value, dict(headers))

    @classmethod
    def from_fields(cls, key: bytes | None, value: bytes | None, fields: Mapping[str, bytes]) -> Delivery:
        """Read a delivery as `from_record` does, from headers by name."""
        event = Event.from_record(key, value, fields.items())
        try:
            return cls(
                event=event,
                receipt=Receipt.parse(fields["headrace-receipt"].decode()),
                route=fields["headrace-route"].decode(),
                destination=fields["headrace-destination"].decode(),
                high=fields.get(PRIORITY_HEADER) == b"high",
                ordered=ORDERED_HEADER in fields,
                item=_number(fields, "headrace-item") if "headrace-item" in fields else None,
                round=_number(fields, "headrace-round"),
                attempts=_number(fields, "headrace-attempts"),
                replay=_number(fields, "headrace-replay"),
                key_replay=_number(fields, "headrace-key-replay"),
                not_before_ms=_number(fields, "headrace-not-before"),
                first_failure_ms=_number(fields, "headrace-first-failure"),
                trace=traceparent_of(fields.items()),
                failures=read_failures(fields.get(FAILURES_HEADER, b"")),
                shadow=fields.get(SHADOW_HEADER) == b"1",
            )
        except KeyError as error:
            raise UnreadableRecord(f"the record has no header {error.args[0]}") from error
        except ValueError as error:
            raise UnreadableRecord(f"a record header cannot be read: {error}") from error

    def after_failure(self, error: CallError, *, now_ms: int) -> Delivery:
        """Return this delivery with the calls of a failed round behind it, and the time of its first failure kept."""
        return replace(
            self,
            attempts=self.attempts + error.attempts,
            first_failure_ms=self.first_failure_ms or now_ms,
            failures=(*self.failures, *error.failures)[-FAILURES_KEPT:],
        )


def delivery_id(source: str, dedup_id: str, route: str, item: int | None = None) -> str:
    """Return the hex SHA-256 that names one event, or item, on one route: the same on every worker, retry and replay.

    A route's name holds no NUL, so that no two of these share a text.
    """
    parts = (source, dedup_id, route) if item is None else (source, dedup_id, route, str(item))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def read_failures(raw: bytes) -> tuple[Attempt, ...]:
    """Read the last failed attempts back; what explains a failure must not cause one, so anything else gives none."""
    if not raw:
        return ()
    try:
        return tuple(Attempt(**fields) for fields in orjson.loads(raw))
    except (orjson.JSONDecodeError, TypeError):
        return ()


def _number(fields: Mapping[str, bytes], name: str) -> int:
    return int(fields.get(name, b"0"))
