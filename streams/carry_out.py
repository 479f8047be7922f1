"""What is done with one record of ``deliveries.<destination>``: render, call, and write down what became of it.

Plain async code: the log, the clock and the call are arguments. Whatever is raised, at whatever await, leaves the
record unsettled, and the next owner begins again with the same ``Idempotency-Key``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog
from structlog.contextvars import bind_contextvars

from connectors.errors import CallError, CredentialsRefused, PermanentError, RateLimited, TransientError
from streams import outcome as outcomes
from streams.body import BodyTooLarge, MalformedBody, UnsupportedBody
from streams.cancellations import Cancelled, ended
from streams.consumed import Consumed
from streams.dead_letter import DeadLetter, Failure, failed_delivery, replayed_letter, tombstone, unreadable_record
from streams.delivery import Delivery
from streams.event import UnreadableRecord
from streams.expression import ExpressionError
from streams.items import split
from streams.metrics import StreamsMetrics
from streams.mirror import as_it_came
from streams.outcome import outcome_of
from streams.own_events import OwnEvents, dead_letter
from streams.record import Record
from streams.routing import Route, Routes
from streams.shadow import shadow_of
from streams.topics import TopicNames
from streams.tracing import Tracing

# Refusals that may have been about the moment, not about the call: a replay repeats the same Idempotency-Key.
INDEFINITE_4XX = frozenset({408, 409, 425, 429})
INFLATED_BYTES_MAX = 64 * 1024 * 1024  # ingest has checked the source's own limit; this one bounds a foreign record

UNMATCHED = "the route's condition does not hold"

log = structlog.get_logger("deliver")


class Settlement(Protocol):
    """What a call that succeeded reports; `connectors.destination.Settled` is one."""

    @property
    def attempts(self) -> int: ...  # noqa: D102  see the class
    @property
    def status(self) -> int | None: ...  # noqa: D102
    @property
    def made(self) -> str: ...  # noqa: D102  how the service names what was made: the outcome's detail


Call = Callable[[str, dict[str, object], str], Awaitable[Settlement]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What carrying out needs from outside.

    ``send`` returns when the record is acknowledged. ``call`` carries out one round of attempts: action, rendered
    parameters, idempotency key. ``check`` says what is wrong with parameters, ``""`` if they fit the action. ``pause``
    pauses this destination, for a reason. ``own_events`` makes what is told of a dead letter. ``now_s`` is Unix time.
    ``cancelled`` says of a delivery id and replay why it is not to be called.
    """

    destination: str
    delays_s: tuple[int, ...]
    names: TopicNames
    routes: Callable[[], Routes]
    send: Callable[[Record], Awaitable[None]]
    call: Call
    check: Callable[[str, Mapping[str, object]], str]
    pause: Callable[[str], Awaitable[None]]
    own_events: OwnEvents
    now_s: Callable[[], float]
    metrics: StreamsMetrics
    cancelled: Callable[[str, int], str | None] = lambda _delivery_id, _replay: None
    tracing: Tracing = field(default_factory=Tracing)


async def carry_out(record: Consumed, around: Surroundings) -> None:
    """Return when the record is settled, parked in a retry topic, forwarded or dead-lettered, and that is acknowledged.

    Raises:
        Whatever ``send`` or ``call`` raises beyond a `CallError`: then nothing may be acknowledged.
    """
    try:
        delivery = Delivery.from_fields(record.key, record.value, record.fields)
    except UnreadableRecord as error:
        await _bury_unreadable(record, error, around)
        return
    # Every line that is written for this delivery, by connectors and the user's own code too, says whose it is. The
    # caller's task is of this record alone, so nothing need be unbound.
    bind_contextvars(
        source=delivery.event.source,
        event_id=delivery.event.id,
        delivery_id=delivery.id,
        route=delivery.route,
        destination=around.destination,
    )
    letter = replayed_letter(record.fields)
    work = _Round(record, delivery, around)
    await (_traced(work) if around.tracing.on else work.run())
    if letter is not None:
        await around.send(tombstone(around.names.dead_letter, letter))


