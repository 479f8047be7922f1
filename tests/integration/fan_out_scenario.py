"""What the tests of fan-out share: topics of their own, events in them, workers, and the ledger of deliveries."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from headrace.child import die_with_parent
from streams.delivery import Delivery, delivery_id
from streams.event import Event
from streams.kafka import KafkaSettings, KafkaUnavailable, read_topic
from streams.record import Record
from streams.topic_difference import create_missing
from streams.topics import TopicNames, required_topics
from tests.harness import KafkaForTests, eventually

ROOT = Path(__file__).parents[2]
ROUTES = [
    {"name": "all", "source": "*", "to": "a", "action": "x"},
    {"name": "b", "source": "s", "to": "b", "action": "x"},
]


def event(name: str, **fields: Any) -> Event:
    values = {"body": b'{"n": 1}', "time_ms": time.time_ns() // 1_000_000, "source": "s", "dedup_id": name, **fields}
    return Event(id=name, type="t", key=values["dedup_id"].encode(), content_type="application/json", **values)


class Worker:
    """One fan-out process."""

    def __init__(self, options: dict[str, Any], log: Path) -> None:
        self.log = log
        self._begins = log.stat().st_size if log.exists() else 0  # an earlier process of this name wrote the rest
        with log.open("a") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.fan_out_worker", json.dumps(options)],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent(),
            )

    async def joined(self, timeout_s: float = 60) -> None:
        """Return when the group has given this process its partitions."""
        await eventually(lambda: "partitions_assigned" in self.log.read_text()[self._begins :], timeout_s)

    def assignments(self) -> list[int]:
        """Return how many partitions the group has given this process, each time that it did."""
        counts = re.findall(r"partitions_assigned\s+count=(\d+)", self.log.read_text()[self._begins :])
        return [int(count) for count in counts]

    async def holds(self, partitions: int, timeout_s: float = 60) -> None:
        """Return when the newest assignment of this process has so many partitions."""
        await eventually(lambda: self.assignments()[-1:] == [partitions], timeout_s)

    async def misses_kafka(self, times: int = 1, timeout_s: float = 60) -> None:
        """Return when this process has found out, as often as that from now on, that no broker answers."""
        begins = self.log.stat().st_size

        def missed() -> bool:
            return self.log.read_text()[begins:].count("Unable connect to") >= times

        await eventually(missed, timeout_s)

    async def end(self, number: int = signal.SIGTERM, timeout_s: float = 40) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return await self.ended(timeout_s)

    async def ended(self, timeout_s: float = 40) -> int:
        """Return the exit code when the process has ended."""
        await eventually(lambda: self.process.poll() is not None, timeout_s)
        return int(self.process.returncode)


class FanOutScenario:
    def __init__(
        self, kafka: KafkaForTests, directory: Path, *, partitions: int = 4, sources: Sequence[str] = ("s",)
    ) -> None:
        self.kafka = kafka
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.partitions = partitions
        self.sources = sources
        self.settings: KafkaSettings = kafka.settings()
        self.names = TopicNames(self.settings.topic_prefix)
        self.workers: list[Worker] = []
        self.expected: set[str] = set()

    async def __aenter__(self) -> FanOutScenario:
        specs = required_topics(
            self.names,
            sources=dict.fromkeys(self.sources, 1 << 20),
            destinations=["a", "b"],
            delays_s=[],
            dedup_ttl_s_max=7 * 86400,
            partitions=self.partitions,
        )
        async with self.settings.admin() as admin:
            await create_missing(admin, specs)
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.process.kill()
            worker.process.wait()
        for log in self.directory.glob("*.log"):
            print(f"=== {log.name}\n{log.read_text()[-4000:]}")

    def start(self, name: str = "w1", **options: Any) -> Worker:
        worker = Worker(
            {
                "bootstrap": self.kafka.bootstrap_servers,
                "prefix": self.settings.topic_prefix,
                "sources": list(self.sources),
                "data_dir": str(self.directory / name),
                "partitions": self.partitions,
                "routes": ROUTES,
                **options,
            },
            self.directory / f"{name}.log",
        )
        self.workers.append(worker)
        return worker

    async def post(self, events: Iterable[Event]) -> None:
        records = []
        for one in events:
            self.expected |= {
                delivery_id(one.source, one.dedup_id, r["name"]) for r in ROUTES if r["source"] in ("*", one.source)
            }
            records.append(Record(self.names.events(one.source), one.key, one.body, one.to_headers()))
        await self.publish(records)

    async def publish(self, records: Iterable[Record]) -> None:
        async with self.settings.producer() as producer:
            sends = [await producer.send(r.topic, r.value, r.key, headers=r.headers) for r in records]
            await asyncio.gather(*sends)

    async def delivered(self) -> Counter[str]:
        """Return how often each delivery id is in the log."""
        counts: Counter[str] = Counter()
        for destination in ("a", "b"):
            async for record in read_topic(self.settings, self.names.deliveries(destination)):
                counts[Delivery.from_record(record.key, record.value, record.headers).id] += 1
        return counts

    async def records(self, topic: str) -> list[Any]:
        return [record async for record in read_topic(self.settings, topic)]

    async def uncommitted(self) -> int:
        """Return how many records of the events topics are not committed."""
        parts = [TopicPartition(self.names.events(s), n) for s in self.sources for n in range(self.partitions)]
        async with self.settings.admin() as admin:
            committed = await admin.list_consumer_group_offsets(self.names.fan_out_group)
        consumer = self.settings.consumer()
        await consumer.start()
        ends = await consumer.end_offsets(parts)
        await consumer.stop()
        return sum(ends[p] - (committed[p].offset if p in committed else 0) for p in parts)

    async def all_committed(self, timeout_s: float = 60) -> None:
        """Return when every record of the events topics is committed; nothing may be missing then."""

        async def idle() -> bool:
            with suppress(KafkaError, KafkaUnavailable):  # a broker that has just started has no coordinator yet
                return await self.uncommitted() == 0
            return False

        await eventually(idle, timeout_s, pause_s=0.3)
        assert self.expected - set(await self.delivered()) == set()

    async def repeated(self) -> int:
        return sum(count - 1 for count in (await self.delivered()).values())
