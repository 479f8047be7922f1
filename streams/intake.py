"""Taking records of the events topics: so many at once, acknowledged and committed in order, given back in time.

Without Faust, so that it can be tested without; `streams.fan_out_member` calls it when Faust assigns, revokes and
hands out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.positions import Position
from streams.taken import Revoked, Taken

IN_FLIGHT_MAX = 64  # records in work: what a kill -9 can repeat is fewer
IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024
RETRY_S = 0.5
CANCELLED_S_MAX = 1.0

log = structlog.get_logger("fan_out")


class Offsets(Protocol):
    """The offsets that the broker keeps. Each call raises `KafkaError`, `TimeoutError` or `OSError` as the broker."""

    async def committed(self, parts: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the committed offset of each partition, or the log's start where there is none."""

    async def log_start(self, part: TopicPartition) -> int:
        """Return the first offset that is still in the log."""

    async def commit(self, offsets: Mapping[TopicPartition, int], generation: int) -> None:
        """Commit, if this worker is still the member that ``generation`` assigned the partitions to."""


class Intake:
    """What this worker has taken.

    Args:
        work: carries one record through and returns when all that follows from it is acknowledged.
        offsets: the broker's side.
        fail: is told of an error that only a new start of the process can end.
    """

    def __init__(
        self,
        work: Callable[[Taken], Awaitable[object]],
        offsets: Offsets,
        fail: Callable[[BaseException], None],
        *,
        in_flight_max: int = IN_FLIGHT_MAX,
        in_flight_bytes_max: int = IN_FLIGHT_BYTES_MAX,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._work = work
        self._offsets = offsets
        self._fail = fail
        self._in_flight_max = in_flight_max
        self._in_flight_bytes_max = in_flight_bytes_max
        self._sleep = sleep
        self._positions: dict[TopicPartition, Position] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes_in_flight = 0
        self._changed = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._opened = False  # the assignment that is under way
        self._committing: asyncio.Timeout | None = None  # the commit that is under way
        self._stopping = False
        self.generation = -1  # of the assignment; negative while there is none
        self.finished = 0  # records done since the start

    @property
    def used_ratio(self) -> float:
        """The used share of the fuller of the two bounds on what is in work."""
        return max(len(self._tasks) / self._in_flight_max, self._bytes_in_flight / self._in_flight_bytes_max)

    @property
    def in_flight(self) -> int:
        """How many records are in work."""
        return len(self._tasks)

    @property
    def open(self) -> bool:
        """Whether it is known where each partition of the assignment stands; without one there is nothing to know."""
        return self._opening is None or self._opened

    def done(self, part: TopicPartition) -> int | None:
        """Return the first offset of the partition that is not done, ``None`` if that is not known yet."""
        position = self._positions.get(part)
        return None if position is None else position.done

    def assign(self, parts: Iterable[TopicPartition], generation: int) -> None:
        """Begin an assignment: find where each partition stands. Until then `take` waits."""
        self.generation = generation
        self._opened = False
        self._opening = asyncio.create_task(self._open(list(parts), generation))

    async def _open(self, parts: list[TopicPartition], generation: int) -> None:
        while self.generation == generation:
            try:
                committed = await self._offsets.committed(parts) if parts else {}
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("offsets_unavailable", reason=str(error) or type(error).__name__)
                await self._sleep(RETRY_S)
            except Exception as error:
                self._fail(error)
                return
            else:
                if self.generation == generation:
                    self._positions = {part: Position(committed[part]) for part in parts}
                    self._opened = True
                    self._wake()
                return

    async def take(self, record: Taken) -> None:
        """Begin work on a record and return; wait while too much is in flight. A revoked record is dropped."""
        part, size = TopicPartition(record.topic, record.partition), len(record.value or b"")
        while self._holds(record) and (part not in self._positions or not self._has_room()):
            await self._change()
        if not self._holds(record):
            return
        position = self._positions[part]
        if not position.follows(record.offset):
            try:
                log_start = await self._offsets.log_start(part)
                if self._holds(record):  # else it is the next owner's to judge
                    position.skip_to(record.offset, log_start=log_start)
            except Exception as error:
                self._fail(error)
                self._stopping = True
                return
        if self._holds(record) and position.take(record.offset):
            self._bytes_in_flight += size
            task = asyncio.create_task(self._carry_through(position, record))
            self._tasks.add(task)
            task.add_done_callback(partial(self._leave, record, size))

    def _leave(self, record: Taken, size: int, task: asyncio.Task[None]) -> None:
        """Make room: of a task that `revoke` cancelled before its first step nothing else would run."""
        self._bytes_in_flight -= size
        self._tasks.discard(task)
        self._wake()
        if task.cancelled() and record.generation == self.generation:
            self._fail(
                RuntimeError(f"the work on offset {record.offset} of {record.topic} ended")
            )  # and no other begins

    async def _carry_through(self, position: Position, record: Taken) -> None:
        try:
            await self._work(record)
            if self._positions.get(TopicPartition(record.topic, record.partition)) is position:
                position.finish(record.offset)
                self.finished += 1
        except Revoked:
            pass  # not acknowledged: the next owner takes it again
        except Exception as error:
            self._fail(error)

    def stop_taking(self) -> None:
        """Take nothing more; what is in flight goes on."""
        self._stopping = True
        self._wake()

    async def drain(self, *, timeout_s: float) -> None:
        """Wait for what is in flight, within ``timeout_s``, and commit what is done."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))
        except TimeoutError:
            log.warning("drain_incomplete", in_flight=len(self._tasks))
        await self.commit()

    async def revoke(self) -> None:
        """End the assignment: whatever is still in work writes and acknowledges nothing more."""
        self.generation = -1
        self._positions = {}
        self._give_up_commit()
        self._wake()
        ending = {*self._tasks, *([self._opening] if self._opening else [])}
        self._opening = None
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=CANCELLED_S_MAX)

    async def commit(self) -> None:
        """Commit how far each partition is done, where that has changed; what fails is tried again by the next call.

        A commit that is still under way is given up: it says less. So does the end of the assignment: aiokafka would
        send it again under the next generation, over the head of whoever owns the partitions by then.
        """
        self._give_up_commit()
        moved = {part: position for part, position in self._positions.items() if position.done > position.committed}
        offsets = {part: position.done for part, position in moved.items()}
        if not offsets:
            return
        committing = self._committing = asyncio.timeout(None)
        try:
            async with committing:
                await self._offsets.commit(offsets, self.generation)
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("commit_failed", reason=str(error) or type(error).__name__)
            return
        finally:
            if self._committing is committing:
                self._committing = None
        for part, position in moved.items():
            position.committed = offsets[part]

    def _give_up_commit(self) -> None:
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.reschedule(asyncio.get_running_loop().time())

    def _holds(self, record: Taken) -> bool:
        return record.generation == self.generation and not self._stopping

    def _has_room(self) -> bool:
        return not self._tasks or (
            len(self._tasks) < self._in_flight_max and self._bytes_in_flight < self._in_flight_bytes_max
        )

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
