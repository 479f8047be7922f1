"""Alerts on what Kafka refuses, each caused for real; the others, and the table of all: test_alerts, alerting."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.topic_configs import change_configs
from tests.chaos.alerting import BY_TEST, going_on, job_ports, post_anyway, watched
from tests.harness import KafkaForTests
from tests.kafka_cluster import KafkaCluster
from tests.ledger import Ledger, MakeSystem

OFFSETS_TOPIC = "__consumer_offsets"
TWO_IN_SYNC = {"min.insync.replicas": "2"}  # more than there are on one broker: it refuses to write, and does all else


async def refuse_writes(kafka: KafkaForTests, topic: str) -> None:
    """Let the one broker refuse what is written to a topic, as brokers do when too few replicas are in sync."""
    async with kafka.settings().admin() as admin:
        await change_configs(admin, {topic: TWO_IN_SYNC})


@pytest.mark.timeout(400)
async def test_alerts_of_the_spool(make_system: MakeSystem, own_kafka: KafkaForTests, tmp_path: Path) -> None:
    system = make_system(own_kafka, destinations={"a": {}})
    system.table["ingest"] = {"spool": {"events_max": 20}}
    system.write_table()
    ingest = await system.start_ingest()
    ledger = Ledger(system)
    await ledger.post_all(5)
    async with watched(tmp_path, job_ports(system, ingest=[ingest])) as watch:
        await refuse_writes(own_kafka, system.names.events("github"))
        await post_anyway(ledger)
        await watch.fires("SpoolNotDraining", timeout_s=120)
        own_kafka.kill()
        async with going_on(lambda: post_anyway(ledger), every_s=0.2):
            await watch.fires("SpoolFilling", timeout_s=120)
    assert watch.seen.keys() >= BY_TEST["spool"]


@pytest.mark.timeout(400)
async def test_alerts_of_replicas(make_system: MakeSystem, kafka_cluster: KafkaCluster, tmp_path: Path) -> None:
    copied, single = (make_system(kafka_cluster, destinations={"a": {}}) for _ in range(2))
    copied.env |= {"HEADRACE_REPLICATION_FACTOR": "3", "HEADRACE_MIN_INSYNC_REPLICAS": "2"}
    single.env |= {"HEADRACE_REPLICATION_FACTOR": "1", "HEADRACE_MIN_INSYNC_REPLICAS": "1"}
    targets = []
    for system in (copied, single):
        await system.command("topics")
        targets += job_ports(system, ingest=[await system.start_ingest()])["headrace-ingest"]
    async with watched(tmp_path, {"headrace-ingest": targets}) as watch:
        kafka_cluster.nodes[2].kill()
        await watch.fires("KafkaUnderReplicated", severity="warning", timeout_s=120)
        await watch.fires("KafkaUnderReplicated", severity="page")
    await kafka_cluster.nodes[2].start(120)
    await kafka_cluster.whole([copied.names.events("github")])
    assert watch.seen.keys() >= BY_TEST["replicas"]


@pytest.mark.timeout(500)
async def test_alerts_of_rebalances(make_system: MakeSystem, own_kafka: KafkaForTests, tmp_path: Path) -> None:
    system = make_system(own_kafka, destinations={"a": {}})
    worker = await system.worker("w1", "--only", "deliver")

    async def come_and_go() -> None:
        other = await system.worker("w2", "--only", "deliver")
        await other.terminate()

    # Eleven rebalances take longer than 30 seconds: workers must come and go.
    async with (
        watched(tmp_path, job_ports(system, workers=[worker]), factor=12) as watch,
        going_on(come_and_go, every_s=0),
    ):
        await watch.fires("Rebalancing", timeout_s=300)
    assert watch.seen.keys() >= BY_TEST["rebalances"]


@pytest.mark.timeout(500)
async def test_alerts_of_commits(make_system: MakeSystem, own_kafka: KafkaForTests, tmp_path: Path) -> None:
    system = make_system(own_kafka, destinations={"a": {}})
    ingest, worker = await system.start_ingest(), await system.worker()
    ledger = Ledger(system)
    await ledger.post_all(20)
    await system.idle()
    # One commit that does not come through counts every few seconds: 10 minutes become one.
    async with watched(tmp_path, job_ports(system, ingest=[ingest], workers=[worker]), factor=10) as watch:
        await refuse_writes(own_kafka, OFFSETS_TOPIC)
        async with going_on(lambda: ledger.post_all(5), every_s=1):
            await watch.fires("CommitsFailing", timeout_s=240)
    assert watch.seen.keys() >= BY_TEST["commits"]
