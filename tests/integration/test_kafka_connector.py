"""Records in a real Kafka, also one that asks who is there, freezes and is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client import CollectorRegistry

from connectors.destination import Destination, Settled
from connectors.errors import PermanentError, TransientError
from connectors.metrics import ConnectorMetrics
from connectors.registry import load_connector
from tests.harness import KafkaForTests

pytestmark = pytest.mark.integration

Open = Callable[..., Awaitable[Destination]]


@pytest.fixture
async def open_kafka() -> AsyncIterator[Open]:
    opened = []

    async def open_it(broker: KafkaForTests, **keys: Any) -> Destination:
        connector = load_connector("kafka")
        own = {"connector": "kafka", "bootstrap_servers": broker.bootstrap_servers, "retry": {"attempts": 1}, **keys}
        settings = connector.settings_model.model_validate(own)
        metrics = ConnectorMetrics(CollectorRegistry())
        destination = Destination("shop", settings, connector, secrets={}, metrics=metrics)
        await destination.start()
        opened.append(destination)
        return destination

    yield open_it
    for destination in opened:
        await destination.close()


async def publish(destination: Destination, number: int = 1, **parameters: Any) -> Settled:
    async def go() -> None:
        pass

    return await destination.call("publish", parameters, idempotency_key=f"{number:064x}", before_attempt=go)


async def read(broker: KafkaForTests, topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        records = []
        async with asyncio.timeout(60):
            while len(records) < count:
                records.append(await consumer.getone())
        return records
    finally:
        await consumer.stop()


async def make_topic(broker: KafkaForTests) -> str:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    settings = broker.settings()
    topic = f"{settings.topic_prefix}shop.orders"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    return topic


async def test_it_publishes_json_text_bytes_and_tombstones(kafka: KafkaForTests, open_kafka: Open) -> None:
    topic, destination = await make_topic(kafka), await open_kafka(kafka)
    settled = await publish(destination, 1, topic=topic, key="7", value={"order": 7}, headers={"source": "shop"})
    assert settled.made == f"record {topic}/0/0"
    await publish(destination, 2, topic=topic, value="text")
    await publish(destination, 3, topic=topic, value_base64="AP8=")
    await publish(destination, 4, topic=topic, key="7", headers={"headrace-delivery": "forged"})
    records = await read(kafka, topic, 4)
    assert [record.value for record in records] == [b'{"order":7}', b"text", b"\x00\xff", None]
    assert [record.key for record in records] == [b"7", None, None, b"7"]
    assert records[0].headers == (("headrace-delivery", f"{1:064x}".encode()), ("source", b"shop"))
    assert records[3].headers == (("headrace-delivery", f"{4:064x}".encode()),)


async def test_what_cannot_be_published_is_refused(kafka: KafkaForTests, open_kafka: Open) -> None:
    topic, destination = await make_topic(kafka), await open_kafka(kafka, record_bytes_max=2000, timeout_s=5)
    for parameters in (
        {"topic": "a b", "value": 1},
        {"topic": topic, "value": 1, "value_base64": "AA=="},
        {"topic": topic, "value": "\ud800"},
        {"topic": topic, "value": "x" * 5000},
    ):
        with pytest.raises(PermanentError):
            await publish(destination, **parameters)
    with pytest.raises(TransientError, match="has no such topic"):
        await publish(destination, topic=topic + "-missing", value=1)


async def test_a_cluster_that_freezes_and_comes_back_has_every_record(
    own_kafka: KafkaForTests, open_kafka: Open
) -> None:
    topic, destination = await make_topic(own_kafka), await open_kafka(own_kafka, timeout_s=2)
    await publish(destination, 0, topic=topic, value=0)
    own_kafka.pause()
    with pytest.raises(TransientError):
        await publish(destination, 1, topic=topic, value=1)
    own_kafka.resume()

    async def until_done(number: int) -> None:
        async with asyncio.timeout(120):
            while True:
                try:
                    await publish(destination, number, topic=topic, value=number)
                except TransientError:
                    await asyncio.sleep(0.2)
                else:
                    return

    await asyncio.gather(*(until_done(number) for number in range(1, 20)))
    own_kafka.kill()
    with pytest.raises(TransientError):
        await publish(destination, 20, topic=topic, value=20)
    await own_kafka.restart()
    await asyncio.gather(*(until_done(number) for number in range(20, 40)))
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=own_kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    found: set[int] = set()
    try:
        async with asyncio.timeout(60):
            while found != set(range(40)):  # some of them more than once
                found.add(int((await consumer.getone()).value))
    finally:
        await consumer.stop()
