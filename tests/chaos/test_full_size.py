"""The promises of the design in full size. Run with ``-s`` to see the figures."""

from __future__ import annotations

import pytest

from tests import ledger_moves as moves
from tests.conftest import StartHeadrace
from tests.harness import KafkaForTests
from tests.kafka_cluster import KafkaCluster
from tests.ledger import MakeSystem
from tests.rolling import roll


@pytest.mark.timeout(900)
async def test_a_worker_killed_five_times(make_system: MakeSystem) -> None:
    await moves.kill_the_worker(make_system(), events=20_000, connections=64, kills=5)


@pytest.mark.timeout(600)
async def test_ingest_killed_six_times(make_system: MakeSystem) -> None:
    await moves.kill_ingest(make_system(), kills=6, per_kill=2000)


@pytest.mark.timeout(600)
async def test_the_broker_killed_four_times(make_system: MakeSystem, own_kafka: KafkaForTests) -> None:
    await moves.kill_the_broker(make_system(own_kafka), kills=4, per_kill=2000, away_s=5)


@pytest.mark.timeout(1200)
async def test_three_brokers_lose_their_disks_in_turn(make_system: MakeSystem, kafka_cluster: KafkaCluster) -> None:
    await moves.lose_a_disk(make_system(kafka_cluster), kafka_cluster, losses=4, per_move=2000)


@pytest.mark.timeout(600)
async def test_the_broker_frozen(make_system: MakeSystem, own_kafka: KafkaForTests) -> None:
    await moves.freeze_the_broker(make_system(own_kafka), frozen_s=20, per_move=2000)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("workers", [2, 3])
async def test_workers_move_four_times(make_system: MakeSystem, workers: int) -> None:
    await moves.move_workers(make_system(), workers=workers, rounds=4)


@pytest.mark.timeout(600)
async def test_a_destination_that_hangs_slows_no_other(make_system: MakeSystem) -> None:
    before, during = await moves.hang_one(make_system(), events=3000, connections=16)
    assert during < 1.5 * before + 0.05


@pytest.mark.timeout(1800)
async def test_memory_with_20_000_large_deliveries_that_wait(make_system: MakeSystem, own_kafka: KafkaForTests) -> None:
    """Needs 12 GB of disk."""
    system = make_system(own_kafka, destinations={"a": {"timeout_s": 3600}}, json_body="{{ body }}", copies=10)
    assert await moves.hang_with_large_bodies(system, deliveries=20_000, body_bytes=500_000) < 600


@pytest.mark.timeout(1800)
async def test_memory_with_a_million_ids_seen(make_system: MakeSystem, own_kafka: KafkaForTests) -> None:
    assert await moves.see_many(make_system(own_kafka, destinations={"a": {}}), ids=1_000_000) < 400


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("freeze", "processes"), [(True, 1), (False, 2)], ids=["frozen", "killed"])
async def test_the_broker_away_for_a_minute_at_500_a_second_with_a_spool(
    make_system: MakeSystem, own_kafka: KafkaForTests, freeze: bool, processes: int
) -> None:
    system = make_system(own_kafka, destinations={"a": {}})
    await moves.spool_through_an_outage(
        system, freeze=freeze, away_s=60, rate=500, kill_ingest=True, processes=processes, connections=64, settle_s=900
    )  # fmt: skip


@pytest.mark.timeout(1800)
async def test_rolling_deployments_for_three_minutes(
    make_system: MakeSystem, headrace_process: StartHeadrace, own_kafka: KafkaForTests
) -> None:
    system = make_system(own_kafka, destinations={"a": {}})
    rolled = await roll(
        system, headrace_process, rate=500, connections=64, before=2000, at_least_s=180, settled_s_max=900
    )
    rolled.assert_tables_were_kept()
    assert rolled.rate > 400
