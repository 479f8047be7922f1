"""The whole system, with a ledger: whatever is killed or frozen under load, every accepted event is accounted for.

Small here; ``tests/chaos`` has the full sizes.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from headrace.broker import EmbeddedKafka
from streams.kafka import producing, read_topic
from tests import ledger_moves as moves
from tests.harness import Answer, KafkaForTests, eventually, free_port
from tests.ledger import Ledger, MakeSystem, System


async def test_a_killed_worker(make_system: MakeSystem) -> None:
    await moves.kill_the_worker(
        make_system(),
        events=1500,
        connections=16,
        kills=1,
        since_commit_s=moves.LOADED_COMMIT_S,
        fanned_out_twice_max=2 * moves.IN_FLIGHT_MAX,
    )


async def test_killed_ingest(make_system: MakeSystem) -> None:
    await moves.kill_ingest(make_system(), kills=2, per_kill=300)


async def test_a_killed_broker(make_system: MakeSystem, own_kafka: KafkaForTests) -> None:
    await moves.kill_the_broker(make_system(own_kafka), kills=1, per_kill=300, away_s=1)


async def test_a_frozen_broker(make_system: MakeSystem, own_kafka: KafkaForTests) -> None:
    await moves.freeze_the_broker(make_system(own_kafka), frozen_s=20, per_move=300)


async def test_a_killed_run(make_system: MakeSystem) -> None:
    kafka_port = free_port()
    system = make_system(KafkaForTests(EmbeddedKafka(Path("unused"), port=kafka_port)))
    await moves.kill_the_run(system, kafka_port=kafka_port, kills=1, per_kill=300)


async def test_workers_join_leave_die_and_freeze(make_system: MakeSystem) -> None:
    await moves.move_workers(make_system(), workers=2, rounds=1)


async def test_a_destination_that_hangs_slows_no_other(make_system: MakeSystem) -> None:
    before, during = await moves.hang_one(make_system(), events=500, connections=16)
    assert during < 2 * before + 0.1


async def test_large_deliveries_that_wait_fit_into_memory(make_system: MakeSystem) -> None:
    system = make_system(destinations={"a": {"timeout_s": 3600}}, json_body="{{ body }}")
    assert await moves.hang_with_large_bodies(system, deliveries=600, body_bytes=500_000, watched_s=5) < 600


async def test_unreadable_records_become_dead_letters_and_the_rest_flows(make_system: MakeSystem) -> None:
    system = make_system()
    ledger = Ledger(system)
    await system.start_ingest()
    worker = await system.worker()
    await ledger.post_all(50)
    await system.idle()
    event = await first_record(system, system.names.events("github"))
    delivery = await first_record(system, system.names.outcomes)
    async with producing(system.settings) as producer:
        for topic in (system.names.events("github"), system.names.deliveries("a")):
            for key, value, headers in (
                (b"k", None, []),
                (None, b"no key", []),
                (b"", b"", []),
                (b"k", b"\xff\x00 no headers", []),
                (b"k", b"{}", [("ce_id", b"\xff")]),
                (event.key, event.value, [(name, b"") for name, _ in event.headers]),
                (delivery.key, delivery.value, list(delivery.headers)),
            ):
                await producer.send_and_wait(topic, value, key=key, headers=headers)
    await ledger.post_all(50)
    await ledger.assert_all_settled()
    letters = await system.letters()
    assert Counter(letter.failure.topic for letter in letters) == {
        system.names.events("github"): 7,
        system.names.deliveries("a"): 7,
    }
    assert {letter.failure.stage for letter in letters} == {"decode"}
    assert ledger.repeated() == 0
    assert len((await system.command("dlq", "list", "--json")).splitlines()) == 14
    await ledger.assert_a_restart_repeats_nothing([worker])
    assert len(await system.letters()) == 14


async def test_duplicates_twins_and_a_captured_body(make_system: MakeSystem) -> None:
    system = make_system()
    ledger = Ledger(system)
    await system.start_ingest()
    worker = await system.worker()
    async with ledger.session() as session:
        body = b'{"n": 1}'
        await asyncio.gather(*(ledger.post(session, "twin", body=body) for _ in range(50)))
        await ledger.post(session, "once", body=body)
        # Somebody who captured that request posts its body, whose signature holds, under an id that is to come.
        await ledger.post(session, "future", body=body)
        await system.idle()
        for _ in range(3):
            await ledger.post(session, "once", body=body)  # the provider again, later
        await ledger.post(session, "future", body=b'{"n": 2}')  # the real event
    await ledger.system.idle()
    calls = Counter((call.path, call.json["n"]) for call in system.receiver.received)
    assert calls == {
        (f"/{route}/{event_id}", n): 1
        for route in ("a", "b")
        for event_id, n in (("twin", 1), ("once", 1), ("future", 1), ("future", 2))
    }
    assert len({call.key for call in system.receiver.received}) == 8
    assert await worker.terminate(60) == 0


async def test_a_spent_budget_is_replayed_once_the_mapping_is_mended(make_system: MakeSystem) -> None:
    system = make_system(
        destinations={"a": {"retry": {"attempts": 2, "backoff_s": [0.05, 0.1]}, "delays_s": [1]}, "b": {}}
    )
    system.receiver.answers["/a"] = Answer(500)
    ledger = Ledger(system)
    await system.start_ingest()
    worker = await system.worker()
    await ledger.post_all(3)
    await eventually(lambda: _letters(system, 3))
    await system.idle()
    assert set(ledger.calls().values()) == {1, 4}  # two rounds of two attempts
    (route,) = [route for route in system.table["routes"] if route["name"] == "to-a"]
    route["with"]["path"] = route["with"]["path"].replace("/a/", "/mended/")
    system.write_table()
    worker.signal(signal.SIGHUP)
    await worker.wait_for('"reloaded"')
    assert await system.command("dlq", "replay", "--yes") == "3 replayed\n"
    await eventually(lambda: _letters(system, 0))
    await system.idle()
    mended = {call.path.removeprefix("/mended/"): call.key for call in system.receiver.calls("/mended")}
    refused = {call.path.removeprefix("/a/"): call.key for call in system.receiver.calls("/a")}
    assert mended == refused  # a 500 is no definite refusal: the same key
    assert set(mended) == set(ledger.accepted)
    assert len(system.receiver.calls("/mended")) == 3
    assert await system.command("dlq", "replay", "--yes") == "no outstanding dead letter is selected\n"
    assert await worker.terminate(60) == 0


async def _letters(system: System, count: int) -> bool:
    return len(await system.letters()) == count


async def first_record(system: System, topic: str) -> Any:
    async for record in read_topic(system.settings, topic):
        return record
    raise AssertionError(f"{topic} is empty")
