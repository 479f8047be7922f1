"""Metrics of the spools of one ingest process: they stay 0 without one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REASONS = ("full", "broken")  # why a spool does not take an event


class SpoolMetrics:
    """What waits, and what came and went; the modes say how those of several processes are put together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Gauge(
            "headrace_ingest_spool_events",
            "Events in the spool, not yet in Kafka.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.bytes = Gauge(
            "headrace_ingest_spool_bytes",
            "Bytes of the events in the spool.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.oldest_s = Gauge(
            "headrace_ingest_spool_oldest_seconds",
            "For how long the oldest event of the spool has waited; 0 if none waits.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.damaged = Gauge(
            "headrace_ingest_spools_damaged",
            "Spools on this machine's disk that cannot be opened: their events wait, and are not counted.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.spooled = Counter(
            "headrace_ingest_spooled", "Events that went to the spool and were answered 200.", registry=registry
        )
        self.published = Counter(
            "headrace_ingest_spool_published", "Events of the spool that Kafka acknowledged.", registry=registry
        )
        self.refused = Counter(
            "headrace_ingest_spool_refused",
            "Events that the spool did not take, answered 503: it is full, or its disk broken.",
            ["reason"],
            registry=registry,
        )
        for reason in REASONS:
            self.refused.labels(reason)
