"""The topics: their names, what each must be, and the difference to what the broker has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from streams.event import OWN_SOURCE, SCHEDULES_SOURCE
from streams.kafka import BATCH_BYTES_MAX, OVERHEAD_BYTES
from streams.topic_configs import TopicError, change_configs, read_configs

__all__ = ["TopicError", "TopicNames", "TopicSpec", "change", "compare", "create_missing", "required_topics"]

PARTITIONS = 8
DAY_MS = 24 * 3600 * 1000
MIN_INSYNC = "min.insync.replicas"
RETENTION, POLICY, RECORD_BYTES = "retention.ms", "cleanup.policy", "max.message.bytes"
COMPACTION_LAG = "max.compaction.lag.ms"
COMPACT_DELETE = "compact,delete"
FOR_EVER = -1
GROUP_OFFSETS = "__consumer_offsets"  # Kafka's own: where every group's commits are
AT_LEAST = "at least "


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


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about a topic that is not as it must be. ``expected`` may begin with ``at least``."""

    topic: str
    key: str
    expected: str
    found: str

    @property
    def missing(self) -> bool:
        """Whether the topic does not exist."""
        return self.key == "topic"

    @property
    def fatal(self) -> bool:
        """Whether records would be lost, misplaced or refused if work went on."""
        return self.key in ("partitions", MIN_INSYNC, RECORD_BYTES) or self.starving

    @property
    def starving(self) -> bool:
        """Whether the topic has fewer replicas than it asks to be in sync, so that Kafka accepts nothing for it."""
        return self.key == "replicas" and self.expected.endswith(MIN_INSYNC)

    @property
    def alterable(self) -> bool:
        """Whether the broker can be told otherwise; not so partitions, which tables depend on, nor replicas."""
        return self.key in (RETENTION, POLICY, RECORD_BYTES, MIN_INSYNC, COMPACTION_LAG)

    @property
    def deletes(self) -> bool:
        """Whether altering it lets the broker delete records that it would have kept."""
        if self.key == RETENTION:
            return int(self.expected) != FOR_EVER and (
                int(self.found) == FOR_EVER or int(self.expected) < int(self.found)
            )
        return self.key == POLICY and not set(self.expected.split(",")) <= set(self.found.split(","))

    def __str__(self) -> str:
        return f"{self.topic}: {self.key} is {self.found}, expected {self.expected}"


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


async def compare(
    admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec], *, min_insync: int = 1, replicas: int = 1
) -> list[Difference]:
    """Return what differs between ``specs`` and the broker, missing topics first.

    ``replicas`` is how many replicas each topic must have at least, and ``min_insync`` how many of them must have a
    record before it is acknowledged. A topic that holds larger records than it must does not differ: older events may
    be as large.

    Raises:
        TopicError: the broker does not show a topic.
    """
    wanted = {spec.name: spec for spec in specs}
    described = await _described(admin, [*wanted, GROUP_OFFSETS])
    differences = [Difference(name, "topic", "present", "missing") for name in wanted if name not in described]
    present = [spec for name, spec in wanted.items() if name in described]
    if not present:
        return differences
    configs = await read_configs(admin, [spec.name for spec in present])
    for spec in present:
        config, partitions = configs[spec.name], described[spec.name]
        found_insync = config.get(MIN_INSYNC, "1")
        found_replicas = min(len(partition["replicas"]) for partition in partitions)
        if len(partitions) != spec.partitions:
            differences.append(Difference(spec.name, "partitions", str(spec.partitions), str(len(partitions))))
        differences += _config_differences(spec, config)
        if int(found_insync) < min_insync:
            differences.append(Difference(spec.name, MIN_INSYNC, f"{AT_LEAST}{min_insync}", found_insync))
        if found_replicas < int(found_insync):
            expected = f"{AT_LEAST}{found_insync}, its own {MIN_INSYNC}"
            differences.append(Difference(spec.name, "replicas", expected, str(found_replicas)))
        elif found_replicas < replicas:
            differences.append(Difference(spec.name, "replicas", f"{AT_LEAST}{replicas}", str(found_replicas)))
    return [*differences, *_offsets_differences(described.get(GROUP_OFFSETS), replicas)]


def _config_differences(spec: TopicSpec, config: Mapping[str, str]) -> list[Difference]:
    differences = []
    for key, expected in spec.config().items():
        found = config.get(key, "unset")
        if key == RECORD_BYTES:
            if int(found) < int(expected):
                differences.append(Difference(spec.name, key, f"{AT_LEAST}{expected}", found))
        elif set(found.split(",")) != set(expected.split(",")):
            differences.append(Difference(spec.name, key, expected, found))
    return differences


def _offsets_differences(partitions: list[Any] | None, replicas: int) -> list[Difference]:
    """Return what is wrong with Kafka's own topic of offsets: with it, all groups would begin from the start."""
    if not partitions:  # it is created with the first group
        return []
    found = min(len(partition["replicas"]) for partition in partitions)
    return [Difference(GROUP_OFFSETS, "replicas", f"{AT_LEAST}{replicas}", str(found))] if found < replicas else []


async def _described(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, list[Any]]:
    """Return the partitions of each topic that exists; Kafka's own topic may be hidden."""
    found = {}
    for topic in await admin.describe_topics(topics):
        if topic["error_code"] == 0:
            found[topic["topic"]] = topic["partitions"]
        elif topic["error_code"] == TopicAuthorizationFailedError.errno and topic["topic"] != GROUP_OFFSETS:
            raise TopicError(f"the broker does not let this user see the topic {topic['topic']}: an ACL is missing")
    return found


async def change(admin: AIOKafkaAdminClient, differences: Iterable[Difference]) -> None:
    """Alter what is `Difference.alterable` to what is expected.

    Raises:
        TopicError: the broker refused it.
    """
    changes: dict[str, dict[str, str]] = defaultdict(dict)
    for difference in differences:
        changes[difference.topic][difference.key] = difference.expected.removeprefix(AT_LEAST)
    if changes:
        await change_configs(admin, changes)


async def create_missing(
    admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec], *, replication_factor: int = 1, min_insync: int = 1
) -> list[str]:
    """Create the topics that do not exist and return their names.

    Raises:
        TopicError: the broker refused a topic.
    """
    specs = list(specs)
    missing = {difference.topic for difference in await compare(admin, specs) if difference.missing}
    new = [
        NewTopic(
            spec.name,
            spec.partitions,
            replication_factor,
            topic_configs={**spec.config(), MIN_INSYNC: str(min_insync)},
        )
        for spec in specs
        if spec.name in missing
    ]
    if not new:
        return []
    response = await admin.create_topics(new)
    created = []
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if not code:
            created.append(name)
        elif error is not TopicAlreadyExistsError:  # another process may have been quicker
            raise TopicError(f"the broker refused the topic {name}: {(rest[0] if rest else None) or error.__name__}")
    return sorted(created)
