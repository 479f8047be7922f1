"""Headrace's own events: what it has to tell, as events of the source ``headrace``, for ordinary routes to carry on.

A new type is a name in `streams.event.OWN_TYPES`, a function here that returns an `OwnEvent`, and its paragraph in
docs/reference/own-events.md (a test compares). Who sends it takes `OwnEvents.records` of it and publishes those: with
the record that waits for it (as `streams.carry_out` does with a dead letter), or best effort through a
`streams.herald.Herald`. Ingest gets an `OwnEvents` and a producer's send from `headrace`, as the worker does. Ids are
made of what happened and nothing else, so that what a crash makes twice is told once: fan-out drops the second
(`streams.seen`).

Never in a loop: a dead letter of an own event makes no own event; an event about a destination does not go to it
(`streams.event.Event.about`); and trouble of a destination is told when it begins, not while it lasts, and a circuit's
at most once in `streams.herald.SPACING_S`. So what two destinations have to tell of one another is bounded too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from streams.dead_letter import MESSAGE_CHARS_MAX, DeadLetter
from streams.event import ABOUT_HEADER, OWN_SOURCE, Event, format_time
from streams.metrics import StreamsMetrics
from streams.pauses import Pause
from streams.record import Record
from streams.routing import Routes
from streams.topics import TopicNames


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """One thing that Headrace tells. ``destination`` is the one that it is about, ``""`` if it is about none.

    ``summary`` is the whole in one sentence. ``identity`` is what tells it from every other event of its type.
    ``fields`` are what its type adds to the body: no body of an event, no secret.
    """

    type: str
    time_ms: int
    destination: str
    summary: str
    identity: Sequence[str]
    fields: Mapping[str, object] = field(default_factory=dict)

    def event(self) -> Event:
        """Return the event as fan-out takes it."""
        identity = chr(0).join(self.identity).encode(errors="replace")
        id_ = f"{self.type}-{hashlib.sha256(identity).hexdigest()[:32]}"
        head = {"type": self.type, "time": format_time(self.time_ms), "destination": self.destination}
        fields = {**head, "summary": self.summary, **self.fields}
        return Event(
            source=OWN_SOURCE,
            id=id_,
            dedup_id=id_,
            type=self.type,
            time_ms=self.time_ms,
            body=orjson.dumps({name: _writable(value) for name, value in fields.items()}),
            key=id_.encode(),
            content_type="application/json",
            headers={ABOUT_HEADER: self.destination} if self.destination else {},
        )


def dead_letter(letter: DeadLetter, *, source: str = "", destination: str = "") -> OwnEvent | None:
    """Return what is told of a new dead letter; ``None`` for one of an own event.

    ``source`` and ``destination`` stand in for what an unreadable record does not say. The id holds receipt and replay:
    a provider's event that comes again later, and a replay that fails again, are deaths of their own. That of an
    unreadable record holds the address where it was read.
    """
    source, destination = source or letter.header("ce_source"), destination or letter.header("headrace-destination")
    if source == OWN_SOURCE:
        return None
    failure, unreadable = letter.failure, letter.unreadable
    replay, receipt = "0" if unreadable else letter.header("headrace-replay") or "0", letter.header("headrace-receipt")
    error = failure.message[:MESSAGE_CHARS_MAX]
    address = f"{failure.topic}/{failure.partition}/{failure.offset}"
    route, event_id = letter.header("headrace-route"), letter.header("ce_id")
    what = f"the record at {address}" if unreadable else f"{source} event {event_id} on route {route} to {destination}"
    return OwnEvent(
        "dead_letter",
        failure.last_failure_ms,
        destination,
        f"dead letter: {what}: {error}",
        (letter.id, address) if unreadable else (letter.id, receipt, replay),
        {
            "route": route,
            "source": source,
            "event_id": event_id,
            "event_type": letter.header("ce_type"),
            "delivery_id": "" if unreadable else letter.id,
            "letter_id": letter.id,
            "receipt": receipt,
            "stage": failure.stage,
            "error": error,
            "error_class": failure.error_class,
            "status": failure.status,
            "attempts": failure.attempts,
            "replay": int(replay),
        },
    )


def destination_paused(pause: Pause, *, now_ms: int) -> OwnEvent:
    """Return what is told of a destination that was not paused and now is."""
    return OwnEvent(
        "destination_paused",
        now_ms,
        pause.destination,
        f"{pause.destination} is paused: {pause.reason}",
        (pause.destination, pause.since),
        {"reason": pause.reason, "since": pause.since},
    )


def circuit_opened(destination: str, *, reason: str, worker: str, open_s: float, now_ms: int) -> OwnEvent:
    """Return what is told of a circuit that was closed and now is open, on one worker."""
    return OwnEvent(
        "circuit_opened",
        now_ms,
        destination,
        f"the circuit of {destination} opened on {worker}: {reason}",
        (destination, worker, str(now_ms)),
        {"reason": reason, "worker": worker, "open_s": open_s},
    )


def spool_filling(process: str, *, used_ratio: float, events: int, bytes_: int, now_ms: int) -> OwnEvent:
    """Return what is told when the spool of an ingest process fills up: Kafka is away, or takes too little.

    It waits in the same spool while Kafka is away, so it comes late; ``time`` says when it was.
    """
    return OwnEvent(
        "spool_filling",
        now_ms,
        "",
        f"the spool of {process} is {used_ratio:.0%} full: {events} events wait for Kafka",
        (process, str(now_ms)),
        {"process": process, "used_ratio": round(used_ratio, 3), "events": events, "bytes": bytes_},
    )


def _writable(value: object) -> object:
    """Return text without what UTF-8 cannot hold, such as half a pair of surrogates out of somebody's JSON."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


class OwnEvents:
    """Makes the records of own events, while there is a route that takes them."""

    def __init__(self, names: TopicNames, routes: Callable[[], Routes], metrics: StreamsMetrics | None = None) -> None:
        self._topic, self._routes, self._metrics = names.events(OWN_SOURCE), routes, metrics

    def records(self, told: OwnEvent | None) -> list[Record]:
        """Return what to publish: nothing if there is nothing to tell, or nobody to be told."""
        if told is None:
            return []
        event = told.event()
        if not self._routes().for_event(event):
            return []
        if self._metrics is not None:
            self._metrics.own_events.labels(told.type).inc()
        return [Record(self._topic, event.key, event.body, event.to_headers())]
