"""Running a schedule by hand: an event now, whatever its cron expression says."""

from __future__ import annotations

import os
import time

from headrace.context import Settings
from headrace.mistakes import closest
from streams.event import SCHEDULES_SOURCE, Receipt
from streams.kafka import producing


class UnknownSchedule(Exception):
    """The routing table has no schedule of this name."""


async def run_schedule(settings: Settings, name: str) -> Receipt:
    """Make an event of the schedule and return its receipt when it is acknowledged.

    Raises:
        UnknownSchedule: the routing table does not have it.
        KafkaUnavailable: the broker does not answer.
    """
    table = settings.table()
    schedules = {schedule.name: schedule for schedule in table.compiled_schedules()}
    if name not in schedules:
        known = closest(name, schedules, kind="schedules") if schedules else "it has none"
        raise UnknownSchedule(f"the routing table has no schedule {name!r}: {known}")
    event = schedules[name].manual_tick(now_ms=int(time.time() * 1000), nonce=os.urandom(4).hex())
    async with producing(settings.kafka(table)) as producer:
        topic = settings.topic_names.events(SCHEDULES_SOURCE)
        sent = await producer.send_and_wait(topic, event.body, key=event.key, headers=event.to_headers())
    return Receipt(SCHEDULES_SOURCE, sent.partition, sent.offset)
