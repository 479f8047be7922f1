"""Committing offsets, and counting what does not come through."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import Counter

COMMIT_TIMEOUT_S = 5.0

log = structlog.get_logger("commit")


async def commit_offsets(
    consumer: AIOKafkaConsumer,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    *,
    failures: Counter,
    timeout_s: float = COMMIT_TIMEOUT_S,
) -> None:
    """Commit ``offsets``, and count a failure when it is refused and for each ``timeout_s`` that it takes.

    aiokafka tries again for ever what the broker refuses for now, such as while the group's coordinator lacks in-sync
    replicas: it neither returns nor raises, so that without the time nobody would hear of it. It goes on all the same:
    given up, an older commit could overtake a newer one.

    Raises:
        KafkaError, IllegalStateError: refused for good; counted.
    """
    commit = asyncio.ensure_future(consumer.commit(dict(offsets)))
    try:
        while not (await asyncio.wait({commit}, timeout=timeout_s))[0]:
            failures.inc()
            log.warning("commit_waits", topics=sorted({part.topic for part in offsets}), timeout_s=timeout_s)
        commit.result()
    except (KafkaError, IllegalStateError):
        failures.inc()
        raise
    finally:
        commit.cancel()
