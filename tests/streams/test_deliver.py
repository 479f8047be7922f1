from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from streams.assignment import Assignment
from streams.deliver import DestinationQueue
from streams.metrics import StreamsMetrics
from streams.offsets import Progress
from streams.room import IN_WORK_PER_SLOT
from streams.routing import compile_routes
from streams.topics import TopicNames


async def test_a_record_whose_task_is_cancelled_before_its_first_step_leaves_its_room() -> None:
    """A worker that was frozen drains as soon as it is thawed, with records that it has just read."""
    names, nothing = TopicNames(""), cast("Any", None)  # neither Kafka nor a destination is asked before the first step
    queue = DestinationQueue(
        cast("Any", SimpleNamespace(name="crm", settings=SimpleNamespace(concurrency=1))),
        kafka=nothing,
        names=names,
        producer=nothing,
        routes=lambda: compile_routes([]),
        pauses=nothing,
        cancellations=nothing,
        own_events=nothing,
        herald=nothing,
        metrics=StreamsMetrics(CollectorRegistry()),
    )
    part = TopicPartition(queue.topic, 0)
    assignment = Assignment({part: Progress(0, "")}, generation=1)
    for offset in range(IN_WORK_PER_SLOT):
        record = SimpleNamespace(offset=offset, headers=(), key=b"k", value=b"body", timestamp=0)
        queue._begin(assignment, part, record)
    assert queue._room.free(high=False) == 0
    tasks = list(assignment.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert queue._room.free(high=False) == IN_WORK_PER_SLOT
    assert not assignment.tasks
    queue.failed.cancel()
