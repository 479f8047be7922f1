"""Metrics of fan-out, delivery, retries and dead letters. Every label value comes from the routing table."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.dead_letter import STAGES, DeadLetter
from streams.group_metrics import GroupsMetrics
from streams.table_watch import TableMetrics

FAN_OUT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600)
QUEUE_WAIT_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600)
AGE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)


class DeadLetterMetrics:
    """What is outstanding, and what was written. A dead letter of no destination has the label empty."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outstanding = Gauge(
            "headrace_dead_letters", "Outstanding dead letters.", ["destination"], registry=registry
        )
        self._written = Counter(
            "headrace_dead_letters_written",
            "Dead letters written, by the stage that gave up.",
            ["destination", "stage"],
            registry=registry,
        )

    def announce(self, destination: str) -> None:
        """Make the series of what is written, at 0."""
        for stage in STAGES:
            self._written.labels(destination, stage)

    def written(self, letter: DeadLetter) -> None:
        """Count a dead letter, under the destination that it is outstanding for."""
        self._written.labels(letter.header("headrace-destination"), letter.failure.stage).inc()


class StreamsMetrics:
    """The metrics of one worker process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "headrace_events", "Events that fan-out has dealt with.", ["source", "outcome"], registry=registry
        )
        self.fan_out_s = Histogram(
            "headrace_fan_out_seconds",
            "Time from accepting an event to having fanned it out.",
            buckets=FAN_OUT_BUCKETS_S,
            registry=registry,
        )
        self.deliveries = Counter(
            "headrace_deliveries",
            "Deliveries that left their queue.",
            ["destination", "route", "outcome"],
            registry=registry,
        )
        self.cancelled = Counter(
            "headrace_deliveries_cancelled",
            "Deliveries that somebody cancelled before their call; they are among those skipped.",
            ["destination"],
            registry=registry,
        )
        self.queue_wait_s = Histogram(
            "headrace_queue_wait_seconds",
            "Time from when a delivery came into its queue until its first call out of it.",
            ["destination", "priority"],
            buckets=QUEUE_WAIT_BUCKETS_S,
            registry=registry,
        )
        self.delivery_age_s = Histogram(
            "headrace_delivery_age_seconds",
            "Time from accepting the event to settling the delivery.",
            ["destination"],
            buckets=AGE_BUCKETS_S,
            registry=registry,
        )
        self.paused = Gauge(
            "headrace_destination_paused", "1 while the destination is paused.", ["destination"], registry=registry
        )
        self.dead_letters = DeadLetterMetrics(registry)
        self.queue_depth = Gauge(
            "headrace_queue_depth", "Records of the topic that are not yet settled.", ["topic"], registry=registry
        )
        self.capacity_used_ratio = Gauge(
            "headrace_capacity_used_ratio", "Used share of a limit.", ["resource"], registry=registry
        )
        self.producer_queue_records = Gauge(
            "headrace_producer_queue_records",
            "Records handed to a producer and not yet acknowledged.",
            ["producer"],
            registry=registry,
        )
        self.table = TableMetrics(registry)
        self.groups = GroupsMetrics(registry)
        self.ready = Gauge("headrace_worker_ready", "1 while this worker takes what is due.", registry=registry)
        self.own_events = Counter(
            "headrace_own_events", "Events of the source headrace that were made.", ["type"], registry=registry
        )

    def announce(
        self, *, sources: Iterable[str], routes: Iterable[tuple[str, str]], own_events: Iterable[str] = ()
    ) -> None:
        """Make every series of these, routes with their destinations, at 0: a rate needs a first sample."""
        for type_ in own_events:
            self.own_events.labels(type_)
        for source in sources:
            for outcome in ("fanned_out", "duplicate", "unrouted", "unreadable"):
                self.events.labels(source, outcome)
        self.dead_letters.announce("")
        for route, destination in routes:
            self.delivery_age_s.labels(destination)
            self.cancelled.labels(destination)
            self.dead_letters.announce(destination)
            for outcome in ("settled", "delayed", "dead_lettered", "skipped", "shadowed"):
                self.deliveries.labels(destination, route, outcome)


LATENESS_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)


class ScheduleMetrics:
    """The metrics of the schedules that one worker fires."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ticks = Counter(
            "headrace_schedule_ticks",
            "Due times of schedules: events made, and times that passed while no worker ran.",
            ["schedule", "outcome"],
            registry=registry,
        )
        self.lateness_s = Histogram(
            "headrace_schedule_lateness_seconds",
            "Time from when a schedule was due, its jitter included, until Kafka had its event.",
            ["schedule"],
            buckets=LATENESS_BUCKETS_S,
            registry=registry,
        )

    def announce(self, schedules: Iterable[str]) -> None:
        """Make the series of these schedules, at 0."""
        for schedule in schedules:
            self.lateness_s.labels(schedule)
            for outcome in ("fired", "missed"):
                self.ticks.labels(schedule, outcome)

    def fired(self, schedule: str, late_s: float) -> None:
        """Count one event that Kafka has."""
        self.ticks.labels(schedule, "fired").inc()
        self.lateness_s.labels(schedule).observe(late_s)
