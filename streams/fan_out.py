"""Fan-out: one event becomes one delivery for each route that it matches, once.

The order keeps the promise (docs/reference/guarantees.md): publish the deliveries, await the acknowledgement of all,
*then* mark the event as seen, *then* report it done, which is what lets its offset be committed. Killed anywhere, an
event is either done, or taken again; what a crash between publishing and marking repeats has the same delivery ids.

Neither Faust, nor a broker, nor a clock: all of it comes as arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from streams.chains import Chains
from streams.dead_letter import DeadLetter, Failure, failed_delivery, replayed_letter, tombstone, unreadable_record
from streams.delivery import Delivery
from streams.event import Event, Receipt, UnreadableRecord
from streams.items import split
from streams.metrics import StreamsMetrics
from streams.outcome import DEAD_LETTERED, outcome_of
from streams.own_events import OwnEvents, dead_letter
from streams.record import Record
from streams.routing import Routes
from streams.topics import TopicNames
from streams.tracing import Tracing, traceparent_of

FANNED_OUT, DUPLICATE, UNROUTED, UNREADABLE = "fanned_out", "duplicate", "unrouted", "unreadable"
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.1, 5.0
ROW_VERSION = b"1"

log = structlog.get_logger("fan_out")


class Revoked(Exception):
    """The partition of the record is, or may be, another worker's by now: write nothing, acknowledge nothing."""


class Unpublished(Exception):
    """The broker did not acknowledge some records; ``records`` are those, which may be in the log all the same."""

    def __init__(self, records: Sequence[Record], reason: str) -> None:
        super().__init__(reason)
        self.records = records


@dataclass(frozen=True, slots=True)
class Taken:
    """One record of an events topic, raw, and the group generation under which this worker took it."""

    topic: str
    source: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    generation: int = 0


class Seen(Protocol):
    """The table of events that are done, in rows of raw bytes, kept per partition."""

    def get(self, partition: int, key: bytes) -> bytes | None:
        """Return the row, or ``None``. Raises `Revoked` if the partition is not open."""

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        """Write the row at once, and return when its changelog has it. Raises `Revoked` as `get`."""


Send = Callable[[Sequence[Record]], Awaitable[None]]  # returns when all are acknowledged; raises `Unpublished`
EnsureOwned = Callable[[Taken], Awaitable[None]]  # returns when the record is certainly this worker's, or `Revoked`


