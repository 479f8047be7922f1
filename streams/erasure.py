"""Erasing: what a condition selects of one source, wherever it stands in the log, and what of it Kafka lets go.

A compacted topic forgets a key that gets a tombstone: outcomes and dead letters. A topic that deletes by age cannot
let go of single records: deleting up to an offset (`DeleteRecords`) would take along the events of everybody else, and
those that are not delivered yet. So events go by their age, deliveries when they are settled; `Matches` counts both.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from streams.body import BodyTooLarge, MalformedBody, UnsupportedBody
from streams.dead_letter import tombstone
from streams.delivery import Delivery
from streams.event import Event, Receipt, UnreadableRecord
from streams.expression import Expression, ExpressionError
from streams.kafka import KafkaSettings, read_topic
from streams.letters import Letters, with_bodies
from streams.outcome import Outcome
from streams.pauses import publish
from streams.record import Record
from streams.topics import TopicNames

CHUNK_RECORDS = 500


@dataclass(slots=True)
class Matches:
    """What a condition selects. ``undecided`` events could not be judged by it: they count as not selected."""

    events: int = 0
    newest_ms: int = 0
    undecided: int = 0
    letters: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    in_queues: Counter[str] = field(default_factory=Counter)
    unreadable_letters: int = 0

    def __bool__(self) -> bool:
        return bool(self.events or self.letters or self.outcomes or self.in_queues)


class _Condition:
    def __init__(self, condition: Expression, *, body_bytes_max: int, matches: Matches) -> None:
        self._condition, self._body_bytes_max, self._matches = condition, body_bytes_max, matches

    def holds(self, event: Event, receipt: Receipt) -> bool:
        try:
            return self._condition.holds(event.scope(receipt, body_bytes_max=self._body_bytes_max))
        except (ExpressionError, MalformedBody, UnsupportedBody, BodyTooLarge):
            self._matches.undecided += 1
            return False


async def find_matches(
    kafka: KafkaSettings,
    names: TopicNames,
    source: str,
    condition: Expression,
    *,
    queues: Iterable[str],
    body_bytes_max: int,
) -> Matches:
    """Return what ``condition`` selects of ``source``: in its events, the dead letters, the outcomes and ``queues``.

    Raises:
        KafkaUnavailable: the broker does not answer.
    """
    matches = Matches()
    judge = _Condition(condition, body_bytes_max=body_bytes_max, matches=matches)
    receipts: set[str] = set()
    async for record in read_topic(kafka, names.events(source)):
        receipt = Receipt(source, record.partition, record.offset)
        try:
            event = Event.from_record(record.key, record.value, record.headers)
        except UnreadableRecord:
            continue  # a dead letter by now, and counted there
        if judge.holds(event, receipt):
            matches.events += 1
            matches.newest_ms = max(matches.newest_ms, record.timestamp)
            receipts.add(str(receipt))
    await _find_letters(kafka, names, source, judge, matches)
    for topic in queues:
        async for record in read_topic(kafka, topic):
            try:
                delivery = Delivery.from_record(record.key, record.value, record.headers)
            except UnreadableRecord:
                continue
            if delivery.event.source == source and judge.holds(delivery.event, delivery.receipt):
                matches.in_queues[topic] += 1
    async for record in read_topic(kafka, names.outcomes):
        key = (record.key or b"").decode(errors="replace")
        if record.value is None:
            matches.outcomes.discard(key)
            continue
        try:
            outcome = Outcome.from_record(record.value)
        except UnreadableRecord:
            continue
        if outcome.source == source and (outcome.receipt in receipts or key in matches.letters):
            matches.outcomes.add(key)
    return matches


async def _find_letters(
    kafka: KafkaSettings, names: TopicNames, source: str, judge: _Condition, matches: Matches
) -> None:
    async with Letters(kafka, names) as letters:
        await letters.catch_up()
        outstanding = letters.outstanding()
    of_source = []
    for stored in outstanding:
        if stored.letter.unreadable:
            matches.unreadable_letters += stored.letter.failure.topic == names.events(source)
        elif stored.letter.header("ce_source") == source:
            of_source.append(stored)
    async for stored in with_bodies(kafka, names, of_source):
        try:
            delivery = stored.letter.delivery()
        except UnreadableRecord:
            continue
        if judge.holds(delivery.event, delivery.receipt):
            matches.letters.add(stored.letter.id)


async def erase(producer: AIOKafkaProducer, names: TopicNames, matches: Matches) -> AsyncIterator[int]:
    """Write the tombstones, dead letters first; yields how many more are acknowledged."""
    records = [tombstone(names.dead_letter, letter_id) for letter_id in sorted(matches.letters)]
    records += [Record(names.outcomes, key.encode(), None) for key in sorted(matches.outcomes)]
    for start in range(0, len(records), CHUNK_RECORDS):
        chunk = records[start : start + CHUNK_RECORDS]
        await asyncio.gather(*(publish(producer, record) for record in chunk))
        yield len(chunk)
