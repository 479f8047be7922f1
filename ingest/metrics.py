"""Metrics of ingest. Every label value comes from the routing table or a fixed set, never from a request."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# 0.2 is an edge: what a producer waits for should stay under it.
REQUEST_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
UNKNOWN_SOURCE = ""


class IngestMetrics:
    """The metrics of one ingest process; the modes say how those of several are put together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "headrace_ingest_requests", "Requests answered.", ["source", "outcome"], registry=registry
        )
        self.request_s = Histogram(
            "headrace_ingest_request_seconds",
            "Time from the request's headers to its answer.",
            ["source"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self.matches = Counter(
            "headrace_ingest_secret_matches",
            "Requests by the secret that matched: its place in secret_env, from 1.",
            ["source", "position"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "headrace_ingest_in_flight",
            "Requests that are being answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.in_flight_max = Gauge(
            "headrace_ingest_in_flight_max",
            "The limit of requests in flight; beyond it the answer is 503.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.capacity_used_ratio = Gauge(
            "headrace_capacity_used_ratio",
            "Used share of a limit, the most of the last seconds.",
            ["resource"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.ready = Gauge(
            "headrace_ingest_ready",
            "Processes that accept events: Kafka answers them.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.kafka_answers = Gauge(
            "headrace_ingest_kafka_answers",
            "Processes that Kafka answered at their last probe.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._announce_spool(registry)

    def _announce_spool(self, registry: CollectorRegistry) -> None:
        """Make the series of the spool: they stay 0 without one."""
        self.spool_events = Gauge(
            "headrace_ingest_spool_events",
            "Events in the spool, not yet in Kafka.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.spool_bytes = Gauge(
            "headrace_ingest_spool_bytes",
            "Bytes of the events in the spool.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.spool_oldest_s = Gauge(
            "headrace_ingest_spool_oldest_seconds",
            "For how long the oldest event of the spool has waited; 0 if none waits.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.spooled = Counter(
            "headrace_ingest_spooled", "Events that went to the spool and were answered 200.", registry=registry
        )
        self.spool_published = Counter(
            "headrace_ingest_spool_published", "Events of the spool that Kafka acknowledged.", registry=registry
        )
        self.spool_refused = Counter(
            "headrace_ingest_spool_refused",
            "Events that the spool did not take, answered 503: it is full, or its disk broken.",
            ["reason"],
            registry=registry,
        )
        for reason in ("full", "broken"):
            self.spool_refused.labels(reason)

    def announce(self, sources: Iterable[str]) -> None:
        """Make the series of these sources, at 0: a rate needs a first sample."""
        for source in sources:
            self.request_s.labels(source)
            for outcome in ("accepted", "malformed", "invalid_signature", "too_large", "unavailable"):
                self.requests.labels(source, outcome)
