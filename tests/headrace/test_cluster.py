"""What is seen of Kafka: as its answers say, and nothing while it does not answer."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from headrace.cluster import ClusterExporter, ClusterMetrics
from streams.kafka import KafkaSettings
from tests.harness import KafkaForTests, eventually, free_port

NAMES = (
    "headrace_kafka_up",
    "headrace_kafka_brokers",
    "headrace_kafka_under_replicated_partitions",
    "headrace_kafka_offline_partitions",
)


def partition(leader: int, replicas: list[int], isr: list[int]) -> dict[str, Any]:
    return {"leader": leader, "replicas": replicas, "isr": isr}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def values(registry: CollectorRegistry) -> list[float | None]:
    return [registry.get_sample_value(name) for name in NAMES]


def test_nothing_is_known_before_kafka_answered(registry: CollectorRegistry) -> None:
    ClusterMetrics(registry)
    up, brokers, under_replicated, offline = values(registry)
    assert (up, brokers) == (0, 0)
    assert under_replicated is not None
    assert math.isnan(under_replicated)
    assert offline is not None
    assert math.isnan(offline)


def test_partitions_are_counted_over_all_topics(registry: CollectorRegistry) -> None:
    whole, lacking = partition(1, [1, 2, 3], [3, 2, 1]), partition(1, [1, 2, 3], [1, 2])
    without_leader = partition(-1, [3], [3])
    topics = [{"partitions": [whole, lacking]}, {"partitions": [without_leader, lacking]}, {"partitions": []}]
    ClusterMetrics(registry).seen(2, topics)
    assert values(registry) == [1, 2, 2, 1]


def test_what_was_seen_is_forgotten_when_kafka_is_silent(registry: CollectorRegistry) -> None:
    metrics = ClusterMetrics(registry)
    metrics.seen(3, [{"partitions": [partition(1, [1, 2], [1])]}])
    metrics.unknown()
    assert values(registry)[:2] == [0, 0]
    assert all(math.isnan(value) for value in values(registry)[2:] if value is not None)


async def test_a_kafka_that_is_away_is_no_error(registry: CollectorRegistry) -> None:
    """It goes on asking; the port is one that nobody listens on."""
    asked = 0

    def topics() -> list[str]:
        nonlocal asked
        asked += 1
        return []

    exporter = ClusterExporter(KafkaSettings(f"127.0.0.1:{free_port()}"), topics, ClusterMetrics(registry))
    task = asyncio.create_task(exporter.run(interval_s=0.01))
    done, _ = await asyncio.wait({task}, timeout=0.5)
    assert not done
    assert asked == 0, "it asks for topics only where somebody answers"
    assert values(registry)[0] == 0
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.integration
async def test_a_real_kafka_is_seen(registry: CollectorRegistry, kafka: KafkaForTests) -> None:
    exporter = ClusterExporter(kafka.settings(), list, ClusterMetrics(registry))
    task = asyncio.create_task(exporter.run(interval_s=0.05))
    try:
        await eventually(lambda: values(registry) == [1, 1, 0, 0], 60)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
