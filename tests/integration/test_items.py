"""A list that is split, on a real broker: each item is called, fails, is shown and replayed by itself."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.delivery import delivery_id
from tests.harness import Answer, HeadraceProcess, KafkaForTests, Receiver, eventually
from tests.integration.scenario import Scenario
from tests.integration.test_deliver import table

pytestmark = pytest.mark.integration


async def test_items_are_called_and_replayed_one_by_one(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Callable[..., HeadraceProcess]
) -> None:
    routing = table(receiver, delays_s=[])
    routing["routes"][0].update(each="{{ body.lines }}")
    routing["routes"][0]["with"] = {"path": "/{{ item.sku }}", "json": {"n": "{{ item.n }}"}}
    scenario = Scenario(kafka, tmp_path, routing, headrace_process)
    receiver.answers["/bad"] = Answer(status=422)
    await scenario.topics()
    worker = await scenario.worker().ready()
    lines = [{"sku": "good", "n": 1}, {"sku": "bad", "n": 2}, {"sku": "good", "n": 3}]
    await scenario.publish("orders", [json.dumps({"lines": lines}).encode(), b'{"lines": 7}'])

    async def both_letters() -> bool:
        return len(await scenario.letters()) == 2

    await eventually(both_letters)
    await eventually(lambda: len(receiver.calls("/good")) == 2)
    item, whole = sorted(await scenario.letters(), key=lambda stored: stored.letter.failure.stage)
    assert item.letter.id == delivery_id("orders", "0", "orders-to-crm", 1)
    assert (whole.letter.id, whole.letter.failure.stage) == (delivery_id("orders", "1", "orders-to-crm"), "each")
    listed, shown = await asyncio.gather(scenario.command("dlq", "list"), scenario.command("event", "orders", "0"))
    assert "orders-to-crm item 1 → crm" in listed.stdout
    assert "orders-to-crm item 0 → crm: settled" in shown.stdout
    assert "orders-to-crm item 1 → crm: dead_lettered" in shown.stdout

    receiver.answers.clear()
    scenario.table["routes"][0]["each"] = "{{ body.lines if body.lines is not number else [{'sku': 'x', 'n': 9}] }}"
    scenario.write()
    worker.process.signal(signal.SIGHUP)
    await worker.process.wait_for("reloaded")
    replayed = await scenario.command("dlq", "replay", "--yes")
    assert "2 replayed" in replayed.stdout, replayed.tail()

    async def settled() -> bool:
        return not await scenario.letters()

    await eventually(settled)
    await eventually(lambda: [call.json["n"] for call in receiver.calls("/x")] == [9])
    outcomes = await scenario.outcomes()
    assert outcomes[item.letter.id].outcome == "settled"
    assert outcomes[whole.letter.id].detail == "split into 1 deliveries, one an item"
