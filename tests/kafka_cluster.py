"""Three embedded Kafkas as one cluster: to lose one of them with its disk."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from pathlib import Path

from aiokafka.errors import KafkaError

from headrace.broker import EmbeddedKafka
from headrace.kafka_dir import new_cluster_id
from streams.kafka import KafkaSettings, KafkaUnavailable
from tests.harness import KafkaForTests, eventually, free_ports

NODES = 3


class ClusterNode(EmbeddedKafka):
    """One node, broker and controller, of several."""

    def __init__(self, data_dir: Path, number: int, ports: list[int], controller_ports: list[int], cluster_id: str):
        super().__init__(data_dir, ports[number], heap_mb=256)
        self.number, self._cluster_id = number, cluster_id
        self._controller_ports = controller_ports
        self.directory.path.mkdir(parents=True)
        self.directory._mark(cluster_id, formatted=False)

    def _write_settings(self) -> None:
        super()._write_settings()
        path = self.directory.properties
        settings = dict(line.split("=", 1) for line in path.read_text().splitlines())
        voters = ",".join(f"{n + 1}@127.0.0.1:{port}" for n, port in enumerate(self._controller_ports))
        settings |= {
            "node.id": str(self.number + 1),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
            f"CONTROLLER://127.0.0.1:{self._controller_ports[self.number]}",
            "offsets.topic.replication.factor": "3",
            "default.replication.factor": "3",
            "min.insync.replicas": "2",
        }
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    def lose_disk(self) -> None:
        """Kill -9, and delete everything that it stored: the next `start` begins with nothing."""
        self.kill()
        shutil.rmtree(self.directory.log_dir)
        self.directory._mark(self._cluster_id, formatted=False)


class KafkaCluster(KafkaForTests):
    """Three nodes; ``bootstrap_servers`` names all."""

    def __init__(self, data_dir: Path) -> None:
        first = free_ports(2 * NODES)
        ports, controller_ports = list(range(first, first + NODES)), list(range(first + NODES, first + 2 * NODES))
        cluster_id = new_cluster_id()
        self.nodes = [ClusterNode(data_dir / f"node-{n}", n, ports, controller_ports, cluster_id) for n in range(NODES)]
        super().__init__(self.nodes[0])

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.bootstrap_servers for node in self.nodes)

    async def start(self) -> None:
        await asyncio.gather(*(node.start(120) for node in self.nodes))

    async def stop(self) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def in_sync(self, topics: Iterable[str]) -> int:
        """Return the smallest number of in-sync replicas of any partition of the topics.

        Raises:
            AssertionError: the brokers do not say, as while one has just been killed.
        """
        try:
            async with KafkaSettings(self.bootstrap_servers).admin() as admin:
                found = await admin.describe_topics(list(topics))
        except (KafkaUnavailable, KafkaError) as error:
            raise AssertionError(f"no answer: {error}") from error
        return min(len(partition["isr"]) for topic in found for partition in topic["partitions"])

    async def whole(self, topics: Iterable[str], timeout_s: float = 90) -> None:
        """Return when every partition of the topics has all its replicas in sync again."""
        wanted = list(topics)

        async def complete() -> bool:
            return await self.in_sync(wanted) == NODES

        await eventually(complete, timeout_s, 0.5)
