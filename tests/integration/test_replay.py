"""Replays of dead letters on a real log: killed at any write, two at once, and after what they replayed settled."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams.dead_letter import Failure, failed_delivery, tombstone, unreadable_record
from streams.delivery import Delivery
from streams.event import Event, Receipt
from streams.kafka import KafkaSettings, producing, read_topic
from streams.letters import Letters, Selection
from streams.outcome import SETTLED, outcome_of
from streams.pauses import publish
from streams.replay import CLAIMED, IN_QUEUE, LEASE_S, NO_ROUTE, REPLAYED, Replay
from streams.routing import Routes, RouteSettings, compile_routes
from streams.topic_difference import create_missing
from streams.topics import TopicNames, required_topics
from tests.harness import KafkaForTests

pytestmark = pytest.mark.integration


@dataclass
class Log:
    """Topics of one test, with letters in them."""

    settings: KafkaSettings
    names: TopicNames
    routes: Routes

    async def run(self, *, producer: Any = None, later_s: float = 0.0, **selection: Any) -> Counter[str]:
        """Replay, ``later_s`` from now; return how often each result came."""
        results: Counter[str] = Counter()
        async with producing(self.settings) as own, Letters(self.settings, self.names) as letters:
            replay = Replay(
                kafka=self.settings,
                names=self.names,
                routes=self.routes,
                producer=producer or own,
                now_s=lambda: time.time() + later_s,
            )
            async for result in replay.run(letters, Selection(**selection)):
                results[result.outcome] += 1
        return results

    async def queued(self) -> Counter[str]:
        """Return how often each delivery id stands in the queue."""
        records = read_topic(self.settings, self.names.deliveries("crm"))
        return Counter([Delivery.from_record(r.key, r.value, r.headers).id async for r in records])

    async def outstanding(self) -> set[str]:
        async with Letters(self.settings, self.names) as letters:
            await letters.catch_up()
            return {stored.letter.id for stored in letters.outstanding()}


def delivery(n: int) -> Delivery:
    event = Event("orders", str(n), str(n), "t", 1_700_000_000_000, b"{}", str(n).encode(), "application/json")
    return Delivery(event, Receipt("orders", 0, n), "orders-to-crm", "crm", attempts=3)


FAILURE = Failure("call", "deliveries.crm", 0, 1, "PermanentError", "no", status=400, last_failure_ms=1_700_000_000_000)


@pytest.fixture
async def log(kafka: KafkaForTests) -> Log:
    settings = kafka.settings()
    names = TopicNames(settings.topic_prefix)
    specs = required_topics(
        names, sources={"orders": 1000}, destinations=["crm"], delays_s=[], dedup_ttl_s_max=60, partitions=2
    )
    async with settings.admin() as admin:
        await create_missing(admin, specs)
    route = {"name": "orders-to-crm", "source": "orders", "to": "crm", "action": "request"}
    return Log(settings, names, compile_routes([RouteSettings.model_validate(route)]))


async def write_letters(log: Log, count: int) -> set[str]:
    letters = [failed_delivery(delivery(n), FAILURE) for n in range(count)]
    async with producing(log.settings) as producer:
        for letter in letters:
            await publish(producer, letter.to_record(log.names.dead_letter))
    return {letter.id for letter in letters}


class Killed(Exception):
    """The replay is killed here."""


class MortalProducer:
    """A producer that is killed before its n-th record, or right after it."""

    def __init__(self, producer: AIOKafkaProducer, *, records: int, written: bool) -> None:
        self._producer, self._left, self._written = producer, records, written

    async def send_and_wait(self, *args: Any, **options: Any) -> None:
        self._left -= 1
        if self._left > 0 or (self._left == 0 and self._written):
            await self._producer.send_and_wait(*args, **options)
        if self._left <= 0:
            raise Killed


async def test_a_replay_puts_each_letter_into_the_queue_once_and_keeps_it_outstanding(log: Log) -> None:
    ids = await write_letters(log, 5)
    assert await log.run() == {REPLAYED: 5}
    assert await log.queued() == dict.fromkeys(ids, 1)
    assert await log.outstanding() == ids
    assert await log.run() == {CLAIMED: 5}
    assert await log.run(later_s=LEASE_S + 1) == {IN_QUEUE: 5}
    assert await log.queued() == dict.fromkeys(ids, 1)


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("records", range(1, 7))
async def test_killed_at_any_write_no_letter_is_hidden_or_replayed_twice(log: Log, records: int, written: bool) -> None:
    """Three letters take six writes: three claims, then three deliveries."""
    ids = await write_letters(log, 3)
    async with producing(log.settings) as producer:
        with pytest.raises(Killed):
            await log.run(producer=MortalProducer(producer, records=records, written=written))
    assert await log.outstanding() == ids
    again = await log.run(later_s=LEASE_S + 1)
    assert again[REPLAYED] + again[IN_QUEUE] == 3
    assert await log.queued() == dict.fromkeys(ids, 1)
    assert await log.outstanding() == ids


async def test_two_replays_at_once_replay_each_letter_once(log: Log) -> None:
    ids = await write_letters(log, 40)
    results = await asyncio.gather(*(log.run() for _ in range(3)))
    assert sum(result[REPLAYED] for result in results) == 40
    assert await log.queued() == dict.fromkeys(ids, 1)
    assert await log.outstanding() == ids


async def test_a_claim_whose_delivery_has_an_outcome_is_not_taken_over(log: Log) -> None:
    """The queue may have been trimmed by then: the outcome tells."""
    (letter_id,) = await write_letters(log, 1)
    async with producing(log.settings) as producer:
        with pytest.raises(Killed):
            await log.run(producer=MortalProducer(producer, records=1, written=True))
        replayed = Delivery(delivery(0).event, delivery(0).receipt, "orders-to-crm", "crm", replay=1)
        report = outcome_of(replayed, SETTLED, attempts=4, status=200, duration_s=0.1, now_ms=int(time.time() * 1000))
        await publish(producer, report.to_record(log.names.outcomes))
    assert await log.run(later_s=LEASE_S + 1) == {IN_QUEUE: 1}
    assert not await log.queued()
    assert await log.outstanding() == {letter_id}


async def test_a_settled_letter_is_gone_and_a_selection_selects(log: Log) -> None:
    ids = await write_letters(log, 3)
    first = delivery(0).id
    async with producing(log.settings) as producer:
        await publish(producer, tombstone(log.names.dead_letter, first))
    assert await log.outstanding() == ids - {first}
    assert await log.run(id=delivery(1).id[:20]) == {REPLAYED: 1}
    assert await log.run(destination="other") == {}
    assert await log.run(error="permanenterror: NO", limit=1) in ({REPLAYED: 1}, {CLAIMED: 1})


async def test_a_route_that_is_gone_is_not_replayed_and_one_that_moved_is_replayed_to_its_new_destination(
    log: Log,
) -> None:
    await write_letters(log, 1)
    gone = Log(log.settings, log.names, compile_routes([]))
    assert await gone.run() == {NO_ROUTE: 1}
    assert not await log.queued()


async def test_an_unreadable_record_is_replayed_to_its_topic(log: Log) -> None:
    topic = log.names.events("orders")
    failure = Failure("decode", topic, 0, 1, "UnreadableRecord", "why", last_failure_ms=1_700_000_000_000)
    letter = unreadable_record(b"k", b"body", [("a", b"1")], failure)
    async with producing(log.settings) as producer:
        await publish(producer, letter.to_record(log.names.dead_letter))
    assert await log.run() == {REPLAYED: 1}
    (record,) = [record async for record in read_topic(log.settings, topic)]
    assert (record.key, record.value, dict(record.headers)["a"]) == (b"k", b"body", b"1")
