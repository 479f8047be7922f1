"""Alerts, each caused for real: Headrace, Prometheus and Alertmanager as processes, times divided by ``FACTOR``.

The rules are those that are checked in, each expression as it is, but for its windows, offsets and ``for``: 5 minutes
are 5 seconds. Run with ``make chaos ARGS="-k alerts -s"`` to see each of them fire.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.kafka import producing
from tests.chaos.alerting import BY_TEST, FACTOR, going_on, job_ports, post_anyway, post_forged, watched
from tests.harness import Answer, KafkaForTests, eventually
from tests.ledger import Ledger, MakeSystem
from tests.ops import rules
from tests.ops.fired import Watch
from tests.ops.monitoring import write_targets


def test_every_alert_is_caused() -> None:
    caused = {name.split()[0] for names in BY_TEST.values() for name in names}
    assert caused == {alert["alert"].removeprefix("Headrace") for alert in rules.alerts()}


@pytest.mark.timeout(600)
async def test_alerts_of_destinations(make_system: MakeSystem, tmp_path: Path) -> None:
    system = make_system(
        destinations={
            "refusing": {"delays_s": []},
            "failing": {"circuit": {"failures": 3, "open_s": 60}},
            "denying": {},
            "held": {},
            "hanging": {"timeout_s": 600, "concurrency": 1},
            "slow": {"concurrency": 1},
        }
    )
    answers = {"refusing": Answer(422), "failing": Answer(500), "denying": Answer(401)}
    answers |= {"hanging": Answer(hang=True), "slow": Answer(delay_s=0.3)}
    system.receiver.answers.update({f"/{name}/": answer for name, answer in answers.items()})
    system.env["HEADRACE_QUEUE_DEPTH_MAX"] = "4000"  # so that the queue of what is held fills within minutes
    ingest, worker = await system.start_ingest(), await system.worker()
    ledger = Ledger(system)
    async with watched(tmp_path, job_ports(system, ingest=[ingest], workers=[worker])) as watch:
        await system.command("pause", "held")
        async with going_on(lambda: ledger.post_all(15), every_s=0.5):
            await watch.fires("DeadLetters", destination="refusing")
            await watch.fires("CircuitOpen", destination="failing")
            await watch.fires("DestinationPaused", destination="denying", severity="page")
            await watch.fires("DestinationPaused", destination="held", severity="warning")
            await watch.fires("QueueStuck", destination="hanging")
            await watch.fires("CapacityHigh", resource="delivery_slots:slow")
            await watch.fires("QueueGrowing", destination="slow")
            await watch.fires("DeliveryErrorBudgetBurn", destination="refusing", severity="page")
            await watch.fires("Aftermath", root="destination", destination="denying")
            await watch.fires("CapacityPredicted", timeout_s=180)
        async with going_on(lambda: post_forged(ledger), every_s=0.2):
            await watch.fires("SignaturesRefused", source="github", severity="warning")
    assert watch.seen.keys() >= BY_TEST["destinations"]


@pytest.mark.timeout(600)
async def test_alerts_of_kafka(make_system: MakeSystem, own_kafka: KafkaForTests, tmp_path: Path) -> None:
    system = make_system(own_kafka, destinations={"a": {}})
    ingest, worker = await system.start_ingest(), await system.worker()
    ledger = Ledger(system)
    async with watched(tmp_path, job_ports(system, ingest=[ingest], workers=[worker])) as watch:
        await ledger.post_all(100)
        own_kafka.kill()
        worker.kill()
        again = system.start_worker("w1")  # it waits for Kafka, and is not ready
        write_targets(tmp_path, job_ports(system, ingest=[ingest], workers=[again]))
        async with going_on(lambda: post_anyway(ledger), every_s=0.2):
            await watch.fires("KafkaDown")
            await watch.fires("IngestNotReady", severity="page")
            await watch.fires("KafkaBrokerMissing")
            await watch.fires("WorkerNotReady", severity="page")
            await watch.fires("IngestErrorBudgetBurn", severity="page")
            await eventually(lambda: _told(watch, {"KafkaDown"}), 30)
    assert watch.seen.keys() >= BY_TEST["kafka"]


async def _told(watch: Watch, names: set[str]) -> bool:
    assert await watch.told() == names
    return True


@pytest.mark.timeout(600)
async def test_alerts_of_processes(make_system: MakeSystem, own_kafka: KafkaForTests, tmp_path: Path) -> None:
    system = make_system(own_kafka, destinations={"a": {}}, partitions=1)
    ingest, worker = await system.start_ingest(), await system.worker("w1")
    other = await system.worker("w2", "--only", "deliver")
    async with watched(tmp_path, job_ports(system, ingest=[ingest], workers=[worker, other])) as watch:
        other.kill()
        await watch.fires("TargetDown", job="headrace-worker")
        worker.kill()
        await watch.fires("Absent", job="headrace-worker")
        # A table that is large, and a worker without it: it reads everything from the changelog.
        async with producing(system.settings) as producer:
            for n in range(0, 400_000, 5000):
                sends = [
                    await producer.send(system.names.seen_changelog, b"1 1", b"github\0%d" % key, partition=0)
                    for key in range(n, n + 5000)
                ]
                await asyncio.gather(*sends)
        fresh = system.start_worker("fresh")
        write_targets(tmp_path, job_ports(system, ingest=[ingest], workers=[fresh]))
        await watch.fires("TableRecoverySlow", timeout_s=120)
        fresh.kill()
        port = system.admin_ports[fresh.pid]
        for n in range(4):
            one = system.start_worker(f"r{n}", "--only", "deliver", admin_port=port)
            await system.ready(one)
            await asyncio.sleep(2)  # two scrapes see this start
            one.kill()
        system.start_worker("last", "--only", "deliver", admin_port=port)
        await watch.fires("Restarting", job="headrace-worker")
    assert watch.seen.keys() >= BY_TEST["processes"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB; mounting one needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=False)
    assert mounted.returncode == 0, "this test mounts a file system: run it as root, in a container that may"
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.timeout(300)
async def test_alerts_of_the_disk(make_system: MakeSystem, small_disk: Path, tmp_path: Path) -> None:
    system = make_system(destinations={"a": {}})
    ingest = await system.start_ingest()
    worker = system.start_worker("w1", "--data-dir", str(small_disk))
    await system.ready(worker)
    async with watched(tmp_path, job_ports(system, ingest=[ingest], workers=[worker])) as watch:
        (small_disk / "ballast").write_bytes(bytes(62 * 1024 * 1024))
        await watch.fires("DiskFilling", severity="page")
        await watch.fires("DiskFilling", severity="warning")
    assert watch.seen.keys() >= BY_TEST["disk"]


def a_week_of_posts(until_s: float) -> str:
    """Return a week and more of posts, its times divided by ``FACTOR``, one a second; as OpenMetrics.

    The recorded series is there too: Prometheus evaluates no rule over what it is given of the past.
    """
    labels = '{job="headrace-ingest",instance="before",source="github"}'
    hour_s, week_s = 3600 / FACTOR, 7 * 86400 / FACTOR
    times_s = range(int(until_s - week_s - 10 * hour_s), int(until_s), 5)
    lines = ["# TYPE headrace_ingest_valid_posts counter"]
    lines += [f"headrace_ingest_valid_posts_total{labels} {n * 5} {time_s}" for n, time_s in enumerate(times_s)]
    lines += ["# TYPE source:headrace_ingest_valid_posts:increase1h gauge"]
    lines += [
        f'source:headrace_ingest_valid_posts:increase1h{{source="github"}} {hour_s:g} {time_s}' for time_s in times_s
    ]
    return "\n".join([*lines, "# EOF\n"])


@pytest.mark.timeout(400)
async def test_alerts_of_sources(make_system: MakeSystem, tmp_path: Path) -> None:
    system = make_system(destinations={"a": {}})
    ingest = await system.start_ingest()
    ledger = Ledger(system)
    past = a_week_of_posts(time.time() - 30)
    async with watched(tmp_path, job_ports(system, ingest=[ingest]), past=past) as watch:
        await ledger.post_all(20)
        (system.directory / "headrace.yaml").write_text("version: 7\n")
        ingest.signal(signal.SIGHUP)
        await watch.fires("ReloadRefused")
        posted = 'source:headrace_ingest_valid_posts:increase1h{source="github"} > 0'
        assert await watch.prometheus.query(posted), "it has posted a moment ago"
        assert "SourceSilent" not in [one["alertname"] for one in await watch.prometheus.firing()]
        await watch.fires("SourceSilent", source="github", timeout_s=180)
    assert watch.seen.keys() >= BY_TEST["sources"]
