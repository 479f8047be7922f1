"""Fixtures that all tests share. One embedded Kafka serves the whole run, in however many processes (pytest-xdist).

A module whose fixtures are costly and its own says ``pytestmark = pytest.mark.xdist_group(…)``, to stay in one process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from headrace.broker import EmbeddedKafka
from tests.harness import HeadraceProcess, KafkaForTests, Receiver
from tests.kafka_cluster import KafkaCluster
from tests.ledger import MakeSystem, System
from tests.shared_kafka import shared_kafka

# How long an example takes says nothing on a machine that does other work too.
settings.register_profile("headrace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headrace")


@pytest.fixture(autouse=True)
def _logs_of_this_test_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test's command configured: a logger that was cached then would write past every later test."""
    configure = structlog.configure
    monkeypatch.setattr(
        structlog, "configure", lambda **settings: configure(**{**settings, "cache_logger_on_first_use": False})
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaForTests]:
    """A Kafka that all tests share; each takes topics of its own from ``kafka.settings()``. Leave it running."""
    own = tmp_path_factory.getbasetemp()
    of_the_run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with shared_kafka(of_the_run / "shared-kafka") as kafka:
        yield kafka


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[KafkaForTests]:
    """A Kafka of this test alone, to freeze, kill and restart."""
    broker = EmbeddedKafka(tmp_path / "own-kafka")
    asyncio.run(broker.start())
    yield KafkaForTests(broker)
    asyncio.run(broker.stop())


@pytest.fixture(scope="module")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers for the tests of one module, to lose one with its disk. Leave all three running and in sync."""
    cluster = KafkaCluster(tmp_path_factory.mktemp("cluster"))
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP destination that records every call and answers as told."""
    receiver = Receiver().start()
    yield receiver
    receiver.stop()


StartHeadrace = Callable[..., HeadraceProcess]


@pytest.fixture
def headrace_process(tmp_path: Path) -> Iterator[StartHeadrace]:
    """``headrace_process("run", "--port", "0", env={…})`` starts a process that ends with the test."""
    started: list[HeadraceProcess] = []

    def start(
        *args: str, env: Mapping[str, str] | None = None, cwd: Path = tmp_path, name: str = ""
    ) -> HeadraceProcess:
        started.append(HeadraceProcess(args, cwd=cwd, env=env, name=name))
        return started[-1]

    yield start
    for process in started:
        if process.running:
            process.kill()
        print(f"=== headrace {' '.join(process.args)}{process.tail()}")  # shown for a test that fails


@pytest.fixture
def make_system(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: StartHeadrace
) -> MakeSystem:
    """``make_system(own_kafka, destinations={…})`` gives a `System`, on the shared Kafka unless another is given."""

    def make(broker: KafkaForTests = kafka, **options: Any) -> System:
        return System(broker, tmp_path, receiver, headrace_process, **options)

    return make
