"""The rules as Prometheus reads them, and promtool to ask about them."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.tools import find_tool

PROMETHEUS = Path(__file__).parents[2] / "ops" / "prometheus"
RULES, TESTS = PROMETHEUS / "rules", PROMETHEUS / "tests"
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


def groups() -> list[dict[str, Any]]:
    """Return the groups of all rule files."""
    return [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]


def alerts() -> list[dict[str, Any]]:
    """Return every alerting rule; several may have one name."""
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def promtool(*args: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool and return what it said."""
    command = [str(find_tool("promtool")), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd)


def promtool_accepts(rule_file: dict[str, Any]) -> None:
    """Check a rule file that a test made."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rules.yml"
        path.write_text(yaml.safe_dump(rule_file))
        result = promtool("check", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr
