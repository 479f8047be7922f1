"""With a system under a mixed load and a real Prometheus: every query of every panel and rule returns data.

What rightly returns nothing is listed, with the reason; an entry whose query does return data fails.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.ledger import MakeSystem
from tests.ops import rules
from tests.ops.boards import boards, filled_in
from tests.ops.monitoring import Prometheus, monitored, scaled_rules
from tests.ops.plant import Plant

pytestmark = pytest.mark.integration

LOAD_S = 15.0
CHOSEN = {"source": ".*", "destination": ".*", "instance": ".+"}  # what Grafana puts in for "All"
# Queries of dashboards that return nothing in this test, and why that is right.
NOTHING: dict[str, str] = {"ingest / Secrets in use / A": "drawn while a source has several secrets; here each has one"}
# Recorded metrics that are not there yet after a minute, and why.
NOT_RECORDED: dict[str, str] = {}
# A selector, with its matchers; not a function, a label after `by`, or what stands in a string.
_SELECTOR = re.compile(
    r"(?<![\w:.$])((?:headrace|topic|resource|source|destination|process|ALERTS|up)[\w:]*)(\{[^}]*\})?"
)


def selectors(expr: str) -> set[str]:
    """Return every selector of series in an expression, without its range and offset."""
    bare = re.sub(r"\b(?:by|on|without|ignoring|group_left)\s*\([^)]*\)", "", expr)
    found = set()
    for name, matchers in _SELECTOR.findall(bare):
        if ":" in name or "_" in name or name in ("up", "ALERTS"):
            found.add(name + re.sub(r'alertstate="firing"|alertname!="[^"]*",?\s*', "", matchers or ""))
    return found


async def test_every_query_returns_data(make_system: MakeSystem, tmp_path: Any) -> None:
    plant = Plant(make_system)
    await plant.start()
    async with monitored(tmp_path, plant.ports, rule_file=scaled_rules(1)) as (prometheus, _):
        await plant.load(LOAD_S)
        await plant.settled()
        await plant.load(4)
        silent = await _silent_queries(prometheus)
        assert sorted(silent.keys() - NOTHING.keys()) == []
        assert sorted(NOTHING.keys() - silent.keys()) == [], "these return data: take them off the list"
        assert await _silent_records(prometheus) == set(NOT_RECORDED)
        assert await _blind_alerts(prometheus) == {}


async def _silent_queries(prometheus: Prometheus) -> dict[str, str]:
    """Return the queries of dashboards, variables and annotations that have no value in the last seconds."""
    silent = {}
    for board in boards():
        for name, expr in board.queries():
            query = filled_in(expr, window="10s", span="1m", chosen=CHOSEN)
            series = await prometheus.query_range(query, span_s=20)
            if not any(value != "NaN" for one in series for _, value in one["values"]):
                silent[name] = query
    return silent


async def _silent_records(prometheus: Prometheus) -> set[str]:
    records = [rule["record"] for group in rules.groups() for rule in group["rules"] if "record" in rule]
    return {record for record in records if not await prometheus.query(record)}


async def _blind_alerts(prometheus: Prometheus) -> dict[str, set[str]]:
    """Return the alerts that do not fire because they look at what does not exist, with that."""
    blind: dict[str, set[str]] = {}
    for alert in rules.alerts():
        await prometheus.query(alert["expr"])  # Prometheus takes it
        for selector in selectors(alert["expr"]):
            if not await prometheus.query(selector):
                blind.setdefault(alert["alert"], set()).add(selector)
    return blind


def test_selectors_are_found() -> None:
    expr = 'sum by (source) (increase(headrace_a_total{x="y"}[5m] offset 1d)) > on (source) topic:b:max unless up == 0'
    assert selectors(expr) == {'headrace_a_total{x="y"}', "topic:b:max", "up"}
