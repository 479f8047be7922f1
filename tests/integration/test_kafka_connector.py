"""Records in a real Kafka, also one that asks who is there, freezes and is killed."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer

from connectors.errors import PermanentError, TransientError
from tests.harness import KafkaForTests
from tests.integration.kafka_destination import Open, make_topic, publish, read

pytestmark = pytest.mark.integration


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
