"""Publishing many records, each known to be acknowledged, without waiting for one before the next is sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.record import Record

IN_FLIGHT_MAX = 500  # sent and not yet acknowledged: a few batches, and all that a kill leaves unknown
ACKNOWLEDGED_S_MAX = 30.0


async def publish_each(producer: AIOKafkaProducer, records: Iterable[Record]) -> AsyncIterator[Record]:
    """Publish ``records``; yields each, in their order, when it is acknowledged.

    Where one is not, what was sent before it has been yielded, and up to `IN_FLIGHT_MAX` records after it may have been
    written nevertheless.

    Raises:
        TimeoutError: one was not acknowledged within `ACKNOWLEDGED_S_MAX`; it may be written later.
        KafkaError: Kafka refuses one.
    """
    in_flight: deque[tuple[Record, asyncio.Future[Any]]] = deque()
    try:
        for record in records:
            if len(in_flight) >= IN_FLIGHT_MAX:
                yield await _first(in_flight)
            async with asyncio.timeout(ACKNOWLEDGED_S_MAX):
                future = await producer.send(record.topic, record.value, key=record.key, headers=record.headers)
            in_flight.append((record, future))
        while in_flight:
            yield await _first(in_flight)
    finally:
        for _, future in in_flight:
            future.add_done_callback(_heard)


async def _first(in_flight: deque[tuple[Record, asyncio.Future[Any]]]) -> Record:
    record, future = in_flight.popleft()
    async with asyncio.timeout(ACKNOWLEDGED_S_MAX):
        await asyncio.shield(future)  # the producer's own: cancelled, it would be set a second time
    return record


def _heard(future: asyncio.Future[Any]) -> None:
    """Take note of an error that the first one stands for already, so that nothing is written about it."""
    if not future.cancelled():
        future.exception()
