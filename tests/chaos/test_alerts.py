"""Alerts, each caused for real: Headrace, Prometheus and Alertmanager as processes, times divided by ``FACTOR``.

The rules are those that are checked in, each expression as it is, but for its windows, offsets and ``for``: 5 minutes
are 5 seconds. Run with ``make chaos ARGS="-k alerts -s"`` to see each of them fire.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from streams.kafka import producing
from tests.harness import Answer, HeadraceProcess, KafkaForTests, eventually, github_headers
from tests.ledger import SECRET, Ledger, MakeSystem, System
from tests.ops import rules
from tests.ops.fired import Watch
from tests.ops.monitoring import monitored, scaled_rules, write_targets

FACTOR = 60
BY_TEST = {
    "destinations": {
        "DeadLetters warning",
        "CircuitOpen warning",
        "DestinationPaused page",
        "DestinationPaused warning",
        "QueueStuck page",
        "QueueGrowing warning",
        "CapacityHigh warning",
        "CapacityPredicted warning",
        "DeliveryErrorBudgetBurn page",
        "SignaturesRefused warning",
        "ReloadRefused warning",
        "Aftermath info",
    },
    "kafka": {
        "KafkaDown page",
        "KafkaBrokerMissing warning",
        "IngestNotReady page",
        "IngestErrorBudgetBurn page",
        "WorkerNotReady page",
        "SpoolFilling page",
    },
    "processes": {"TargetDown warning", "Absent page", "Restarting warning", "TableRecoverySlow warning"},
    "disk": {"DiskFilling page", "DiskFilling warning"},
}
# What no test here causes, and why; promtool tests these rules too (ops/prometheus/tests).
NOT_CAUSED = {
    "SourceSilent": "needs a week of past, three hours with the times divided",
    "SpoolNotDraining": "its 600 s are a bound, no window",
    "KafkaUnderReplicated": "needs three brokers",
    "Rebalancing": "needs eleven rebalances within 30 s: a worker takes longer to come and go",
    "CommitsFailing": "needs a broker that answers everything but commits",
}


def job_ports(
    system: System, *, ingest: Sequence[HeadraceProcess], workers: Sequence[HeadraceProcess]
) -> Mapping[str, list[int]]:
    return {
        "headrace-ingest": [system.admin_ports[one.pid] for one in ingest],
        "headrace-worker": [system.admin_ports[one.pid] for one in workers],
    }


@asynccontextmanager
async def watched(directory: Path, ports: Mapping[str, Sequence[int]]) -> AsyncIterator[Watch]:
    """Give a watch over processes that run."""
    async with monitored(directory, lambda: ports, rule_file=scaled_rules(FACTOR)) as (prometheus, alertmanager):
        yield Watch(prometheus, alertmanager)


@asynccontextmanager
async def going_on(work: Callable[[], object], *, every_s: float) -> AsyncIterator[None]:
    """Do something again and again meanwhile."""

    async def again() -> None:
        while True:
            with suppress(OSError):
                await work()  # type: ignore[misc]  # any coroutine function
            await asyncio.sleep(every_s)

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_every_alert_is_here_or_excused() -> None:
    caused = {name.split()[0] for names in BY_TEST.values() for name in names}
    names = {alert["alert"].removeprefix("Headrace") for alert in rules.alerts()}
    assert caused | NOT_CAUSED.keys() == names
    assert caused & NOT_CAUSED.keys() == set()


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
        (system.directory / "headrace.yaml").write_text("version: 7\n")
        ingest.signal(signal.SIGHUP)
        await watch.fires("ReloadRefused")
    assert watch.seen.keys() >= BY_TEST["destinations"]


async def post_forged(ledger: Ledger) -> None:
    """Post an event whose signature is wrong."""
    headers = github_headers(b"{}", SECRET + "x", "id")
    async with ledger.session() as session, session.post(ledger.system.url, data=b"{}", headers=headers) as answer:
        assert answer.status == 401


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
        async with going_on(lambda: refused(ledger), every_s=0.2):
            await watch.fires("KafkaDown")
            await watch.fires("IngestNotReady", severity="page")
            await watch.fires("KafkaBrokerMissing")
            await watch.fires("WorkerNotReady", severity="page")
            await watch.fires("IngestErrorBudgetBurn", severity="page")
            await eventually(lambda: _told(watch, {"KafkaDown"}), 30)
        await ingest.terminate(60)
        system.table["ingest"] = {"spool": {"events_max": 20}}
        system.write_table()
        await own_kafka.restart()
        spooling = await system.start_ingest()
        write_targets(tmp_path, job_ports(system, ingest=[spooling], workers=[again]))
        await ledger.post_all(10)
        own_kafka.kill()
        async with going_on(lambda: refused(ledger), every_s=0.2):
            await watch.fires("SpoolFilling", timeout_s=150)
    assert watch.seen.keys() >= BY_TEST["kafka"]


async def _told(watch: Watch, names: set[str]) -> bool:
    assert await watch.told() == names
    return True


async def refused(ledger: Ledger) -> None:
    """Post valid events, whatever is answered."""
    body = b'{"n":1}'
    async with ledger.session() as session:

        async def post() -> None:
            headers = github_headers(body, SECRET, str(asyncio.get_running_loop().time()))
            async with session.post(ledger.system.url, data=body, headers=headers) as answer:
                await answer.read()

        await asyncio.gather(*(post() for _ in range(5)))


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
