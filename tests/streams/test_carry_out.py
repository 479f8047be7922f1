"""One delivery, carried out against a log and a destination made of lists."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import orjson
import pytest
from prometheus_client import CollectorRegistry

from connectors.attempt import Attempt
from connectors.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from streams.cancellations import Cancellation, Cancellations, Cancelled
from streams.carry_out import carry_out
from streams.consumed import Consumed
from streams.dead_letter import LETTER_HEADER, DeadLetter
from streams.delivery import Delivery
from streams.event import Event, Receipt
from streams.metrics import StreamsMetrics
from streams.outcome import Outcome
from streams.own_events import OwnEvents
from streams.record import Record
from streams.retries import next_hop
from streams.routing import RouteSettings, compile_routes
from streams.shadow import Shadow
from streams.stay import retry_delay_s
from streams.surroundings import Surroundings
from streams.topics import TopicNames

NAMES = TopicNames()
NOW_S = 1_700_000_000.0
EVENT = Event("orders", "1", "1", "paid", int(NOW_S * 1000) - 250, b'{"id": 1, "n": 3}', b"1", "application/json")
DELIVERY = Delivery(EVENT, Receipt("orders", 0, 5), "to-crm", "crm")


@dataclass(frozen=True)
class Settled:
    attempts: int = 1
    status: int | None = 200
    made: str = ""


@dataclass
class World:
    """A log and a destination; ``answers`` are raised or returned by the calls, in order, the last one for ever."""

    answers: list[Settled | Exception] = field(default_factory=lambda: [Settled()])
    route: dict[str, object] = field(default_factory=dict)
    told: bool = False  # whether a route takes Headrace's own events
    fail_at: int = -1
    published: list[Record] = field(default_factory=list)
    calls: list[tuple[str, dict[str, object], str]] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    awaits: int = 0

    def __post_init__(self) -> None:
        settings = {
            "name": "to-crm",
            "source": "orders",
            "to": "crm",
            "action": "request",
            "with": {"n": "{{ body.n }}"},
        }
        tell = {"name": "tell", "source": "headrace", "to": "slack", "action": "request"}
        entries = [{**settings, **self.route}, *([tell] if self.told else [])]
        self.routes = compile_routes([RouteSettings.model_validate(entry) for entry in entries])

    async def step(self) -> None:
        self.awaits += 1
        await asyncio.sleep(0)
        if self.awaits == self.fail_at:
            raise asyncio.CancelledError

    async def send(self, record: Record) -> None:
        await self.step()
        self.published.append(record)
        await self.step()

    async def call(self, action: str, parameters: dict[str, object], key: str) -> Settled:
        await self.step()
        self.calls.append((action, parameters, key))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.step()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pause(self, reason: str) -> None:
        self.paused.append(reason)

    def surroundings(self) -> Surroundings:
        return Surroundings(
            destination="crm",
            delays_s=(60, 120),
            names=NAMES,
            routes=lambda: self.routes,
            send=self.send,
            call=self.call,
            check=lambda _action, parameters: "n is missing" if "n" not in parameters else "",
            pause=self.pause,
            own_events=OwnEvents(NAMES, lambda: self.routes),
            now_s=lambda: NOW_S,
            metrics=StreamsMetrics(CollectorRegistry()),
        )

    def on(self, topic: str) -> list[Record]:
        return [record for record in self.published if record.topic == topic]

    def folded(self) -> dict[tuple[str, bytes], bytes | None]:
        return {(record.topic, record.key): record.value for record in self.published}

    def outcomes(self) -> list[str]:
        return [Outcome.from_record(record.value or b"").outcome for record in self.on("outcomes")]

    def letter(self) -> DeadLetter:
        (record,) = self.on("dead-letter")
        return DeadLetter.from_record(record.key, record.value, record.headers)


def consumed(record: Record) -> Consumed:
    return Consumed(record.topic, 2, 9, record.key, record.value, record.headers)


async def run(world: World, delivery: Delivery = DELIVERY) -> None:
    await carry_out(consumed(delivery.to_record("deliveries.crm")), world.surroundings())


async def test_a_call_that_succeeds_settles() -> None:
    world = World()
    await run(world)
    assert world.calls == [("request", {"n": 3}, DELIVERY.id)]
    assert world.outcomes() == ["settled"]
    assert not world.on("dead-letter")


async def test_a_transient_failure_waits_in_the_topic_of_its_round() -> None:
    world = World([TransientError("503", status=503, attempts=3)])
    await run(world)
    (record,) = world.on("retries.60s")
    waiting = Delivery.from_record(record.key, record.value, record.headers)
    assert (waiting.round, waiting.attempts, waiting.id) == (1, 3, DELIVERY.id)
    assert waiting.first_failure_ms == int(NOW_S * 1000)
    assert world.outcomes() == ["delayed"]


@pytest.mark.parametrize(
    ("retry_after_s", "topic", "wait_s"),
    [(None, "retries.60s", 60), (61, "retries.120s", 61), (5, "retries.60s", 60), (900, "retries.120s", 900)],
)
async def test_retry_after_takes_the_smallest_delay_that_is_long_enough(
    retry_after_s: float | None, topic: str, wait_s: int
) -> None:
    world = World([RateLimited("429", status=429, attempts=1, retry_after_s=retry_after_s)])
    await run(world)
    (record,) = world.on(topic)
    waiting = Delivery.from_record(record.key, record.value, record.headers)
    assert waiting.not_before_ms == int((NOW_S + wait_s) * 1000)


async def test_a_spent_budget_becomes_a_dead_letter_that_says_why() -> None:
    world = World([TransientError("the destination answered 503", status=503, attempts=3)])
    await run(world, replace(DELIVERY, round=2, attempts=6, first_failure_ms=1000))
    letter = world.letter()
    assert (letter.failure.stage, letter.failure.status, letter.failure.attempts) == ("retry", 503, 9)
    assert letter.failure.first_failure_ms == 1000
    assert "503" in letter.failure.message
    assert (letter.failure.topic, letter.failure.partition, letter.failure.offset) == ("deliveries.crm", 2, 9)
    assert world.outcomes() == ["dead_lettered"]


async def test_a_dead_letter_carries_the_last_three_attempts_of_all_rounds() -> None:
    def failed(*errors: str) -> TransientError:
        error = TransientError(errors[-1], status=503, attempts=len(errors))
        error.failures = tuple(Attempt(1000, 0.5, 503, text, "<busy>") for text in errors)
        return error

    world = World([failed("a", "b")])
    await run(world)
    (record,) = world.on("retries.60s")
    waiting = Delivery.from_record(record.key, record.value, record.headers)
    world = World([failed("c", "d")])
    await run(world, replace(waiting, round=2))
    assert world.letter().delivery().failures == tuple(Attempt(1000, 0.5, 503, text, "<busy>") for text in "bcd")


async def test_failures_that_cannot_be_read_are_passed_over() -> None:
    record = DELIVERY.to_record("deliveries.crm")
    for raw in (b"{", b"[1]", b'[{"x": 1}]'):
        headers = [*record.headers, ("headrace-failures", raw)]
        assert Delivery.from_record(record.key, record.value, headers).failures == ()


@pytest.mark.parametrize(("status", "key_replay"), [(400, 1), (404, 1), (409, 0), (429, 0), (None, 0)])
async def test_a_replay_after_a_definite_refusal_has_a_key_of_its_own(status: int | None, key_replay: int) -> None:
    world = World([PermanentError("no", status=status, attempts=1)])
    await run(world)
    refused = world.letter().delivery()
    assert refused.key_replay == key_replay
    assert (refused.idempotency_key == DELIVERY.id) is (key_replay == 0)


async def test_a_mapping_error_names_route_and_missing_name_and_calls_nothing() -> None:
    world = World(route={"with": {"n": "{{ body.missing }}"}})
    await run(world)
    failure = world.letter().failure
    assert failure.stage == "render"
    assert "to-crm" in failure.message
    assert "missing" in failure.message
    assert not world.calls


async def test_refused_credentials_pause_and_use_no_attempt() -> None:
    world = World([CredentialsRefused("401", status=401, attempts=1), Settled()])
    await run(world)
    assert world.paused == ["401"]
    assert [key for _, _, key in world.calls] == [DELIVERY.id, DELIVERY.id]
    assert world.outcomes() == ["settled"]


async def test_a_route_that_is_unknown_is_waited_for_and_then_a_dead_letter() -> None:
    world = World(route={"name": "another"})
    await run(world)
    assert len(world.on("retries.60s")) == 1  # another worker may have a newer routing table
    await run(world, replace(DELIVERY, round=2))
    assert world.letter().failure.stage == "route"
    assert not world.calls


async def test_a_route_that_moved_takes_its_deliveries_along() -> None:
    world = World(route={"to": "crm2"})
    await run(world)
    (record,) = world.on("deliveries.crm2")
    assert Delivery.from_record(record.key, record.value, record.headers).id == DELIVERY.id
    assert not world.calls


async def test_a_replay_that_settles_ends_its_letter_after_the_outcome() -> None:
    world = World()
    await run(world, replace(DELIVERY, replay=1))
    assert [(record.topic, record.value is None) for record in world.published] == [
        ("outcomes", False),
        ("dead-letter", True),
    ]
    assert world.published[1].key == DELIVERY.id.encode()


@pytest.mark.parametrize(("replay", "ages"), [(0, 1), (1, 0)])
async def test_a_replay_has_no_age(replay: int, ages: int) -> None:
    around = World().surroundings()
    await carry_out(consumed(replace(DELIVERY, replay=replay).to_record("deliveries.crm")), around)
    (metric,) = around.metrics.delivery_age_s.collect()
    assert sum(sample.value for sample in metric.samples if sample.name.endswith("_count")) == ages


async def test_a_replay_whose_condition_no_longer_holds_is_skipped_and_ends_its_letter() -> None:
    world = World(route={"when": "body.n == 4"})
    await run(world, replace(DELIVERY, replay=1))
    assert world.outcomes() == ["skipped"]
    assert world.on("dead-letter")[0].value is None
    assert not world.calls


EACH = {"each": "{{ body.lines }}", "with": {"n": "{{ item.n }}", "of": "{{ body.id }}"}}
WITH_LINES = replace(DELIVERY, event=replace(EVENT, body=b'{"id": 1, "lines": [{"n": 5}, {"n": 6}]}'))


async def test_an_item_is_called_with_what_it_holds_and_under_an_id_of_its_own() -> None:
    world = World(route=EACH)
    for item in (0, 1):
        await run(world, replace(WITH_LINES, item=item))
    assert [parameters for _, parameters, _ in world.calls] == [{"n": 5, "of": 1}, {"n": 6, "of": 1}]
    assert len({key for _, _, key in world.calls} | {WITH_LINES.id}) == 3
    assert [Outcome.from_record(record.value or b"").item for record in world.on("outcomes")] == [0, 1]


@pytest.mark.parametrize("replay", [0, 1])
async def test_a_delivery_without_an_item_is_split_and_ends(replay: int) -> None:
    world = World(route=EACH)
    await run(world, replace(WITH_LINES, replay=replay))
    made = [Delivery.from_record(r.key, r.value, r.headers) for r in world.on("deliveries.crm")]
    assert made == [replace(WITH_LINES, replay=replay, item=item) for item in (0, 1)]
    assert (world.calls, world.outcomes()) == ([], ["skipped"])
    assert [record.key for record in world.on("dead-letter")] == [WITH_LINES.id.encode()] * replay


@pytest.mark.parametrize(
    ("route", "item", "stage", "message"),
    [
        ({**EACH, "each": "{{ body.id }}"}, None, "each", "not a list"),
        ({**EACH, "each": "{{ body.nope }}"}, None, "each", "nope"),
        (EACH, 2, "render", "no item 2 among 2"),
        ({}, 1, "route", "no longer has each"),
        ({**EACH, "with": {"n": "{{ item.nope }}"}}, 0, "render", "parameter n"),
    ],
)
async def test_items_that_cannot_be_told_are_dead_letters(
    route: dict[str, object], item: int | None, stage: str, message: str
) -> None:
    world = World(route=route)
    await run(world, replace(WITH_LINES, item=item))
    failure = world.letter().failure
    assert failure.stage == stage
    assert message in failure.message
    assert "to-crm" in failure.message
    assert not world.calls


ORDERED = replace(DELIVERY, ordered=True)


async def test_an_ordered_delivery_that_fails_in_place_is_a_dead_letter_at_once() -> None:
    world = World([TransientError("503", status=503, attempts=3)], route={"ordered": True})
    await run(world, ORDERED)
    assert (world.letter().failure.stage, world.outcomes()) == ("retry", ["dead_lettered"])
    assert not world.on("retries.60s")


async def test_an_ordered_delivery_waits_in_place_while_the_destination_asks_for_time() -> None:
    world = World([RateLimited("429", status=429, attempts=3)] * 5 + [Settled()], route={"ordered": True})
    await run(world, ORDERED)
    assert (len(world.calls), world.outcomes()) == (6, ["settled"])


async def test_an_ordered_delivery_of_an_unknown_route_does_not_come_back_out_of_order() -> None:
    world = World(route={"name": "another"})
    await run(world, ORDERED)
    assert world.letter().failure.stage == "route"


async def test_a_delivery_of_high_priority_stays_one_through_its_retries_and_when_its_route_moves() -> None:
    world = World([TransientError("503", status=503, attempts=3)], route={"priority": "high"})
    await run(world, replace(DELIVERY, high=True))
    (record,) = world.on("retries.60s")
    waiting = Delivery.from_record(record.key, record.value, record.headers)
    assert next_hop(waiting, {"retries.60s": 60}, NAMES, now_ms=waiting.not_before_ms) == "deliveries.crm.high"
    world = World(route={"to": "crm2", "priority": "high"})
    await run(world)
    assert len(world.on("deliveries.crm2.high")) == 1


@pytest.mark.parametrize("moment", ["when it is read", "just before the call"])
async def test_a_cancelled_delivery_is_skipped_and_the_cancellation_ends_after_its_outcome(moment: str) -> None:
    world = World([Cancelled("by hand")])
    around = world.surroundings()
    if moment == "when it is read":
        around = replace(around, cancelled=lambda id_, replay: "by hand" if (id_, replay) == (DELIVERY.id, 0) else None)
    await carry_out(consumed(DELIVERY.to_record("deliveries.crm")), around)
    assert [record.topic for record in world.published] == ["outcomes", "cancellations"]
    assert Outcome.from_record(world.published[0].value or b"").detail == "cancelled: by hand"
    assert (world.published[1].key, world.published[1].value) == (DELIVERY.id.encode(), None)
    assert len(world.calls) == (0 if moment == "when it is read" else 1)
    assert around.metrics.cancelled.labels("crm")._value.get() == 1


def test_a_cancellation_is_of_one_replay_and_ends_with_its_tombstone() -> None:
    cancellations = Cancellations()
    record = Cancellation("id", 1, "by hand", "2026-01-01T00:00:00Z").to_record("cancellations")
    cancellations.apply(record.key, record.value)
    assert [cancellations.reason("id", replay) for replay in (0, 1, 2)] == [None, "by hand", None]
    for value in (b"{", b"[]", b'{"replay": "x"}', None):
        cancellations.apply(record.key, record.value)
        cancellations.apply(record.key, value)
        assert len(cancellations) == 0


async def test_an_unreadable_record_is_a_dead_letter() -> None:
    world = World()
    await carry_out(Consumed("deliveries.crm", 1, 2, b"k", b"v", [("odd", b"\xff")]), world.surroundings())
    letter = world.letter()
    assert (letter.id, letter.failure.stage, letter.body) == ("deliveries.crm/1/2", "decode", b"v")


async def test_a_replayed_unreadable_record_ends_its_letter_when_it_can_be_read() -> None:
    world = World()
    record = DELIVERY.to_record("deliveries.crm")
    marked = Record(record.topic, record.key, record.value, [*record.headers, (LETTER_HEADER, b"deliveries.crm/1/2")])
    await carry_out(consumed(marked), world.surroundings())
    (tombstone,) = world.on("dead-letter")
    assert (tombstone.key, tombstone.value) == (b"deliveries.crm/1/2", None)


async def test_a_dead_letter_is_told_before_the_record_is_settled() -> None:
    world = World([PermanentError("the destination answered 422", status=422, attempts=1)], told=True)
    await run(world)
    assert [record.topic for record in world.published] == ["dead-letter", "events.headrace", "outcomes"]
    record = world.published[1]
    event = Event.from_record(record.key, record.value, record.headers)
    assert (event.type, event.about) == ("dead_letter", "crm")
    assert orjson.loads(event.body)["error"] == world.letter().failure.message


async def test_an_unreadable_record_is_told_as_its_destination_s() -> None:
    world = World(told=True)
    await carry_out(Consumed("deliveries.crm", 1, 2, b"k", b"v", [("odd", b"\xff")]), world.surroundings())
    (record,) = world.on("events.headrace")
    assert Event.from_record(record.key, record.value, record.headers).about == "crm"


async def test_the_death_of_an_own_event_is_a_letter_and_nothing_more() -> None:
    world = World([PermanentError("no", status=400, attempts=1)], route={"source": "headrace"}, told=True)
    await run(world, replace(DELIVERY, event=replace(EVENT, source="headrace")))
    assert len(world.on("dead-letter")) == 1
    assert not world.on("events.headrace")


async def test_what_is_told_about_a_destination_does_not_go_there_by_a_route_that_was_changed() -> None:
    world = World(route={"source": "headrace"})
    about = replace(EVENT, source="headrace", headers={"headrace-destination": "crm"})
    await run(world, replace(DELIVERY, event=about))
    assert (world.calls, world.outcomes()) == ([], ["skipped"])


SCENARIOS: dict[str, Callable[[], World]] = {
    "settled": World,
    "delayed": lambda: World([TransientError("503", attempts=3)]),
    "dead letter": lambda: World([PermanentError("400", status=400, attempts=1)]),
    "split": lambda: World(route={"each": "{{ [body.n, body.id] }}"}),
    "dead letter that is told": lambda: World([PermanentError("400", status=400, attempts=1)], told=True),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_killed_at_any_await_the_next_owner_finishes_with_the_same_key(scenario: str) -> None:
    """Nothing is acknowledged by a run that was killed, and what two runs publish folds to what one publishes."""
    clean = SCENARIOS[scenario]()
    await run(clean, replace(DELIVERY, replay=1))

    async def killed_then_run_again(fail_at: int) -> World:
        world = SCENARIOS[scenario]()
        world.fail_at = fail_at
        with pytest.raises(asyncio.CancelledError):
            await run(world, replace(DELIVERY, replay=1))
        await run(world, replace(DELIVERY, replay=1))
        return world

    for fail_at in range(1, clean.awaits + 1):
        world = await killed_then_run_again(fail_at)
        assert {(r.topic, r.key): r.value for r in world.published} == {
            (r.topic, r.key): r.value for r in clean.published
        }
        assert {key for _, _, key in world.calls} == {key for _, _, key in clean.calls}
        assert len(world.calls) <= 2


async def test_what_cannot_be_published_is_raised() -> None:
    world = World([PermanentError("400", status=400, attempts=1)])

    async def refuse(_record: Record) -> None:
        raise OSError("disk full")

    surroundings = replace(world.surroundings(), send=refuse)
    attempt: Awaitable[None] = carry_out(consumed(DELIVERY.to_record("deliveries.crm")), surroundings)
    with pytest.raises(OSError, match="disk full"):
        await attempt


@pytest.mark.parametrize(("wait_s", "delay_s"), [(1, 60), (60, 60), (60.5, 120), (121, 120)])
def test_retry_delay(wait_s: float, delay_s: int) -> None:
    assert retry_delay_s((120, 60), wait_s) == delay_s


def shadows(world: World) -> list[Shadow]:
    return [Shadow.from_record(record.value or b"") for record in world.on("shadow")]


async def test_a_shadow_is_rendered_checked_and_recorded_and_calls_nothing() -> None:
    world = World(route={"mode": "shadow"})
    await carry_out(consumed(replace(DELIVERY, shadow=True).to_record("deliveries.crm")), world.surroundings())
    (shadow,) = shadows(world)
    assert (shadow.delivery_id, shadow.action, shadow.parameters, shadow.error) == (
        DELIVERY.id,
        "request",
        {"n": 3},
        "",
    )
    assert world.outcomes() == ["shadowed"]
    assert not world.calls


async def test_a_shadow_that_could_not_have_been_called_says_why_and_is_no_dead_letter() -> None:
    for mapping, error in (({"n": "{{ body.missing }}"}, "missing"), ({"m": 1}, "n is missing")):
        world = World(route={"mode": "shadow", "with": mapping})
        await carry_out(consumed(replace(DELIVERY, shadow=True).to_record("deliveries.crm")), world.surroundings())
        (shadow,) = shadows(world)
        assert error in shadow.error
        assert world.outcomes() == ["shadowed"]
        assert not world.on("dead-letter")


async def test_what_was_fanned_out_as_a_shadow_stays_one() -> None:
    """The route is live by now: the event went to the mirror, and must not be done twice."""
    world = World()
    await carry_out(consumed(replace(DELIVERY, shadow=True).to_record("deliveries.crm")), world.surroundings())
    assert world.outcomes() == ["shadowed"]
    assert not world.calls


async def test_a_mirror_gets_the_event_as_it_came() -> None:
    body = b"\xff not JSON"
    event = replace(EVENT, body=body, content_type="application/x", headers={"headrace-query": "a=1&a=2"})
    world = World(route={"mirror": {"url_env": "HOOK"}})
    delivery = Delivery(event, DELIVERY.receipt, "to-crm.mirror", "to-crm.mirror")
    await carry_out(
        consumed(delivery.to_record("deliveries.x")), replace(world.surroundings(), destination="to-crm.mirror")
    )
    ((action, parameters, _),) = world.calls
    assert action == "forward"
    assert base64.b64decode(str(parameters["body_base64"])) == body
    assert (parameters["content_type"], parameters["query"]) == ("application/x", "a=1&a=2")
