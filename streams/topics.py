"""The topics: their names, what each must be, and the difference to what the broker has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from streams.event import OWN_SOURCE
from streams.kafka import BATCH_BYTES_MAX, OVERHEAD_BYTES

PARTITIONS = 8
DAY_MS = 24 * 3600 * 1000
MIN_INSYNC = "min.insync.replicas"
FOR_EVER = -1


class TopicError(Exception):
    """A topic cannot be created, or is not what it must be."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The name of every topic and consumer group, behind one prefix."""

    prefix: str = ""

    def events(self, source: str) -> str:
        """Return the topic of a source's events."""
        return f"{self.prefix}events.{source}"

    def deliveries(self, destination: str) -> str:
        """Return the queue of a destination."""
        return f"{self.prefix}deliveries.{destination}"

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
    """What a topic must be. ``retention_ms`` is ``None`` for a topic that is compacted alone."""

    name: str
    partitions: int
    cleanup_policy: str
    retention_ms: int | None
    record_bytes_max: int

    def config(self) -> dict[str, str]:
        """Return the topic's configuration as Kafka names it."""
        config = {"cleanup.policy": self.cleanup_policy, "max.message.bytes": str(self.record_bytes_max)}
        if self.retention_ms is not None:
            config["retention.ms"] = str(self.retention_ms)
        return config


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about a topic that is not as it must be. Only a missing topic is repaired by itself."""

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
        """Whether records would be lost or misplaced if work went on: the keys of tables depend on the partitions."""
        return self.key in ("partitions", MIN_INSYNC)

    def __str__(self) -> str:
        return f"{self.topic}: {self.key} is {self.found}, expected {self.expected}"


def required_topics(
    names: TopicNames,
    *,
    sources: Mapping[str, int],
    destinations: Iterable[str],
    delays_s: Iterable[int],
    dedup_ttl_s_max: int,
    partitions: int = PARTITIONS,
    retention_ms: int = 7 * DAY_MS,
) -> list[TopicSpec]:
    """Return the topics of a routing table. ``sources`` maps each name to its ``body_bytes_max``.

    Headrace's own source has its topic always, so that a reload can add the first route that takes it.
    """
    largest = max(*sources.values(), BATCH_BYTES_MAX) if sources else 1024 * 1024
    event_bytes, delivery_bytes, letter_bytes = (largest + n * OVERHEAD_BYTES for n in (1, 2, 3))
    specs = [
        TopicSpec(names.events(name), partitions, "delete", retention_ms, max(body, BATCH_BYTES_MAX) + OVERHEAD_BYTES)
        for name, body in {**sources, OWN_SOURCE: 0}.items()
    ]
    # No age empties a queue, for a destination may be paused for long: the workers trim what is settled.
    queues = [*(names.deliveries(n) for n in destinations), *(names.retries(n) for n in sorted(set(delays_s)))]
    specs += [TopicSpec(queue, partitions, "delete", FOR_EVER, delivery_bytes) for queue in queues]
    return [
        *specs,
        TopicSpec(names.outcomes, partitions, "compact,delete", retention_ms, event_bytes),
        TopicSpec(names.dead_letter, partitions, "compact", None, letter_bytes),
        TopicSpec(names.pauses, 1, "compact", None, event_bytes),
        TopicSpec(names.seen_changelog, partitions, "compact,delete", dedup_ttl_s_max * 1000, event_bytes),
    ]


async def compare(admin: AIOKafkaAdminClient, specs: Iterable[TopicSpec], *, min_insync: int = 1) -> list[Difference]:
    """Return what differs between ``specs`` and the broker, missing topics first.

    ``min_insync`` is how many replicas must have a record before it is acknowledged, at least.
    """
    wanted = {spec.name: spec for spec in specs}
    described = await admin.describe_topics(list(wanted))
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}
    differences = [Difference(name, "topic", "present", "missing") for name in wanted if name not in partitions]
    present = [spec for name, spec in wanted.items() if name in partitions]
    if not present:
        return differences
    configs = await _configs(admin, [spec.name for spec in present])
    for spec in present:
        if partitions[spec.name] != spec.partitions:
            found = str(partitions[spec.name])
            differences.append(Difference(spec.name, "partitions", str(spec.partitions), found))
        for key, expected in spec.config().items():
            found = configs[spec.name].get(key, "unset")
            if set(found.split(",")) != set(expected.split(",")):
                differences.append(Difference(spec.name, key, expected, found))
        replicas = configs[spec.name].get(MIN_INSYNC, "1")
        if int(replicas) < min_insync:
            differences.append(Difference(spec.name, MIN_INSYNC, f"at least {min_insync}", replicas))
    return differences


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


async def _configs(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, dict[str, str]]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in responses
        for resource in response.resources
    }
