"""One record of a destination's queue at work, from when it is taken until it is settled or given back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from prometheus_client import Histogram

from connectors.destination import Destination, Interrupted
from streams.assignment import Abandoned, Assignment
from streams.cancellations import Cancelled
from streams.carry_out import carry_out
from streams.chains import Link
from streams.changes import Changes
from streams.consumed import Consumed
from streams.copies import Copy
from streams.delivery import DELIVERY_ID_CHARS
from streams.gate import Gate
from streams.record import Record
from streams.room import Room
from streams.shared import Shared
from streams.surroundings import Settlement, Surroundings

ROUTE_WAIT_S = 30.0  # an ordered delivery of a route that this worker does not know yet: while a reload goes round


@dataclass(frozen=True, slots=True)
class Bench:
    """What all the work of one queue shares. ``queue_wait_s`` is by whether the record is of high priority."""

    destination: Destination
    gate: Gate
    room: Room
    changes: Changes
    shared: Shared
    queue_wait_s: Mapping[bool, Histogram]


class Work:
    """One record, and what became of it.

    ``copy`` is as of `streams.copies`; ``link`` is its place among those of its key, if its route is ordered.
    """

    __slots__ = (
        "_bench",
        "_came_ms",
        "_copy",
        "_handed_on",
        "_link",
        "_version",
        "assignment",
        "body_bytes",
        "high",
        "record",
        "settled",
    )

    def __init__(
        self,
        record: Consumed,
        bench: Bench,
        assignment: Assignment,
        *,
        copy: Copy | None,
        link: Link | None,
        high: bool,
    ) -> None:
        self.record, self._bench, self.assignment = record, bench, assignment
        self._copy, self._link, self.high = copy, link, high
        self.body_bytes = len(record.value or b"")
        self.settled = False
        self._came_ms = record.timestamp_ms  # into the queue, Unix milliseconds; 0 once its wait is counted
        self._version = 0  # of the destination's pauses
        self._handed_on = False  # to the queue of another destination

    async def run(self) -> None:
        """Carry the record out and settle it, or give it back: then it is read again by the next owner.

        Raises:
            Whatever must end the worker; cancellation gives back.
        """
        try:
            if self._link is not None:
                await self._await_turn(self._link)
            await carry_out(self.record, self._surroundings())
            self._settle()
        except (Abandoned, Interrupted):
            return
        finally:
            self.leave_chain()

    def leave_chain(self) -> None:
        """Let the next of its key go, or tell it that it must not."""
        if self._link is not None:
            self._link.end(done=self.settled)

    def _settle(self) -> None:
        part = self.record.part
        if self._handed_on:
            self.assignment.copies[part].forget(self._copy)
        if not self.assignment.over:
            self.assignment.settle(part, self.record.offset)
            self.settled = True

    async def _await_turn(self, link: Link) -> None:
        """Return when all earlier records of the key are settled, and the route is known.

        Raises:
            Abandoned: an earlier one was given back, and so is this one.
        """
        if link.waits:
            with self._bench.room.chained(high=self.high):
                if not await link.turn():
                    raise Abandoned
        shared = self._bench.shared
        ends_s = shared.monotonic_s() + ROUTE_WAIT_S
        while shared.routes().named(self.record.route) is None and shared.monotonic_s() < ends_s:
            if self.assignment.draining:
                raise Abandoned
            await self._bench.changes.wait()

    def _surroundings(self) -> Surroundings:
        shared, destination = self._bench.shared, self._bench.destination
        return Surroundings(
            destination=destination.name,
            delays_s=tuple(destination.settings.delays_s),
            names=shared.names,
            routes=shared.routes,
            send=self._send,
            call=self._call,
            check=destination.check,
            pause=self._pause,
            own_events=shared.own_events,
            now_s=shared.now_s,
            metrics=shared.metrics,
            cancelled=shared.cancellations.reason,
            tracing=shared.tracing,
        )

    async def _send(self, record: Record) -> None:
        self._handed_on = self._handed_on or record.topic.startswith(self._bench.shared.names.deliveries(""))
        await self._bench.gate.send(self.assignment, record)

    async def _call(self, action: str, parameters: dict[str, object], idempotency_key: str) -> Settlement:
        return await self._bench.destination.call(
            action,
            parameters,
            idempotency_key=idempotency_key,
            before_attempt=partial(self._before_attempt, idempotency_key[:DELIVERY_ID_CHARS]),
            high=self.high,
            in_place=self._link is not None,
        )

    async def _before_attempt(self, delivery_id: str) -> None:
        await self._bench.gate.open(self.assignment)
        # Last: it may have waited long for its turn.
        reason = self._bench.shared.cancellations.reason(delivery_id, self.record.replay)
        if reason is not None:
            raise Cancelled(reason)
        self._version = self._bench.gate.version
        if self._came_ms:
            waited_s = max(0.0, self._bench.shared.now_s() - self._came_ms / 1000)  # the clock may be another machine's
            self._bench.queue_wait_s[self.high].observe(waited_s)
            self._came_ms = 0

    async def _pause(self, reason: str) -> None:
        await self._bench.gate.pause(reason, version=self._version)
