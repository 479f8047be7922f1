"""What ``headrace event`` shows of an event."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from headrace.context import Settings
from headrace.mistakes import ConfigError
from streams.body import BodyTooLarge, MalformedBody, UnsupportedBody
from streams.carry_out import INFLATED_BYTES_MAX
from streams.dead_letter import DeadLetter
from streams.delivery import Delivery
from streams.depths import DepthReader, queue_groups
from streams.event import format_time
from streams.expression import ExpressionError
from streams.history import Found, outcomes_of
from streams.items import split
from streams.letters import Letters, Stored
from streams.outcome import DEAD_LETTERED, DELAYED, Outcome
from streams.pauses import read_pauses

WAITING = "waiting in the queue, or in work"
UNKNOWN = "not known"
WHY_UNKNOWN = "nothing waits, and no outcome is kept: erased, past its retention, or the route is newer than the event"
CLOCK_SLACK_MS = 60_000  # between the clocks of ingest and workers


async def describe_event(settings: Settings, found: Found, *, body: bool) -> dict[str, Any]:
    """Return an event and its deliveries as JSON shows them.

    A provider's repeat shows what became of the first's deliveries, and says so. A delivery without an outcome is one
    that a route of the table would make now: it waits or is in work, or, where nothing waits, it is not known.

    Raises:
        KafkaUnavailable: the broker does not answer.
    """
    event = found.event
    expected = {id_: (route, destination, item) for id_, route, destination, item in _expected(settings, found)}
    outcomes, idle = await _outcomes(settings, found, expected), frozenset[str]()
    if expected.keys() - outcomes.keys():
        idle = await _idle(settings, found, {destination for _, destination, _ in expected.values()})
        if idle:  # what settled meanwhile has an outcome now
            outcomes = await _outcomes(settings, found, expected)
    deliveries = {id_: _of_outcome(outcome, found) for id_, outcome in outcomes.items()}
    for stored in await _letters(settings, found):
        # A condition that fan-out could not evaluate has a dead letter and no outcome yet.
        deliveries.setdefault(stored.letter.id, _of_letter(stored.letter))
    for id_, (route, destination, item) in expected.items():
        state = {"outcome": UNKNOWN, "detail": WHY_UNKNOWN} if destination in idle else {"outcome": WAITING}
        address = {"delivery_id": id_, "route": route, "destination": destination, "item": item}
        deliveries.setdefault(id_, {**address, **state})
    await _explain(settings, [one for one in deliveries.values() if one["outcome"] in (WAITING, DELAYED)])
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
        "deliveries": list(deliveries.values()),
    }
    if body:
        row["body"] = event.body.decode(errors="backslashreplace")
    return row


async def _outcomes(settings: Settings, found: Found, expected: Mapping[str, object]) -> dict[str, Outcome]:
    kafka, names = settings.kafka(), settings.topic_names
    recent_ms = found.event.time_ms - CLOCK_SLACK_MS
    outcomes = await outcomes_of(kafka, names, found, delivery_ids=expected.keys(), since_ms=recent_ms)
    if expected.keys() <= outcomes.keys():
        return outcomes
    # What is missing may have settled long before, as deliveries of an event that this one repeats.
    return await outcomes_of(kafka, names, found, delivery_ids=expected.keys(), since_ms=None)


async def _explain(settings: Settings, waiting: Iterable[dict[str, Any]]) -> None:
    """Add to what waits for a paused destination that it is paused, and why."""
    if not (held := list(waiting)):
        return
    pauses = await read_pauses(settings.kafka(), settings.topic_names)
    for row in held:
        if (pause := pauses.get(row["destination"])) is not None:
            row["detail"] = f"{pause}. {row.get('detail') or ''}".strip()


async def _idle(settings: Settings, found: Found, destinations: Collection[str]) -> frozenset[str]:
    """Return the destinations for which nothing of this event can wait: it is fanned out, and they are worked off.

    A group's offsets are read before the ends of its topics: a delivery in between makes a queue deeper, never idle.
    """
    names, receipt, delays_s = settings.topic_names, found.receipt, settings.table().delays_s
    groups = queue_groups(names, sources=[receipt.source], destinations=destinations, delays_s=delays_s)
    reader = DepthReader(settings.kafka(), groups)
    try:
        depths = await reader.read()
    finally:
        await reader.close()
    events = depths.get(names.events(receipt.source))
    if events is None or events.prefixes.get(receipt.partition, 0) <= receipt.offset:
        return frozenset()
    busy = {topic for topic, depth in depths.items() if depth.unsettled}
    if busy & {names.retries(delay_s) for delay_s in delays_s}:
        return frozenset()
    return frozenset(
        name for name in destinations if not busy & {names.deliveries(name), names.deliveries(name, high=True)}
    )


def _of_outcome(outcome: Outcome, found: Found) -> dict[str, Any]:
    row = asdict(outcome)
    if outcome.receipt != str(found.receipt):
        row["detail"] = f"a repeat of {outcome.receipt}, whose delivery this is. {outcome.detail}".strip()
    return row


async def _letters(settings: Settings, found: Found) -> list[Stored]:
    async with Letters(settings.kafka(), settings.topic_names) as letters:
        await letters.catch_up()
        outstanding = letters.outstanding()
    return [stored for stored in outstanding if stored.letter.header("headrace-receipt") == str(found.receipt)]


def _of_letter(letter: DeadLetter) -> dict[str, Any]:
    failure = letter.failure
    return {
        "delivery_id": letter.id,
        "route": letter.header("headrace-route"),
        "destination": letter.header("headrace-destination"),
        "item": int(letter.header("headrace-item")) if letter.header("headrace-item") else None,
        "outcome": DEAD_LETTERED,
        "status": failure.status,
        "attempts": failure.attempts,
        "time": format_time(failure.last_failure_ms),
        "detail": f"{failure.stage}: {failure.message}",
    }


def _expected(settings: Settings, found: Found) -> list[tuple[str, str, str, int | None]]:
    try:
        routes = settings.table().compiled_routes().for_event(found.event)
        scope = found.event.scope(found.receipt, body_bytes_max=INFLATED_BYTES_MAX)
    except (ConfigError, MalformedBody, UnsupportedBody, BodyTooLarge):
        return []
    expected = []
    for route in routes:
        whole = Delivery.along(route, found.event, found.receipt)
        try:
            deliveries = split(whole, route, scope) if route.matches(scope) else []
        except ExpressionError:
            continue  # a dead letter, with an outcome of its own
        expected += [(one.id, route.name, route.destination, one.item) for one in deliveries]
    return expected
