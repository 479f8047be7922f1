"""``headrace cost`` of a recorded month on a real broker, against a calculation by hand."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator

import pytest

from streams.event import Event, format_time
from streams.kafka import producing
from streams.outcome import Outcome
from tests.harness import HeadraceProcess
from tests.ledger import Ledger, MakeSystem, System

pytestmark = pytest.mark.integration

DAY_MS = 24 * 3600 * 1000


def outcomes(now_ms: int) -> Iterator[tuple[int, Outcome]]:
    """Yield a month of outcomes with their times, and some that are older."""

    def of(at_ms: int, id_: str, outcome: str, *, route: str = "to-a", source: str = "github") -> tuple[int, Outcome]:
        hashed = hashlib.sha256(id_.encode()).hexdigest()
        receipt = f"{source}/0/1"
        return at_ms, Outcome(hashed, outcome, source, id_, route, route, receipt, 1, 200, 0.1, format_time(at_ms))

    first_ms = now_ms - int(29.9 * DAY_MS)
    step_ms = (now_ms - 1000 - first_ms) // 12_000
    for n in range(1000):  # before the month
        yield of(now_ms - 35 * DAY_MS + n, f"old{n}", "settled")
    for n in range(12_000):
        route = "to-a" if n % 3 else "to-b"  # 8,000 and 4,000
        yield of(first_ms + n * step_ms, f"e{n}", "settled", route=route)
        if n < 500:  # written again after a crash
            yield of(first_ms + n * step_ms, f"e{n}", "settled", route=route)
    later_ms = first_ms + DAY_MS
    for number, outcome in ((300, "skipped"), (200, "dead_lettered"), (40, "shadowed")):
        for n in range(number):
            yield of(later_ms, f"{outcome}{n}", outcome)
    for n in range(50):
        yield of(later_ms, f"own{n}", "settled", source="headrace")
    for n in range(70):
        yield of(later_ms, f"mirrored{n}", "settled", route="to-a.mirror")
    # A dead letter that was replayed and settled in the end is a task.
    for outcome in ("dead_lettered", "delayed", "settled"):
        yield of(later_ms, "replayed", outcome)


async def record(system: System, now_ms: int) -> None:
    rows = sorted(outcomes(now_ms), key=lambda row: row[0])
    async with producing(system.settings) as producer:
        for at_ms, outcome in rows:
            written = outcome.to_record(system.names.outcomes)
            await producer.send(written.topic, written.value, written.key, timestamp_ms=at_ms)
        for n in range(60):
            at_ms = now_ms - (60 - n) * DAY_MS // 2 + 1000 if n else now_ms - 33 * DAY_MS
            id_ = f"e{n}"
            event = Event("github", id_, id_, "push", at_ms, b"{}" * 500, id_.encode(), "application/json")
            topic, headers = system.names.events("github"), event.to_headers()
            await producer.send(topic, event.body, event.key, headers=headers, timestamp_ms=at_ms)
        await producer.flush()


async def test_cost_agrees_with_a_hand_calculation_on_a_recorded_month(make_system: MakeSystem) -> None:
    system = make_system()
    system.env["HEADRACE_RETENTION_OUTCOMES"] = system.env["HEADRACE_RETENTION_EVENTS"] = "40d"
    await system.command("topics")
    await record(system, int(time.time() * 1000))
    gone = "http://127.0.0.1:9"
    text = await system.command("cost", "--server-usd", "24.50", "--cores", "2", "--admin-url", gone, "--json")
    found = json.loads(text)
    assert (found["tasks"], found["tasks_month"], found["scaled"]) == (12_001, 12_001, False)
    assert found["routes"] == {"to-a": 8_001, "to-b": 4_000}
    assert found["not_counted"] == {
        "skipped": 300, "dead_lettered": 200, "mirrored": 70, "own_events": 50, "shadowed": 40,
    }  # fmt: skip
    assert found["events"] == 59
    professional, team = found["zapier"]["plans"]
    # 10,000 tasks for 129, and 2,001 * 0.0129 * 1.25 = 32.27 (32.266)
    assert (professional["tier_tasks"], professional["overage_tasks"]) == (10_000, 2_001)
    assert (professional["overage_usd"], professional["total_usd"]) == (32.27, 161.27)
    assert professional["saved_usd"] == 136.77
    # 19.99 + n * 19.99 / 750 * 1.25 is 24.49 for n = 135 (4.498), 24.52 for n = 136 (4.531)
    assert professional["break_even_tasks"] == 750 + 136
    # 169 and 2,001 * 0.0169 * 1.25 = 42.27; no plan of Team costs less than 24.50
    assert (team["total_usd"], team["break_even_tasks"]) == (211.27, 0)
    assert found["deployment"]["usd_per_1000_tasks"] == round(24.5 / 12.001, 4)
    assert found["deployment"]["bytes_per_task"] > 100
    assert [note for note in found["notes"] if gone in note]
    shown = await system.command("cost", "--since", "10d", "--admin-url", gone)
    assert "to-a" in shown
    assert "12,0" in shown  # 10 days of it, scaled to 30


async def test_cost_reads_what_the_parts_used(make_system: MakeSystem) -> None:
    system = make_system()
    parts: list[HeadraceProcess] = [await system.start_ingest(), await system.worker()]
    ledger = Ledger(system)
    await ledger.post_all(50)
    await ledger.assert_all_settled()
    urls = [f"http://127.0.0.1:{system.admin_ports[part.pid]}" for part in parts]
    text = await system.command("cost", "--json", *(word for url in urls for word in ("--admin-url", url)))
    found = json.loads(text)
    assert found["events"] == 50
    assert found["tasks"] >= 100
    assert found["deployment"]["cpu_s_per_1000_tasks"] > 0
    assert found["deployment"]["tasks_month_max"] > 0
    assert found["scaled"]
    assert set(found["deployment"]["parts"].values()) == {"read"}
