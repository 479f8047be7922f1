"""Fan-out without Faust, a broker or a clock; killed at every await."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from streams.dead_letter import LETTER_HEADER, DeadLetter
from streams.delivery import Delivery, delivery_id
from streams.event import Event
from streams.fan_out import DUPLICATE, FANNED_OUT, UNREADABLE, UNROUTED, FanOut, Unpublished
from streams.metrics import StreamsMetrics
from streams.record import Record
from streams.routing import Routes, RouteSettings, compile_routes
from streams.seen import decode_row, encode_row, seen_key
from streams.taken import Revoked, Taken
from streams.topics import TopicNames

NAMES = TopicNames()
TTL_S = 100
ROUTES = [
    RouteSettings(name="all", source="s", to="a", action="x"),
    RouteSettings(name="b", source="*", to="b", action="x"),
]


class Killed(BaseException):
    """The process ends here."""


class World:
    """What outlives a process: the broker's log and the table; and a life that ends at its ``lives``-th await."""

    def __init__(self, routes: Sequence[RouteSettings] = ROUTES) -> None:
        self.published: list[Record] = []
        self.rows: dict[tuple[int, bytes], bytes] = {}
        self.done: list[int] = []
        self.awaits_left = -1
        self.dead = False
        self.refusals = 0
        self.owned = True
        self.slept_s: list[float] = []
        self.metrics = StreamsMetrics(CollectorRegistry())
        self.routes: Routes = compile_routes(routes)
        self.fan_out = self.new_process()

    def new_process(self) -> FanOut:
        self.dead = False
        return FanOut(
            names=NAMES,
            routes=lambda: self.routes,
            dedup_ttl_s={"s": TTL_S, "other": TTL_S, "headrace": TTL_S},
            body_bytes_max=1000,
            seen=self,
            send=self.send,
            ensure_owned=self.ensure_owned,
            now_ms=lambda: 1_000,
            metrics=self.metrics,
            sleep=self.sleep,
        )

    async def step(self) -> None:
        if self.dead:
            raise Killed
        self.awaits_left -= 1
        if self.awaits_left == 0:
            self.dead = True
            raise Killed
        await asyncio.sleep(0)
        if self.dead:  # another task was where the kill fell
            raise Killed

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.rows.get((partition, key))

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        self.rows[partition, key] = row
        await self.step()

    async def send(self, records: Sequence[Record]) -> None:
        for i, record in enumerate(records):
            await self.step()
            if self.refusals:
                self.refusals -= 1
                raise Unpublished(records[i:], "away")
            self.published.append(record)
        await self.step()

    async def ensure_owned(self, record: Taken) -> None:
        await self.step()
        if not self.owned:
            raise Revoked

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        await self.step()

    async def carry_through(self, record: Taken) -> str:
        outcome = await self.fan_out.fan_out(record)
        self.done.append(record.offset)
        return outcome

    def deliveries(self) -> list[Delivery]:
        records = [record for record in self.published if record.topic.startswith("deliveries.")]
        return [Delivery.from_record(record.key, record.value, record.headers) for record in records]

    def letters(self) -> list[DeadLetter]:
        records = [
            record for record in self.published if record.topic == NAMES.dead_letter and record.value is not None
        ]
        return [DeadLetter.from_record(record.key, record.value, record.headers) for record in records]

    def count(self, outcome: str, source: str = "s") -> float:
        return self.metrics.events.labels(source, outcome)._value.get()


def event(name: str = "e", *, body: bytes = b'{"n": 1}', time_ms: int = 50_000, source: str = "s") -> Event:
    return Event(source, name, name, "t", time_ms, body, name.encode(), content_type="application/json")


def taken(event: Event, offset: int = 0, extra: Mapping[str, bytes] | None = None) -> Taken:
    headers = [*event.to_headers(), *(extra or {}).items()]
    return Taken(NAMES.events("s"), "s", 3, offset, event.key, event.body, headers)


