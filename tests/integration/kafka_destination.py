"""A destination of connector `kafka`, and what its tests do with one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.destination import Destination, Settled
from tests.harness import KafkaForTests

Open = Callable[..., Awaitable[Destination]]


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
    settings = broker.settings()
    topic = f"{settings.topic_prefix}shop.orders"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    return topic
