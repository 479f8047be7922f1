"""What ``headrace event`` shows of an event."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from headrace.context import Settings
from headrace.mistakes import ConfigError
from streams.carry_out import INFLATED_BYTES_MAX
from streams.delivery import delivery_id
from streams.event import BodyTooLarge, MalformedBody, UnsupportedBody
from streams.expression import ExpressionError
from streams.history import Found, outcomes_of
from streams.routing import compile_routes

WAITING = "waiting in the queue, or in work"


async def describe_event(settings: Settings, found: Found, *, body: bool) -> dict[str, Any]:
    """Return an event and its deliveries as JSON shows them.

    A delivery without an outcome is one that a route of the table would make now: it waits, or is in work, unless
    the event came before the route, or is a provider's repeat.

    Raises:
        KafkaUnavailable: the broker does not answer.
    """
    event = found.event
    outcomes = await outcomes_of(settings.kafka(), settings.topic_names, found)
    deliveries: list[dict[str, Any]] = [asdict(outcome) for outcome in outcomes.values()]
    deliveries += [
        {"delivery_id": id_, "route": route, "destination": destination, "outcome": WAITING}
        for id_, route, destination in _expected(settings, found)
        if id_ not in outcomes
    ]
    row = {
        "receipt": str(found.receipt),
        "source": event.source,
        "id": event.id,
        "dedup_id": event.dedup_id,
        "type": event.type,
        "accepted": event.time,
        "content_type": event.content_type,
        "body_bytes": len(event.body),
        "headers": dict(event.headers),
        "deliveries": deliveries,
    }
    if body:
        row["body"] = event.body.decode(errors="backslashreplace")
    return row


def _expected(settings: Settings, found: Found) -> list[tuple[str, str, str]]:
    try:
        routes = compile_routes(settings.table().routes).for_source(found.event.source)
        scope = found.event.scope(found.receipt, body_bytes_max=INFLATED_BYTES_MAX)
    except (ConfigError, MalformedBody, UnsupportedBody, BodyTooLarge):
        return []
    expected = []
    for route in routes:
        try:
            matches = route.matches(scope)
        except ExpressionError:
            continue  # a dead letter, with an outcome of its own
        if matches:
            id_ = delivery_id(found.event.source, found.event.dedup_id, route.name)
            expected.append((id_, route.name, route.destination))
    return expected