async def test_an_event_becomes_one_delivery_a_route() -> None:
    world = World()
    assert await world.carry_through(taken(event(), 7)) == FANNED_OUT
    assert [(d.route, d.destination, str(d.receipt)) for d in world.deliveries()] == [
        ("all", "a", "s/3/7"),
        ("b", "b", "s/3/7"),
    ]
    assert [record.topic for record in world.published] == ["deliveries.a", "deliveries.b"]
    assert world.deliveries()[0].event == event()
    assert world.rows == {(3, seen_key(event())): encode_row(50_000)}
    assert world.count(FANNED_OUT) == 1


async def test_a_duplicate_within_the_ttl_is_dropped_and_one_after_it_is_not() -> None:
    world = World()
    await world.carry_through(taken(event()))
    assert await world.carry_through(taken(event(time_ms=50_000 + TTL_S * 1000 - 1), 1)) == DUPLICATE
    assert await world.carry_through(taken(event(time_ms=40_000), 2)) == DUPLICATE  # late, or taken again
    assert len(world.deliveries()) == 2
    assert await world.carry_through(taken(event(time_ms=50_000 + TTL_S * 1000), 3)) == FANNED_OUT
    assert len(world.deliveries()) == 4


async def test_a_captured_body_under_another_id_suppresses_nothing() -> None:
    world = World()
    captured = replace(event(), id="future", dedup_id="sha-of-future-and-old-body")
    real = replace(event(body=b'{"n": 2}'), id="future", dedup_id="sha-of-future-and-new-body")
    assert await world.carry_through(taken(captured)) == FANNED_OUT
    assert await world.carry_through(taken(real, 1)) == FANNED_OUT


async def test_of_twins_in_flight_the_second_waits_and_is_a_duplicate() -> None:
    world = World()
    outcomes = await asyncio.gather(*(world.carry_through(taken(event(), offset)) for offset in range(5)))
    assert Counter(outcomes) == {FANNED_OUT: 1, DUPLICATE: 4}
    assert len(world.deliveries()) == 2


