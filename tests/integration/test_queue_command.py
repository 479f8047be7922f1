"""`headrace queue`: what waits is shown, and what is cancelled is not called, while everything else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Answer, HeadraceProcess, KafkaForTests, Receiver, eventually
from tests.integration.scenario import Scenario
from tests.integration.test_deliver import bodies, table

pytestmark = pytest.mark.integration

Start = Callable[..., HeadraceProcess]


def rows(process: HeadraceProcess) -> list[dict[str, object]]:
    return [json.loads(line) for line in process.stdout.splitlines()]


async def test_waiting_deliveries_are_listed_and_cancelled_and_no_others_are_lost(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    scenario = Scenario(kafka, tmp_path, table(receiver), headrace_process)
    await scenario.topics()
    worker = await scenario.worker().ready()
    assert (await scenario.command("pause", "crm")).process.returncode == 0

    async def paused() -> bool:
        return bool(await worker.metric("headrace_destination_paused", destination="crm"))

    await eventually(paused)
    events = await scenario.publish("orders", bodies(10))

    async def waiting() -> bool:
        return (await scenario.depths())[scenario.names.deliveries("crm")].unsettled == 10

    await eventually(waiting)
    listed = rows(await scenario.command("queue", "crm", "list", "--json"))
    assert {row["id"] for row in listed} == scenario.ids(events, "orders-to-crm")
    told = str(listed[0]["paused"])
    assert told.startswith("crm is paused since 2")
    assert f"{told}; `headrace resume crm` goes on" in (await scenario.command("queue", "crm", "list")).stdout
    shown = rows(await scenario.command("event", str(listed[0]["receipt"]), "--json"))
    assert [delivery["detail"] for delivery in shown[0]["deliveries"]] == [f"{told}."]
    without_yes = await scenario.command("queue", "crm", "cancel")
    assert without_yes.process.returncode == 2
    doomed = {str(row["id"]) for row in listed[:4]}
    for id_ in doomed:
        done = await scenario.command("queue", "crm", "cancel", "--id", id_, "--yes", "--reason", "sent by hand")
        assert done.stdout == "1 cancelled\n", done.tail()
    again = rows(await scenario.command("queue", "crm", "list", "--json"))
    assert {row["id"] for row in again if row["cancelled"] == "sent by hand"} == doomed
    await scenario.command("resume", "crm")
    await eventually(lambda: set(receiver.keys()) == scenario.ids(events, "orders-to-crm") - doomed)
    await scenario.drained()
    outcomes = await scenario.outcomes()
    assert {id_ for id_, outcome in outcomes.items() if outcome.outcome == "skipped"} == doomed
    assert {outcomes[id_].detail for id_ in doomed} == {"cancelled: sent by hand"}
    assert not doomed & set(receiver.keys())
    assert await worker.metric("headrace_deliveries_cancelled_total", destination="crm") == 4
    assert await worker.metric("headrace_queue_wait_seconds_count", destination="crm", priority="normal") == 6
    nothing = await scenario.command("queue", "crm", "cancel", "--yes")
    assert (nothing.process.returncode, nothing.stdout) == (0, "nothing waits for crm\n")
    assert (await scenario.command("queue", "crn", "list")).process.returncode == 1


async def test_what_waits_for_its_turn_or_in_a_retry_topic_is_cancelled_too(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    scenario = Scenario(kafka, tmp_path, table(receiver, rate="1/m", delays_s=[25]), headrace_process)
    receiver.answers["/orders"] = Answer(status=503)
    scenario.table["destinations"]["second"] = {**scenario.table["destinations"]["crm"], "rate": "1000/s"}
    scenario.table["routes"].append({**scenario.table["routes"][0], "name": "delayed", "to": "second"})
    scenario.write()
    await scenario.topics()
    await scenario.worker().ready()
    events = await scenario.publish("orders", bodies(3))
    await eventually(lambda: scenario.ids(events, "delayed") <= set(receiver.keys()))
    for destination, route in (("crm", "orders-to-crm"), ("second", "delayed")):

        async def all_listed(destination: str = destination, route: str = route) -> bool:
            listed = rows(await scenario.command("queue", destination, "list", "--json"))
            return {row["id"] for row in listed} == scenario.ids(events, route)

        await eventually(all_listed)
        done = await scenario.command("queue", destination, "cancel", "--yes")
        assert done.stdout == "3 cancelled\n", done.tail()

    async def delayed_are_skipped() -> bool:
        outcomes = await scenario.outcomes()
        return all(outcomes[id_].outcome == "skipped" for id_ in scenario.ids(events, "delayed"))

    await eventually(delayed_are_skipped, 90)
    assert not scenario.ids(events, "orders-to-crm") & set(receiver.keys())
