"""Fan-out on a real broker: an event's way, duplicates, and kill -9 where it hurts."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from streams.data_dir import DataDirInUse
from streams.dead_letter import DeadLetter
from streams.delivery import Delivery
from streams.event import dedup_id
from streams.fan_out_member import FanOutMember
from streams.kafka import SESSION_TIMEOUT_S
from streams.metrics import StreamsMetrics
from streams.record import Record
from streams.routing import Routes
from tests.harness import KafkaForTests, eventually
from tests.integration.fan_out_scenario import FanOutScenario, event


async def test_an_event_on_its_way_into_deliveries(kafka: KafkaForTests, tmp_path: Path) -> None:
    async with FanOutScenario(kafka, tmp_path, sources=("s", "t")) as scenario:
        scenario.start()
        one = event("one", headers={"x-kept": "yes"})
        await scenario.post([one, event("two", source="t")])
        await scenario.all_committed()
        (first,) = await scenario.records(scenario.names.deliveries("b"))
        delivery = Delivery.from_record(first.key, first.value, first.headers)
        assert delivery.event == one
        assert (delivery.route, delivery.destination, delivery.receipt.source) == ("b", "b", "s")
        assert await scenario.repeated() == 0
        assert len(await scenario.delivered()) == 3


async def test_duplicates_twins_and_captured_bodies(kafka: KafkaForTests, tmp_path: Path) -> None:
    async with FanOutScenario(kafka, tmp_path) as scenario:
        scenario.start()
        twins = [event(f"twin-{i % 20}") for i in range(200)]  # most of them in flight at once
        await scenario.post(twins)
        await scenario.all_committed()
        await scenario.post([event("twin-3")])
        # A captured body, sent under an id that the provider will use tomorrow: the signature covers the body alone.
        old, real = b'{"old": 1}', b'{"real": 1}'
        await scenario.post([event("future", body=old, dedup_id=dedup_id("future", old, id_signed=False))])
        await scenario.post([event("future", body=real, dedup_id=dedup_id("future", real, id_signed=False))])
        await scenario.all_committed()
        assert await scenario.repeated() == 0
        assert len(await scenario.delivered()) == 2 * 22


async def test_unreadable_records_are_dead_letters_and_block_nothing(kafka: KafkaForTests, tmp_path: Path) -> None:
    async with FanOutScenario(kafka, tmp_path, partitions=1) as scenario:
        scenario.start()
        topic = scenario.names.events("s")
        good = event("good")
        broken = [
            Record(topic, b"k", b"not an event"),
            Record(topic, b"", b"", [("headrace-version", b"\xff\xfe")]),
            Record(topic, b"k", b"{}", [(n, b"7" if n == "headrace-version" else v) for n, v in good.to_headers()]),
        ]
        await scenario.publish(broken)
        async with scenario.settings.producer() as producer:
            await producer.send_and_wait(topic, None, b"k")  # no value
            await producer.send_and_wait(topic, b"x")  # no key
        await scenario.post([good])
        await scenario.all_committed()
        letters = [
            DeadLetter.from_record(r.key, r.value, r.headers)
            for r in await scenario.records(scenario.names.dead_letter)
        ]
        bodies = {letter.id: letter.body for letter in letters}  # worked on side by side, so written in any order
        assert set(bodies) == {f"{topic}/0/{offset}" for offset in range(5)}
        assert len(letters) == 5
        assert bodies[f"{topic}/0/0"] == b"not an event"


async def test_a_clean_restart_repeats_nothing_and_a_lost_data_directory_is_recovered(
    kafka: KafkaForTests, tmp_path: Path
) -> None:
    async with FanOutScenario(kafka, tmp_path) as scenario:
        first = scenario.start()
        events = [event(f"e{i}") for i in range(1000)]
        await scenario.post(events)

        async def begun() -> bool:
            return len(await scenario.delivered()) > 100

        await eventually(begun)
        assert await first.end() == 0  # in the midst of it
        assert await scenario.repeated() == 0
        second = scenario.start()
        await scenario.all_committed()
        assert await scenario.repeated() == 0
        assert await second.end() == 0
        shutil.rmtree(tmp_path / "w1")
        scenario.start()
        await scenario.post([replace(one, time_ms=one.time_ms + 1000) for one in events])
        await scenario.all_committed()
        assert await scenario.repeated() == 0  # the changelog knew them all


@pytest.mark.parametrize(("point", "times"), [("published", 50), ("marked", 50), ("committed", 1)])
async def test_kill_9_between_publish_mark_and_commit(
    kafka: KafkaForTests, tmp_path: Path, point: str, times: int
) -> None:
    async with FanOutScenario(kafka, tmp_path) as scenario:
        await scenario.post([event(f"e{i}") for i in range(500)])
        worker = scenario.start(kill_at=point, kill_times=times)
        assert await worker.ended() == -signal.SIGKILL
        scenario.start()
        await scenario.all_committed()
        assert await scenario.repeated() <= 2 * 128  # in flight, on two routes


async def test_the_broker_frozen_and_killed(own_kafka: KafkaForTests, tmp_path: Path) -> None:
    async with FanOutScenario(own_kafka, tmp_path) as scenario:
        worker = scenario.start()
        await scenario.post([event(f"a{i}") for i in range(2000)])
        own_kafka.pause()
        await asyncio.sleep(SESSION_TIMEOUT_S + 2)  # the fault itself: frozen beyond the session
        own_kafka.resume()
        await scenario.all_committed()
        await scenario.post([event(f"b{i}") for i in range(2000)])
        own_kafka.kill()
        await worker.misses_kafka()
        await own_kafka.restart()
        await scenario.post([event(f"c{i}") for i in range(500)])
        await scenario.all_committed(90)
        assert worker.process.poll() is None  # it went on by itself
        assert await scenario.repeated() <= 2 * 128


async def test_a_broker_that_is_away_at_the_start_is_waited_for(own_kafka: KafkaForTests, tmp_path: Path) -> None:
    async with FanOutScenario(own_kafka, tmp_path) as scenario:
        await scenario.post([event("one")])
        own_kafka.kill()
        worker = scenario.start()
        await worker.misses_kafka(times=2)
        assert worker.process.poll() is None
        await own_kafka.restart()
        await scenario.all_committed(90)
        assert worker.process.poll() is None


async def test_a_partition_without_a_commit_is_read_from_its_start_after_a_rebalance(
    kafka: KafkaForTests, tmp_path: Path
) -> None:
    """What was handed out before the tables were recovered is dropped then, so it must be read again."""
    async with FanOutScenario(kafka, tmp_path, partitions=1) as scenario:
        metrics = StreamsMetrics(CollectorRegistry())
        app = FanOutMember(scenario.settings, scenario.names, {"s": 60}, Routes, tmp_path / "d", metrics, partitions=1)
        await app.start()
        try:
            await eventually(lambda: app.ready, 60)
            part, consumer = TP(scenario.names.events("s"), 0), app._app.consumer
            consumer.stop_flow()
            await scenario.post([event("one"), event("two")])
            consumer._thread.seek(part, 2)  # handed out, and nothing is done of it
            await consumer.perform_seek()  # as at the end of every recovery
            assert await consumer.position(part) == 0
            consumer.resume_flow()
            await eventually(lambda: app.progress().due is False and app._intake.finished == 2)
        finally:
            await app.stop()


async def test_one_data_directory_is_one_worker(kafka: KafkaForTests, tmp_path: Path) -> None:
    async with FanOutScenario(kafka, tmp_path) as scenario:
        apps = [
            FanOutMember(
                scenario.settings,
                scenario.names,
                {"s": 60},
                Routes,
                tmp_path / "d",
                StreamsMetrics(CollectorRegistry()),
            )
            for _ in range(2)
        ]
        await apps[0].start()
        with pytest.raises(DataDirInUse, match="another worker uses"):
            await apps[1].start()
        await eventually(lambda: apps[0].ready)
        assert apps[0].progress().due is False
        began = time.monotonic()
        await asyncio.gather(*(app.stop() for app in apps))
        assert time.monotonic() - began < 10
