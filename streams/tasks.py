"""Tasks: what a service that is paid by the task would count of what the log holds, and what it takes in the log.

A task is a delivery that settled: a successful action. Filters, failures and what was only recorded are none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from streams.event import OWN_SOURCE, UnreadableRecord, parse_time
from streams.kafka import KafkaSettings, reading, records_to_ends
from streams.mirror import SUFFIX as MIRROR_SUFFIX
from streams.outcome import DEAD_LETTERED, SETTLED, SHADOWED, SKIPPED, Outcome
from streams.topics import TopicNames

SAMPLE_RECORDS = 50  # of each partition, the newest: sizes of one source are alike
RECORD_OVERHEAD_BYTES = 20  # of a record within its batch: lengths, offset and time
OWN, MIRRORED = "own_events", "mirrored"


@dataclass(slots=True)
class TaskCount:
    """The deliveries that settled in a window, each once however often its outcome was written.

    ``not_counted`` says how many deliveries are no tasks, by why. ``first_ms`` is the time of the oldest outcome within
    the window; ``whole`` says that the log goes further back than it.
    """

    by_route: Counter[str] = field(default_factory=Counter)
    not_counted: Counter[str] = field(default_factory=Counter)
    first_ms: int | None = None
    whole: bool = False
    record_bytes: int = 0

    @property
    def tasks(self) -> int:
        """All of them."""
        return self.by_route.total()


@dataclass(frozen=True, slots=True)
class EventCount:
    """The events that were accepted in a window, and the bytes that they take in the log, before compression.

    The number is exact; the bytes follow from a sample of the newest.
    """

    events: int
    bytes: float


async def count_tasks(kafka: KafkaSettings, names: TopicNames, *, since_ms: int, until_ms: int) -> TaskCount:
    """Return the tasks from ``since_ms`` to before ``until_ms``; about 100 bytes of memory a delivery.

    Raises:
        KafkaUnavailable: the broker does not answer, or has no outcomes.
    """
    count = TaskCount()
    # The hash of an id stands for it: among ten million, two are alike in one of 300,000 runs.
    settled: set[int] = set()
    others: dict[str, set[int]] = defaultdict(set)
    async with reading(kafka, names.outcomes, since_ms=since_ms) as (consumer, ends):
        begins = await consumer.beginning_offsets(list(ends))
        count.whole = any([await consumer.position(part) > begins[part] for part in ends])
        async for record in records_to_ends(consumer, ends):
            try:
                outcome = Outcome.from_record(record.value or b"")
                time_ms = parse_time(outcome.time)
            except (UnreadableRecord, ValueError, TypeError):
                continue
            if not since_ms <= time_ms < until_ms:
                continue
            count.first_ms = min(time_ms, count.first_ms or time_ms)
            count.record_bytes += record_bytes(record)
            why, id_ = _why_no_task(outcome), hash(outcome.delivery_id)
            if why is not None:
                others[why].add(id_)
            elif id_ not in settled:
                settled.add(id_)
                count.by_route[outcome.route] += 1
    count.not_counted.update({why: len(ids - settled) for why, ids in others.items() if ids - settled})
    return count


async def count_events(
    kafka: KafkaSettings, names: TopicNames, sources: Collection[str], *, since_ms: int
) -> EventCount:
    """Return what the log holds of the events of ``sources`` since ``since_ms``; one without a topic has none.

    Raises:
        KafkaUnavailable: the broker does not answer.
    """
    async with kafka.admin() as admin:
        there = set(await admin.list_topics())
    events, size = 0, 0.0
    for topic in sorted({names.events(source) for source in sources} & there):
        async with reading(kafka, topic, since_ms=since_ms) as (consumer, ends):
            starts = {part: await consumer.position(part) for part in ends}
            number = sum(ends[part] - starts[part] for part in ends)
            for part in ends:
                consumer.seek(part, max(starts[part], ends[part] - SAMPLE_RECORDS))
            sampled = [record_bytes(record) async for record in records_to_ends(consumer, ends)]
        events += number
        size += number * sum(sampled) / max(len(sampled), 1)
    return EventCount(events, size)


def record_bytes(record: Any) -> int:
    """Return what a record that was read takes in the log, before compression."""
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + RECORD_OVERHEAD_BYTES


def _why_no_task(outcome: Outcome) -> str | None:
    if outcome.source == OWN_SOURCE:
        return OWN
    if outcome.route.endswith(MIRROR_SUFFIX):
        return MIRRORED
    if outcome.outcome == SETTLED:
        return None
    return outcome.outcome if outcome.outcome in (SKIPPED, SHADOWED, DEAD_LETTERED) else "not_yet_settled"
