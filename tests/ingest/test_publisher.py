"""Publishing, with a producer that fails as told."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError, OutOfOrderSequenceNumber

from ingest.accept import Unavailable
from ingest.publisher import Publisher
from streams.event import Event, Receipt
from streams.kafka import KafkaSettings
from streams.topics import TopicNames
from tests.harness import eventually

EVENT = Event(source="github", id="1", dedup_id="d", type="push", time_ms=5, body=b"{}", key=b"d")


class Producer:
    """What the publisher uses of aiokafka's producer."""

    def __init__(self, acknowledge: Callable[[], Awaitable[Any]], *, start: Exception | None = None) -> None:
        self.acknowledge, self._start = acknowledge, start
        self.sent: list[dict[str, Any]] = []
        self.stopped = False
        self.hang_on_stop = False
        self.client = SimpleNamespace(force_metadata_update=self._metadata, close=self._close)

    async def start(self) -> None:
        if self._start is not None:
            raise self._start

    async def send(self, topic: str, **record: Any) -> Awaitable[Any]:
        self.sent.append({"topic": topic, **record})
        return asyncio.ensure_future(self.acknowledge())

    async def stop(self) -> None:
        if self.hang_on_stop:
            await asyncio.sleep(60)
        self.stopped = True

    async def _metadata(self) -> bool:
        return True

    async def _close(self) -> None:
        self.stopped = True


async def acknowledged() -> Any:
    return SimpleNamespace(partition=3, offset=7)


def publisher(*producers: Producer, ack_timeout_s: float = 0.2) -> Publisher:
    waiting = deque(producers)
    settings = KafkaSettings("127.0.0.1:1")
    return Publisher(settings, TopicNames("p-"), ack_timeout_s=ack_timeout_s, producer=waiting.popleft)


async def test_an_event_is_published_with_its_key_headers_and_time() -> None:
    producer = Producer(acknowledged)
    publishing = publisher(producer)
    await publishing.start()
    assert await publishing.connected(1)
    assert publishing.ready
    assert await publishing.publish(EVENT) == Receipt("github", 3, 7)
    (record,) = producer.sent
    assert record == {
        "topic": "p-events.github", "value": b"{}", "key": b"d", "headers": EVENT.to_headers(), "timestamp_ms": 5,
    }  # fmt: skip
    await publishing.stop()
    assert producer.stopped
    with pytest.raises(Unavailable):
        await publishing.publish(EVENT)


async def test_without_an_acknowledgement_in_time_the_event_is_unavailable() -> None:
    publishing = publisher(Producer(lambda: asyncio.sleep(60)))
    await publishing.start()
    await publishing.connected(1)
    started_s = time.monotonic()
    with pytest.raises(Unavailable):
        await publishing.publish(EVENT)
    assert time.monotonic() - started_s < 1
    await publishing.stop()


async def test_a_receipt_that_kafka_no_longer_knows_is_none() -> None:
    async def forgotten() -> Any:
        return SimpleNamespace(partition=3, offset=-1)

    publishing = publisher(Producer(forgotten))
    await publishing.start()
    await publishing.connected(1)
    with pytest.raises(Unavailable):
        await publishing.publish(EVENT)
    await publishing.stop()


async def test_before_kafka_answers_nothing_is_published() -> None:
    publishing = publisher(Producer(acknowledged, start=KafkaConnectionError()), Producer(acknowledged))
    await publishing.start()
    with pytest.raises(Unavailable):
        await publishing.publish(EVENT)
    assert await publishing.connected(2)
    assert await publishing.publish(EVENT)
    await publishing.stop()


@pytest.mark.parametrize(("error", "replaced"), [(OutOfOrderSequenceNumber, True), (NotLeaderForPartitionError, False)])
async def test_a_producer_that_is_broken_for_good_is_replaced(error: type[Exception], replaced: bool) -> None:
    async def refused() -> Any:
        raise error

    first, second = Producer(refused), Producer(acknowledged)
    publishing = publisher(first, second)
    await publishing.start()
    await publishing.connected(1)
    with pytest.raises(Unavailable):
        await publishing.publish(EVENT)
    if replaced:
        await eventually(lambda: first.stopped)
        await publishing.connected(10)
        assert await publishing.publish(EVENT)
    else:
        with pytest.raises(Unavailable):  # by the same one
            await publishing.publish(EVENT)
        assert not first.stopped
    await publishing.stop()


async def test_stopping_is_bounded() -> None:
    producer = Producer(acknowledged)
    producer.hang_on_stop = True
    publishing = publisher(producer)
    await publishing.start()
    await publishing.connected(1)
    started_s = time.monotonic()
    await publishing.stop(0.1)
    assert time.monotonic() - started_s < 2
    assert producer.stopped
