"""What follows from an event: a delivery for each route that it matches, or a dead letter that says why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from streams.dead_letter import DeadLetter, Failure, failed_delivery, unreadable_record
from streams.delivery import Delivery
from streams.event import Event, Receipt, UnreadableRecord
from streams.items import split
from streams.metrics import StreamsMetrics
from streams.outcome import DEAD_LETTERED, outcome_of
from streams.own_events import OwnEvents, dead_letter
from streams.record import Record
from streams.routing import Routes
from streams.taken import Taken
from streams.topics import TopicNames
from streams.tracing import Tracing, traceparent_of

log = structlog.get_logger("fan_out")


class FollowUps:
    """Makes the records that follow from one that was taken; publishes nothing."""

    def __init__(
        self,
        *,
        names: TopicNames,
        routes: Callable[[], Routes],
        body_bytes_max: int,
        now_ms: Callable[[], int],
        metrics: StreamsMetrics,
        tracing: Tracing,
    ) -> None:
        self._names, self._routes, self._body_bytes_max = names, routes, body_bytes_max
        self._now_ms, self._metrics, self._tracing = now_ms, metrics, tracing
        self._own_events = OwnEvents(names, routes, metrics)

    def of(self, record: Taken, event: Event) -> list[Record]:
        """Return the deliveries of an event, one for each match and item, and letters of routes that could not tell."""
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

    def unreadable(self, record: Taken, error: UnreadableRecord) -> list[Record]:
        """Return the dead letter of a record that is no event."""
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
