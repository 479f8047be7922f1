"""Everything here runs against the embedded Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from connectors.destination import Destination
from connectors.metrics import ConnectorMetrics
from connectors.registry import load_connector
from tests.harness import KafkaForTests
from tests.integration.kafka_destination import Open
from tests.secure_kafka import SecureKafka

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """One for all tests of the group ``secure-kafka``: each has topics of its own."""
    broker = SecureKafka(tmp_path_factory.mktemp("secure-kafka"))
    asyncio.run(broker.start())
    yield broker
    asyncio.run(broker.stop())


@pytest.fixture
async def open_kafka() -> AsyncIterator[Open]:
    opened = []

    async def open_it(broker: KafkaForTests, *, secrets: Mapping[str, str] | None = None, **keys: Any) -> Destination:
        connector = load_connector("kafka")
        own = {"connector": "kafka", "bootstrap_servers": broker.bootstrap_servers, "retry": {"attempts": 1}, **keys}
        settings = connector.settings_model.model_validate(own)
        metrics = ConnectorMetrics(CollectorRegistry())
        destination = Destination("shop", settings, connector, secrets=secrets or {}, metrics=metrics)
        await destination.start()
        opened.append(destination)
        return destination

    yield open_it
    for destination in opened:
        await destination.close()
