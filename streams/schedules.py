"""Firing schedules: on every worker that fans out, with no leader to elect and none to wait for.

Each worker knows every schedule's mark (`streams.marks`). Who fired last fires next, at the due moment; the others
stand by and fire half a second later what has no mark by then. So a worker that is killed costs no tick and no second,
and two that fire the same tick make one event, because its id is the schedule's name and the due time.

A tick that is up to `ON_TIME_S` late is fired as if it were not: a restart, or a broker that was away for a moment,
skips nothing. What is later than that was missed, and ``catch_up`` says what becomes of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice, takewhile

import structlog
from aiokafka.errors import KafkaError

from streams.changes import happens_within
from streams.event import SCHEDULES_SOURCE
from streams.marks import AHEAD_MS_MAX, Mark, Marks
from streams.metrics import ScheduleMetrics
from streams.record import Record
from streams.schedule import Schedule
from streams.topics import TopicNames

ON_TIME_S = 60
STANDBY_MS = 300  # and as much again, by worker and schedule: those that stand by do not all fire together
LOOK_S_MAX = 1.0  # between two looks at the clock, so that one that is set is seen
LOOK_S_MIN = 0.005
BATCH = 100  # ticks on their way at once while catching up
MISSED_COUNT_MAX = 10_000  # counted no further: a year of seconds would take minutes
RETRY_S = 1.0
ANEW_MS = 5000  # between two tries to begin a schedule: meanwhile the mark comes back from the log

log = structlog.get_logger("schedules")


def worker_name() -> str:
    """Return what tells this worker from every other, and from itself before a restart."""
    return f"{socket.gethostname()}/{os.getpid()}/{os.urandom(4).hex()}"


class Timetable:
    """What one worker fires.

    Args:
        schedules: returns the schedules of the moment.
        marks: kept current by somebody else.
        send: returns when a record is acknowledged; raises `KafkaError`.
        worker: this worker, as `worker_name` names it.
        now_ms: Unix milliseconds.
    """

    def __init__(
        self,
        schedules: Callable[[], Iterable[Schedule]],
        marks: Marks,
        send: Callable[[Record], Awaitable[None]],
        names: TopicNames,
        metrics: ScheduleMetrics,
        *,
        worker: str,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._schedules, self._marks, self._send, self._names = schedules, marks, send, names
        self._metrics, self._worker, self._now_ms, self._sleep = metrics, worker, now_ms, sleep
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._next: dict[str, tuple[Schedule, int, int | None]] = {}  # schedule, mark, the due time after it
        self._written_anew_ms: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._failure: Exception | None = None
        marks.on_change = self._changed.set

    async def run(self) -> None:
        """Fire what is due, for ever; cancelled, it gives up what is not acknowledged yet.

        Raises:
            Whatever firing raised that is no `KafkaError`: begun again at once, and again, nobody would see it.
        """
        try:
            while self._failure is None:
                self._changed.clear()
                await happens_within(self._changed, self.turn())
                await asyncio.sleep(LOOK_S_MIN)  # many marks in a moment are one look
            raise self._failure
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    def turn(self) -> float:
        """Begin all that is due now, and return the seconds until there may be something again."""
        now_ms = self._now_ms()
        soonest_ms = now_ms + int(LOOK_S_MAX * 1000)
        for schedule in self._schedules():
            if schedule.name not in self._busy:
                at_ms = self._look(schedule, now_ms)
                if at_ms is not None:
                    soonest_ms = min(soonest_ms, at_ms)
        return max(LOOK_S_MIN, (soonest_ms - now_ms) / 1000)

    async def idle(self) -> None:
        """Return when nothing that was begun is under way."""
        while self._busy:
            await asyncio.wait(set(self._busy.values()))

    def _look(self, schedule: Schedule, now_ms: int) -> int | None:
        """Begin what one schedule needs now, or return when it will, ``None`` if that cannot be told."""
        mark, enabled = self._marks.get(schedule.name), schedule.settings.enabled
        if mark is None or mark.enabled != enabled or mark.due_ms > now_ms + AHEAD_MS_MAX:
            if abs(now_ms - self._written_anew_ms.get(schedule.name, 0)) < ANEW_MS:
                return None
            if mark is not None and mark.due_ms > now_ms + AHEAD_MS_MAX:
                log.error("schedule_mark_in_the_future", schedule=schedule.name, reason="a clock was set back")
            self._begin(schedule, self._begin_anew(schedule, mark, now_ms))
            return None
        if not enabled:
            return None
        due_ms = self._due_after(schedule, mark)
        if due_ms is None:
            return None
        at_ms = due_ms + schedule.delay_ms(due_ms) + self._standby_ms(mark)
        if at_ms <= now_ms:
            self._begin(schedule, self._fire(schedule, mark, now_ms))
        return at_ms

    def _due_after(self, schedule: Schedule, mark: Mark) -> int | None:
        found = self._next.get(schedule.name)
        if found is None or found[0] is not schedule or found[1] != mark.due_ms:
            found = self._next[schedule.name] = (schedule, mark.due_ms, schedule.next_due(mark.due_ms))
        return found[2]

    def _standby_ms(self, mark: Mark) -> int:
        if mark.worker == self._worker:
            return 0
        digest = hashlib.sha256(f"{self._worker}@{mark.schedule}".encode()).digest()
        return STANDBY_MS + int.from_bytes(digest[:4], "big") % STANDBY_MS

    def _begin(self, schedule: Schedule, work: Awaitable[None]) -> None:
        async def carry_through() -> None:
            try:
                await work
            except KafkaError as error:
                log.warning("schedule_unsent", schedule=schedule.name, reason=str(error) or type(error).__name__)
                await self._sleep(RETRY_S)  # it is still due: the next look begins it again
            except Exception as error:
                self._failure = error
            finally:
                self._busy.pop(schedule.name, None)
                self._changed.set()

        self._busy[schedule.name] = asyncio.create_task(carry_through(), name=f"schedule-{schedule.name}")

    async def _begin_anew(self, schedule: Schedule, mark: Mark | None, now_ms: int) -> None:
        """Write that the schedule begins, or is switched, now; the mark holds when it is read back from the log.

        Not at once: where several workers write it, the first in the log holds for all of them.
        """
        fired_ms = 0 if mark is None else mark.fired_ms
        anew = Mark(schedule.name, now_ms, self._worker, fired_ms, schedule.settings.enabled, reset=True)
        await self._send(anew.to_record(self._names.schedules))
        self._written_anew_ms[schedule.name] = now_ms

    async def _fire(self, schedule: Schedule, mark: Mark, now_ms: int) -> None:
        position_ms = await self._pass_over(schedule, mark, now_ms)
        while True:
            known = self._marks.get(schedule.name)
            if known is not None:  # another worker may have come further meanwhile
                position_ms = max(position_ms, known.due_ms)
            batch = list(islice(self._ripe(schedule, position_ms), BATCH))
            if not batch:
                return
            await asyncio.gather(*(self._make(schedule, due_ms) for due_ms in batch))
            position_ms = batch[-1]
            await self._mark(Mark(schedule.name, position_ms, self._worker, fired_ms=position_ms))

    async def _pass_over(self, schedule: Schedule, mark: Mark, now_ms: int) -> int:
        """Return after which due time to fire; what was missed before it is fired or counted, as ``catch_up`` says."""
        missed_until_ms = now_ms - 1000 * (ON_TIME_S + schedule.settings.jitter)
        if schedule.settings.catch_up == "all" or missed_until_ms <= mark.due_ms:
            return mark.due_ms
        missed = schedule.count_due(mark.due_ms, missed_until_ms, most=MISSED_COUNT_MAX)
        if not missed:
            return mark.due_ms
        fired_ms = mark.fired_ms
        if schedule.settings.catch_up == "last":
            last_ms = schedule.last_due(mark.due_ms, missed_until_ms)
            if last_ms is not None:
                await self._make(schedule, last_ms)
                missed, fired_ms = missed - 1, last_ms
        if missed:
            log.warning("schedule_missed", schedule=schedule.name, count=missed, catch_up=schedule.settings.catch_up)
            self._metrics.ticks.labels(schedule.name, "missed").inc(missed)
        await self._mark(Mark(schedule.name, missed_until_ms, self._worker, fired_ms))
        return missed_until_ms

    def _ripe(self, schedule: Schedule, position_ms: int) -> Iterator[int]:
        """Yield the due times after ``position_ms`` whose moment has come."""
        now_ms = self._now_ms()
        return takewhile(lambda due: due + schedule.delay_ms(due) <= now_ms, schedule.due_after(position_ms))

    async def _make(self, schedule: Schedule, due_ms: int) -> None:
        event = schedule.tick(due_ms, now_ms=self._now_ms())
        topic = self._names.events(SCHEDULES_SOURCE)
        await self._send(Record(topic, event.key, event.body, event.to_headers()))
        late_s = (self._now_ms() - due_ms - schedule.delay_ms(due_ms)) / 1000
        self._metrics.fired(schedule.name, max(0.0, late_s))

    async def _mark(self, mark: Mark) -> None:
        await self._send(mark.to_record(self._names.schedules))
        self._marks.apply(mark)
