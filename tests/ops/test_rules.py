"""The rules: each alert fires when it should and not when it should not, says what is wrong, and has its runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops import rules

TEST_FILES = sorted(rules.TESTS.glob("*.yml"))
NAMES = sorted({alert["alert"] for alert in rules.alerts()})
ANNOTATIONS = {"summary", "description", "runbook_url"}


def alert_tests() -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the name of each alert that a promtool test asks for, and what it expects to fire."""
    return [
        (check["alertname"], check["exp_alerts"])
        for path in TEST_FILES
        for test in yaml.safe_load(path.read_text())["tests"]
        for check in test["alert_rule_test"]
    ]


def test_the_rules_are_valid() -> None:
    result = rules.promtool("check", "rules", "--lint-fatal", *sorted(rules.RULES.glob("*.yml")))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["prometheus.yml", "local.yml"])
def test_the_configuration_is_valid(name: str) -> None:
    result = rules.promtool("check", "config", rules.PROMETHEUS / name)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(path: Path) -> None:
    result = rules.promtool("test", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_groups_are_evaluated_in_order(path: Path) -> None:
    """Without it, promtool evaluates alerts before or after what they read, as it happens."""
    assert yaml.safe_load(path.read_text())["group_eval_order"] == [group["name"] for group in reversed_files()]


def reversed_files() -> list[dict[str, Any]]:
    """Return the groups with the recorded ones first."""
    return sorted(rules.groups(), key=lambda group: "record" not in group["rules"][0])


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_is_tested_both_ways(name: str) -> None:
    expected = [alerts for alert, alerts in alert_tests() if alert == name]
    assert [] in expected, f"no test says when {name} must not fire"
    assert any(expected), f"no test says when {name} must fire"


def test_each_rule_is_tested() -> None:
    """Several rules may have one name: each severity and window of them fires in a test."""
    fired = {
        (name, alert["exp_labels"].get("severity"), alert["exp_labels"].get("window"))
        for name, alerts in alert_tests()
        for alert in alerts
    }
    wanted = {(alert["alert"], alert["labels"]["severity"], alert["labels"].get("window")) for alert in rules.alerts()}
    assert wanted - fired == set()


@pytest.mark.parametrize("alert", rules.alerts(), ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_each_alert_says_what_and_where(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("page", "warning", "info")
    assert set(alert["annotations"]) == ANNOTATIONS
    assert alert["annotations"]["summary"].endswith(".")
    assert "$labels" not in alert["annotations"]["summary"]
    assert alert["annotations"]["runbook_url"].endswith(f"/{alert['alert']}.md")


@pytest.mark.parametrize("alert", rules.alerts(), ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_descriptions_name_only_labels_of_the_series(alert: dict[str, Any]) -> None:
    """What the rule itself adds is not in ``$labels`` (Prometheus expands before it adds): it would be empty."""
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"]))
    assert named & set(alert["labels"]) == set()


def test_descriptions_of_the_tests_have_no_holes() -> None:
    for name, alerts in alert_tests():
        for alert in alerts:
            description = alert["exp_annotations"]["description"]
            assert not re.search(r"  | ,| \.|<no value>|%!|<error", description), (name, description)


def test_burn_rates_have_two_windows() -> None:
    """As in the SRE workbook: 14.4, 6, 3 and 1 times the budget, each over a long and a short window."""
    burns = [alert for alert in rules.alerts() if alert["alert"].endswith("BudgetBurn")]
    assert len(burns) == 8
    for alert in burns:
        windows = re.findall(r":ratio(\w+) > ([\d.]+) \* 0\.001", alert["expr"])
        assert len({window for window, _ in windows}) == 2
        assert {burn for _, burn in windows} == {alert["labels"]["burn"]}
        assert windows[0][0] == alert["labels"]["window"]


def test_no_time_series_of_a_rule_is_recorded_twice() -> None:
    records = [rule["record"] for group in rules.groups() for rule in group["rules"] if "record" in rule]
    assert len(records) == len(set(records))
