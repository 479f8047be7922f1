"""What ``headrace erase`` finds, erases, and says of what remains until when."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from headrace.config import RoutingTable
from headrace.context import Settings
from streams.carry_out import INFLATED_BYTES_MAX
from streams.erasure import Matches, erase, find_matches
from streams.event import format_time
from streams.expression import Expression
from streams.kafka import producing
from streams.topic_configs import read_configs
from streams.topics import COMPACTION_LAG, FOR_EVER, RETENTION

SEGMENT_MS = "segment.ms"
UNBOUNDED_MS = 100 * 365 * 24 * 3600 * 1000  # Kafka's default for "whenever"


@dataclass(frozen=True, slots=True)
class Remains:
    """What stays in one place: how many records, until when at the latest (RFC 3339, ``""`` if unknown), and why."""

    place: str
    records: int
    until: str
    why: str


async def find(settings: Settings, table: RoutingTable, source: str, condition: Expression) -> Matches:
    """Return what the condition selects; raises as `streams.erasure.find_matches`."""
    names = settings.topic_names
    queues = [*(names.deliveries(name) for name in table.destinations), *(names.retries(s) for s in table.delays_s)]
    return await find_matches(
        settings.kafka(table), names, source, condition, queues=queues, body_bytes_max=INFLATED_BYTES_MAX
    )


async def carry_out(settings: Settings, table: RoutingTable, matches: Matches) -> AsyncIterator[int]:
    """Erase what was found; yields how many more records are acknowledged."""
    async with producing(settings.kafka(table)) as producer:
        async for count in erase(producer, settings.topic_names, matches):
            yield count


async def remaining(
    settings: Settings, table: RoutingTable, source: str, matches: Matches, *, now_ms: int | None = None
) -> list[Remains]:
    """Return what stays after erasing, by the topics' configuration as it is on the broker."""
    names, now_ms = settings.topic_names, now_ms if now_ms is not None else int(time.time() * 1000)
    events = names.events(source)
    async with settings.kafka(table).admin() as admin:
        configs = await read_configs(admin, [events, names.dead_letter, names.outcomes])
    event_config = configs[events]
    retention_ms, segment_ms = int(event_config.get(RETENTION, FOR_EVER)), int(event_config.get(SEGMENT_MS, 0))
    aged = "" if retention_ms == FOR_EVER else format_time(matches.newest_ms + retention_ms + segment_ms)
    rows = []
    if matches.events:
        rows.append(Remains(events, matches.events, aged, "Kafka deletes single events by their age alone"))
        ids_until = format_time(matches.newest_ms + 2 * table.dedup_ttl_s_max * 1000)
        rows.append(Remains("seen", matches.events, ids_until, "ids without bodies: no repeat is carried out"))
    for topic, records in (("dead_letter", len(matches.letters)), ("outcomes", len(matches.outcomes))):
        if records:
            name = getattr(names, topic)
            lag_ms = int(configs[name].get(COMPACTION_LAG, UNBOUNDED_MS))
            until = format_time(now_ms + lag_ms) if lag_ms < UNBOUNDED_MS else ""
            rows.append(Remains(name, records, until, "gone for every command; on disk until Kafka compacts the topic"))
    rows += [
        Remains(topic, records, "", "what waits is carried out; it goes when it and all before it settled")
        for topic, records in sorted(matches.in_queues.items())
    ]
    return rows
