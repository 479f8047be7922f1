"""Paused destinations: the fold of the compacted topic ``pauses``, the same on all workers and across restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError

from streams.kafka import KafkaSettings, read_topic
from streams.record import Record
from streams.topics import TopicNames

log = structlog.get_logger("pauses")


@dataclass(frozen=True, slots=True)
class Pause:
    """One paused destination: why, and since when (RFC 3339)."""

    destination: str
    reason: str
    since: str

    def __str__(self) -> str:
        return f"{self.destination} is paused since {self.since}: {self.reason}"

    def to_record(self, topic: str) -> Record:
        """Return the record that pauses; a tombstone of the same key resumes."""
        value = orjson.dumps({"version": 1, "reason": self.reason, "since": self.since})
        return Record(topic, self.destination.encode(), value)


def resume_record(names: TopicNames, destination: str) -> Record:
    """Return the record that resumes ``destination``."""
    return Record(names.pauses, destination.encode(), None)


class Pauses:
    """The destinations that are paused now; ``on_change`` is told of each pause and resume."""

    def __init__(self) -> None:
        self._paused: dict[str, Pause] = {}
        self._began: dict[str, Pause] = {}
        self._versions: dict[str, int] = {}
        self.on_change: Callable[[str, bool], None] = lambda _destination, _paused: None

    def get(self, destination: str) -> Pause | None:
        """Return the destination's pause, or ``None`` while it is not paused."""
        return self._paused.get(destination)

    def began(self, destination: str) -> Pause | None:
        """Return the pause with which the destination was paused: the first since it was resumed, ``None`` as `get`."""
        return self._began.get(destination)

    def version(self, destination: str) -> int:
        """Return a number that changes with each pause and resume of the destination."""
        return self._versions.get(destination, 0)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record of the topic; one that cannot be read pauses too, for it was meant to say something."""
        destination = (key or b"").decode(errors="replace")
        if value is None:
            self._paused.pop(destination, None)
            self._began.pop(destination, None)
        else:
            self._paused[destination] = _read(destination, value)
            self._began.setdefault(destination, self._paused[destination])
        self._versions[destination] = self.version(destination) + 1
        self.on_change(destination, value is not None)


def _read(destination: str, value: bytes) -> Pause:
    try:
        fields = orjson.loads(value)
        return Pause(destination, str(fields["reason"]), str(fields["since"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return Pause(destination, "the record of the pause cannot be read", "")


async def read_pauses(settings: KafkaSettings, names: TopicNames) -> Pauses:
    """Return the pauses as they are now, for the command line.

    Raises:
        KafkaUnavailable: the topic cannot be read.
    """
    pauses = Pauses()
    async for record in read_topic(settings, names.pauses):
        pauses.apply(record.key, record.value)
    return pauses


async def publish(producer: AIOKafkaProducer, record: Record) -> None:
    """Publish one record and return when it is acknowledged; a broker that is away is waited out.

    Raises:
        UnknownTopicOrPartitionError: the broker says that there is no such topic.
    """
    while True:
        try:
            await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)
        except UnknownTopicOrPartitionError:
            # aiokafka's word, too, for a broker that has not answered about a topic that it was not asked about before.
            client = producer.client
            if await client.force_metadata_update() and client.cluster.partitions_for_topic(record.topic) is None:
                raise
        else:
            return
