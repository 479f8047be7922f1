"""Who is told of what: one cause is one message, and it goes to the right people."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.harness import eventually, free_port
from tests.ops import rules
from tests.ops.monitoring import ALERTMANAGER, Alertmanager
from tests.tools import find_tool

RECEIVERS = sorted((ALERTMANAGER.parent / "receivers").glob("*.yml"))
INGEST, WORKER = "headrace-ingest", "headrace-worker"

Labels = dict[str, str]


def amtool(*args: str | Path) -> str:
    """Run amtool and return what it printed."""
    command = [str(find_tool("amtool")), *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def test_the_configuration_is_valid() -> None:
    assert "SUCCESS" in amtool("check-config", ALERTMANAGER)


@pytest.mark.parametrize("receivers", RECEIVERS, ids=lambda path: path.stem)
def test_the_receivers_are_valid(receivers: Path, tmp_path: Path) -> None:
    """Each of them in place of the end of the configuration, as its last comment says."""
    head, _, _ = ALERTMANAGER.read_text().partition("\nreceivers:\n")
    path = tmp_path / "alertmanager.yml"
    path.write_text(head + "\n" + receivers.read_text())
    assert "SUCCESS" in amtool("check-config", path)


@pytest.mark.parametrize("alert", rules.alerts(), ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_each_alert_goes_where_its_severity_says(alert: dict[str, Labels]) -> None:
    labels = {"alertname": str(alert["alert"]), **alert["labels"]}
    receiver = {"page": "page", "warning": "warning", "info": "nobody"}[labels["severity"]]
    told = amtool(
        *("config", "routes", "test", f"--config.file={ALERTMANAGER}"),
        *(f"{name}={value}" for name, value in labels.items()),
    )
    assert told == receiver


def alert(name: str, severity: str = "warning", **labels: str) -> Labels:
    return {"alertname": f"Headrace{name}", "severity": severity, **labels}


def in_order(alerts: list[Labels]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(labels.items()) for labels in alerts)


KAFKA_DOWN = alert("KafkaDown", "page", root="kafka")
AFTERMATH = [alert("Aftermath", "info", root="kafka", holds=holds) for holds in ("states", "history")]
OF_KAFKA = [
    alert("TargetDown", job=WORKER, instance="worker:1"),
    alert("Absent", "page", job=WORKER, root="worker"),
    alert("IngestNotReady", "page", root="ingest"),
    alert("IngestNotReady", instance="ingest:1"),
    alert("WorkerNotReady", "page", root="worker"),
    alert("Restarting", instance="worker:1", job=WORKER),
    alert("KafkaBrokerMissing"),
    alert("KafkaUnderReplicated"),
    alert("IngestErrorBudgetBurn", "page", burn="14.4", window="1h"),
    alert("DeliveryErrorBudgetBurn", "page", burn="14.4", window="1h", destination="crm"),
    alert("QueueGrowing", topic="events.shop", source="shop"),
    alert("QueueStuck", "page", topic="deliveries.crm", destination="crm"),
    alert("SourceSilent", source="shop"),
    alert("CommitsFailing", group="headrace-fan-out"),
    alert("Rebalancing", group="headrace-fan-out"),
    alert("CapacityHigh", resource="ingest_in_flight"),
]
CRM_OPEN = alert("CircuitOpen", destination="crm", root="destination")
CRM_PAUSED = alert("DestinationPaused", "page", destination="crm", root="destination")

CASES = {
    "a dead broker is one page": ([KAFKA_DOWN, *AFTERMATH, *OF_KAFKA], [KAFKA_DOWN]),
    "what is no consequence of it is told beside it": (
        [KAFKA_DOWN, alert("DiskFilling", "page", instance="kafka-1"), alert("DeadLetters", destination="crm")],
        [KAFKA_DOWN, alert("DiskFilling", "page", instance="kafka-1"), alert("DeadLetters", destination="crm")],
    ),
    "no worker is one page": (
        [
            alert("Absent", "page", job=WORKER, root="worker"),
            alert("TargetDown", job=WORKER, instance="worker:1"),
            alert("QueueStuck", "page", topic="deliveries.crm", destination="crm"),
            alert("QueueGrowing", topic="events.shop", source="shop"),
        ],
        [alert("Absent", "page", job=WORKER, root="worker")],
    ),
    "an ingest that is down beside it is told": (
        [alert("Absent", "page", job=WORKER, root="worker"), alert("TargetDown", job=INGEST, instance="ingest:2")],
        [alert("Absent", "page", job=WORKER, root="worker"), alert("TargetDown", job=INGEST, instance="ingest:2")],
    ),
    "a destination that is down holds back its own queue and no other": (
        [
            CRM_OPEN,
            alert("QueueGrowing", topic="deliveries.crm", destination="crm"),
            alert("QueueGrowing", topic="deliveries.erp", destination="erp"),
            alert("DeliveryErrorBudgetBurn", "page", burn="6", window="6h", destination="crm"),
        ],
        [CRM_OPEN, alert("QueueGrowing", topic="deliveries.erp", destination="erp")],
    ),
    "a pause says more than the circuit that it opened": ([CRM_PAUSED, CRM_OPEN], [CRM_PAUSED]),
    "a page says more than a warning of the same": (
        [
            alert("IngestErrorBudgetBurn", "page", burn="14.4", window="1h"),
            alert("IngestErrorBudgetBurn", burn="3", window="1d"),
            alert("DiskFilling", "page", instance="a"),
            alert("DiskFilling", instance="a"),
            alert("DiskFilling", instance="b"),
        ],
        [
            alert("IngestErrorBudgetBurn", "page", burn="14.4", window="1h"),
            alert("DiskFilling", "page", instance="a"),
            alert("DiskFilling", instance="b"),
        ],
    ),
    "what looks back at an outage is held back after it": (
        [
            AFTERMATH[1],
            alert("IngestErrorBudgetBurn", "page", burn="14.4", window="1h"),
            alert("TargetDown", instance="i"),
        ],
        [alert("TargetDown", instance="i")],
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_one_cause_is_one_message(case: str, tmp_path: Path) -> None:
    fired, told = CASES[case]
    port = free_port()
    manager = Alertmanager(
        [
            find_tool("prometheus-alertmanager"), f"--config.file={ALERTMANAGER}", "--storage.path=data",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=warn",
        ],
        tmp_path,
        port,
    )  # fmt: skip
    try:
        await manager.ready()
        now = datetime.now(UTC).isoformat()
        async with aiohttp.ClientSession() as session:
            alerts = [{"labels": labels, "startsAt": now} for labels in fired]
            async with session.post(f"{manager.url}/api/v2/alerts", json=alerts) as answer:
                assert answer.status == 200, await answer.text()

        async def all_known() -> bool:
            return len(await manager.alerts()) == len(fired)

        await eventually(all_known, 20)
        heard = [labels for labels in await manager.alerts(told=True) if labels["severity"] != "info"]
        assert in_order(heard) == in_order(told)

        async def grouped() -> bool:  # a moment after they are known: one message for each kind
            names = {group["labels"]["alertname"] for group in await manager.groups()}
            return {labels["alertname"] for labels in told} <= names

        await eventually(grouped, 20)
    finally:
        await asyncio.to_thread(manager.stop)
