"""What the integration tests of workers share: a routing table, events put into the log, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from headrace.context import Settings
from headrace.topics import ensure_topics
from streams.delivery import delivery_id
from streams.depths import Depth, DepthReader, queue_groups
from streams.event import Event
from streams.kafka import KafkaSettings, producing, read_topic
from streams.letters import Letters, Selection, Stored
from streams.outcome import Outcome
from streams.topics import TopicNames
from tests.harness import HeadraceProcess, KafkaForTests, eventually, free_port

SECRET = "s3cret"


@dataclass
class Scenario:
    """A routing table in a directory of its own, on topics of its own."""

    kafka: KafkaForTests
    directory: Path
    table: dict[str, Any]
    start: Callable[..., HeadraceProcess]
    partitions: int = 4
    secrets: dict[str, str] = field(default_factory=dict)
    settings: KafkaSettings = field(init=False)
    names: TopicNames = field(init=False)

    def __post_init__(self) -> None:
        self.settings = self.kafka.settings()
        self.names = TopicNames(self.settings.topic_prefix)
        self.write()

    def write(self) -> None:
        """Write the table as it is now."""
        (self.directory / "headrace.yaml").write_text(yaml.safe_dump(self.table, sort_keys=False))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "HEADRACE_TOPIC_PREFIX": self.settings.topic_prefix,
            "HEADRACE_PARTITIONS": str(self.partitions),
            "GITHUB_WEBHOOK_SECRET": SECRET,
            "ORDERS_SECRET": SECRET,
            **self.secrets,
        }

    async def topics(self) -> None:
        """Create the topics."""
        settings = Settings(
            config_path=self.directory / "headrace.yaml",
            kafka_bootstrap_servers=self.kafka.bootstrap_servers,
            topic_prefix=self.settings.topic_prefix,
            environ=self.environment,
        )
        await ensure_topics(settings, settings.table())

    def worker(self, name: str = "worker", *args: str) -> Worker:
        """Start a worker process with a data directory and an admin port of its own."""
        port = free_port()
        process = self.start(
            "worker", "--data-dir", str(self.directory / name), "--admin-port", str(port), *args,
            env=self.environment, cwd=self.directory, name=name,
        )  # fmt: skip
        return Worker(process, port)

    def run(self, *args: str) -> HeadraceProcess:
        """Start a headrace command on this scenario."""
        return self.start(*args, env=self.environment, cwd=self.directory)

    async def command(self, *args: str, timeout_s: float = 60) -> HeadraceProcess:
        """Run a headrace command on this scenario to its end."""
        process = self.run(*args)
        await process.wait(timeout_s)
        return process

    async def publish(self, source: str, bodies: Iterable[bytes], *, first: int = 0) -> list[Event]:
        """Put events into the log, with ids that count from ``first``; return them when all are acknowledged."""
        now_ms = int(time.time() * 1000)
        events = [
            Event(source, str(n), str(n), "test", now_ms, body, str(n).encode(), "application/json")
            for n, body in enumerate(bodies, first)
        ]
        async with producing(self.settings) as producer:
            topic = self.names.events(source)
            futures = [
                await producer.send(topic, event.body, key=event.key, headers=event.to_headers()) for event in events
            ]
            await asyncio.gather(*futures)
        return events

    def ids(self, events: Iterable[Event], route: str) -> set[str]:
        """Return the delivery ids of events on a route."""
        return {delivery_id(event.source, event.dedup_id, route) for event in events}

    async def outcomes(self) -> dict[str, Outcome]:
        """Return the newest outcome of each delivery id."""
        newest = {}
        async for record in read_topic(self.settings, self.names.outcomes):
            outcome = Outcome.from_record(record.value)
            newest[outcome.delivery_id] = outcome
        return newest

    async def letters(self, **selection: Any) -> list[Stored]:
        """Return the outstanding dead letters."""
        async with Letters(self.settings, self.names) as letters:
            await letters.catch_up()
            return Selection(**selection).of(letters.outstanding())

    async def depths(self) -> dict[str, Depth]:
        """Return the depth of every queue."""
        groups = queue_groups(
            self.names,
            sources=[*self.table["sources"], *(["schedules"] if self.table.get("schedules") else [])],
            destinations=self.table["destinations"],
            delays_s={delay for d in self.table["destinations"].values() for delay in d.get("delays_s", [])},
        )
        reader = DepthReader(self.settings, groups)
        try:
            return await reader.read()
        finally:
            await reader.close()

    async def drained(self, timeout_s: float = 60) -> None:
        """Return when nothing is unsettled in any queue: every offset is committed to the end of its topic."""

        async def empty() -> bool:
            unsettled = {topic: depth.unsettled for topic, depth in (await self.depths()).items()}
            assert not any(unsettled.values()), unsettled
            return True

        await eventually(empty, timeout_s, pause_s=0.3)


@dataclass
class Worker:
    """A worker process and its admin pages."""

    process: HeadraceProcess
    admin_port: int

    async def ready(self, timeout_s: float = 60) -> Worker:
        """Return when ``/readyz`` says 200; fail at once when the process ends first."""

        async def answered() -> bool:
            if not self.process.running:
                raise RuntimeError(f"the worker ended with {self.process.process.returncode}: {self.process.tail()}")
            try:
                status, text = await self._get("/readyz")
            except aiohttp.ClientError:
                return False
            assert status == 200, text
            return True

        await eventually(answered, timeout_s)
        return self

    async def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric, 0.0 if it is not there."""
        lines = (await self._get("/metrics"))[1].splitlines()
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for line in lines:
            head, _, value = line.rpartition(" ")
            found, _, inside = head.partition("{")
            if found == name and wanted <= set(inside.rstrip("}").split(",")):
                return float(value)
        return 0.0

    async def _get(self, path: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.admin_port}{path}") as answer,
        ):
            return answer.status, await answer.text()
