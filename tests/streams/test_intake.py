"""Taking, acknowledging and committing, without Faust and without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.intake import Intake
from streams.positions import Position, RecordsSkipped
from streams.taken import Revoked, Taken

PART = TopicPartition("events.s", 0)


class Broker:
    def __init__(self, committed: int = 0, log_start: int = 0) -> None:
        self.committed_offset, self.log_start_offset = committed, log_start
        self.commits: list[int] = []
        self.away = 0

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise KafkaConnectionError("away")

    async def committed(self, parts: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._answer()
        return dict.fromkeys(parts, self.committed_offset)

    async def log_start(self, part: TopicPartition) -> int:
        return self.log_start_offset

    async def commit(self, offsets: Mapping[TopicPartition, int], generation: int) -> None:
        self._answer()
        assert generation > 0
        self.commits.append(offsets[PART])


class Bench:
    """An intake whose work ends when the test says so."""

    def __init__(self, broker: Broker | None = None, **limits: int) -> None:
        self.broker = broker or Broker()
        self.working: dict[int, asyncio.Future[None]] = {}
        self.failures: list[BaseException] = []
        self.intake = Intake(self.work, self.broker, self.failures.append, sleep=lambda _: asyncio.sleep(0), **limits)
        self.intake.assign([PART], 1)

    async def work(self, record: Taken) -> None:
        self.working[record.offset] = asyncio.get_running_loop().create_future()
        await self.working[record.offset]

    async def take(self, *offsets: int, generation: int = 1) -> None:
        for offset in offsets:
            await self.intake.take(record(offset, generation))
        await settle()

    async def end(self, *offsets: int) -> None:
        for offset in offsets:
            self.working[offset].set_result(None)
        await settle()

    async def committed(self) -> int | None:
        await self.intake.commit()
        return self.broker.commits[-1] if self.broker.commits else None


def record(offset: int, generation: int = 1, size: int = 1) -> Taken:
    return Taken("events.s", "s", 0, offset, b"k", b"x" * size, [], generation)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_only_the_finished_prefix_is_committed() -> None:
    bench = Bench(Broker(committed=5))
    await bench.take(5, 6, 7, 8)
    await bench.end(6, 7)
    assert await bench.committed() is None  # Faust's own _new_offset would commit past the head here
    await bench.end(5)
    assert await bench.committed() == 8
    assert await bench.committed() == 8
    assert bench.broker.commits == [8]  # nothing new, nothing committed
    assert bench.intake.finished == 3
    assert bench.intake.done(PART) == 8


async def test_a_record_read_again_is_taken_once() -> None:
    bench = Bench()
    await bench.take(0, 1, 0, 1, 2)
    assert sorted(bench.working) == [0, 1, 2]
    assert bench.intake.in_flight == 3


async def test_a_jump_that_retention_explains_is_passed() -> None:
    bench = Bench(Broker(committed=5, log_start=100))
    await bench.take(100)
    await bench.end(100)
    assert await bench.committed() == 101


@pytest.mark.parametrize(("first", "then"), [(0, 2), (0, 50)])
async def test_a_jump_over_records_that_are_still_there_ends_fan_out(first: int, then: int) -> None:
    bench = Bench()
    await bench.take(first, then)
    await bench.end(first)
    assert isinstance(bench.failures[0], RecordsSkipped)
    assert await bench.committed() == 1
    assert then not in bench.working


async def test_a_jump_at_the_beginning_is_found_too() -> None:
    bench = Bench(Broker(committed=5))
    await bench.take(6)
    assert isinstance(bench.failures[0], RecordsSkipped)
    assert await bench.committed() is None


async def test_it_waits_until_it_knows_where_the_partition_stands() -> None:
    bench = Bench(Broker(committed=3))
    bench.broker.away = 3
    await bench.take(3)
    await bench.end(3)
    assert await bench.committed() == 4


async def test_it_waits_for_room() -> None:
    bench = Bench(in_flight_max=2)
    taking = asyncio.create_task(bench.take(0, 1, 2, 3))
    await settle()
    assert sorted(bench.working) == [0, 1]
    await bench.end(1)
    assert sorted(bench.working) == [0, 1, 2]
    await bench.end(0, 2)
    await taking
    assert sorted(bench.working) == [0, 1, 2, 3]


async def test_it_waits_for_bytes_but_a_single_large_record_passes() -> None:
    bench = Bench(in_flight_bytes_max=10)
    taking = asyncio.create_task(bench.intake.take(record(0, size=100)))
    await settle()
    assert taking.done()
    more = asyncio.create_task(bench.intake.take(record(1)))
    await settle()
    assert not more.done()
    await bench.end(0)
    await more


async def test_a_failed_commit_is_made_up_for() -> None:
    bench = Bench()
    await bench.take(0)
    await bench.end(0)
    bench.broker.away = 1
    assert await bench.committed() is None
    assert await bench.committed() == 1


async def test_a_drain_ends_what_is_in_flight_and_commits() -> None:
    bench = Bench()
    await bench.take(0, 1)
    draining = asyncio.create_task(bench.intake.drain(timeout_s=5))
    await bench.end(0, 1)
    await draining
    assert bench.broker.commits == [2]


async def test_a_drain_is_bounded_and_what_is_left_acknowledges_nothing() -> None:
    bench = Bench()
    await bench.take(0, 1)
    await bench.end(0)
    await bench.intake.drain(timeout_s=0.01)
    await bench.intake.revoke()
    assert bench.working[1].cancelled()
    assert bench.broker.commits == [1]
    assert bench.intake.in_flight == 0
    assert await bench.committed() == 1


async def test_after_a_revocation_records_of_the_old_generation_are_dropped() -> None:
    bench = Bench()
    await bench.take(0)
    await bench.intake.revoke()
    await bench.take(1)
    bench.intake.assign([PART], 2)
    await bench.take(2)
    assert sorted(bench.working) == [0]
    await bench.take(0, 1, generation=2)
    await bench.end(0, 1)
    assert await bench.committed() == 2


async def test_whoever_waits_for_room_when_the_partition_goes_gives_up() -> None:
    bench = Bench(in_flight_max=1)
    await bench.take(0)
    waiting = asyncio.create_task(bench.take(1))
    await settle()
    await bench.intake.revoke()
    await waiting
    assert sorted(bench.working) == [0]


async def test_records_that_are_revoked_before_their_first_step_leave_their_room() -> None:
    bench = Bench(in_flight_max=2)
    await settle()
    for offset in (0, 1):
        await bench.intake.take(record(offset))  # the task has not begun
    await bench.intake.revoke()
    assert not bench.working
    bench.intake.assign([PART], 2)
    await bench.take(0, 1, generation=2)
    await bench.end(0, 1)
    assert await bench.committed() == 2


async def test_a_revoked_record_is_not_acknowledged_and_an_error_ends_fan_out() -> None:
    bench = Bench()
    await bench.take(0, 1)
    bench.working[0].set_exception(Revoked())
    bench.working[1].set_exception(KeyError("a defect"))
    await settle()
    assert await bench.committed() is None
    assert isinstance(bench.failures[0], KeyError)
    assert bench.intake.in_flight == 0


async def test_nothing_is_taken_while_stopping() -> None:
    bench = Bench()
    await bench.take(0)
    bench.intake.stop_taking()
    await bench.take(1)
    assert sorted(bench.working) == [0]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 20), st.lists(st.integers(0, 30), max_size=60), st.data())
def test_whatever_is_read_in_whatever_order_it_ends_the_prefix_has_no_hole(
    committed: int, jumps: list[int], data: st.DataObject
) -> None:
    position = Position(committed)
    taken: list[int] = []
    for offset in jumps:
        if position.follows(offset):
            if position.take(offset):
                taken.append(offset)
        else:
            with pytest.raises(RecordsSkipped):
                position.skip_to(offset, log_start=0)
    assert taken == list(range(committed, committed + len(taken)))
    finished: set[int] = set()
    for offset in data.draw(st.permutations(taken)):
        position.finish(offset)
        finished.add(offset)
        assert set(range(committed, position.done)) <= finished
        assert position.done not in finished
    assert position.done == committed + len(taken)


async def test_an_error_that_nobody_expects_ends_fan_out_before_it_takes_anything() -> None:
    class Broken(Broker):
        async def committed(self, parts: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
            raise RuntimeError("the consumer is gone")

    bench = Bench(Broken())
    await settle()
    assert isinstance(bench.failures[0], RuntimeError)
    assert not bench.intake.open


async def test_it_is_not_open_until_it_knows_where_to_begin() -> None:
    bench = Bench()
    bench.broker.away = 3
    assert not bench.intake.open
    for _ in range(10):
        await settle()
    assert bench.intake.open
    await bench.intake.revoke()
    bench.intake.assign([PART], 2)
    assert not bench.intake.open


async def test_work_that_is_cancelled_while_its_partition_is_still_here_ends_fan_out() -> None:
    """Nobody else would take the record, and nothing after it could be committed."""
    bench = Bench()
    await bench.take(0)
    bench.working[0].cancel()  # as an acknowledgement that somebody else gave up
    await settle()
    assert bench.failures
    assert await bench.committed() is None


async def test_a_jump_is_not_judged_when_the_partition_went_meanwhile() -> None:
    class Slow(Broker):
        async def log_start(self, part: TopicPartition) -> int:
            await bench.intake.revoke()
            return 0

    bench = Bench(Slow())
    await bench.take(0, 7)
    assert not bench.failures
    assert 7 not in bench.working


class Putting(Broker):
    """A broker that puts commits off until it is told to take them."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = asyncio.Event()
        self.given_up = 0

    async def commit(self, offsets: Mapping[TopicPartition, int], generation: int) -> None:
        try:
            await self.takes.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        await super().commit(offsets, generation)


async def test_a_commit_under_way_is_given_up_when_the_partitions_go() -> None:
    broker = Putting()
    bench = Bench(broker)
    await bench.take(0)
    await bench.end(0)
    committing = asyncio.create_task(bench.intake.commit())
    await settle()
    await bench.intake.revoke()
    await committing
    broker.takes.set()
    await settle()
    assert (broker.given_up, broker.commits) == (1, [])


async def test_an_older_commit_does_not_overtake_the_last_one() -> None:
    broker = Putting()
    bench = Bench(broker)
    await bench.take(0, 1)
    await bench.end(0)
    older = asyncio.create_task(bench.intake.commit())
    await settle()
    await bench.end(1)
    draining = asyncio.create_task(bench.intake.drain(timeout_s=1))
    await settle()
    broker.takes.set()
    await asyncio.gather(older, draining)
    assert (broker.given_up, broker.commits) == (1, [2])
    assert await bench.committed() == 2
