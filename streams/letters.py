"""The outstanding dead letters: the fold of the topic ``dead-letter``, read to its end.

The fold keeps headers and addresses, not bodies: a topic of many large letters must fit into the memory of a shell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.dead_letter import DeadLetter
from streams.event import UnreadableRecord
from streams.kafka import KafkaSettings, read_topic, reading, records_to_ends
from streams.topics import TopicNames


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters a command is about; every condition given must hold. Times are Unix milliseconds."""

    source: str | None = None
    route: str | None = None
    destination: str | None = None
    error: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    id: str | None = None
    limit: int | None = None

    def holds(self, letter: DeadLetter) -> bool:
        """Return whether ``letter`` is selected, ``limit`` aside; ``id`` may be the beginning of an id."""
        failure = letter.failure
        error = f"{failure.error_class}: {failure.message}".lower()
        return (
            (self.source is None or letter.header("ce_source") == self.source)
            and (self.route is None or letter.header("headrace-route") == self.route)
            and (self.destination is None or letter.header("headrace-destination") == self.destination)
            and (self.error is None or self.error.lower() in error)
            and (self.since_ms is None or failure.last_failure_ms >= self.since_ms)
            and (self.until_ms is None or failure.last_failure_ms < self.until_ms)
            and (self.id is None or letter.id.startswith(self.id))
        )

    def of(self, letters: Iterable[Stored]) -> list[Stored]:
        """Return the selected letters, oldest failure first, at most ``limit``."""
        selected = [stored for stored in letters if self.holds(stored.letter)]
        selected.sort(key=lambda stored: (stored.letter.failure.last_failure_ms, stored.letter.id))
        return selected[: self.limit]


@dataclass(frozen=True, slots=True)
class Stored:
    """A letter without its body, and where its newest state stands."""

    letter: DeadLetter
    partition: int
    offset: int


class Letters:
    """A reader of the topic ``dead-letter`` that can be asked again and again for what is new.

    Use as an async context manager; call `catch_up` before `outstanding`.
    """

    def __init__(self, kafka: KafkaSettings, names: TopicNames) -> None:
        self._kafka = kafka
        self._topic = names.dead_letter
        self._fold: dict[str, Stored] = {}
        self.unreadable = 0  # records in the topic that are no dead letters

    async def __aenter__(self) -> Letters:
        self._reading = reading(self._kafka, self._topic)
        self._consumer: AIOKafkaConsumer
        self._consumer, _ = await self._reading.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._reading.__aexit__(kind, error, trace)

    async def catch_up(self) -> dict[str, list[Stored | None]]:
        """Read to the end that the topic has now; return each key's new states in order, ``None`` for a tombstone.

        Raises:
            KafkaUnavailable: the broker stopped answering.
        """
        news: dict[str, list[Stored | None]] = {}
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(list(self._consumer.assignment()))
        async for record in records_to_ends(self._consumer, ends):
            key = (record.key or b"").decode(errors="replace")
            stored = self._stored(record)
            if stored is None:
                self._fold.pop(key, None)
            else:
                self._fold[key] = stored
            news.setdefault(key, []).append(stored)
        return news

    def outstanding(self) -> list[Stored]:
        """Return the letters that are neither settled nor discarded."""
        return list(self._fold.values())

    def _stored(self, record: Any) -> Stored | None:
        if record.value is None:
            return None
        try:
            letter = DeadLetter.from_record(record.key, b"", record.headers)
        except UnreadableRecord:
            self.unreadable += 1
            return None
        return Stored(letter, record.partition, record.offset)


async def with_bodies(kafka: KafkaSettings, names: TopicNames, chosen: Iterable[Stored]) -> AsyncIterator[Stored]:
    """Yield the chosen letters with their bodies; one whose state has changed since is passed over.

    Raises:
        KafkaUnavailable: the broker stopped answering.
    """
    wanted = {(stored.partition, stored.offset): stored for stored in chosen}
    partitions = {partition for partition, _ in wanted}
    async for record in read_topic(kafka, names.dead_letter, partitions=partitions):
        stored = wanted.pop((record.partition, record.offset), None)
        if stored is not None:
            yield replace(stored, letter=replace(stored.letter, body=record.value))
        if not wanted:
            return
