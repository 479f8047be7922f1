"""Metrics of the consumer groups that one worker joins: commits and assignments."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

COMMIT_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


@dataclass(frozen=True, slots=True)
class GroupMetrics:
    """Those of one group."""

    commit_s: Histogram
    commit_failures: Counter
    rebalances: Counter
    assigned_partitions: Gauge

    def assigned(self, partitions: int) -> None:
        """Count an assignment, of so many partitions."""
        self.rebalances.inc()
        self.assigned_partitions.set(partitions)

    def revoked(self) -> None:
        """Note that this worker has no partition of the group any more."""
        self.assigned_partitions.set(0)


class GroupsMetrics:
    """Those of every group."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._commit_s = Histogram(
            "headrace_commit_seconds",
            "Duration of an offset commit.",
            ["group"],
            buckets=COMMIT_BUCKETS_S,
            registry=registry,
        )
        self._commit_failures = Counter(
            "headrace_commit_failures", "Offset commits that failed or timed out.", ["group"], registry=registry
        )
        self._rebalances = Counter(
            "headrace_rebalances", "Assignments that a consumer group gave this worker.", ["group"], registry=registry
        )
        self._assigned_partitions = Gauge(
            "headrace_assigned_partitions", "Partitions that this worker owns.", ["group"], registry=registry
        )

    def of(self, group: str) -> GroupMetrics:
        """Return those of a group that this worker joins; its series are there from now on, at 0."""
        return GroupMetrics(
            self._commit_s.labels(group),
            self._commit_failures.labels(group),
            self._rebalances.labels(group),
            self._assigned_partitions.labels(group),
        )
