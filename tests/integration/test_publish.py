"""What follows from a delivery is published through an outage of the broker, to a topic new to the worker too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError

from streams.pauses import publish
from streams.record import Record
from tests.harness import KafkaForTests
from tests.integration.kafka_destination import make_topic, read

pytestmark = pytest.mark.integration

ASK_S = 0.5  # for so long aiokafka asks about a topic


@pytest.fixture
async def producer(own_kafka: KafkaForTests) -> AsyncIterator[AIOKafkaProducer]:
    producer = own_kafka.settings().producer(request_timeout_ms=int(1000 * ASK_S))
    await producer.start()
    yield producer
    await producer.stop()


async def test_the_first_record_of_a_topic_waits_for_a_frozen_broker(
    own_kafka: KafkaForTests, producer: AIOKafkaProducer
) -> None:
    topic = await make_topic(own_kafka)
    own_kafka.pause()
    publishing = asyncio.create_task(publish(producer, Record(topic, b"key", b"value")))
    done, _ = await asyncio.wait([publishing], timeout=5 * ASK_S)
    own_kafka.resume()
    assert not done, publishing.exception()
    async with asyncio.timeout(60):
        await publishing
    assert [(record.key, record.value) for record in await read(own_kafka, topic, 1)] == [(b"key", b"value")]


async def test_a_topic_that_there_is_not_is_told_by_a_broker_that_answers(producer: AIOKafkaProducer) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(UnknownTopicOrPartitionError):
            await publish(producer, Record("nowhere", b"key", b"value"))
