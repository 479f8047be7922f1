"""Erasing one customer: gone for every command, the others untouched, and the report true."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from streams.kafka import read_topic
from tests.harness import Answer, eventually
from tests.ledger import Ledger, MakeSystem


async def test_one_customer_is_erased_and_the_others_keep_everything(make_system: MakeSystem) -> None:
    system = make_system(destinations={"a": {"retry": {"attempts": 1}, "delays_s": []}}, partitions=2)
    system.receiver.answers["/a/dead"] = Answer(422)
    ledger = Ledger(system)
    await system.start_ingest()
    worker = await system.worker()
    async with ledger.session() as session:
        for who in ("ann", "bob"):
            body = json.dumps({"n": 1, "customer": who}).encode()
            await ledger.post(session, f"done-{who}", body=body)
            await ledger.post(session, f"dead-{who}", body=body)
        await ledger.post(session, "odd", body=b'{"n": 2}')  # has no customer: cannot be judged
    await eventually(lambda: len(system.receiver.calls("/a")) == 5, 60)
    await system.idle()
    erase = ("erase", "--source", "github", "--where", 'body.customer == "ann"')
    dry = json.loads(await system.command(*erase, "--dry-run", "--json"))
    assert (dry["events"], dry["dead_letters"], dry["outcomes"], dry["erased"]) == (2, 1, 2, 0)
    assert len(await system.letters()) == 2
    assert dry["undecided"] >= 1

    done = json.loads(await system.command(*erase, "--yes", "--json"))
    assert done["erased"] == 3
    assert [letter.header("ce_id") for letter in await system.letters()] == ["dead-bob"]
    shown = json.loads(await system.command("event", ledger.accepted["done-ann"], "--json"))
    assert [row["outcome"] for row in shown["deliveries"]] == ["not known"]
    assert "erased" in shown["deliveries"][0]["detail"]
    kept = json.loads(await system.command("event", ledger.accepted["done-bob"], "--json"))
    assert [row["outcome"] for row in kept["deliveries"]] == ["settled"]
    again = json.loads(await system.command(*erase, "--yes", "--json"))
    assert (again["dead_letters"], again["outcomes"], again["erased"]) == (0, 0, 0)

    # What it says of the events is what Kafka holds: all five are there, and the date is that of their retention.
    records = [record async for record in read_topic(system.settings, system.names.events("github"))]
    assert len(records) == 5
    (events,) = (row for row in done["remains"] if row["place"] == system.names.events("github"))
    until = datetime.fromisoformat(events["until"])
    assert timedelta(days=7) <= until - datetime.now(UTC) <= timedelta(days=15)  # retention, and a segment's time
    (letters,) = (row for row in done["remains"] if row["place"] == system.names.dead_letter)
    assert datetime.fromisoformat(letters["until"]) - datetime.now(UTC) <= timedelta(days=1)
    # A repeat of an erased event is still known, and not carried out again.
    before = len(system.receiver.received)
    async with ledger.session() as session:
        await ledger.post(session, "done-ann", body=json.dumps({"n": 1, "customer": "ann"}).encode())
    await system.idle()
    assert len(system.receiver.received) == before
    assert await worker.terminate(60) == 0


async def test_old_dead_letters_are_purged_and_young_ones_stay(make_system: MakeSystem) -> None:
    system = make_system(destinations={"a": {"retry": {"attempts": 1}, "delays_s": []}}, partitions=1)
    system.receiver.answers["/a"] = Answer(422)
    ledger = Ledger(system)
    await system.start_ingest()
    await system.worker()
    await ledger.post_all(2, connections=1)
    await system.idle()
    assert len(await system.letters()) == 2
    assert "no outstanding" in await system.command("dlq", "purge", "--older-than", "30d", "--yes")
    assert await system.command("dlq", "discard", "--limit", "1", "--yes") == "1 discarded\n"
    assert "would purge 1" in await system.command("dlq", "purge", "--older-than", "0s", "--dry-run")
    assert "1 purged" in await system.command("dlq", "purge", "--older-than", "0s", "--yes")
    assert await system.letters() == []
