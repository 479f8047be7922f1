"""The topics: their names, and what each must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streams.event import OWN_SOURCE, SCHEDULES_SOURCE
from streams.kafka import BATCH_BYTES_MAX, OVERHEAD_BYTES

PARTITIONS = 8
DAY_MS = 24 * 3600 * 1000
RETENTION, POLICY, RECORD_BYTES = "retention.ms", "cleanup.policy", "max.message.bytes"
COMPACTION_LAG = "max.compaction.lag.ms"
COMPACT_DELETE = "compact,delete"
FOR_EVER = -1


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The name of every topic and consumer group, behind one prefix."""

    prefix: str = ""

    def events(self, source: str) -> str:
        """Return the topic of a source's events."""
        return f"{self.prefix}events.{source}"

    def deliveries(self, destination: str, *, high: bool = False) -> str:
        """Return a queue of a destination: the one for all, or the one beside it that is worked first."""
        return f"{self.prefix}deliveries.{destination}{'.high' if high else ''}"

    def retries(self, delay_s: int) -> str:
        """Return the topic of deliveries that wait ``delay_s``."""
        return f"{self.prefix}retries.{delay_s}s"

    @property
    def outcomes(self) -> str:
        """The topic that says what became of each delivery."""
        return f"{self.prefix}outcomes"

    @property
    def dead_letter(self) -> str:
        """The topic whose fold is the outstanding dead letters."""
        return f"{self.prefix}dead-letter"

    @property
    def pauses(self) -> str:
        """The topic whose fold is the paused destinations; one partition, so that all see one order."""
        return f"{self.prefix}pauses"

    @property
    def shadow(self) -> str:
        """The topic that says what routes in shadow mode would have called."""
        return f"{self.prefix}shadow"

    @property
    def schedules(self) -> str:
        """The topic whose fold is how far each schedule has come; one partition, so that all see one order."""
        return f"{self.prefix}schedules"

    @property
    def cancellations(self) -> str:
        """The topic whose fold is the cancelled deliveries; one partition, so that all see one order."""
        return f"{self.prefix}cancellations"

    @property
    def fan_out_group(self) -> str:
        """The Faust application id, which is also its consumer group."""
        return f"{self.prefix}headrace-fan-out"

    @property
    def seen_changelog(self) -> str:
        """The changelog of the table ``seen``, by Faust's naming."""
        return f"{self.fan_out_group}-seen-changelog"

    def deliver_group(self, destination: str) -> str:
        """Return the consumer group of a destination."""
        return f"{self.prefix}headrace-deliver-{destination}"

    @property
    def retries_group(self) -> str:
        """The consumer group that puts waiting deliveries back."""
        return f"{self.prefix}headrace-retries"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic must be. ``retention_ms`` is ``None`` for a topic that is compacted alone.

    ``compaction_lag_ms`` bounds for how long a record with a body or an event's id stays on disk once a newer one of
    its key, or a tombstone, took its place: without it Kafka compacts when it thinks that it is worth it.
    """

    name: str
    partitions: int
    cleanup_policy: str
    retention_ms: int | None
    record_bytes_max: int
    compaction_lag_ms: int | None = None

    def config(self) -> dict[str, str]:
        """Return the topic's configuration as Kafka names it."""
        config = {POLICY: self.cleanup_policy, RECORD_BYTES: str(self.record_bytes_max)}
        if self.compaction_lag_ms is not None:
            config[COMPACTION_LAG] = str(self.compaction_lag_ms)
        if self.retention_ms is not None:
            config[RETENTION] = str(self.retention_ms)
        return config


def required_topics(
    names: TopicNames,
    *,
    sources: Mapping[str, int],
    destinations: Iterable[str],
    prioritized: Iterable[str] = (),
    delays_s: Iterable[int],
    dedup_ttl_s_max: int,
    partitions: int = PARTITIONS,
    events_retention_ms: int = 7 * DAY_MS,
    outcomes_retention_ms: int = 7 * DAY_MS,
    schedules: bool = False,
    shadow: bool = False,
) -> list[TopicSpec]:
    """Return the topics of a routing table. ``sources`` maps each name to its ``body_bytes_max``.

    ``prioritized`` are the destinations that a route of high priority leads to.

    ``schedules`` says whether it has any: their events have a topic, and so has how far each has come.
    ``shadow`` says whether a route may record what it would have called.

    Headrace's own source has its topic always, so that a reload can add the first route that takes it.
    """
    largest = max(*sources.values(), BATCH_BYTES_MAX) if sources else 1024 * 1024
    event_bytes, delivery_bytes, letter_bytes = (largest + n * OVERHEAD_BYTES for n in (1, 2, 3))
    own = {OWN_SOURCE: 0, SCHEDULES_SOURCE: 0} if schedules else {OWN_SOURCE: 0}
    specs = [
        TopicSpec(
            names.events(name), partitions, "delete", events_retention_ms, max(body, BATCH_BYTES_MAX) + OVERHEAD_BYTES
        )
        for name, body in {**sources, **own}.items()
    ]
    # No age empties a queue, for a destination may be paused for long: the workers trim what is settled.
    queues = [
        *(names.deliveries(name) for name in destinations),
        *(names.deliveries(name, high=True) for name in sorted(set(prioritized))),
        *(names.retries(delay_s) for delay_s in sorted(set(delays_s))),
    ]
    specs += [TopicSpec(queue, partitions, "delete", FOR_EVER, delivery_bytes) for queue in queues]
    return [
        *specs,
        TopicSpec(names.outcomes, partitions, COMPACT_DELETE, outcomes_retention_ms, event_bytes, DAY_MS),
        TopicSpec(names.dead_letter, partitions, "compact", None, letter_bytes, DAY_MS),
        TopicSpec(names.pauses, 1, "compact", None, event_bytes),
        TopicSpec(names.cancellations, 1, "compact", None, event_bytes),
        *(
            [TopicSpec(names.shadow, partitions, COMPACT_DELETE, outcomes_retention_ms, event_bytes, DAY_MS)]
            if shadow
            else []
        ),
        *([TopicSpec(names.schedules, 1, "compact", None, event_bytes)] if schedules else []),
        TopicSpec(names.seen_changelog, partitions, COMPACT_DELETE, dedup_ttl_s_max * 1000, event_bytes),
    ]
