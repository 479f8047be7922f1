"""Alerts on what Kafka refuses, each caused for real; the others, and the table of all: test_alerts, alerting."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.topic_configs import change_configs
from streams.topic_difference import GROUP_OFFSETS
from tests.chaos.alerting import BY_TEST, going_on, job_ports, post_anyway, watched
from tests.harness import KafkaForTests
from tests.kafka_cluster import KafkaCluster
from tests.ledger import Ledger, MakeSystem


@pytest.mark.timeout(400)
async def test_alerts_of_the_spool(make_system: MakeSystem, own_kafka: KafkaForTests, tmp_path: Path) -> None:
    system = make_system(own_kafka, destinations={"a": {}})
    system.table["ingest"] = {"spool": {"events_max": 20}}
    system.write_table()
    ingest = await system.start_ingest()
    ledger = Ledger(system)
    await ledger.post_all(5)
    async with watched(tmp_path, job_ports(system, ingest=[ingest])) as watch:
        own_kafka.kill()
        async with going_on(lambda: post_anyway(ledger), every_s=0.2):
            await watch.fires("SpoolFilling", timeout_s=120)
    assert watch.seen.keys() >= BY_TEST["spool"]


@pytest.mark.timeout(400)
async def test_alerts_of_replicas(make_system: MakeSystem, kafka_cluster: KafkaCluster, tmp_path: Path) -> None:
    """The brokers that are left answer everything, and refuse what must be in sync on all three."""
    copied, single = (make_system(kafka_cluster, destinations={"a": {}}) for _ in range(2))
    copied.env |= {"HEADRACE_REPLICATION_FACTOR": "3", "HEADRACE_MIN_INSYNC_REPLICAS": "3"}
    single.env |= {"HEADRACE_REPLICATION_FACTOR": "1", "HEADRACE_MIN_INSYNC_REPLICAS": "1"}
    single.table["ingest"] = {"spool": {"events_max": 1000}}
    single.write_table()  # the file of both
    targets = []
    for system in (copied, single):
        await system.command("topics")
        targets += job_ports(system, ingest=[await system.start_ingest()])["headrace-ingest"]
    ledger = Ledger(copied)
    await ledger.post_all(5)
    async with watched(tmp_path, {"headrace-ingest": targets}) as watch:
        kafka_cluster.nodes[2].kill()
        await post_anyway(ledger)
        await watch.fires("KafkaUnderReplicated", severity="warning", timeout_s=120)
        await watch.fires("KafkaUnderReplicated", severity="page")
        await post_anyway(ledger)
        await watch.fires("SpoolNotDraining", timeout_s=120)
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
async def test_alerts_of_commits(make_system: MakeSystem, kafka_cluster: KafkaCluster, tmp_path: Path) -> None:
    """Two of three brokers do all but write what must be in sync on three: the offsets."""
    system = make_system(kafka_cluster, destinations={"a": {}})
    system.env |= {"HEADRACE_REPLICATION_FACTOR": "3", "HEADRACE_MIN_INSYNC_REPLICAS": "2"}
    ingest, worker = await system.start_ingest(), await system.worker()
    ledger = Ledger(system)
    await ledger.post_all(20)
    await system.idle()
    async with kafka_cluster.settings().admin() as admin:
        await change_configs(admin, {GROUP_OFFSETS: {"min.insync.replicas": "3"}})
        coordinator = await admin.find_coordinator(system.names.deliver_group("a"))
    lost = next(node for node in kafka_cluster.nodes if node.number + 1 != coordinator)
    # One commit that does not come through counts every few seconds: 10 minutes become one.
    async with watched(tmp_path, job_ports(system, ingest=[ingest], workers=[worker]), factor=10) as watch:
        lost.kill()
        async with going_on(lambda: post_anyway(ledger), every_s=1):
            await watch.fires("CommitsFailing", timeout_s=240)
    await lost.start(120)
    await kafka_cluster.whole([GROUP_OFFSETS])
    async with kafka_cluster.settings().admin() as admin:
        await change_configs(admin, {GROUP_OFFSETS: {"min.insync.replicas": "2"}})
    assert watch.seen.keys() >= BY_TEST["commits"]