async def test_when_the_first_twin_fails_the_second_does_the_work() -> None:
    world = World()
    first = asyncio.create_task(world.carry_through(taken(event(), 0)))
    second = asyncio.create_task(world.carry_through(taken(event(), 1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert await second == FANNED_OUT
    assert first.cancelled() or isinstance(first.exception(), asyncio.CancelledError)


async def test_an_event_without_a_route_is_marked_too() -> None:
    world = World([])
    assert await world.carry_through(taken(event())) == UNROUTED
    world.routes = compile_routes(ROUTES)  # a route that came later does not take it
    assert await world.carry_through(taken(event(), 1)) == DUPLICATE
    assert world.published == []


async def test_a_condition_that_fails_is_a_letter_of_that_route_alone() -> None:
    broken = RouteSettings(name="broken", source="s", when="body.missing.deeper == 1", to="c", action="x")
    no = RouteSettings(name="no", source="s", when="body.n == 2", to="c", action="x")
    world = World([broken, no, *ROUTES])
    assert await world.carry_through(taken(event(), 4)) == FANNED_OUT
    assert [delivery.route for delivery in world.deliveries()] == ["all", "b"]
    (letter,) = world.letters()
    assert letter.failure.stage == "match"
    assert (letter.failure.topic, letter.failure.partition, letter.failure.offset) == ("events.s", 3, 4)
    assert letter.delivery().route == "broken"
    assert letter.id == delivery_id("s", "e", "broken")


async def test_each_item_is_a_delivery_with_an_id_of_its_own_in_the_list_s_order() -> None:
    each = RouteSettings(name="each", source="s", each="{{ body.items }}", to="c", action="x")
    world = World([each])
    assert await world.carry_through(taken(event(body=b'{"items": ["a", "b", "c"]}'))) == FANNED_OUT
    assert [delivery.item for delivery in world.deliveries()] == [0, 1, 2]
    assert len({delivery.id for delivery in world.deliveries()} | {delivery_id("s", "e", "each")}) == 4
    assert await world.carry_through(taken(event("none", body=b'{"items": []}'), 1)) == UNROUTED


@pytest.mark.parametrize("body", [b'{"items": 7}', b'{"items": {"a": 1}}', b"{}", b'{"items": "abc"}', b"{"])
async def test_items_that_are_no_list_are_one_letter(body: bytes) -> None:
    each = RouteSettings(name="each", source="s", each="{{ body.items }}", to="c", action="x")
    world = World([each, *ROUTES])
    assert await world.carry_through(taken(event(body=body))) == FANNED_OUT
    (letter,) = world.letters()
    assert (letter.failure.stage, letter.delivery().item) == ("each" if body != b"{" else "match", None)
    assert letter.id == delivery_id("s", "e", "each")
    assert len(world.deliveries()) == 2


async def test_too_many_items_are_one_letter_that_says_how_many() -> None:
    each = RouteSettings(name="each", source="s", each="{{ body }}", to="c", action="x")
    world = World([each])
    await world.carry_through(taken(event(body=b"[" + b"1," * 400 + b"1]")))
    assert len(world.deliveries()) == 401
    world = World([RouteSettings(name="each", source="s", each="{{ body + body + body }}", to="c", action="x")])
    await world.carry_through(taken(event(body=b"[" + b"1," * 400 + b"1]")))
    assert "1203 items, and at most 1000" in world.letters()[0].failure.message
    assert not world.deliveries()


def of_key(name: str, key: str, offset: int) -> Taken:
    return taken(replace(event(name), key=key.encode()), offset)


async def test_events_of_one_key_are_published_in_order_where_a_route_is_ordered() -> None:
    """However often the broker is away, and whoever is quicker; events of other keys do not wait."""
    world = World([RouteSettings(name="o", source="s", to="c", action="x", ordered=True)])
    world.refusals = 30
    records = [of_key(f"{key}{n}", key, n) for n in range(20) for key in "abc"]
    await asyncio.gather(*(world.carry_through(record) for record in records))
    published = [delivery.event.id for delivery in world.deliveries()]
    for key in "abc":
        assert list(dict.fromkeys(id_ for id_ in published if id_[0] == key)) == [f"{key}{n}" for n in range(20)]
    assert all(delivery.ordered for delivery in world.deliveries())
    assert len(world.fan_out._chains) == 0


async def test_what_follows_an_event_that_was_given_up_is_given_up_too() -> None:
    world = World([RouteSettings(name="o", source="s", to="c", action="x", ordered=True)])
    world.refusals = 1000
    works = [asyncio.create_task(world.carry_through(of_key(f"a{n}", "a", n))) for n in range(3)]
    for _ in range(50):
        await asyncio.sleep(0)
    works[0].cancel()
    world.refusals = 0
    results = await asyncio.gather(*works, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, Revoked, Revoked]
    assert not world.deliveries()


async def test_a_route_of_high_priority_has_a_queue_of_its_own() -> None:
    world = World([RouteSettings(name="h", source="s", to="c", action="x", priority="high"), *ROUTES])
    await world.carry_through(taken(event()))
    assert [record.topic for record in world.published] == ["deliveries.c.high", "deliveries.a", "deliveries.b"]
    assert [delivery.high for delivery in world.deliveries()] == [True, False, False]


async def test_a_body_that_does_not_parse_is_a_letter_where_a_condition_looks_at_it() -> None:
    world = World([RouteSettings(name="when", source="s", when="body.n == 1", to="c", action="x"), *ROUTES])
    assert await world.carry_through(taken(event(body=b"{"))) == FANNED_OUT
    assert [letter.delivery().route for letter in world.letters()] == ["when"]
    assert len(world.deliveries()) == 2  # the mapping may not need the body; if it does, rendering says so


@pytest.mark.parametrize(
    "record",
    [
        Taken("events.s", "s", 0, 9, b"k", b"body", []),
        Taken("events.s", "s", 0, 9, None, None, [("headrace-version", b"9")]),
        replace(taken(event()), headers=[(name, b"\xff") for name, _ in event().to_headers()], partition=0, offset=9),
        replace(taken(event(source="other")), partition=0, offset=9),
    ],
)
async def test_a_record_that_is_no_event_is_a_dead_letter(record: Taken) -> None:
    world = World()
    assert await world.carry_through(record) == UNREADABLE
    (letter,) = world.letters()
    assert letter.id == "events.s/0/9"
    assert letter.unreadable
    assert letter.body == (record.value or b"")
    assert letter.headers == list(record.headers)
    assert world.rows == {}
    assert world.done == [9]


async def test_a_replayed_record_that_is_read_well_ends_its_letter_after_its_deliveries() -> None:
    world = World()
    for offset in (5, 6):  # the second is a duplicate, as after a crash before the tombstone
        await world.carry_through(taken(event(), offset, {LETTER_HEADER: b"events.s/0/9"}))
        assert (world.published[-1].key, world.published[-1].value) == (b"events.s/0/9", None)
    assert len(world.deliveries()) == 2


async def test_while_the_broker_is_away_nothing_is_marked_and_it_tries_for_ever() -> None:
    world = World()
    world.refusals = 20
    await world.carry_through(taken(event()))
    assert len(world.slept_s) == 20
    assert world.slept_s[:3] == [0.1, 0.2, 0.4]
    assert world.slept_s[-1] == 5.0
    assert len(world.deliveries()) == 2  # what was acknowledged was not sent again


async def test_work_of_a_revoked_generation_writes_and_acknowledges_nothing() -> None:
    world = World()
    world.refusals = 1000
    work = asyncio.create_task(world.carry_through(taken(event())))
    for _ in range(50):
        await asyncio.sleep(0)
    world.owned = False
    with pytest.raises(Revoked):
        await work
    assert (world.rows, world.done, world.published) == ({}, [], [])


async def test_revoked_between_the_acks_and_the_mark_it_does_not_mark() -> None:
    world = World()
    send = world.send

    async def send_and_lose(records: Sequence[Record]) -> None:
        await send(records)
        world.owned = False

    world.send = send_and_lose  # type: ignore[method-assign]
    world.fan_out = world.new_process()
    with pytest.raises(Revoked):
        await world.carry_through(taken(event()))
    assert (world.rows, world.done) == ({}, [])


TELL = RouteSettings(name="tell", source="headrace", to="slack", action="x")
BROKEN = RouteSettings(name="broken", source="s", when="body.missing.deeper == 1", to="c", action="x")


def told(world: World) -> list[Event]:
    records = [record for record in world.published if record.topic == "events.headrace"]
    return [Event.from_record(record.key, record.value, record.headers) for record in records]


async def test_letters_of_fan_out_are_told_while_a_route_takes_them() -> None:
    world = World([BROKEN])
    await world.carry_through(taken(event()))
    assert told(world) == []
    world.routes = compile_routes([BROKEN, TELL])
    await world.carry_through(taken(event("other"), 1))
    await world.carry_through(Taken("events.s", "s", 0, 9, b"k", b"body", []))
    assert [(e.type, e.about) for e in told(world)] == [("dead_letter", "c"), ("dead_letter", "")]


async def test_an_own_event_that_cannot_be_read_or_matched_is_a_letter_and_nothing_more() -> None:
    world = World([replace_route(BROKEN, source="headrace"), TELL])
    own = Taken("events.headrace", "headrace", 0, 9, b"k", b"body", [])
    assert await world.carry_through(own) == UNREADABLE
    about = replace(event(source="headrace"), headers={"headrace-destination": "slack"})
    read = replace(own, offset=10, value=about.body, headers=about.to_headers())
    assert await world.carry_through(read) == FANNED_OUT
    assert len(world.letters()) == 2
    assert (told(world), world.deliveries()) == ([], [])  # nor is slack told about slack


def replace_route(route: RouteSettings, **fields: object) -> RouteSettings:
    return route.model_copy(update=fields)


async def test_killed_at_every_await_what_died_is_told_at_last_and_under_one_id() -> None:
    records = [taken(event("a"), 0), Taken("events.s", "s", 3, 1, b"k", b"body", [])]
    kill_at, killed = 1, True
    while killed:
        world = World([BROKEN, TELL])
        world.refusals = 1
        killed = await live(world, records, kill_at)
        letters = {(letter.id, letter.failure.stage) for letter in world.letters()}
        assert len(world.done) <= len({e.id for e in told(world)})
        await live(world, records, -1)
        assert sorted(world.done) == [0, 1]
        assert len({e.id for e in told(world)}) == 2
        assert letters <= {(letter.id, letter.failure.stage) for letter in world.letters()}
        kill_at += 1
    assert kill_at > 10


async def live(world: World, records: Sequence[Taken], kill_at: int) -> bool:
    """Take what is not done, all at once, in a new process; return whether it was killed."""
    world.awaits_left = kill_at
    world.fan_out = world.new_process()
    tasks = [asyncio.create_task(world.carry_through(r)) for r in records if r.offset not in world.done]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, str | Killed) for result in ended)
    return any(isinstance(result, Killed) for result in ended)


def check(world: World, records: Sequence[Taken]) -> None:
    """Nothing is marked or done whose deliveries are not all in the log."""
    published = Counter(delivery.id for delivery in world.deliveries())
    for record in records:
        name = dict(record.headers)["headrace-dedup-id"].decode()
        expected = {delivery_id("s", name, route) for route in ("all", "b")}
        if (record.partition, f"s\0{name}".encode()) in world.rows or record.offset in world.done:
            assert expected <= set(published)


async def test_killed_at_every_await_nothing_is_lost_and_nothing_marked_too_early() -> None:
    records = [taken(event(name), offset) for offset, name in enumerate(["a", "b", "a", "c"])]
    kill_at, killed = 1, True
    while killed:
        world = World()
        world.refusals = 1
        killed = await live(world, records, kill_at)
        check(world, records)
        again = await live(world, records, -1)
        assert not again
        assert sorted(world.done) == [0, 1, 2, 3]
        check(world, records)
        repeated = Counter(delivery.id for delivery in world.deliveries())
        assert max(repeated.values()) <= 2  # once more for the one kill
        kill_at += 1
    assert kill_at > 20
    assert set(repeated.values()) == {1}  # the life that was not killed


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(st.sampled_from("abcde"), min_size=1, max_size=12),
    kills=st.lists(st.integers(1, 60), max_size=6),
    refusals=st.integers(0, 5),
)
def test_any_lives_lose_nothing(names: list[str], kills: list[int], refusals: int) -> None:
    records = [taken(event(name), offset) for offset, name in enumerate(names)]

    async def run() -> None:
        world = World()
        world.refusals = refusals
        for kill_at in kills:
            await live(world, records, kill_at)
            check(world, records)
        await live(world, records, -1)
        assert sorted(world.done) == list(range(len(names)))
        check(world, records)
        counts = Counter(delivery.id for delivery in world.deliveries())
        assert max(counts.values()) <= 1 + len(kills)

    asyncio.run(run())


