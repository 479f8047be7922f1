"""A commit that does not come through is counted, and goes on until it is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import CollectorRegistry, Counter

from streams.commit import commit_offsets
from tests.harness import eventually

OFFSETS = {TopicPartition("deliveries.crm", 0): OffsetAndMetadata(7, "")}


class Consumer:
    """Commits when it is let, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.let, self.error = asyncio.Event(), error
        self.committed: list[Any] = []
        self.cancelled = False

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        self.committed.append(offsets)


@pytest.fixture
def failures() -> Counter:
    return Counter("failures", "Of commits.", registry=CollectorRegistry())


def count(failures: Counter) -> float:
    return next(iter(failures.collect())).samples[0].value


async def test_a_commit_that_comes_through_is_not_counted(failures: Counter) -> None:
    consumer = Consumer()
    consumer.let.set()
    await commit_offsets(consumer, OFFSETS, failures=failures)
    assert consumer.committed == [OFFSETS]
    assert count(failures) == 0


async def test_a_commit_that_is_refused_is_counted_once(failures: Counter) -> None:
    consumer = Consumer(CommitFailedError())
    consumer.let.set()
    with pytest.raises(CommitFailedError):
        await commit_offsets(consumer, OFFSETS, failures=failures)
    assert count(failures) == 1


async def test_a_commit_that_is_tried_again_and_again_is_counted_again_and_again(failures: Counter) -> None:
    consumer = Consumer()
    task = asyncio.create_task(commit_offsets(consumer, OFFSETS, failures=failures, timeout_s=0.01))
    await eventually(lambda: count(failures) >= 3)
    assert not task.done()
    consumer.let.set()
    await task
    assert consumer.committed == [OFFSETS]


async def test_who_waits_no_longer_ends_the_commit(failures: Counter) -> None:
    consumer = Consumer()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await commit_offsets(consumer, OFFSETS, failures=failures)
    await eventually(lambda: consumer.cancelled)
