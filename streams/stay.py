"""One delivery's stay in its destination's queue: how it ends, and what is written down of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import structlog

from connectors.errors import CallError, TransientError
from streams import outcome as outcomes
from streams.cancellations import ended
from streams.consumed import Consumed
from streams.dead_letter import DeadLetter, Failure, failed_delivery, tombstone, unreadable_record
from streams.delivery import Delivery
from streams.event import UnreadableRecord
from streams.outcome import outcome_of
from streams.own_events import dead_letter
from streams.routing import Route
from streams.shadow import shadow_of
from streams.surroundings import Surroundings

# Refusals that may have been about the moment, not about the call: a replay repeats the same Idempotency-Key.
INDEFINITE_4XX = frozenset({408, 409, 425, 429})

log = structlog.get_logger("deliver")


class Stay:
    """One delivery's stay in its destination's queue, and the ways in which it ends."""

    def __init__(self, record: Consumed, delivery: Delivery, around: Surroundings) -> None:
        self.record = record
        self.delivery = delivery
        self.around = around
        self.started_s = around.now_s()
        self.outcome = ""  # the last that was reported; none for a delivery that moved to another queue
        self.route_label = ""  # a label value is the routing table's, never a record's

    def note_failure(self, error: CallError) -> None:
        """Count the calls of a round that failed."""
        self.delivery = self.delivery.after_failure(error, now_ms=self.now_ms())

    async def record_shadow(self, route: Route, parameters: object, error: str) -> None:
        """Write what would have been called, or why nothing would: nobody waits for it."""
        shadow = shadow_of(self.delivery, action=route.action, parameters=parameters, error=error, now_ms=self.now_ms())
        await self.around.send(shadow.to_record(self.around.names.shadow))
        await self.finish(outcomes.SHADOWED, attempts=0, status=None, detail=error)

    async def cancel(self, reason: str) -> None:
        """Pass over a delivery that somebody cancelled, and end the cancellation."""
        await self.skip(f"cancelled: {reason}")
        self.around.metrics.cancelled.labels(self.around.destination).inc()
        # After the outcome: killed in between, it is still cancelled when it is read again.
        await self.around.send(ended(self.around.names, self.delivery.id))

    async def skip(self, why: str) -> None:
        """Settle a delivery without a call."""
        await self.finish(outcomes.SKIPPED, attempts=0, status=None, detail=why)

    async def postpone(self, error: TransientError, *, stage: str, ordered: bool) -> None:
        """Let it wait in a retry topic, or bury it if there is none left for it; ``stage`` is that of `Failure`."""
        delays_s = self.around.delays_s
        # What comes back later is no longer in order: an ordered delivery has its attempts in place, and no others.
        if ordered or self.delivery.round >= len(delays_s):
            await self.bury(stage, error)
            return
        wait_s = max(float(delays_s[self.delivery.round]), error.retry_after_s or 0.0)
        delay_s = retry_delay_s(delays_s, wait_s)
        waiting = replace(
            self.delivery,
            round=self.delivery.round + 1,
            not_before_ms=self.now_ms() + int(wait_s * 1000),
        )
        await self.around.send(waiting.to_record(self.around.names.retries(delay_s)))
        self._log(outcomes.DELAYED, error, wait_s=round(wait_s, 1))
        await self._report(outcomes.DELAYED, attempts=self.delivery.attempts, status=error.status, detail=str(error))

    async def finish(self, outcome: str, *, attempts: int, status: int | None, detail: str = "") -> None:
        """Report an outcome that ends the delivery, and the letter that a replay was made of."""
        total = self.delivery.attempts + attempts
        await self._report(outcome, attempts=total, status=status, detail=detail)
        log.debug("delivery_" + outcome, attempt=total, status=status)
        if self.delivery.replay:
            # After the outcome: a crash in between repeats the call, and the letter is still there to see.
            await self.around.send(tombstone(self.around.names.dead_letter, self.delivery.id))
        # The age of a replay says when somebody decided on it: no objective is measured by that.
        if outcome == outcomes.SETTLED and not self.delivery.replay:
            age_s = self.around.now_s() - self.delivery.event.time_ms / 1000
            self.around.metrics.delivery_age_s.labels(self.around.destination).observe(max(0.0, age_s))

    async def bury(self, stage: str, error: Exception) -> None:
        """Make a dead letter of it; ``stage`` is that of `Failure`."""
        status = error.status if isinstance(error, CallError) else None
        delivery = self.delivery
        if stage == "call" and status is not None and 400 <= status < 500 and status not in INDEFINITE_4XX:
            # A provider that remembers keys would answer a replay from its memory: the replay gets a key of its own.
            delivery = replace(delivery, key_replay=delivery.replay + 1)
        failure = Failure(
            stage=stage,
            topic=self.record.topic,
            partition=self.record.partition,
            offset=self.record.offset,
            error_class=type(error).__name__,
            message=str(error),
            status=status,
            last_failure_ms=self.now_ms(),
        )
        await send_letter(failed_delivery(delivery, failure), self.around)
        self._log(outcomes.DEAD_LETTERED, error, stage=stage)
        await self._report(outcomes.DEAD_LETTERED, attempts=delivery.attempts, status=status, detail=str(error))

    async def _report(self, outcome: str, *, attempts: int, status: int | None, detail: str) -> None:
        report = outcome_of(
            self.delivery,
            outcome,
            attempts=attempts,
            status=status,
            duration_s=self.around.now_s() - self.started_s,
            now_ms=self.now_ms(),
            detail=detail,
        )
        await self.around.send(report.to_record(self.around.names.outcomes))
        self.outcome = outcome
        self.around.metrics.deliveries.labels(self.around.destination, self.route_label, outcome).inc()

    def _log(self, outcome: str, error: Exception, **fields: object) -> None:
        log.warning("delivery_" + outcome, attempt=self.delivery.attempts, error=str(error), **fields)

    def now_ms(self) -> int:
        """Return the time, in Unix milliseconds."""
        return int(self.around.now_s() * 1000)


def retry_delay_s(delays_s: Iterable[int], wait_s: float) -> int:
    """Return the smallest delay of at least ``wait_s``, or the longest there is: further stays wait for the rest."""
    ordered = sorted(delays_s)
    return next((delay_s for delay_s in ordered if delay_s >= wait_s), ordered[-1])


async def send_letter(letter: DeadLetter, around: Surroundings) -> None:
    """Publish a dead letter and what is told of it; acknowledged, both, before the record that died is settled."""
    await around.send(letter.to_record(around.names.dead_letter))
    around.metrics.dead_letters.written(letter)
    for record in around.own_events.records(dead_letter(letter, destination=around.destination)):
        await around.send(record)


async def bury_unreadable(record: Consumed, error: UnreadableRecord, around: Surroundings) -> None:
    """Make a dead letter of a record that is no delivery."""
    failure = Failure(
        stage="decode",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        error_class=type(error).__name__,
        message=str(error),
        last_failure_ms=int(around.now_s() * 1000),
        first_failure_ms=int(around.now_s() * 1000),
    )
    letter = unreadable_record(record.key, record.value, record.headers, failure)
    await send_letter(letter, around)
    log.warning("delivery_unreadable", destination=around.destination, letter=letter.id, error=str(error))
    around.metrics.deliveries.labels(around.destination, "", outcomes.DEAD_LETTERED).inc()
