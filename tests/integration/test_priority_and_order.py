"""Priority and order on a real broker, with workers that are killed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.event import Event
from streams.kafka import producing
from tests.harness import Answer, HeadraceProcess, KafkaForTests, Received, Receiver, eventually
from tests.integration.scenario import Scenario
from tests.integration.test_deliver import bodies, table

pytestmark = pytest.mark.integration

Start = Callable[..., HeadraceProcess]


def with_high_route(routing: dict[str, Any]) -> dict[str, Any]:
    """Return a table with a second route of high priority, for what is urgent."""
    normal = routing["routes"][0]
    urgent = {**normal, "name": "urgent", "when": "body.urgent", "priority": "high"}
    urgent["with"] = {"path": "/urgent", "json": {"n": "{{ body.n }}"}}
    routing["routes"] = [{**normal, "when": "not body.urgent"}, urgent]
    return routing


async def overtake(scenario: Scenario, receiver: Receiver, *, waiting: int) -> float:
    """Let ``waiting`` normal deliveries wait, publish one of high priority, and return when it was called, in s."""
    receiver.answers["/orders"] = Answer(delay_s=0.2)
    await scenario.topics()
    await scenario.worker().ready()
    lines = [json.dumps({"n": n, "urgent": False}).encode() for n in range(waiting)]
    await scenario.publish("orders", lines)
    await eventually(lambda: len(receiver.calls("/orders")) >= 20)

    async def fanned_out() -> bool:
        return (await scenario.depths())[scenario.names.events("orders")].unsettled == 0

    await eventually(fanned_out, 120)
    begun_s = asyncio.get_running_loop().time()
    await scenario.publish("orders", [b'{"n": -1, "urgent": true}'], first=10**9)
    await eventually(lambda: receiver.calls("/urgent"), 60, pause_s=0.01)
    return asyncio.get_running_loop().time() - begun_s


async def test_high_priority_overtakes_what_waits_for_a_slot_and_for_the_rate(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    routing = with_high_route(table(receiver, concurrency=4, rate="20/s"))
    scenario = Scenario(kafka, tmp_path, routing, headrace_process)
    await overtake(scenario, receiver, waiting=600)
    # 600 at 20/s take half a minute: had it waited for a part of them, as many would have been called before it.
    assert len(receiver.calls("/orders")) < 300
    depths = await scenario.depths()
    assert depths[scenario.names.deliveries("crm", high=True)].unsettled <= 1


async def test_a_replay_and_a_retry_return_to_the_queue_of_high_priority(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    scenario = Scenario(kafka, tmp_path, with_high_route(table(receiver)), headrace_process)
    receiver.answers["/urgent"] = Answer(status=503)
    await scenario.topics()
    await scenario.worker().ready()
    (event,) = await scenario.publish("orders", [b'{"n": 1, "urgent": true}'])

    async def letters(count: int) -> bool:
        return len(await scenario.letters()) == count

    await eventually(lambda: letters(1))
    receiver.answers.clear()
    replayed = await scenario.command("dlq", "replay", "--yes")
    assert "1 replayed" in replayed.stdout, replayed.tail()
    await eventually(lambda: letters(0))
    records = [record async for record in read_high(scenario)]
    assert len(records) == 3  # from fan-out, from retries.1s, from the replay
    assert set(receiver.keys("/urgent")) == scenario.ids([event], "urgent")


async def test_what_waits_with_high_priority_is_counted_and_worked_when_no_route_has_it_any_more(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    scenario = Scenario(kafka, tmp_path, with_high_route(table(receiver)), headrace_process)
    await scenario.topics()
    assert (await scenario.command("pause", "crm")).process.returncode == 0
    first = await scenario.worker("first").ready()
    (event,) = await scenario.publish("orders", [b'{"n": 1, "urgent": true}'])
    high = scenario.names.deliveries("crm", high=True)

    async def waits() -> bool:
        return (await scenario.depths())[high].unsettled == 1

    await eventually(waits)
    assert await first.process.terminate(60) == 0
    del scenario.table["routes"][1]["priority"]
    scenario.write()
    worker = await scenario.worker("second").ready()

    async def exported() -> bool:
        return await worker.metric("headrace_queue_depth", topic=high) == 1

    await eventually(exported)
    assert not receiver.calls()
    await scenario.command("resume", "crm")
    await eventually(lambda: set(receiver.keys("/urgent")) == scenario.ids([event], "urgent"))
    await scenario.drained()


async def read_high(scenario: Scenario) -> Any:
    from streams.kafka import read_topic

    async for record in read_topic(scenario.settings, scenario.names.deliveries("crm", high=True)):
        yield record


async def keep_order(
    scenario: Scenario,
    receiver: Receiver,
    *,
    keys: int,
    per_key: int,
    failing: float,
    kills: int,
) -> None:
    """Deliver events of many keys in order, some failing once, while workers are killed; assert each key's order."""
    chance = random.Random(7)
    failed: set[str] = set()

    def answer(call: Received, earlier: int) -> Answer:
        if earlier == 0 and chance.random() < failing:
            failed.add(call.key)
            return Answer(status=503)
        return Answer(delay_s=0.002)

    receiver.answers["/orders"] = answer
    await scenario.topics()
    async with producing(scenario.settings) as producer:
        topic, sends = scenario.names.events("orders"), []
        for n in range(per_key):
            for key in range(keys):
                body = json.dumps({"n": n, "key": key}).encode()
                id_ = f"{key}-{n}"
                event = Event(
                    "orders", id_, id_, "test", 1_700_000_000_000, body, str(key).encode(), "application/json"
                )
                sends.append(await producer.send(topic, event.body, key=event.key, headers=event.to_headers()))
        await asyncio.gather(*sends)
    total = keys * per_key
    for kill in range(kills):
        worker = scenario.worker(f"w{kill}")
        target = total * (kill + 1) // (kills + 2)
        await eventually(lambda target=target: len(receiver.keys()) >= target, 300)
        worker.process.kill()
    await scenario.worker("first").ready()
    await scenario.worker("second").ready()
    await eventually(lambda: len(receiver.keys()) == total, 600)
    await scenario.drained(120)
    assert failed
    assert not await scenario.letters()
    # An effect is the first call of its Idempotency-Key that was not refused.
    effects: dict[int, list[int]] = {}
    done: set[str] = set()
    refused = set(failed)
    for call in receiver.calls("/orders"):
        if call.key in refused:
            refused.discard(call.key)  # its first call
        elif call.key not in done:
            done.add(call.key)
            effects.setdefault(call.json["key"], []).append(call.json["n"])
    assert len(done) == total
    disordered = {key: numbers for key, numbers in effects.items() if numbers != sorted(numbers)}
    assert not disordered, f"{len(disordered)} of {keys} keys"


