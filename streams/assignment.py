"""What one generation of a consumer group gave a worker, and the work on it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from streams.chains import Chains
from streams.copies import RecentCopies
from streams.offsets import CommitPoint, Progress

CANCELLED_S_MAX = 3.0


class Abandoned(Exception):
    """The record is no longer this worker's: its next owner carries it out."""


class Assignment:
    """The partitions that one generation of the group gave this worker, and the work on them.

    ``draining``: take nothing more and begin no call. ``over``: another worker may own the partitions by now.
    """

    def __init__(self, progress: dict[TopicPartition, Progress], generation: int) -> None:
        self.progress = progress
        self.generation = generation
        self.tasks: set[asyncio.Task[None]] = set()
        self.copies = {part: RecentCopies() for part in progress}
        self.chains = Chains()
        self.dirty = asyncio.Event()
        self.committed: dict[TopicPartition, CommitPoint] = {}
        self.draining = False
        self.over = False

    def open_partitions(self, topic: str) -> list[TopicPartition]:
        """Return the topic's partitions of which another record may be taken."""
        return [part for part, progress in self.progress.items() if part.topic == topic and progress.has_room]

    def settle(self, part: TopicPartition, offset: int) -> None:
        """Note that all that follows from a taken record is acknowledged."""
        self.progress[part].settle(offset)
        self.dirty.set()

    async def end_tasks(self, *, within_s: float) -> None:
        """Return when all work has ended: by itself ``within_s``, else because it is cancelled.

        What goes on after that, for `CANCELLED_S_MAX`, is left behind: it settles nothing once this is ``over``.
        """
        if self.tasks and within_s > 0:
            await asyncio.wait(self.tasks, timeout=within_s)
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=CANCELLED_S_MAX)

    def news(self) -> dict[TopicPartition, CommitPoint]:
        """Return the commit points that have changed since they were committed."""
        points = {part: progress.commit_point() for part, progress in self.progress.items()}
        return {part: point for part, point in points.items() if self.committed.get(part) != point}


async def find_progress(consumer: AIOKafkaConsumer, assigned: set[TopicPartition]) -> dict[TopicPartition, Progress]:
    """Return where each assigned partition stands, and let ``consumer`` read on from there.

    Raises:
        KafkaError: the broker does not say.
    """
    # The public committed() gives the offset without its metadata.
    committed = await consumer._coordinator.fetch_committed_offsets(list(assigned))
    progress = {}
    for part in sorted(assigned):
        found = committed.get(part)
        if found is None or found.offset < 0:
            first = (await consumer.beginning_offsets([part]))[part]
            found = OffsetAndMetadata(first, "")
        consumer.seek(part, found.offset)
        progress[part] = Progress(found.offset, found.metadata or "")
    return progress