async def _traced(work: _Round) -> None:
    """Carry out within a span that began when the record came into the queue; a replay is a trace of its own."""
    delivery, began_ms = work.delivery, work.record.timestamp_ms or None
    parent, link = ("", delivery.trace) if delivery.replay else (delivery.trace, "")
    with work.around.tracing.span(
        f"deliver {work.around.destination}",
        "consumer",
        parent=parent,
        link=link,
        began_ms=began_ms,
        event_id=delivery.event.id,
        delivery_id=delivery.id,
        receipt=str(delivery.receipt),
        round=delivery.round,
        replay=delivery.replay,
    ) as span:
        with work.around.tracing.span("queue wait", "internal", began_ms=began_ms):
            pass  # it ends now
        await work.run()
        span.note(route=work.route_label, outcome=work.outcome)
        if work.outcome == outcomes.DEAD_LETTERED:
            span.fail(work.outcome)


class _Round:
    """One delivery's stay in its destination's queue."""

    def __init__(self, record: Consumed, delivery: Delivery, around: Surroundings) -> None:
        self.record = record
        self.delivery = delivery
        self.around = around
        self.started_s = around.now_s()
        self.outcome = ""  # the last that was reported; none for a delivery that moved to another queue
        self.route_label = ""  # a label value is the routing table's, never a record's

    async def run(self) -> None:
        route = self.around.routes().named(self.delivery.route)
        if route is None:
            # A worker with a newer routing table may have fanned it out: wait for ours before giving up.
            error = TransientError(f"the routing table has no route {self.delivery.route!r}")
            await self._postpone(error, stage="route", ordered=self.delivery.ordered)
            return
        self.route_label = route.name
        reason = self.around.cancelled(self.delivery.id, self.delivery.replay)
        if reason is not None:
            await self._cancel(reason)
            return
        if route.destination != self.around.destination:
            # The route was given another destination after fan-out: its queue, limits and circuit apply.
            moved = replace(self.delivery, destination=route.destination, high=route.high, ordered=route.ordered)
            topic = self.around.names.deliveries(route.destination, high=route.high)
            await self.around.send(moved.to_record(topic))
            return
        if self.delivery.event.about == route.destination:
            # Fan-out passes over it: the route was given this destination since.
            await self._skip(f"what is told about {route.destination} does not go there")
            return
        if route.each is None and self.delivery.item is not None:
            # Called without `item`, all the items of an event would be the same call.
            mistake = LookupError(f"the route {route.name} no longer has each: put it back, or discard this")
            await self._bury("route", mistake)
            return
        try:
            if route.each is not None and self.delivery.item is None:
                await self._split(route)
                return
            parameters = self._render(route)
        except (ExpressionError, MalformedBody, UnsupportedBody, BodyTooLarge) as error:
            if self.delivery.shadow:  # nobody waits for its call, so there is nothing to replay
                await self._record_shadow(route, None, str(error))
                return
            await self._bury("render" if self.delivery.item is not None or route.each is None else "each", error)
            return
        if parameters is None:
            await self._skip(UNMATCHED)
            return
        if self.delivery.shadow:
            await self._record_shadow(route, parameters, self.around.check(route.action, parameters))
            return
        await self._call(route, parameters)

    async def _record_shadow(self, route: Route, parameters: object, error: str) -> None:
        shadow = shadow_of(
            self.delivery, action=route.action, parameters=parameters, error=error, now_ms=self._now_ms()
        )
        await self.around.send(shadow.to_record(self.around.names.shadow))
        await self._finish(outcomes.SHADOWED, attempts=0, status=None, detail=error)

    async def _split(self, route: Route) -> None:
        """Put an item of each in the place of a delivery that was made before the route had ``each``, or replayed."""
        scope = self._scope()
        if self.delivery.replay and not route.matches(scope):
            await self._skip(UNMATCHED)
            return
        deliveries = split(self.delivery, route, scope)
        for delivery in deliveries:
            await self.around.send(delivery.to_record(self.record.topic))
        await self._skip(f"split into {len(deliveries)} deliveries, one an item")

    async def _cancel(self, reason: str) -> None:
        await self._skip(f"cancelled: {reason}")
        self.around.metrics.cancelled.labels(self.around.destination).inc()
        # After the outcome: killed in between, it is still cancelled when it is read again.
        await self.around.send(ended(self.around.names, self.delivery.id))

    async def _skip(self, why: str) -> None:
        await self._finish(outcomes.SKIPPED, attempts=0, status=None, detail=why)

    def _scope(self) -> dict[str, object]:
        return self.delivery.event.scope(self.delivery.receipt, body_bytes_max=INFLATED_BYTES_MAX)

    def _render(self, route: Route) -> dict[str, object] | None:
        if route.mirrors and (route.when is None or not self.delivery.replay):
            return as_it_came(self.delivery.event)  # whatever its body is: it need not be read
        scope = self._scope()
        # Fan-out has evaluated the condition; a replay is judged by the routing table as it is now.
        if self.delivery.replay and not route.matches(scope):
            return None
        return as_it_came(self.delivery.event) if route.mirrors else route.render(scope, self.delivery.item)

    async def _call(self, route: Route, parameters: dict[str, object]) -> None:
        while True:
            try:
                settled = await self.around.call(route.action, parameters, self.delivery.idempotency_key)
            except Cancelled as error:
                await self._cancel(str(error))
                return
            except CredentialsRefused as error:
                await self.around.pause(str(error))  # the next call waits until the destination is resumed
            except PermanentError as error:
                self.delivery = self.delivery.after_failure(error, now_ms=self._now_ms())
                await self._bury("call", error)
                return
            except TransientError as error:
                self.delivery = self.delivery.after_failure(error, now_ms=self._now_ms())
                if route.ordered and isinstance(error, RateLimited):
                    continue  # it asks for time, not for another order: the whole destination waits until it may go
                await self._postpone(error, stage="retry", ordered=route.ordered)
                return
            else:
                await self._finish(
                    outcomes.SETTLED, attempts=settled.attempts, status=settled.status, detail=settled.made
                )
                return

    async def _postpone(self, error: TransientError, *, stage: str, ordered: bool) -> None:
        delays_s = self.around.delays_s
        # What comes back later is no longer in order: an ordered delivery has its attempts in place, and no others.
        if ordered or self.delivery.round >= len(delays_s):
            await self._bury(stage, error)
            return
        wait_s = max(float(delays_s[self.delivery.round]), error.retry_after_s or 0.0)
        delay_s = retry_delay_s(delays_s, wait_s)
        waiting = replace(
            self.delivery,
            round=self.delivery.round + 1,
            not_before_ms=self._now_ms() + int(wait_s * 1000),
        )
        await self.around.send(waiting.to_record(self.around.names.retries(delay_s)))
        self._log(outcomes.DELAYED, error, wait_s=round(wait_s, 1))
        await self._report(outcomes.DELAYED, attempts=self.delivery.attempts, status=error.status, detail=str(error))

    async def _finish(self, outcome: str, *, attempts: int, status: int | None, detail: str = "") -> None:
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

    async def _bury(self, stage: str, error: Exception) -> None:
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
            last_failure_ms=self._now_ms(),
        )
        await _send_letter(failed_delivery(delivery, failure), self.around)
        self._log(outcomes.DEAD_LETTERED, error, stage=stage)
        await self._report(outcomes.DEAD_LETTERED, attempts=delivery.attempts, status=status, detail=str(error))

    async def _report(self, outcome: str, *, attempts: int, status: int | None, detail: str) -> None:
        report = outcome_of(
            self.delivery,
            outcome,
            attempts=attempts,
            status=status,
            duration_s=self.around.now_s() - self.started_s,
            now_ms=self._now_ms(),
            detail=detail,
        )
        await self.around.send(report.to_record(self.around.names.outcomes))
        self.outcome = outcome
        self.around.metrics.deliveries.labels(self.around.destination, self.route_label, outcome).inc()

    def _log(self, outcome: str, error: Exception, **fields: object) -> None:
        log.warning("delivery_" + outcome, attempt=self.delivery.attempts, error=str(error), **fields)

    def _now_ms(self) -> int:
        return int(self.around.now_s() * 1000)


def retry_delay_s(delays_s: Iterable[int], wait_s: float) -> int:
    """Return the smallest delay of at least ``wait_s``, or the longest there is: further stays wait for the rest."""
    ordered = sorted(delays_s)
    return next((delay_s for delay_s in ordered if delay_s >= wait_s), ordered[-1])


async def _send_letter(letter: DeadLetter, around: Surroundings) -> None:
    """Publish a dead letter and what is told of it; acknowledged, both, before the record that died is settled."""
    await around.send(letter.to_record(around.names.dead_letter))
    around.metrics.dead_letters.written(letter)
    for record in around.own_events.records(dead_letter(letter, destination=around.destination)):
        await around.send(record)


async def _bury_unreadable(record: Consumed, error: UnreadableRecord, around: Surroundings) -> None:
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
    await _send_letter(letter, around)
    log.warning("delivery_unreadable", destination=around.destination, letter=letter.id, error=str(error))
    around.metrics.deliveries.labels(around.destination, "", outcomes.DEAD_LETTERED).inc()
