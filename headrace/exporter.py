"""Gauges that are read from the broker and the disk: queue depths, outstanding dead letters, used capacity.

Every worker and every ingest exports them, so that they are right while the others are down.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from logging import DEBUG, WARNING
from pathlib import Path

import structlog
from prometheus_client import Gauge

from streams.dead_letter import DeadLetter
from streams.depths import Depth, DepthReader
from streams.event import UnreadableRecord
from streams.kafka import KafkaSettings, KafkaUnavailable, tail_topic
from streams.topics import TopicNames

INTERVAL_S = 5.0
TRIM_INTERVAL_S = 60.0
FRESH_S = 15.0

log = structlog.get_logger("exporter")


class DepthExporter:
    """Keeps ``headrace_queue_depth`` and the capacities of queues and disk current."""

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        groups: Callable[[], Mapping[str, str]],
        queue_depth_max: int,
        data_dir: Path,
        queue_depth: Gauge,
        capacity: Gauge,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now_s = now_s
        self.depths: dict[str, Depth] = {}
        self._read_at_s = float("-inf")
        self._kafka, self._groups = kafka, groups
        self._queue_depth_max = queue_depth_max
        self._data_dir = data_dir
        self._queue_depth, self._capacity = queue_depth, capacity

    def fresh(self) -> bool:
        """Return whether the depths are news: they are not while the broker is away."""
        return self._now_s() - self._read_at_s < FRESH_S

    async def run(self, *, trim: Callable[[], list[str]] = list, interval_s: float = INTERVAL_S) -> None:
        """Read the depths again and again; ``trim`` names the queues whose settled head this process deletes."""
        reader, groups = DepthReader(self._kafka, self._groups()), self._groups()
        trimmed_at_s = began_s = self._now_s()
        try:
            while True:
                if groups != self._groups():
                    await reader.close()
                    groups = self._groups()
                    reader = DepthReader(self._kafka, groups)
                try:
                    self.export(await reader.read())
                    if self._now_s() - trimmed_at_s > TRIM_INTERVAL_S:
                        trimmed_at_s = self._now_s()
                        await reader.trim(self.depths, trim())
                except KafkaUnavailable as error:
                    # A broker that starts has no coordinator yet, and one that moves has none for a moment.
                    stale_s = self._now_s() - max(self._read_at_s, began_s)
                    log.log(WARNING if stale_s > FRESH_S else DEBUG, "depths_unavailable", error=str(error))
                await asyncio.sleep(interval_s)
        finally:
            await reader.close()

    def export(self, depths: dict[str, Depth]) -> None:
        """Take new depths over into the gauges."""
        for topic in self.depths.keys() - depths.keys():  # of a destination that a reload took away
            self._queue_depth.remove(topic)
            self._capacity.remove(f"queue:{topic}")
        self.depths = depths
        self._read_at_s = self._now_s()
        for topic, depth in depths.items():
            self._queue_depth.labels(topic).set(depth.unsettled)
            self._capacity.labels(f"queue:{topic}").set(depth.unsettled / self._queue_depth_max)
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(self._data_dir)
            self._capacity.labels("disk").set(usage.used / usage.total)


async def export_dead_letters(
    kafka: KafkaSettings, names: TopicNames, gauge: Gauge, destinations: Iterable[str]
) -> None:
    """Keep ``headrace_dead_letters`` current, for ever: the fold of the topic, without bodies.

    Raises:
        KafkaUnavailable: the broker does not answer at the start.
    """
    destination_of: dict[bytes, str] = {}
    counts: Counter[str] = Counter()
    for destination in ("", *destinations):
        gauge.labels(destination).set(0)
    async for record in tail_topic(kafka, names.dead_letter, at_end=lambda: None):
        key = record.key or b""
        before = destination_of.pop(key, None)
        touched = [] if before is None else [before]
        if before is not None:
            counts[before] -= 1
        if record.value is not None:
            now = _destination(record.key, record.headers)
            destination_of[key] = now
            counts[now] += 1
            touched.append(now)
        for destination in touched:
            gauge.labels(destination).set(counts[destination])


def _destination(key: bytes | None, headers: list[tuple[str, bytes]]) -> str:
    try:
        return DeadLetter.from_record(key, b"", headers).header("headrace-destination")
    except UnreadableRecord:
        return ""
