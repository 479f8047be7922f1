"""Metrics of ingest. Every label value comes from the routing table or a fixed set, never from a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.spool_metrics import SpoolMetrics

# 0.2 is an edge: what a producer waits for should stay under it.
REQUEST_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
UNKNOWN_SOURCE = ""
# The objective: a valid post is answered 200 within this time.
IN_TIME_S = 0.2
# The outcomes that alerts look at: each source has them from the start, at 0.
ANNOUNCED = (
    "accepted",
    "malformed",
    "unsupported_media_type",
    "invalid_signature",
    "too_large",
    "unavailable",
    "overloaded",
)
# What could be accepted, and what could not for no fault of its sender. A process that is full cannot look at the
# signature: what it turns away counts as valid, since an overload turns away the valid ones too.
_KEPT = frozenset({"accepted", "handshake"})
_VALID = _KEPT | {"unavailable", "overloaded", "unexpected"}


class AnswerMetrics:
    """What was answered, and how soon."""

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
        self.valid_posts = Counter(
            "headrace_ingest_valid_posts", "Posts that had to be answered 200.", ["source"], registry=registry
        )
        self.valid_posts_in_time = Counter(
            "headrace_ingest_valid_posts_in_time",
            "Those of them that were, within 0.2 s.",
            ["source"],
            registry=registry,
        )

    def announce(self, sources: Iterable[str]) -> None:
        """Make the series of these sources, at 0: a rate needs a first sample."""
        for source in sources:
            self.request_s.labels(source)
            self.valid_posts.labels(source)
            self.valid_posts_in_time.labels(source)
            for outcome in ANNOUNCED:
                self.requests.labels(source, outcome)

    def of(self, source: str, outcome: str) -> Callable[[float], None]:
        """Return what counts one answer, given its duration in seconds; look it up once, it costs as much as counting.

        Posts to no source belong to no objective.
        """
        count, observe = self.requests.labels(source, outcome).inc, self.request_s.labels(source).observe
        if source == UNKNOWN_SOURCE or outcome not in _VALID:

            def answered(duration_s: float) -> None:
                count()
                observe(duration_s)

            return answered
        count_valid = self.valid_posts.labels(source).inc
        count_in_time = self.valid_posts_in_time.labels(source).inc
        kept = outcome in _KEPT

        def answered_valid(duration_s: float) -> None:
            count()
            observe(duration_s)
            count_valid()
            if kept and duration_s <= IN_TIME_S:
                count_in_time()

        return answered_valid


class IngestMetrics:
    """The metrics of one ingest process; the modes say how those of several are put together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers = AnswerMetrics(registry)
        self.spool = SpoolMetrics(registry)
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
        self.admission_limit = Gauge(
            "headrace_ingest_admission_limit",
            "Requests that may be in flight now: less than headrace_ingest_in_flight_max while answers take too long.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.connections = Gauge(
            "headrace_ingest_connections", "Open connections.", registry=registry, multiprocess_mode="livesum"
        )
        self.capacity_used_ratio = Gauge(
            "headrace_capacity_used_ratio",
            "Used share of a limit, the most of the last seconds.",
            ["resource"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.producer_queue_records = Gauge(
            "headrace_producer_queue_records",
            "Records handed to a producer and not yet acknowledged.",
            ["producer"],
            registry=registry,
            multiprocess_mode="livesum",
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
