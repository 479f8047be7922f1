"""What is counted about calls (INTERFACE §5); every label value comes from the routing table or a fixed set."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from connectors.breaker import State
from connectors.errors import CallError, CredentialsRefused, RateLimited, TimeoutExceeded, TransientError
from connectors.rate_limit import HeldBy

ATTEMPT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WAIT_BUCKETS_S = (0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 3600)
OUTCOMES = ("ok", "transient", "permanent", "timeout", "rate_limited", "credentials_refused")
HELD_BY: tuple[HeldBy, ...] = ("blocked", "spread")
CIRCUIT_VALUES: dict[State, float] = {"closed": 0, "half_open": 0.5, "open": 1}


class ConnectorMetrics:
    """The metrics of all destinations of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "headrace_attempts_total", "Calls made, by how they ended.", ["destination", "outcome"], registry=registry
        )
        self.attempt_s = Histogram(
            "headrace_attempt_seconds",
            "Duration of one call.",
            ["destination"],
            buckets=ATTEMPT_BUCKETS_S,
            registry=registry,
        )
        self.circuit_open = Gauge(
            "headrace_circuit_open", "0 closed, 0.5 half-open, 1 open.", ["destination"], registry=registry
        )
        self.rate_limit_wait_s = Histogram(
            "headrace_rate_limit_wait_seconds",
            "Wait of a call for its destination's rate.",
            ["destination"],
            buckets=WAIT_BUCKETS_S,
            registry=registry,
        )

        self.held_s = Counter(
            "headrace_destination_held_seconds",
            "Time that calls waited because the service asked for it, or because its quota is spread.",
            ["destination", "reason"],
            registry=registry,
        )

    def of(self, destination: str) -> DestinationMetrics:
        """Return the metrics of one destination, looked up once: a look-up costs as much as counting."""
        return DestinationMetrics(self, destination)


class DestinationMetrics:
    """The metrics of one destination; all its series exist from the start, so that rates are right from the first."""

    def __init__(self, metrics: ConnectorMetrics, destination: str) -> None:
        self.attempts = {outcome: metrics.attempts.labels(destination, outcome) for outcome in OUTCOMES}
        self.attempt_s = metrics.attempt_s.labels(destination)
        self.circuit_open = metrics.circuit_open.labels(destination)
        self.rate_limit_wait_s = metrics.rate_limit_wait_s.labels(destination)
        self._held_s = {reason: metrics.held_s.labels(destination, reason) for reason in HELD_BY}

    def attempted(self, error: CallError | None, duration_s: float) -> None:
        """Count one attempt."""
        self.attempts[outcome_of(error)].inc()
        self.attempt_s.observe(duration_s)

    def held(self, held_by: HeldBy, seconds: float) -> None:
        """Count time that the service holds up this destination on this worker."""
        self._held_s[held_by].inc(max(0.0, seconds))


def outcome_of(error: CallError | None) -> str:
    """Return the ``outcome`` label of an attempt."""
    if error is None:
        return "ok"
    if isinstance(error, TimeoutExceeded):
        return "timeout"
    if isinstance(error, RateLimited):
        return "rate_limited"
    if isinstance(error, CredentialsRefused):
        return "credentials_refused"
    return "transient" if isinstance(error, TransientError) else "permanent"
