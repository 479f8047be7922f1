"""Firing: several workers and one log, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from streams.event import Event
from streams.marks import AHEAD_MS_MAX, Mark, Marks
from streams.metrics import ScheduleMetrics
from streams.record import Record
from streams.schedule import Schedule, ScheduleSettings
from streams.schedules import BATCH, ON_TIME_S, STANDBY_MS, Timetable
from streams.topics import TopicNames

NAMES = TopicNames()
START_MS = int(datetime(2026, 11, 25, 10, 0, 0, 500_000, UTC).timestamp() * 1000)


def schedules(*crons: str, **settings: Any) -> list[Schedule]:
    return [Schedule(ScheduleSettings(name=f"s{n}", cron=cron, **settings)) for n, cron in enumerate(crons)]


@dataclass
class Log:
    """The topics: what was acknowledged, in order, and who reads it. ``broken`` refuses everything."""

    events: list[Event] = field(default_factory=list)
    marks: list[Record] = field(default_factory=list)
    readers: list[Marks] = field(default_factory=list)
    broken: bool = False

    async def send(self, record: Record) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise KafkaConnectionError
        if record.topic == NAMES.schedules:
            self.marks.append(record)
            for reader in self.readers:
                reader.read(record.key, record.value)
        else:
            self.events.append(Event.from_record(record.key, record.value, record.headers))

    def due(self) -> Counter[str]:
        """Return how often each tick is in the log."""
        return Counter(event.id for event in self.events)

    def reader(self) -> Marks:
        """Return the fold of a worker that starts now."""
        marks = Marks()
        for record in self.marks:
            marks.read(record.key, record.value)
        self.readers.append(marks)
        return marks


class Bed:
    """Workers on one log and one clock."""

    def __init__(self, entries: list[Schedule], log: Log | None = None, now_ms: int = START_MS) -> None:
        self.entries, self.log, self.now_ms = entries, log or Log(), now_ms
        self.workers: list[Timetable] = []
        self.metrics = ScheduleMetrics(CollectorRegistry())
        self.ids = iter("abcdefgh")

    def start(self) -> Timetable:
        worker = Timetable(
            lambda: self.entries,
            self.log.reader(),
            self.log.send,
            NAMES,
            self.metrics,
            worker=next(self.ids),
            now_ms=lambda: self.now_ms,
            sleep=lambda _: asyncio.sleep(0),
        )
        self.workers.append(worker)
        return worker

    def kill(self, worker: Timetable) -> None:
        self.workers.remove(worker)

    async def pass_time(self, seconds: float, step_s: float = 0.1, until: Callable[[], bool] = lambda: False) -> None:
        """Let the clock go on in steps, with a turn of each worker at every step."""
        for _ in range(round(seconds / step_s)):
            self.now_ms += int(step_s * 1000)
            await self.turn()
            if until():
                return

    async def turn(self) -> None:
        for worker in self.workers:
            worker.turn()
        for worker in self.workers:
            await worker.idle()

    def count(self, outcome: str, schedule: str = "s0") -> float:
        return self.metrics.ticks.labels(schedule, outcome)._value.get()


def ticks(*seconds: int, schedule: str = "s0") -> set[str]:
    times = (datetime.fromtimestamp(START_MS // 1000 + second, UTC) for second in seconds)
    return {f"{schedule}@{time.strftime('%Y-%m-%dT%H:%M:%S.000Z')}" for time in times}


async def test_one_worker_fires_each_due_time_once_and_at_once() -> None:
    bed = Bed(schedules("* * * * * *", "*/2 * * * * *"))
    bed.start()
    await bed.pass_time(10)
    due = bed.log.due()
    assert set(due.values()) == {1}
    # The first second may pass while the schedule begins.
    assert ticks(*range(2, 11)) <= {id_ for id_ in due if id_.startswith("s0")} <= ticks(*range(1, 11))
    late_ms = [event.time_ms - _due(event) for event in bed.log.events if event.id in ticks(*range(3, 11))]
    assert max(late_ms) <= 100  # one step of the clock


async def test_two_workers_make_one_event_and_the_second_stands_by() -> None:
    bed = Bed(schedules("* * * * * *"))
    bed.start()
    bed.start()
    await bed.pass_time(20)
    assert ticks(*range(2, 20)) <= set(bed.log.due())
    assert sum(bed.log.due().values()) == len(bed.log.due())


@pytest.mark.parametrize("killed", [0, 1])
async def test_a_worker_that_is_killed_costs_no_tick_and_no_second(killed: int) -> None:
    bed = Bed(schedules("* * * * * *"))
    bed.start()
    bed.start()
    await bed.pass_time(5)
    bed.kill(bed.workers[killed])
    await bed.pass_time(10)
    assert ticks(*range(2, 15)) <= set(bed.log.due())
    late_ms = [event.time_ms - _due(event) for event in bed.log.events if event.id in ticks(*range(3, 15))]
    assert max(late_ms) < 2 * STANDBY_MS + 200


async def test_a_kill_between_event_and_mark_makes_the_event_again_with_its_id() -> None:
    bed = Bed(schedules("* * * * * *"))
    bed.start()
    await bed.pass_time(3)
    kept = len(bed.log.marks)
    await bed.pass_time(1)
    after = Log(events=bed.log.events, marks=bed.log.marks[:kept])  # the last mark was never written
    second = Bed(bed.entries, after, bed.now_ms)
    second.start()
    await second.pass_time(3)
    due = after.due()
    assert ticks(*range(2, 7)) <= set(due)
    assert max(due.values()) == 2  # which fan-out drops: one id


async def _missed(catch_up: str, away_s: int = 600, cron: str = "*/10 * * * * *", **settings: Any) -> Bed:
    """Return a bed that ran, was away for so long, and ran again for a moment."""
    bed = Bed(schedules(cron, catch_up=catch_up, **settings))
    bed.start()
    await bed.pass_time(15)
    bed.kill(bed.workers[0])
    bed.log.events.clear()
    bed.now_ms += away_s * 1000
    bed.start()
    await bed.pass_time(2)
    return bed


async def test_nothing_is_caught_up_but_what_is_hardly_late() -> None:
    bed = await _missed("none")
    late_s = [(START_MS + 617_000 - _due(event)) / 1000 for event in bed.log.events]
    assert max(late_s) <= ON_TIME_S + 2
    assert len(bed.log.events) == 6
    assert bed.count("missed") == 600 / 10 - 6


async def test_the_last_missed_time_is_caught_up() -> None:
    bed = await _missed("last", cron="0 * * * * *")
    assert len(bed.log.events) == 2  # the last that was missed, and one within the minute
    assert bed.count("missed") == 10 - 2


async def test_all_missed_times_are_caught_up_in_order() -> None:
    bed = await _missed("all")
    due = [_due(event) for event in bed.log.events]
    assert due == sorted(due)
    assert len(due) == len(set(due)) == 60
    assert bed.count("missed") == 0


async def test_more_than_a_batch_is_caught_up() -> None:
    bed = await _missed("all", away_s=3 * BATCH + 50, cron="* * * * * *")
    assert len(set(bed.log.due())) >= 3 * BATCH + 50
    assert len(bed.log.marks) < 60  # a mark a batch, not a mark a tick


async def test_a_short_restart_skips_nothing() -> None:
    bed = await _missed("none", away_s=20, cron="* * * * * *")
    assert len(bed.log.events) >= 20
    assert bed.count("missed") == 0


async def test_while_the_log_is_away_ticks_wait() -> None:
    bed = Bed(schedules("* * * * * *"))
    bed.start()
    await bed.pass_time(3)
    bed.log.broken = True
    await bed.pass_time(5)
    bed.log.broken = False
    await bed.pass_time(3)
    assert ticks(*range(2, 11)) <= set(bed.log.due())


async def test_what_is_off_makes_nothing_and_is_not_caught_up() -> None:
    bed = Bed(schedules("* * * * * *", catch_up="all"))
    bed.start()
    await bed.pass_time(3)
    bed.entries = schedules("* * * * * *", catch_up="all", enabled=False)
    await bed.pass_time(1)
    made = len(bed.log.events)
    await bed.pass_time(600, step_s=5)
    assert len(bed.log.events) == made
    bed.entries = schedules("* * * * * *", catch_up="all")
    await bed.pass_time(5)
    assert made + 3 <= len(bed.log.events) <= made + 6


async def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    bed = Bed(schedules("* * * * * *"))
    bed.start()
    await bed.pass_time(10)
    bed.now_ms -= 5000
    await bed.pass_time(8)
    assert max(bed.log.due().values()) == 1


async def test_a_clock_that_was_far_ahead_silences_nothing_for_long() -> None:
    bed = Bed(schedules("* * * * * *"))
    bed.start()
    await bed.pass_time(3)
    bed.now_ms += 365 * 24 * 3600 * 1000
    await bed.pass_time(3)
    bed.now_ms -= 365 * 24 * 3600 * 1000
    made = len(bed.log.events)
    await bed.pass_time(10)
    assert len(bed.log.events) > made


async def test_jitter_delays_and_loses_nothing() -> None:
    bed = Bed(schedules("*/5 * * * * *", jitter=3))
    bed.start()
    bed.start()
    await bed.pass_time(60)
    late_ms = [event.time_ms - _due(event) for event in bed.log.events]
    assert max(late_ms) < 3000 + 2 * STANDBY_MS + 200
    assert len({late // 500 for late in late_ms}) > 2
    assert ticks(*range(5, 55, 5)) <= set(bed.log.due())


def test_a_mark_that_is_behind_or_late_does_not_hold() -> None:
    marks = Marks()
    first = Mark("s0", 1000, "a", reset=True)
    marks.apply(first)
    marks.apply(Mark("s0", 2000, "b", reset=True))
    assert marks.get("s0") == first  # of several that begin it, the first
    marks.apply(Mark("s0", 5000, "a"))
    marks.apply(Mark("s0", 4000, "b"))
    found = marks.get("s0")
    assert found is not None
    assert found.due_ms == 5000
    off = Mark("s0", 6000, "a", enabled=False, reset=True)
    marks.apply(off)
    marks.apply(Mark("s0", 7000, "b"))  # of a worker that did not know yet
    assert marks.get("s0") == off
    wrong = Mark("s0", 10 * AHEAD_MS_MAX, "a", reset=True)
    marks.apply(wrong)
    repaired = Mark("s0", 8000, "a", reset=True)
    marks.apply(repaired)
    assert marks.get("s0") == repaired


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"due": 1}', b"\xff"])
def test_a_mark_that_cannot_be_read_is_passed_over(value: bytes) -> None:
    marks = Marks()
    marks.read(b"s0", value)
    assert marks.get("s0") is None


def test_a_mark_survives_its_record() -> None:
    mark = Mark("s0", START_MS, "a", START_MS, enabled=False, reset=True)
    marks = Marks()
    record = mark.to_record("schedules")
    marks.read(record.key, record.value)
    assert marks.get("s0") == mark


def _due(event: Event) -> int:
    return round(datetime.fromisoformat(event.headers["headrace-due"]).timestamp() * 1000)


async def test_a_defect_in_firing_ends_the_worker_rather_than_being_tried_again_for_ever_unseen() -> None:
    class Defect(Log):
        async def send(self, record: Record) -> None:
            raise ValueError("not a record")

    bed = Bed(schedules("* * * * * *"), Defect())
    async with asyncio.timeout(10):
        with pytest.raises(ValueError, match="not a record"):
            await bed.start().run()
