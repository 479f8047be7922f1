"""The difference between what the topics must be and what the broker has, and what makes it go away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from streams.topic_configs import TopicError, change_configs, read_configs
from streams.topics import COMPACTION_LAG, FOR_EVER, POLICY, RECORD_BYTES, RETENTION, TopicSpec

MIN_INSYNC = "min.insync.replicas"
GROUP_OFFSETS = "__consumer_offsets"  # Kafka's own: where every group's commits are
AT_LEAST = "at least "


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
