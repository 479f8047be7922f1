"""What Zapier charges: hand-calculated examples, and what holds for every number of tasks and every table."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.mistakes import ConfigError
from headrace.price_table import own_price_table, read_pricing
from headrace.pricing import break_even, cheapest, tasks_max

ROOT = Path(__file__).parents[2]
ZAPIER = read_pricing()
plans = st.sampled_from(sorted(ZAPIER.plans))
numbers_of_tasks = st.integers(0, 6_000_000)


def total(plan: str, tasks: int) -> str:
    price = cheapest(ZAPIER, plan, tasks)
    assert price is not None
    return str(price.total_usd)


@pytest.mark.parametrize(
    ("plan", "tasks", "tier", "overage", "usd"),
    [
        ("Professional", 0, 750, 0, "19.99"),
        ("Professional", 750, 750, 0, "19.99"),
        # 100 * 19.99 / 750 * 1.25 = 3.3317
        ("Professional", 850, 750, 100, "23.32"),
        # 19.99 + 870 * 0.0333167 = 48.98, a cent less than the next tier; one task more, and that is cheaper
        ("Professional", 1620, 750, 870, "48.98"),
        ("Professional", 1621, 2000, 0, "49.00"),
        ("Professional", 12_000, 10_000, 2_000, "161.25"),  # 129 + 2,000 * 0.0129 * 1.25
        ("Professional", 1_000_000, 1_000_000, 0, "2199.00"),
        # the top: 3,389 + 4,000,000 * 3,389 / 2,000,000 * 1.25
        ("Professional", 6_000_000, 2_000_000, 4_000_000, "11861.50"),
        ("Team", 2_400, 2_000, 400, "86.25"),  # 69 + 400 * 0.0345 * 1.25
        ("Team", 30_000, 50_000, 0, "399.00"),  # 169 + 20,000 * 0.0169 * 1.25 = 591.50 is more
    ],
)
def test_examples_by_hand(plan: str, tasks: int, tier: int, overage: int, usd: str) -> None:
    price = cheapest(ZAPIER, plan, tasks)
    assert price is not None
    assert (price.tier.tasks, price.overage_tasks, str(price.total_usd)) == (tier, overage, usd)


def test_beyond_the_top_there_is_no_price() -> None:
    assert tasks_max(ZAPIER, "Professional") == 6_000_000
    assert cheapest(ZAPIER, "Professional", 6_000_001) is None


@given(plans, numbers_of_tasks, numbers_of_tasks)
def test_more_tasks_never_cost_less(plan: str, one: int, other: int) -> None:
    fewer, more = cheapest(ZAPIER, plan, min(one, other)), cheapest(ZAPIER, plan, max(one, other))
    assert fewer is not None
    assert more is not None
    assert fewer.total_usd <= more.total_usd


@given(plans, numbers_of_tasks)
def test_it_never_costs_more_than_a_tier_that_has_room(plan: str, tasks: int) -> None:
    price = cheapest(ZAPIER, plan, tasks)
    assert price is not None
    assert all(price.total_usd <= tier.usd for tier in ZAPIER.plans[plan] if tier.tasks >= tasks)
    assert price.tasks <= price.tier.tasks * 3
    assert price.overage_tasks == max(0, tasks - price.tier.tasks)


@given(plans, st.decimals("0", "15000", places=2))
def test_from_the_break_even_on_it_costs_more(plan: str, server_usd: Decimal) -> None:
    tasks = break_even(ZAPIER, plan, server_usd)
    if tasks is None:
        assert Decimal(total(plan, tasks_max(ZAPIER, plan))) <= server_usd
        return
    assert Decimal(total(plan, tasks)) > server_usd
    assert tasks == 0 or Decimal(total(plan, tasks - 1)) <= server_usd


def test_the_break_even_by_hand() -> None:
    assert break_even(ZAPIER, "Professional", Decimal(10)) == 0
    assert break_even(ZAPIER, "Professional", Decimal(49)) == 2001
    assert break_even(ZAPIER, "Professional", Decimal(20_000)) is None


def test_the_table_has_its_date_and_source() -> None:
    assert own_price_table() == ROOT / "ops" / "pricing" / "zapier.yaml"
    assert len(ZAPIER.plans["Professional"]) == 11
    assert len(ZAPIER.plans["Team"]) == 7
    assert "zapier.com" in ZAPIER.source


TABLE = """\
service: Other
date: "2026-12-01"
source: a contract
overage_factor: 1.5
tasks_factor_max: 2
plans:
  Only:
    - {tasks: 100, usd: 10}
    - {tasks: 200, usd: 15}
"""


def test_another_table(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(TABLE)
    price = cheapest(read_pricing(path), "Only", 120)
    assert price is not None
    assert str(price.total_usd) == "13.00"


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("usd: 15", "usd: 9", 7, "the tiers of Only must rise in tasks and usd"),
        ("tasks: 200", "tasks: 100", 7, "must rise"),
        ("usd: 10}", "usd: -1}", 8, "greater than 0"),
        ("usd: 10}", "usd: free}", 8, "valid decimal"),
        ("usd: 10}", "usd: .nan}", 8, "decimal"),
        ("tasks: 100", 'tasks: "many"', 8, "valid integer"),
        ("tasks: 100", "tasks: true", 8, "valid integer"),
        ("overage_factor: 1.5", "overage_factor: 0.5", 4, "greater than or equal to 1"),
        ("overage_factor: 1.5\n", "", 1, "overage_factor: Field required"),
        ("source:", "sauce:", 3, "sauce"),
        ("    - {tasks: 100, usd: 10}\n    - {tasks: 200, usd: 15}", "    []", 7, "has no tier"),
        (TABLE, "", 1, ""),
        (TABLE, "[1, 2]", 1, ""),
        (TABLE, "a: {", 1, ""),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, old: str, new: str, line: int, text: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(TABLE.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_pricing(path)
    report = "\n".join(caught.value.report())
    assert text in report
    assert str(path) in report


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_pricing(tmp_path / "none.yaml")
    assert caught.value.report() == [f"{tmp_path / 'none.yaml'}: there is no such file"]


def test_the_wheel_brings_the_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = "from headrace.price_table import *; print(own_price_table(), read_pricing().date)"
    asked = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "installed",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert asked.stdout.split() == [
        str(tmp_path / "installed" / "headrace" / "price_tables" / "zapier.yaml"),
        ZAPIER.date,
    ], asked.stderr
