"""The report of ``headrace cost`` from what was measured: by hand, and what is said where something is missing."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from headrace.commands.cost import _print
from headrace.cost import DAY_MS, Measured, report
from headrace.part_use import NoMetrics, PartUse, cpu_s_per_task, read_part, use_of
from headrace.price_table import read_pricing
from headrace.pricing import parse_usd
from streams.tasks import EventCount, TaskCount

NOW_MS = 1_795_000_000_000
WORKER = """\
# TYPE headrace_build info
headrace_build_info{version="0.1.0"} 1.0
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 40.0
# TYPE headrace_deliveries counter
headrace_deliveries_total{destination="crm",route="a",outcome="settled"} 9000.0
headrace_deliveries_total{destination="crm",route="a",outcome="delayed"} 77.0
headrace_deliveries_total{destination="a.mirror",route="a.mirror",outcome="settled"} 500.0
headrace_deliveries_total{destination="crm",route="b",outcome="settled"} 1000.0
"""


def measured(tasks: int | TaskCount = 1000, *, days: float = 30, first_days: float = 29.9, **changes: Any) -> Measured:
    if isinstance(tasks, int):
        first_ms = NOW_MS - int(first_days * DAY_MS)
        tasks = TaskCount(Counter({"a": tasks}), first_ms=first_ms, record_bytes=300 * tasks)
    number = tasks.tasks
    usual: dict[str, Any] = {"parts": {}, "cores": 2, "retention_s": 40 * 86400}
    return Measured(
        since_ms=NOW_MS - int(days * DAY_MS),
        until_ms=NOW_MS,
        tasks=tasks,
        events=EventCount(number // 2, 600.0 * number),
        **usual | changes,
    )


def answer(found: Measured, server_usd: str | None = "20") -> dict[str, Any]:
    usd = None if server_usd is None else Decimal(server_usd)
    result = report(found, read_pricing(), usd)
    assert json.loads(json.dumps(result)) == result
    return result


def test_a_month_by_hand() -> None:
    parts = {
        "http://w": use_of(WORKER),
        "http://i": PartUse(cpu_s=10, ingest=True, accepted=20_000, settled=0),
    }
    found = answer(measured(12_000, parts=parts))
    assert not found["scaled"]
    assert found["notes"] == []
    professional, team = found["zapier"]["plans"]
    # 10,000 for 129, and 2,000 * 0.0129 * 1.25
    assert professional["tier_tasks"] == 10_000
    assert (professional["overage_usd"], professional["total_usd"]) == (32.25, 161.25)
    assert professional["saved_usd"] == 141.25
    # 20 dollars: 19.99 for 750, and one task more is 0.03
    assert professional["break_even_tasks"] == 751
    assert (team["total_usd"], team["break_even_tasks"]) == (211.25, 0)
    here = found["deployment"]
    assert here["usd_per_1000_tasks"] == 1.6667
    # worker 40 s / 10,000 tasks; ingest 10 s / 20,000 events, and half an event a task
    assert here["cpu_s_per_1000_tasks"] == 4.25
    assert here["tasks_month_max"] == int(30 * 86400 * 2 * 0.7 / 0.00425)
    assert here["bytes_per_task"] == 900


def test_three_days_are_scaled_and_said() -> None:
    found = answer(measured(1000, first_days=3, retention_s=3 * 86400))
    assert found["scaled"]
    assert found["tasks_month"] == 10_000
    assert found["seen_days"] == 3
    assert "3.0 of 30.0 days were seen" in found["notes"][0]
    assert "HEADRACE_RETENTION_OUTCOMES" in found["notes"][1]


@pytest.mark.parametrize(
    ("days", "first_days", "scaled"), [(28, 28, False), (31, 28, False), (30, 26, True), (7, 7, True), (90, 90, True)]
)
def test_what_is_a_month(days: float, first_days: float, *, scaled: bool) -> None:
    assert answer(measured(days=days, first_days=first_days))["scaled"] is scaled


def test_a_quiet_month_that_the_log_reaches_beyond_is_seen_whole() -> None:
    quiet = TaskCount(Counter({"a": 10}), first_ms=NOW_MS - DAY_MS, whole=True)
    assert answer(measured(tasks=quiet))["tasks_month"] == 10
    assert answer(measured(10, first_days=1))["tasks_month"] == 300


def test_nothing_yet() -> None:
    found = answer(measured(TaskCount()), None)
    assert found["tasks_month"] == 0
    assert found["notes"][0] == "no delivery settled in this time"
    here = found["deployment"]
    assert here["usd_per_1000_tasks"] is here["cpu_s_per_1000_tasks"] is here["bytes_per_task"] is None
    assert [plan["break_even_tasks"] for plan in found["zapier"]["plans"]] == [None, None]


def test_beyond_what_zapier_sells_and_a_dear_server() -> None:
    found = answer(measured(7_000_000), "100000")
    assert all(
        plan["total_usd"] is plan["saved_usd"] is plan["break_even_tasks"] is None for plan in found["zapier"]["plans"]
    )
    shown = printed(found)
    assert "does not sell more than 6,000,000 tasks" in shown


def test_people_see_everything() -> None:
    found = answer(measured(12_000, parts={"http://gone:1": "nothing answers: refused"}))
    shown = printed(found)
    for text in ("$161.25", "10,000 for $129.00", "751 tasks", "12,000 tasks a month", "2026-11-25", "not known"):
        assert text in shown
    assert "http://gone:1: nothing answers: refused" in found["notes"][0]


def printed(found: dict[str, Any]) -> str:
    import click

    @click.command
    def show() -> None:
        _print(found)

    result = CliRunner().invoke(show)
    assert result.exit_code == 0, result.exception
    return result.output


def test_processor_time_of_parts_that_have_done_nothing() -> None:
    idle = PartUse(cpu_s=5, ingest=False, accepted=0, settled=0)
    assert cpu_s_per_task([], events_per_task=1) is None
    assert cpu_s_per_task([idle], events_per_task=1) is None


@pytest.mark.parametrize("text", ["", "<html>", "a{ 1", "process_cpu_seconds_total 1\n", 'x{y="1"} many\n'])
def test_what_is_no_part_is_told(text: str) -> None:
    with pytest.raises(NoMetrics):
        use_of(text)


@pytest.fixture
def serve() -> Any:
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, body: str) -> str:
        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/metrics" else 404)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the library
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_part_is_read(serve: Callable[[int, str], str]) -> None:
    url = serve(200, WORKER)
    expected = PartUse(cpu_s=40, ingest=False, accepted=0, settled=10_000)
    assert read_part(url) == read_part(f"{url}/metrics") == read_part(url.removeprefix("http://")) == expected


def test_pages_that_are_none(serve: Callable[[int, str], str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for url in (
            gone,
            serve(500, ""),
            "ftp://x",
            "http://",
            "http://x:y",
            "http://[::1",
            "file:///etc/passwd",
            "a b",
        ):
            with pytest.raises(NoMetrics):
                read_part(url)


@pytest.mark.parametrize("text", ["", "nan", "-1", "1e3", "inf", "1.234", "٣", "$5", "1_0"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_usd(text)
