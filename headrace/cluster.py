"""What is seen of the Kafka cluster: whether it answers, its brokers, and how the topics are replicated."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Gauge

from streams.kafka import KafkaSettings, KafkaUnavailable

INTERVAL_S = 5.0
ANSWER_S_MAX = 5.0

log = structlog.get_logger("exporter")


class ClusterMetrics:
    """The metrics of what one process sees of Kafka. Until it has seen it, and while it does not, ``up`` is 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge("headrace_kafka_up", "1 if Kafka answered this process a moment ago.", registry=registry)
        self.brokers = Gauge("headrace_kafka_brokers", "Brokers that are alive.", registry=registry)
        self.under_replicated = Gauge(
            "headrace_kafka_under_replicated_partitions",
            "Partitions of Headrace's topics with fewer replicas in sync than they have.",
            registry=registry,
        )
        self.offline = Gauge(
            "headrace_kafka_offline_partitions", "Partitions of Headrace's topics without a leader.", registry=registry
        )
        self.unknown()

    def unknown(self) -> None:
        """Say that Kafka does not answer: what it would say of its partitions is not a number then."""
        self.up.set(0)
        self.brokers.set(0)
        self.under_replicated.set(math.nan)
        self.offline.set(math.nan)

    def seen(self, brokers: int, topics: Iterable[Mapping[str, Any]]) -> None:
        """Take over what Kafka said of its brokers, and of topics as its metadata response describes them."""
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        self.up.set(1)
        self.brokers.set(brokers)
        self.under_replicated.set(sum(len(one["isr"]) < len(one["replicas"]) for one in partitions))
        self.offline.set(sum(one["leader"] < 0 for one in partitions))


class ClusterExporter:
    """Asks Kafka again and again, with a client of its own, so that it sees what a new client would."""

    def __init__(self, kafka: KafkaSettings, topics: Callable[[], Sequence[str]], metrics: ClusterMetrics) -> None:
        self._kafka, self._topics, self._metrics = kafka, topics, metrics

    async def run(self, *, interval_s: float = INTERVAL_S) -> None:
        """Keep the metrics current, for ever; a Kafka that is away is part of what they say."""
        while True:
            try:
                async with self._kafka.admin() as admin:
                    while True:
                        async with asyncio.timeout(ANSWER_S_MAX):
                            cluster = await admin.describe_cluster()
                            topics = await admin.describe_topics(list(self._topics()))
                        self._metrics.seen(len(cluster["brokers"]), topics)
                        await asyncio.sleep(interval_s)
            except (KafkaUnavailable, KafkaError, TimeoutError, OSError) as error:
                self._metrics.unknown()
                log.debug("kafka_silent", error=str(error) or type(error).__name__)
            await asyncio.sleep(interval_s)
