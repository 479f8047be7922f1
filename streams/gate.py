"""What the work of one queue passes before it calls or publishes: is it still this worker's, is it paused."""

from __future__ import annotations

import asyncio

import structlog

from streams.assignment import Abandoned, Assignment
from streams.changes import Changes
from streams.event import format_time
from streams.membership import Membership
from streams.pauses import Pause, publish
from streams.record import Record
from streams.shared import Shared

log = structlog.get_logger("deliver")


class Gate:
    """The gate of one destination's queue."""

    def __init__(self, destination: str, membership: Membership, shared: Shared, changes: Changes) -> None:
        self._destination, self._membership, self._shared, self._changes = destination, membership, shared, changes
        self._pausing = asyncio.Lock()
        self.publishing = 0  # records that are on their way to the broker

    @property
    def paused(self) -> bool:
        """Whether the destination is paused."""
        return self._shared.pauses.get(self._destination) is not None

    @property
    def version(self) -> int:
        """A number that changes with each pause and resume of the destination."""
        return self._shared.pauses.version(self._destination)

    def gives_back(self, assignment: Assignment) -> bool:
        """Return whether this worker lets go of records that it has taken and not settled."""
        return assignment.draining or self._membership.lost(assignment.generation)

    async def owned(self, assignment: Assignment) -> None:
        """Return when this worker certainly owns the assignment's partitions, by a heartbeat that is young enough.

        Raises:
            Abandoned: it does not, or soon will not.
        """
        while True:
            if assignment.over or self._membership.lost(assignment.generation):
                raise Abandoned
            if self._membership.certain(assignment.generation):
                return
            await self._changes.wait()

    async def open(self, assignment: Assignment) -> None:
        """Return when a call may begin; a pause and a lost broker are waited out.

        Raises:
            Abandoned: this worker gives the record back.
        """
        while True:
            if assignment.draining:
                raise Abandoned
            await self.owned(assignment)
            if not self.paused:
                return
            await self._changes.wait()

    async def send(self, assignment: Assignment, record: Record) -> None:
        """Publish what follows from a record of ``assignment`` and return when it is acknowledged.

        Raises:
            Abandoned: the record is no longer this worker's; nothing was published.
        """
        await self.owned(assignment)
        await self._publish(record)

    async def _publish(self, record: Record) -> None:
        self.publishing += 1
        try:
            await publish(self._shared.producer, record)
        finally:
            self.publishing -= 1

    async def pause(self, reason: str, *, version: int) -> None:
        """Pause the destination on all workers, unless it was paused or resumed since ``version``."""
        async with self._pausing:
            if self.version != version:
                return
            log.error("destination_paused", destination=self._destination, reason=reason)
            pause = Pause(self._destination, reason, format_time(int(self._shared.now_s() * 1000)))
            await self._publish(pause.to_record(self._shared.names.pauses))
            while self.version == version:
                await self._changes.wait(0.05)
            # Workers that are refused at the same moment all write: the one whose record is the first tells it.
            if self._shared.pauses.began(self._destination) == pause:
                self._shared.herald.paused(pause)