@given(st.integers(0, 2**53))
def test_a_row_keeps_the_time(time_ms: int) -> None:
    assert decode_row(encode_row(time_ms)) == time_ms


@pytest.mark.parametrize("row", [None, b"", b"2 5", b"1", b"1 x", b"1 -5"])
def test_a_row_of_another_version_counts_as_none(row: bytes | None) -> None:
    assert decode_row(row) is None


async def test_by_steps_an_event_goes_to_the_route_or_to_its_mirror_and_so_again_after_a_crash() -> None:
    steps = [{"from": "1970-01-01", "percent": 50}]
    keys = {"name": "r", "source": "s", "to": "a", "action": "x", "mode": steps, "mirror": {"url_env": "HOOK"}}
    world = World([RouteSettings.model_validate(keys)])
    for number in range(100):
        await world.fan_out.fan_out(taken(event(str(number)), number))
    world.rows.clear()  # as if every mark had been lost
    world.fan_out = world.new_process()
    for number in range(100):
        await world.fan_out.fan_out(taken(event(str(number)), number))
    deliveries = [Delivery.from_record(r.key, r.value, r.headers) for r in world.published]
    live = {d.event.id for d in deliveries if d.route == "r" and not d.shadow}
    rest = {d.event.id for d in deliveries if d.route == "r" and d.shadow}
    mirrored = {d.event.id for d in deliveries if d.route == "r.mirror"}
    assert mirrored == rest
    assert not live & rest
    assert len(live | rest) == 100
    assert 30 < len(live) < 70
