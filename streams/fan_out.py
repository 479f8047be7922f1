"""Fan-out: one event becomes one delivery for each route that it matches, once.

The order keeps the promise (docs/reference/guarantees.md): publish the deliveries, await the acknowledgement of all,
*then* mark the event as seen, *then* report it done, which is what lets its offset be committed. Killed anywhere, an
event is either done, or taken again; what a crash between publishing and marking repeats has the same delivery ids.

Neither Faust, nor a broker, nor a clock: all of it comes as arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from streams.chains import Chains
from streams.dead_letter import replayed_letter, tombstone
from streams.event import Event, UnreadableRecord
from streams.follow_ups import FollowUps
from streams.metrics import StreamsMetrics
from streams.record import Record
from streams.routing import Routes
from streams.seen import Seen, decode_row, encode_row, seen_key
from streams.taken import Revoked, Taken, read_event
from streams.topics import TopicNames
from streams.tracing import Tracing, traceparent_of

FANNED_OUT, DUPLICATE, UNROUTED, UNREADABLE = "fanned_out", "duplicate", "unrouted", "unreadable"
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.1, 5.0

log = structlog.get_logger("fan_out")


class Unpublished(Exception):
    """The broker did not acknowledge some records; ``records`` are those, which may be in the log all the same."""

    def __init__(self, records: Sequence[Record], reason: str) -> None:
        super().__init__(reason)
        self.records = records


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
        self._seen = seen
        self._send = send
        self._ensure_owned = ensure_owned
        self._now_ms = now_ms
        self._metrics = metrics
        self._sleep = sleep
        self._tracing = tracing or Tracing()
        self._follow_ups = FollowUps(
            names=names,
            routes=routes,
            body_bytes_max=body_bytes_max,
            now_ms=now_ms,
            metrics=metrics,
            tracing=self._tracing,
        )
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
            await self._publish(record, self._follow_ups.unreadable(record, error))
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
        records = [] if duplicate else self._follow_ups.of(record, event)
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
