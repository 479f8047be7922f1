"""An alert fires for real, with Headrace, Prometheus and Alertmanager as processes; the others: tests/chaos."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Answer, KafkaForTests, eventually
from tests.ledger import Ledger, MakeSystem
from tests.ops.fired import Watch
from tests.ops.monitoring import monitored, scaled, scaled_expr, scaled_rules

pytestmark = pytest.mark.integration


async def test_a_dead_broker_is_one_page(make_system: MakeSystem, own_kafka: KafkaForTests, tmp_path: Path) -> None:
    system = make_system(own_kafka, destinations={"crm": {"delays_s": []}})
    system.receiver.answers["/crm/"] = Answer(422)
    ingest, worker = await system.start_ingest(), await system.worker()
    ports = {"headrace-ingest": [system.admin_ports[ingest.pid]], "headrace-worker": [system.admin_ports[worker.pid]]}
    async with monitored(tmp_path, lambda: ports, rule_file=scaled_rules(60)) as (prometheus, alertmanager):
        watch = Watch(prometheus, alertmanager)
        await Ledger(system).post_all(3)
        await watch.fires("DeadLetters", destination="crm")
        own_kafka.kill()
        await watch.fires("KafkaDown")
        await watch.fires("IngestNotReady", severity="page")
        await eventually(lambda: _one_page(watch), 30)


async def _one_page(watch: Watch) -> bool:
    assert await watch.told() == {"KafkaDown"}
    return True


def test_times_are_scaled_and_nothing_else() -> None:
    assert scaled("5m", 60) == "5000ms"
    assert scaled("15s", 60) == "1000ms"
    expr = "increase(a_5m[1h] offset 1d) > 0.5 and predict_linear(b[6h], 4 * 3600) > 1.1 * 100"
    wanted = "increase(a_5m[60000ms] offset 1440000ms) > 0.5 and predict_linear(b[360000ms], 240) > 1.1 * 100"
    assert scaled_expr(expr, 60) == wanted
    assert scaled_expr("max(oldest_seconds) > 600 and bytes > 600", 60) == "max(oldest_seconds) > 10 and bytes > 600"
