"""docs/reference/metrics.md lists the metrics that there are, with their labels; rules and panels use no other."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from connectors.metrics import ConnectorMetrics
from headrace.cluster import ClusterMetrics
from headrace.price_metrics import PriceMetrics
from headrace.process_metrics import ProcessMetrics
from headrace.reload_metrics import ReloadMetrics
from ingest.metrics import IngestMetrics
from streams.metrics import ScheduleMetrics, StreamsMetrics
from tests.ops import rules
from tests.ops.boards import boards

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
PARTS: tuple[Callable[[CollectorRegistry], object], ...] = (
    IngestMetrics,
    StreamsMetrics,
    ScheduleMetrics,
    ConnectorMetrics,
    ClusterMetrics,
    PriceMetrics,
    ReloadMetrics,
    partial(ReloadMetrics, part="worker"),
)
SUFFIX = {"counter": "_total", "info": "_info"}


def existing() -> dict[str, set[str]]:
    """Return every metric by the name that Prometheus knows it by, with its labels."""
    found: dict[str, set[str]] = {"headrace_build_info": {"version"}}
    for part in PARTS:
        registry = CollectorRegistry()
        part(registry)
        for collector in registry._collector_to_names:
            name, kind = collector._name, collector._type  # type: ignore[attr-defined]  # nothing public has the labels
            found[name + SUFFIX.get(kind, "")] = set(collector._labelnames)  # type: ignore[attr-defined]  # see above
    for metric in ProcessMetrics().collect():
        found[metric.name + SUFFIX.get(metric.type, "")] = set()
    return found


def listed() -> dict[str, set[str]]:
    """Return the metrics of the page's table, with what its second column names in backticks before a ``;``."""
    found = {}
    for line in PAGE.read_text().splitlines():
        if row := re.fullmatch(r"\| (`(?:headrace|process)_.*?) \| (.*) \|", line):
            labels = set(re.findall(r"`([a-z_]+)`", row[2].partition(";")[0].partition(", see below")[0]))
            found |= dict.fromkeys(re.findall(r"`(\w+)`", row[1]), labels)
    return found


def test_the_page_lists_every_metric_and_no_other() -> None:
    assert set(listed()) == set(existing())


def test_the_page_has_the_labels() -> None:
    there = existing()
    assert {name: labels for name, labels in listed().items() if labels != there[name]} == {}


def test_every_metric_explains_itself() -> None:
    for part in PARTS:
        registry = CollectorRegistry()
        part(registry)
        for metric in registry.collect():
            assert metric.documentation.endswith("."), metric.name


def test_rules_and_panels_use_metrics_that_exist() -> None:
    exprs = [expr for board in boards() for _, expr in board.queries()]
    exprs += [rule["expr"] for group in rules.groups() for rule in group["rules"]]
    recorded = {rule["record"] for group in rules.groups() for rule in group["rules"] if "record" in rule}
    names = {name for expr in exprs for name in re.findall(r"(?<![\w:])(?:\w+:)?(?:headrace|process)[:_][\w:]+", expr)}
    known = set(existing()) | recorded
    assert {
        name for name in names if re.sub(r"_(bucket|count|sum)$", "", name) not in known and name not in known
    } == set()
