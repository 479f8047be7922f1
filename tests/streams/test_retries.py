"""Where a waiting delivery goes when its topic's delay is over."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from streams.delivery import Delivery
from streams.event import Event, Receipt
from streams.metrics import StreamsMetrics
from streams.retries import Retries, due_ms, next_hop
from streams.topics import TopicNames

NAMES = TopicNames()
DELAYS_S = {NAMES.retries(60): 60, NAMES.retries(300): 300}
NOW_MS = 1_700_000_000_000


def delivery(not_before_ms: int) -> Delivery:
    event = Event("orders", "1", "1", "t", NOW_MS, b"{}", b"1", "application/json")
    return Delivery(event, Receipt("orders", 0, 1), "r", "crm", not_before_ms=not_before_ms)


@pytest.mark.parametrize(
    ("remaining_s", "topic"),
    [(-5, "deliveries.crm"), (0, "deliveries.crm"), (0.4, "deliveries.crm"), (30, "retries.60s"), (61, "retries.300s")],
)
def test_a_delivery_goes_back_when_its_time_has_come_and_waits_again_when_not(remaining_s: float, topic: str) -> None:
    assert next_hop(delivery(NOW_MS + int(remaining_s * 1000)), DELAYS_S, NAMES, now_ms=NOW_MS) == topic


def test_a_wait_longer_than_every_delay_takes_the_longest() -> None:
    assert next_hop(delivery(NOW_MS + 86_400_000), DELAYS_S, NAMES, now_ms=NOW_MS) == "retries.300s"


def test_a_record_is_due_its_delay_after_it_was_written() -> None:
    class Written:
        timestamp = NOW_MS

    assert due_ms(Written(), 60) == NOW_MS + 60_000


class Consumer:
    """A consumer whose stop awaits the rebalance that is under way, as aiokafka's does."""

    def __init__(self) -> None:
        self.rebalance: asyncio.Task[None] | None = None
        self.stopped = False

    async def stop(self) -> None:
        if self.rebalance is not None:
            await self.rebalance
        self.stopped = True


async def test_a_stop_in_the_middle_of_a_rebalance_leaves_the_group() -> None:
    """A revocation needs the turn; a stop that kept it would wait for that revocation until its time is over."""
    nothing = cast("Any", None)
    retries = Retries(
        kafka=nothing,
        names=NAMES,
        producer=nothing,
        delays_s={60},
        destinations=frozenset,
        own_events=nothing,
        metrics=StreamsMetrics(CollectorRegistry()),
    )
    retries._consumer = consumer = Consumer()
    async with retries._turn:  # a turn is under way: first comes the stop, then the revocation
        stopping = asyncio.create_task(retries.stop())
        await asyncio.sleep(0)
        consumer.rebalance = asyncio.create_task(retries.on_partitions_revoked(set()))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await stopping
    assert consumer.stopped