def ordered_table(receiver: Receiver, **destination: Any) -> dict[str, Any]:
    routing = table(receiver, retry={"attempts": 3, "backoff_s": [0.05, 0.1]}, **destination)
    routing["sources"]["orders"]["partition_by"] = "{{ body.key }}"
    routing["routes"][0].update(ordered=True)
    routing["routes"][0]["with"]["json"] = {"n": "{{ body.n }}", "key": "{{ body.key }}"}
    return routing


async def test_each_key_is_called_in_order_through_failures_and_kills(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    scenario = Scenario(kafka, tmp_path, ordered_table(receiver), headrace_process)
    await keep_order(scenario, receiver, keys=40, per_key=20, failing=0.05, kills=1)


async def test_one_that_fails_for_good_is_a_dead_letter_and_its_key_goes_on(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    scenario = Scenario(kafka, tmp_path, ordered_table(receiver), headrace_process)
    receiver.answers["/orders"] = lambda call, _earlier: Answer(status=503 if call.json["n"] == 1 else 200)
    await scenario.topics()
    await scenario.worker().ready()
    events = [json.dumps({"n": n, "key": "k"}).encode() for n in range(4)]
    await scenario.publish("orders", events)
    await eventually(lambda: {call.json["n"] for call in receiver.calls()} == {0, 1, 2, 3})
    await scenario.drained()
    (stored,) = await scenario.letters()
    assert (stored.letter.failure.stage, stored.letter.failure.attempts) == ("retry", 3)
    assert len(bodies(4)) + 2 == len(receiver.calls())
