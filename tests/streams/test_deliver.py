"""The queue of one destination with a consumer that is made of lists, and a real destination."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import CollectorRegistry

from connectors.connector import Call, Connector
from connectors.destination import Destination
from connectors.errors import PermanentError, RateLimited, TransientError
from connectors.metrics import ConnectorMetrics
from headrace.watchdog import find_stalled
from streams.assignment import CANCELLED_S_MAX
from streams.cancellations import Cancellations
from streams.deliver import DestinationQueue, GaveUp
from streams.delivery import Delivery
from streams.depths import Depth
from streams.event import Event, Receipt
from streams.herald import Herald
from streams.metrics import StreamsMetrics
from streams.own_events import OwnEvents
from streams.pauses import Pauses
from streams.room import IN_WORK_PER_SLOT
from streams.routing import RouteSettings, compile_routes
from streams.shared import Shared
from streams.topics import TopicNames
from tests.harness import eventually

NAMES = TopicNames("")
PART = TopicPartition(NAMES.deliveries("crm"), 0)
NOW_MS = 1_700_000_000_000
STALL_S_MAX = 180.0


class Clock:
    """Time that passes when the test says so; whoever sleeps wakes when it has come that far."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._moved = asyncio.Event()

    def __call__(self) -> float:
        return self.now_s

    async def pass_by(self, seconds: float) -> None:
        self.now_s += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        for _ in range(20):
            await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            await self._moved.wait()


class Coordinator:
    """The part of aiokafka's that knows the group."""

    def __init__(self) -> None:
        self.generation = 1

    async def _do_heartbeat(self) -> bool:
        return True

    async def fetch_committed_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        return dict.fromkeys(parts, OffsetAndMetadata(0, ""))