class FanOut:
    """Fans events out. ``routes`` is read anew for each event, so that a reload takes effect at once."""

    def __init__(
        self,
        *,
        names: TopicNames,
        routes: Callable[[], Routes],
        dedup_ttl_s: Mapping[str, float],
        body_bytes_max: int,
        seen: Seen,
        send: Send,
        ensure_owned: EnsureOwned,
        now_ms: Callable[[], int],
        metrics: StreamsMetrics,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        tracing: Tracing | None = None,
    ) -> None:
        self._names = names
        self._routes = routes
        self._dedup_ttl_s = dedup_ttl_s
        self._body_bytes_max = body_bytes_max
        self._seen = seen
        self._send = send
        self._ensure_owned = ensure_owned
        self._now_ms = now_ms
        self._metrics = metrics
        self._own_events = OwnEvents(names, routes, metrics)
        self._sleep = sleep
        self._tracing = tracing or Tracing()
        self._in_flight: dict[bytes, asyncio.Event] = {}
        self._chains = Chains()

    async def fan_out(self, record: Taken) -> str:
        """Return what became of the record, once everything that follows from it is acknowledged.

        Returns:
            ``fanned_out``, ``duplicate``, ``unrouted`` (no route takes it) or ``unreadable`` (now a dead letter).

        Raises:
            Revoked: the record is no longer this worker's; nothing may be acknowledged.
        """
        if not self._tracing.on:
            return await self._fan_out(record)
        parent = traceparent_of(record.headers)
        with self._tracing.span(f"fan out {record.source}", "consumer", parent=parent) as span:
            outcome = await self._fan_out(record)
            span.note(outcome=outcome, receipt=f"{record.source}/{record.partition}/{record.offset}")
            return outcome

    async def _fan_out(self, record: Taken) -> str:
        try:
            event = read_event(record)
        except UnreadableRecord as error:
            await self._publish(record, self._unreadable(record, error))
            outcome = UNREADABLE
        else:
            outcome = await self._fan_out_in_order(record, event)
            self._metrics.fan_out_s.observe(max(0, self._now_ms() - event.time_ms) / 1000)
        self._metrics.events.labels(record.source, outcome).inc()
        return outcome

    async def _fan_out_in_order(self, record: Taken, event: Event) -> str:
        """Wait for the key's earlier events, if a route is ordered; nothing is awaited before the place is taken."""
        if not self._routes().order_matters(event.source):
            return await self._fan_out_alone(record, event)
        link = self._chains.join((event.source, event.key))
        done = False
        try:
            if not await link.turn():
                raise Revoked  # what could not be published before it must be before it in the log
            outcome = await self._fan_out_alone(record, event)
            done = True
            return outcome
        finally:
            link.end(done=done)

    async def _fan_out_alone(self, record: Taken, event: Event) -> str:
        """Wait for twins in flight, then fan out: the second of two looks at the table when the first is done."""
        key = seen_key(event)
        while (twin := self._in_flight.get(key)) is not None:
            await twin.wait()
        ended = self._in_flight[key] = asyncio.Event()
        try:
            return await self._fan_out_event(record, event, key)
        finally:
            del self._in_flight[key]
            ended.set()

    async def _fan_out_event(self, record: Taken, event: Event, key: bytes) -> str:
        await self._ensure_owned(record)
        duplicate = self._is_duplicate(record, event, key)
        records = [] if duplicate else self._follow_ups(record, event)
        await self._publish(record, records)
        # A replayed record that was unreadable once: its letter ends only now that its deliveries are in the log.
        letter = replayed_letter(dict(record.headers))
        if letter is not None:
            await self._publish(record, [tombstone(self._names.dead_letter, letter)])
        if duplicate:
            log.debug("event_duplicate", source=record.source, event_id=event.id)
            return DUPLICATE
        await self._ensure_owned(record)
        await self._seen.put(record.partition, key, encode_row(event.time_ms))
        log.debug("event_fanned_out", source=record.source, event_id=event.id, records=len(records))
        return FANNED_OUT if records else UNROUTED

    def _is_duplicate(self, record: Taken, event: Event, key: bytes) -> bool:
        """Whether the event was done before, less than the source's time to live earlier, by the events' own times."""
        seen_ms = decode_row(self._seen.get(record.partition, key))
        return seen_ms is not None and event.time_ms - seen_ms < self._dedup_ttl_s[record.source] * 1000

    def _follow_ups(self, record: Taken, event: Event) -> list[Record]:
        receipt = Receipt(record.source, record.partition, record.offset)
        follow_ups = []
        scope: dict[str, object] | None = None
        for route in self._routes().for_event(event):
            delivery, stage = replace(Delivery.along(route, event, receipt), trace=self._trace(record)), "match"
            try:
                if route.looks_at_body:  # parsing a body costs more than all the rest: only where it is looked at
                    scope = scope or event.scope(receipt, body_bytes_max=self._body_bytes_max)
                    if not route.matches(scope):
                        continue
                stage = "each"
                deliveries = split(delivery, route, scope or {})
            except Exception as error:  # the user's own expression, or a body that does not parse
                follow_ups += self._unmatched(record, delivery, stage, error)
            else:
                topic = self._names.deliveries(route.destination, high=route.high)
                for one in deliveries:
                    log.debug(
                        "delivery_made",
                        source=record.source,
                        event_id=event.id,
                        delivery_id=one.id,
                        route=route.name,
                        destination=route.destination,
                    )
                    follow_ups.append(one.to_record(topic))
        return follow_ups

    def _trace(self, record: Taken) -> str:
        """Return what its deliveries follow: this span, or, where this worker makes none, the one before it."""
        return self._tracing.traceparent() or traceparent_of(record.headers)

    async def _publish(self, record: Taken, records: Sequence[Record]) -> None:
        """Return when all records are acknowledged; while the broker is away, try again for as long as it takes.

        Raises:
            Revoked: as `fan_out`.
        """
        backoff_s = BACKOFF_S_MIN
        while records:
            await self._ensure_owned(record)
            try:
                await self._send(records)
            except Unpublished as error:
                log.warning("publish_failed", source=record.source, topic=error.records[0].topic, reason=str(error))
                records = error.records
                await self._sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            else:
                return

    def _unreadable(self, record: Taken, error: UnreadableRecord) -> list[Record]:
        failure = self._failure("decode", record, error)
        letter = unreadable_record(record.key, record.value, record.headers, failure)
        log.warning("event_unreadable", source=record.source, letter=letter.id, error=str(error))
        return self._letter(letter, record)

    def _unmatched(self, record: Taken, delivery: Delivery, stage: str, error: Exception) -> list[Record]:
        failure = self._failure(stage, record, error)
        report = outcome_of(
            delivery,
            DEAD_LETTERED,
            attempts=0,
            status=None,
            duration_s=0.0,
            now_ms=failure.last_failure_ms,
            detail=f"{failure.stage}: {error}",
        )
        self._metrics.deliveries.labels(delivery.destination, delivery.route, DEAD_LETTERED).inc()
        letter = failed_delivery(delivery, failure)
        log.warning(
            "condition_failed" if stage == "match" else "items_failed",
            source=record.source,
            event_id=delivery.event.id,
            delivery_id=letter.id,
            route=delivery.route,
            destination=delivery.destination,
            error=str(error),
        )
        return [*self._letter(letter, record), report.to_record(self._names.outcomes)]

    def _letter(self, letter: DeadLetter, record: Taken) -> list[Record]:
        """Return a dead letter and what is told of it."""
        self._metrics.dead_letters.written(letter)
        told = self._own_events.records(dead_letter(letter, source=record.source))
        return [letter.to_record(self._names.dead_letter), *told]

    def _failure(self, stage: str, record: Taken, error: Exception) -> Failure:
        now_ms = self._now_ms()
        return Failure(
            stage=stage,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            error_class=type(error).__name__,
            message=str(error),
            first_failure_ms=now_ms,
            last_failure_ms=now_ms,
        )


def read_event(record: Taken) -> Event:
    """Return the event in a record of its source's topic.

    Raises:
        UnreadableRecord: it is none, or another source's.
    """
    event = Event.from_record(record.key, record.value, record.headers)
    if event.source != record.source:
        raise UnreadableRecord(f"an event of source {event.source!r} in the topic of {record.source!r}")
    return event


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
