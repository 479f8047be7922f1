"""What is done with one record of ``deliveries.<destination>``: render, call, and write down what became of it.

Plain async code: the log, the clock and the call are arguments. Whatever is raised, at whatever await, leaves the
record unsettled, and the next owner begins again with the same ``Idempotency-Key``.
"""

from __future__ import annotations

from dataclasses import replace

from structlog.contextvars import bind_contextvars

from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from streams import outcome as outcomes
from streams.body import BodyTooLarge, MalformedBody, UnsupportedBody
from streams.cancellations import Cancelled
from streams.consumed import Consumed
from streams.dead_letter import replayed_letter, tombstone
from streams.delivery import Delivery
from streams.event import UnreadableRecord
from streams.expression import ExpressionError
from streams.items import split
from streams.mirror import as_it_came
from streams.routing import Route
from streams.stay import Stay, bury_unreadable
from streams.surroundings import Surroundings

INFLATED_BYTES_MAX = 64 * 1024 * 1024  # ingest has checked the source's own limit; this one bounds a foreign record

UNMATCHED = "the route's condition does not hold"


async def carry_out(record: Consumed, around: Surroundings) -> None:
    """Return when the record is settled, parked in a retry topic, forwarded or dead-lettered, and that is acknowledged.

    Raises:
        Whatever ``send`` or ``call`` raises beyond a `CallError`: then nothing may be acknowledged.
    """
    try:
        delivery = Delivery.from_fields(record.key, record.value, record.fields)
    except UnreadableRecord as error:
        await bury_unreadable(record, error, around)
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
    stay = Stay(record, delivery, around)
    await (_traced(stay) if around.tracing.on else _carry_out(stay))
    if letter is not None:
        await around.send(tombstone(around.names.dead_letter, letter))


async def _traced(stay: Stay) -> None:
    """Carry out within a span that began when the record came into the queue; a replay is a trace of its own."""
    delivery, began_ms = stay.delivery, stay.record.timestamp_ms or None
    parent, link = ("", delivery.trace) if delivery.replay else (delivery.trace, "")
    with stay.around.tracing.span(
        f"deliver {stay.around.destination}",
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
        with stay.around.tracing.span("queue wait", "internal", began_ms=began_ms):
            pass  # it ends now
        await _carry_out(stay)
        span.note(route=stay.route_label, outcome=stay.outcome)
        if stay.outcome == outcomes.DEAD_LETTERED:
            span.fail(stay.outcome)


async def _carry_out(stay: Stay) -> None:
    """Find the delivery's route and go along it, unless the delivery belongs elsewhere or to nobody by now."""
    delivery, around = stay.delivery, stay.around
    route = around.routes().named(delivery.route)
    if route is None:
        # A worker with a newer routing table may have fanned it out: wait for ours before giving up.
        error = TransientError(f"the routing table has no route {delivery.route!r}")
        await stay.postpone(error, stage="route", ordered=delivery.ordered)
        return
    stay.route_label = route.name
    reason = around.cancelled(delivery.id, delivery.replay)
    if reason is not None:
        await stay.cancel(reason)
    elif route.destination != around.destination:
        # The route was given another destination after fan-out: its queue, limits and circuit apply.
        moved = replace(delivery, destination=route.destination, high=route.high, ordered=route.ordered)
        await around.send(moved.to_record(around.names.deliveries(route.destination, high=route.high)))
    elif delivery.event.about == route.destination:
        # Fan-out passes over it: the route was given this destination since.
        await stay.skip(f"what is told about {route.destination} does not go there")
    elif route.each is None and delivery.item is not None:
        # Called without `item`, all the items of an event would be the same call.
        mistake = LookupError(f"the route {route.name} no longer has each: put it back, or discard this")
        await stay.bury("route", mistake)
    else:
        await _go_along(stay, route)


async def _go_along(stay: Stay, route: Route) -> None:
    """Render and call; where nothing is called, write down why."""
    delivery = stay.delivery
    try:
        if route.each is not None and delivery.item is None:
            await _split(stay, route)
            return
        parameters = _render(delivery, route)
    except (ExpressionError, MalformedBody, UnsupportedBody, BodyTooLarge) as error:
        if delivery.shadow:  # nobody waits for its call, so there is nothing to replay
            await stay.record_shadow(route, None, str(error))
        else:
            await stay.bury("render" if delivery.item is not None or route.each is None else "each", error)
        return
    if parameters is None:
        await stay.skip(UNMATCHED)
    elif delivery.shadow:
        await stay.record_shadow(route, parameters, stay.around.check(route.action, parameters))
    else:
        await _call(stay, route, parameters)


async def _split(stay: Stay, route: Route) -> None:
    """Put an item of each in the place of a delivery that was made before the route had ``each``, or replayed."""
    scope = _scope(stay.delivery)
    if stay.delivery.replay and not route.matches(scope):
        await stay.skip(UNMATCHED)
        return
    deliveries = split(stay.delivery, route, scope)
    for delivery in deliveries:
        await stay.around.send(delivery.to_record(stay.record.topic))
    await stay.skip(f"split into {len(deliveries)} deliveries, one an item")


def _scope(delivery: Delivery) -> dict[str, object]:
    return delivery.event.scope(delivery.receipt, body_bytes_max=INFLATED_BYTES_MAX)


def _render(delivery: Delivery, route: Route) -> dict[str, object] | None:
    """Return the parameters of the call; ``None`` if the route's condition does not hold."""
    if route.mirrors and (route.when is None or not delivery.replay):
        return as_it_came(delivery.event)  # whatever its body is: it need not be read
    scope = _scope(delivery)
    # Fan-out has evaluated the condition; a replay is judged by the routing table as it is now.
    if delivery.replay and not route.matches(scope):
        return None
    return as_it_came(delivery.event) if route.mirrors else route.render(scope, delivery.item)


async def _call(stay: Stay, route: Route, parameters: dict[str, object]) -> None:
    while True:
        try:
            settled = await stay.around.call(route.action, parameters, stay.delivery.idempotency_key)
        except Cancelled as error:
            await stay.cancel(str(error))
        except CredentialsRefused as error:
            await stay.around.pause(str(error))  # the next call waits until the destination is resumed
            continue
        except PermanentError as error:
            stay.note_failure(error)
            await stay.bury("call", error)
        except TransientError as error:
            stay.note_failure(error)
            if route.ordered and isinstance(error, RateLimited):
                continue  # it asks for time, not for another order: the whole destination waits until it may go
            await stay.postpone(error, stage="retry", ordered=route.ordered)
        else:
            await stay.finish(outcomes.SETTLED, attempts=settled.attempts, status=settled.status, detail=settled.made)
        return
