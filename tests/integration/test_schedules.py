"""Schedules on a real broker: every due time one event, whoever is killed, and the commands that show them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from tests.harness import HeadraceProcess, KafkaForTests, Receiver, eventually
from tests.integration.scenario import Scenario
from tests.schedule_moves import fire_through_kills, scheduled_table

Start = Callable[..., HeadraceProcess]


async def test_every_due_time_is_one_event_while_workers_are_killed(
    kafka: KafkaForTests, tmp_path: Path, headrace_process: Start, receiver: Receiver
) -> None:
    fired = await fire_through_kills(
        kafka, tmp_path, headrace_process, receiver, schedules=10, workers=2, seconds=15, kills=2
    )
    fired.assert_each_is_one_event()


async def test_a_restart_catches_up_and_the_commands_tell(
    kafka: KafkaForTests, tmp_path: Path, headrace_process: Start, receiver: Receiver
) -> None:
    table = {**scheduled_table(receiver, 1, catch_up="all"), "sources": {}}
    scenario = Scenario(kafka, tmp_path, table, headrace_process)
    worker = await scenario.worker("w1").ready()
    await eventually(lambda: len(receiver.calls("/ticks")) >= 3)
    await worker.process.terminate()
    stopped_s = time.time()
    await eventually(lambda: time.time() > stopped_s + 4, timeout_s=30)
    worker = await scenario.worker("w2").ready()
    made = len(receiver.calls("/ticks"))
    await eventually(lambda: len(receiver.calls("/ticks")) >= made + 4)
    assert await worker.metric("headrace_schedule_ticks_total", schedule="s0", outcome="fired") >= 4
    assert await worker.metric("headrace_schedule_ticks_total", schedule="s0", outcome="missed") == 0

    listed = await scenario.command("schedules", "--json")
    (row,) = [json.loads(line) for line in listed.stdout.splitlines()]
    assert row["schedule"] == "s0"
    assert row["last"] is not None
    assert row["next"] > row["last"]

    ran = await scenario.command("schedules", "run", "s0")
    receipt = ran.stdout.strip()
    assert receipt.startswith("schedules/")

    async def shown() -> bool:
        event = await scenario.command("event", receipt)
        assert "settled" in event.stdout, event.tail()
        return "manual" in event.stdout

    assert await eventually(shown, timeout_s=60)
    await scenario.drained()
    calls = [call.json["tick"] for call in receiver.calls("/ticks")]
    assert len(calls) == len(set(calls))