class Consumer:
    """Reads what the test puts into ``unread``; ``commit_error`` is raised, ``commits_go`` awaited."""

    def __init__(self) -> None:
        self._coordinator = Coordinator()
        self.unread: list[Any] = []
        self.committed: dict[TopicPartition, OffsetAndMetadata] = {}
        self.commits_go = asyncio.Event()
        self.commits_go.set()
        self.commit_error: Exception | None = None
        self.commits_ended = 0
        self.start_error: Exception | None = None
        self.stopped = False

    async def start(self) -> None:
        if self.start_error is not None:
            raise self.start_error

    async def stop(self) -> None:
        self.stopped = True

    async def topics(self) -> set[str]:
        return {PART.topic}

    def subscribe(self, topics: list[str], listener: object) -> None:
        pass

    def seek(self, part: TopicPartition, offset: int) -> None:
        pass

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0}

    async def getmany(self, *parts: TopicPartition, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        read, self.unread = self.unread[:max_records], self.unread[max_records:]
        if not read:
            await asyncio.sleep(0.001)
        return {PART: read} if read else {}

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        try:
            await self.commits_go.wait()
        finally:
            self.commits_ended += 1
        if self.commit_error is not None:
            raise self.commit_error
        self.committed.update(offsets)


class Producer:
    """Acknowledges at once, or when ``acknowledges`` is set."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.acknowledges = asyncio.Event()
        self.acknowledges.set()

    async def send_and_wait(self, topic: str, *_: object, **__: object) -> None:
        await self.acknowledges.wait()
        self.sent.append(topic)


Act = Callable[[], Any]


async def hang() -> None:
    await asyncio.Event().wait()


async def hang_on(over: asyncio.Event, *, cancellations: int) -> None:
    """Take no notice of being cancelled so many times."""
    for _ in range(cancellations + 1):
        try:
            await over.wait()
        except asyncio.CancelledError:
            continue
        return


class Bed:
    """A queue that is assigned one partition. Each call awaits the next of ``acts``, the last one for ever."""

    def __init__(self, *acts: Act, route: dict[str, object] | None = None, **settings: Any) -> None:
        self.clock, self.consumer, self.producer = Clock(), Consumer(), Producer()
        self.acts, self.calls, self.pauses = list(acts), 0, Pauses()
        connector = Connector("bed")

        @connector.action
        async def act(call: Call) -> None:
            """Act at least once."""
            self.calls += 1
            if self.acts:
                await (self.acts.pop(0) if len(self.acts) > 1 else self.acts[0])()

        entry = {"name": "r", "source": "orders", "to": "crm", "action": "act", **(route or {})}
        self.routes = compile_routes([RouteSettings.model_validate(entry)])
        metrics, own_events = StreamsMetrics(CollectorRegistry()), OwnEvents(NAMES, lambda: self.routes)
        self.destination = Destination(
            "crm",
            connector.settings_model.model_validate({"connector": "bed", "concurrency": 2, **settings}),
            connector,
            secrets={},
            metrics=ConnectorMetrics(CollectorRegistry()),
            now=self.clock,
            sleep=self.clock.sleep,
            random=lambda: 0.0,
        )
        shared = Shared(
            kafka=cast("Any", SimpleNamespace(consumer=lambda **_: self.consumer)),
            names=NAMES,
            producer=cast("Any", self.producer),
            routes=lambda: self.routes,
            pauses=self.pauses,
            cancellations=Cancellations(),
            own_events=own_events,
            herald=Herald(own_events, cast("Any", None)),
            metrics=metrics,
            now_s=lambda: NOW_MS / 1000,
            monotonic_s=lambda: 0.0,  # every heartbeat is young
        )
        self.queue = DestinationQueue(self.destination, shared)

    async def begin(self) -> Bed:
        await self.destination.start()
        await self.queue.start()
        await self.queue.on_partitions_assigned({PART})
        return self

    async def end(self) -> None:
        self.queue.destination.interrupt_backoff()
        if self.queue._assignment is not None:
            for task in self.queue._assignment.tasks:
                task.cancel()
            self.queue._assignment.draining = True
        await self.queue.stop()
        await self.destination.close()
        if self.queue.failed.done():
            self.queue.failed.exception()

    def put(self, *offsets: int, key: bytes = b"k") -> None:
        for offset in offsets:
            event = Event("orders", str(offset), str(offset), "t", NOW_MS, b"{}", key, "application/json")
            delivery = Delivery(event, Receipt("orders", 0, offset), "r", "crm")
            record = delivery.to_record(PART.topic)
            self.consumer.unread.append(
                SimpleNamespace(
                    offset=offset, headers=record.headers, key=record.key, value=record.value, timestamp=NOW_MS
                )
            )

    @property
    def in_work(self) -> int:
        assert self.queue._assignment is not None
        return len(self.queue._assignment.tasks)

    async def stalled(self, *, after_s: float) -> str | None:
        """Return what the watchdog of a worker says within ``after_s``."""
        depths = {PART.topic: Depth({0: 5}, {0: 0})}
        looks = 0

        async def sleep(seconds: float) -> None:
            nonlocal looks
            looks += 1
            if looks * seconds > after_s:
                raise TimeoutError
            await self.clock.pass_by(seconds)

        try:
            return await find_stalled(
                lambda: {PART.topic: (self.queue.has_due_work(depths), self.queue.progress)},
                stall_s_max=STALL_S_MAX,
                interval_s=5.0,
                sleep=sleep,
                monotonic_s=self.clock,
            )
        except TimeoutError:
            return None


async def test_a_record_whose_task_is_cancelled_before_its_first_step_leaves_its_room() -> None:
    """A worker that was frozen drains as soon as it is thawed, with records that it has just read."""
    bed = await Bed(hang, concurrency=1).begin()
    queue, assignment = bed.queue, bed.queue._assignment
    assert assignment is not None
    bed.put(*range(IN_WORK_PER_SLOT))
    for record in bed.consumer.unread:
        queue._begin(assignment, PART, record)
    bed.consumer.unread.clear()
    assert queue._room.free(high=False) == 0
    tasks = list(assignment.tasks)
    assignment.draining = True
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert queue._room.free(high=False) == IN_WORK_PER_SLOT
    assert not assignment.tasks
    assert not queue.failed.done()
    await bed.end()


async def test_a_settled_record_is_committed() -> None:
    bed = await Bed().begin()
    bed.put(0, 1)
    await eventually(lambda: bed.consumer.committed.get(PART) == OffsetAndMetadata(2, ""))
    assert bed.calls == 2
    assert bed.queue._room.in_work == 0
    assert not bed.queue.has_due_work({PART.topic: Depth({0: 0}, {0: 2})})
    await bed.end()


# -- what the watchdog takes for a stall, and what not


async def test_a_count_of_what_is_in_work_that_nobody_is_at_is_a_stall() -> None:
    bed = await Bed().begin()
    for _ in range(2 * IN_WORK_PER_SLOT):
        bed.queue._room.take(1, high=False)  # raised, and never lowered
    bed.put(0)
    assert await bed.stalled(after_s=600) == PART.topic
    assert bed.calls == 0
    await bed.end()


async def test_a_slot_that_is_never_given_back_is_a_stall() -> None:
    bed = await Bed(concurrency=1).begin()
    await bed.destination.gate._slots.take(False)
    bed.put(0)
    await eventually(lambda: bed.in_work == 1)
    assert await bed.stalled(after_s=600) == PART.topic
    await bed.end()


async def test_a_call_that_does_not_end_in_its_time_is_a_stall() -> None:
    over = asyncio.Event()
    bed = await Bed(partial(hang_on, over, cancellations=1), timeout_s=1).begin()
    bed.put(0)
    await eventually(lambda: bed.calls == 1)
    assert await bed.stalled(after_s=600) == PART.topic
    over.set()
    await bed.end()


async def fail() -> None:
    raise TransientError("no", status=503)


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_backoff_is_no_stall(ordered: bool) -> None:
    bed = await Bed(fail, hang, route={"ordered": ordered}, retry={"attempts": 2, "backoff_s": [900, 900]}).begin()
    bed.put(0, 1)  # in order, the second waits for its turn
    await eventually(lambda: bed.calls == (1 if ordered else 2))
    assert await bed.stalled(after_s=800) is None
    await bed.end()


async def test_a_wait_that_the_destination_asks_for_in_place_is_no_stall() -> None:
    async def limit() -> None:
        raise RateLimited("later", status=429, retry_after_s=1000)

    bed = await Bed(limit, hang, route={"ordered": True}).begin()
    bed.put(0, 1)
    await eventually(lambda: bed.calls == 1)
    assert await bed.stalled(after_s=900) is None
    await bed.end()


async def test_the_rate_is_no_stall() -> None:
    bed = await Bed(rate="1/h").begin()
    bed.put(0, 1)
    await eventually(lambda: bed.in_work == 2)
    assert await bed.stalled(after_s=3000) is None
    await bed.clock.pass_by(1000)
    await eventually(lambda: bed.calls == 1)
    await bed.end()


async def test_a_pause_is_no_stall() -> None:
    bed = await Bed().begin()
    bed.pauses.apply(b"crm", b"{}")
    bed.put(0)
    assert await bed.stalled(after_s=900) is None
    assert bed.calls == 0
    await bed.end()


async def test_an_open_circuit_is_no_stall() -> None:
    bed = await Bed(fail, hang, retry={"attempts": 1}, delays_s=[60], circuit={"failures": 1, "open_s": 1000}).begin()
    bed.put(0)
    await eventually(lambda: bed.calls == 1)
    bed.put(1)
    assert await bed.stalled(after_s=900) is None
    await bed.end()


async def test_a_call_that_takes_longer_than_a_stall_is_none() -> None:
    bed = await Bed(hang, timeout_s=1000).begin()
    bed.put(0)
    await eventually(lambda: bed.calls == 1)
    assert await bed.stalled(after_s=900) is None
    await bed.end()


async def test_an_outcome_that_the_broker_does_not_acknowledge_is_no_stall() -> None:
    """As while it has too few replicas in sync: a new start would repeat the calls that were made."""
    bed = await Bed().begin()
    bed.producer.acknowledges.clear()
    bed.put(0)
    await eventually(lambda: bed.calls == 1)
    assert await bed.stalled(after_s=900) is None
    bed.producer.acknowledges.set()
    await eventually(lambda: PART in bed.consumer.committed)
    await bed.end()


# -- what must not be left behind


async def test_work_that_ends_unsettled_while_nobody_else_will_read_it_ends_the_worker() -> None:
    """Else its offset would hold up the commits of its partition for good."""
    bed = await Bed(hang).begin()
    bed.put(0)
    await eventually(lambda: bed.in_work == 1)
    assert bed.queue._assignment is not None
    for task in bed.queue._assignment.tasks:
        task.cancel()  # by something else than a drain
    with pytest.raises(GaveUp, match="offset 0"):
        await bed.queue.failed
    await bed.end()


async def test_an_action_that_awaits_what_was_cancelled_fails_and_its_record_is_settled() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    bed = await Bed(cancelled, retry={"attempts": 1}).begin()
    bed.put(0)
    await eventually(lambda: PART in bed.consumer.committed)
    assert "retries.60s" in bed.producer.sent
    assert not bed.queue.failed.done()
    await bed.end()


async def test_a_refusal_is_no_reason_to_end() -> None:
    async def refuse() -> None:
        raise PermanentError("no", status=400)

    bed = await Bed(refuse).begin()
    bed.consumer.commit_error = CommitFailedError()
    bed.put(0)
    await eventually(lambda: "dead-letter" in bed.producer.sent and bed.consumer.commits_ended > 1)
    bed.consumer.commit_error = None
    await eventually(lambda: bed.consumer.committed.get(PART) == OffsetAndMetadata(1, ""))
    assert not bed.queue.failed.done()
    await bed.end()


async def test_a_commit_that_does_not_come_through_is_given_up_when_the_partitions_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiokafka tries it again under the generation that it joins next, over the head of the partitions' new owner."""
    monkeypatch.setattr("streams.commit.COMMIT_TIMEOUT_S", 0.1)
    bed = await Bed().begin()
    bed.consumer.commits_go.clear()
    bed.put(0)
    await eventually(lambda: bed.queue._commits._under_way is not None)
    await bed.queue.on_partitions_revoked({PART})
    await eventually(lambda: bed.consumer.commits_ended == 1)
    assert not bed.consumer.committed
    bed.consumer._coordinator.generation = 2
    bed.consumer.commits_go.set()
    await bed.queue.on_partitions_assigned({PART})
    bed.put(0)  # read again, and the commits go on
    await eventually(lambda: bed.consumer.committed.get(PART) == OffsetAndMetadata(1, ""))
    assert not bed.queue.failed.done()
    await bed.end()


async def test_a_drain_leaves_behind_what_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group waits for it: a worker that never came back from a revocation would own nothing any more."""
    monkeypatch.setattr("streams.assignment.CANCELLED_S_MAX", 0.1)
    assert CANCELLED_S_MAX > 0

    over = asyncio.Event()
    bed = await Bed(partial(hang_on, over, cancellations=2), timeout_s=0.1).begin()
    bed.put(0)
    await eventually(lambda: bed.calls == 1)
    bed.consumer._coordinator.generation = 2  # lost: nothing to wait for
    await bed.queue.on_partitions_revoked({PART})
    over.set()
    await eventually(lambda: bed.queue._room.in_work == 0)
    assert not bed.consumer.committed
    assert not bed.queue.failed.done()
    await bed.end()


async def test_a_queue_that_cannot_start_says_so_and_leaves_no_consumer() -> None:
    """A reload that is refused goes on with the old table, whose queue is gone already: the worker must end."""
    bed = Bed()
    bed.consumer.start_error = KafkaConnectionError("away")
    with pytest.raises(KafkaConnectionError):
        await bed.queue.start()
    assert bed.queue.failed.exception() is bed.consumer.start_error
    assert bed.consumer.stopped
