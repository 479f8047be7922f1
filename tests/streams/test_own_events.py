"""What is told of a death, a pause and a circuit: who is told, with what id, and that it never goes in circles."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from streams.dead_letter import DeadLetter, Failure, failed_delivery, unreadable_record
from streams.delivery import Delivery
from streams.event import OWN_SOURCE, OWN_TYPES, Event, Receipt
from streams.herald import SPACING_S, Herald
from streams.metrics import StreamsMetrics
from streams.own_events import OwnEvent, OwnEvents, circuit_opened, dead_letter, destination_paused, spool_filling
from streams.pauses import Pause
from streams.record import Record
from streams.routing import Routes, RouteSettings, compile_routes
from streams.topics import TopicNames

NAMES = TopicNames()
SECRET = "sk_live_51"
EVENT = Event("orders", "o-1", "o-1", "paid", 1000, b'{"card": "' + SECRET.encode() + b'"}', b"o-1")
DELIVERY = Delivery(EVENT, Receipt("orders", 0, 5), "to-crm", "crm", attempts=2)
FAILURE = Failure("call", "deliveries.crm", 2, 9, "PermanentError", "the destination answered 422", 422, 0, 0, 7000)


def letter(delivery: Delivery = DELIVERY, **failure: object) -> DeadLetter:
    return failed_delivery(delivery, replace(FAILURE, **failure))  # type: ignore[arg-type]


def told_of(found: DeadLetter, **place: str) -> OwnEvent:
    told = dead_letter(found, **place)
    assert told is not None
    return told


def routes(*to: str, source: str = OWN_SOURCE) -> Routes:
    return compile_routes(RouteSettings(name=f"r-{name}", source=source, to=name, action="x") for name in to)


def test_a_death_is_told_with_all_that_explains_it_and_no_body() -> None:
    event = told_of(letter()).event()
    scope = event.scope(Receipt(OWN_SOURCE, 0, 0), body_bytes_max=100_000)
    assert scope["body"] == {
        "type": "dead_letter",
        "time": "1970-01-01T00:00:07.000Z",
        "destination": "crm",
        "summary": "dead letter: orders event o-1 on route to-crm to crm: the destination answered 422",
        "route": "to-crm",
        "source": "orders",
        "event_id": "o-1",
        "event_type": "paid",
        "delivery_id": DELIVERY.id,
        "letter_id": DELIVERY.id,
        "receipt": "orders/0/5",
        "stage": "call",
        "error": "the destination answered 422",
        "error_class": "PermanentError",
        "status": 422,
        "attempts": 2,
        "replay": 0,
    }
    assert (event.source, event.type, event.about) == (OWN_SOURCE, "dead_letter", "crm")
    assert Event.from_record(event.key, event.body, event.to_headers()) == event
    assert SECRET not in repr(event)


def test_one_death_has_one_id_and_every_other_death_another() -> None:
    same = [
        letter(),
        letter(last_failure_ms=9000),  # the record was taken again after a crash
        letter(offset=10),  # its copy, written twice by a crash of fan-out
        letter(replace(DELIVERY, round=2, attempts=6)),
    ]
    other = [
        letter(replace(DELIVERY, replay=1)),
        letter(replace(DELIVERY, receipt=Receipt("orders", 0, 6))),  # the provider sent it again after its dedup_ttl
        letter(replace(DELIVERY, route="to-erp")),
    ]
    assert len({told_of(found).event().id for found in same}) == 1
    assert len({told_of(found).event().id for found in [letter(), *other]}) == 4


def test_a_record_that_cannot_be_read_is_told_by_its_address() -> None:
    headers = [("headrace-replay", b"\xff"), ("ce_id", b"\xff")]
    failure = replace(FAILURE, stage="decode", topic="events.orders", message="no event", status=None)
    first = unreadable_record(b"k", b"v", headers, failure)
    told = told_of(first, source="orders")
    assert (told.destination, told.fields["source"], told.fields["delivery_id"]) == ("", "orders", "")
    assert told.summary == "dead letter: the record at events.orders/2/9: no event"
    again = unreadable_record(b"k", b"v", headers, replace(failure, offset=10))  # its replay failed, further on
    assert told_of(again, source="orders").event().id != told.event().id
    assert told_of(first, destination="crm").destination == "crm"


def test_the_death_of_an_own_event_is_not_told() -> None:
    own = replace(DELIVERY, event=told_of(letter()).event())
    assert dead_letter(letter(own)) is None
    unreadable = unreadable_record(b"k", b"v", [], replace(FAILURE, stage="decode", topic="events.headrace"))
    assert dead_letter(unreadable, source=OWN_SOURCE) is None
    assert dead_letter(unreadable_record(b"k", b"v", own.to_headers(), replace(FAILURE, stage="decode"))) is None


def test_text_that_utf_8_cannot_hold_is_told_all_the_same() -> None:
    pause = Pause("crm", "half a pair: \ud800", "s\udcff")
    assert b"half a pair: ?" in destination_paused(pause, now_ms=1).event().body


def test_pauses_and_circuits_have_their_own_ids() -> None:
    pause = Pause("crm", "the destination answered 401", "2026-01-02T03:04:05.000Z")
    assert destination_paused(pause, now_ms=1).event().id == destination_paused(pause, now_ms=2).event().id
    assert (
        destination_paused(replace(pause, since="later"), now_ms=1).event().id
        != destination_paused(pause, now_ms=1).event().id
    )
    opened = [
        circuit_opened(name, reason="503", worker=worker, open_s=30, now_ms=now_ms).event()
        for name, worker, now_ms in [("crm", "a/1", 1), ("crm", "a/1", 2), ("crm", "b/1", 1), ("erp", "a/1", 1)]
    ]
    assert len({event.id for event in opened}) == 4
    filling = spool_filling("host/1", used_ratio=0.5, events=5, bytes_=50, now_ms=1)
    told = {destination_paused(pause, now_ms=1).type, opened[0].type, told_of(letter()).type, filling.type}
    assert told == set(OWN_TYPES)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (routes(), False),
        (routes("slack", source="*"), False),  # "*" is every source but this one
        (routes("crm"), False),  # about itself
        (routes("slack"), True),
        (routes("crm", "slack"), True),
    ],
)
def test_it_is_published_while_a_route_takes_it(table: Routes, *, told: bool) -> None:
    metrics = StreamsMetrics(CollectorRegistry())
    records = OwnEvents(NAMES, lambda: table, metrics).records(dead_letter(letter()))
    assert [record.topic for record in records] == ["events.headrace"] * told
    assert metrics.own_events.labels("dead_letter")._value.get() == told


def test_an_event_about_a_destination_does_not_go_there() -> None:
    table = routes("crm", "slack")
    assert [route.destination for route in table.for_event(told_of(letter()).event())] == ["slack"]
    forged = replace(EVENT, headers={"headrace-destination": "crm"})  # a kept header of another source says nothing
    assert len(routes("crm", source="orders").for_event(forged)) == 1


class Bed:
    """A herald with a clock, a log, and a broker that refuses as it is told."""

    def __init__(self, *to: str) -> None:
        self.now_s = 1000.0
        self.published: list[Record] = []
        self.refusals: list[Exception] = []
        self.hangs = False
        own_events = OwnEvents(NAMES, lambda: routes(*to))
        self.herald = Herald(
            own_events, self.send, now_s=lambda: self.now_s, monotonic_s=lambda: self.now_s, sleep=self.sleep
        )

    async def send(self, record: Record) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.refusals:
            raise self.refusals.pop(0)
        self.published.append(record)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def opened(self, destination: str) -> None:
        self.herald.circuit_opened(destination, reason="503", open_s=30)


async def test_the_herald_tries_until_the_broker_is_back_and_gives_up_what_is_refused_for_good() -> None:
    bed = Bed("slack")
    bed.refusals = [KafkaConnectionError(), KafkaConnectionError()]
    bed.herald.paused(Pause("crm", "401", "now"))
    await bed.herald.stop()
    assert len(bed.published) == 1
    bed.refusals = [MessageSizeTooLargeError()]
    bed.herald.paused(Pause("erp", "401", "now"))
    await bed.herald.stop()
    assert len(bed.published) == 1


async def test_what_a_stop_leaves_unsent_is_logged() -> None:
    bed = Bed("slack")
    bed.hangs = True
    bed.opened("crm")
    with capture_logs() as lines:
        await bed.herald.stop()
    assert "own_event_unsent" in [line["event"] for line in lines]
    assert not bed.published


async def test_a_circuit_that_flaps_tells_so_once_a_minute() -> None:
    bed = Bed("slack")
    for _ in range(100):
        bed.opened("crm")
        bed.opened("erp")
        bed.now_s += SPACING_S / 10
    await bed.herald.stop()
    assert len(bed.published) == 2 * 10


async def test_two_destinations_that_tell_of_one_another_come_to_rest() -> None:
    """What is told of one fails at the other, whose circuit opens, and so on: no more than one each in a minute."""
    bed = Bed("a", "b")
    bed.opened("a")
    for _ in range(1000):
        await asyncio.sleep(0)
        for record in bed.published[-1:]:
            event = Event.from_record(record.key, record.value, record.headers)
            for route in routes("a", "b").for_event(event):
                bed.opened(route.destination)  # as if each call failed and opened the circuit anew
    await bed.herald.stop()
    assert len(bed.published) == 2
