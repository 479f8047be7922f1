"""Cutover: the next step, in the table's own text, and no event's way changed by it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headrace.cli import main
from headrace.config import load_routing_table
from streams.mode import Share

BLOCK = """\
version: 1 # a comment
sources: {orders: {scheme: none, allow_unsigned: true}}
destinations: {out: {connector: log}}
routes:
  # before
  - name: other
    source: orders
    to: out
    action: write
  - name: r # the one
    source: orders
    when: body.n > 1 # keep
    MODE
    to: out
    action: write
    with:
      message: |
        mode: not this one
  - {name: flow, source: orders, to: out, action: write, with: {message: "a, b"}}
"""
STEPS_BLOCK = """mode: percent
    percent:
      # the first
      - {from: "2020-01-01T00:00:00Z", percent: 25} # quarter
      - from: "2999-01-01T00:00:00Z"
        percent: 75"""
FORMS = {
    "live": "",
    "shadow": "mode: shadow # not yet",
    "steps": STEPS_BLOCK,
    "listed": 'mode: [{from: "2020-01-01T00:00:00Z", percent: 25}, {from: "2999-01-01T00:00:00Z", percent: 75}]',
}


def table(tmp_path: Path, form: str) -> Path:
    path = tmp_path / "headrace.yaml"
    path.write_text(BLOCK.replace("    MODE\n", f"    {FORMS[form]}\n" if FORMS[form] else ""))
    load_routing_table(path)
    return path


def run(path: Path, *args: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(path), "zapier", "cutover", *args], catch_exceptions=False)


def share(path: Path, route: str = "r") -> Share:
    return next(one.share for one in load_routing_table(path).routes if one.name == route)


@pytest.mark.parametrize(
    ("form", "args", "now", "then"),
    [
        ("shadow", [], 0, 10),
        ("steps", [], 25, 50),
        ("listed", [], 25, 50),
        ("shadow", ["--percent", "3.5"], 0, 3.5),
        ("steps", ["--back"], 25, 0),
        ("live", ["--back"], 100, 0),
        ("live", ["--back", "--percent", "50"], 100, 50),
    ],
)
def test_the_next_step_is_written_and_what_has_begun_stays(
    tmp_path: Path, form: str, args: list[str], now: float, then: float
) -> None:
    path = table(tmp_path, form)
    before = share(path)
    result = run(path, "r", *args)
    assert result.exit_code == 0, result.output
    now_ms = int(time.time() * 1000)
    after = share(path)
    assert (after.percent_at(now_ms), after.percent_at(now_ms + 125_000)) == (now, then)
    assert after.percent_at(now_ms + 10**12) == then
    assert not after.changed_in_the_past(before, now_ms=now_ms)
    kept = [line for line in BLOCK.splitlines() if line.strip() != "MODE"]
    assert [line for line in path.read_text().splitlines() if line in kept] == kept


def test_the_whole_way_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, clock = table(tmp_path, "shadow"), [time.time()]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    seen = []
    for args in ([], [], [], ["--back"]):
        before = share(path)
        assert run(path, "r", *args).exit_code == 0
        assert not share(path).changed_in_the_past(before, now_ms=int(clock[0] * 1000))
        clock[0] += 600
        seen.append(share(path).percent_at(int(clock[0] * 1000)))
    assert seen == [10, 50, 100, 0]


def test_a_route_on_one_line_is_edited_too(tmp_path: Path) -> None:
    path = table(tmp_path, "live")
    assert run(path, "flow", "--back").exit_code == 0
    assert share(path, "flow").percents[-1] == 0
    assert run(path, "flow", "--back", "--percent", "20").exit_code == 0
    assert share(path, "flow").percents[-1] == 20
    assert 'message: "a, b"' in path.read_text()


FIRST = ("mode: shadow", "mode: percent\n    percent: [{from: 2020-01-01, percent: 5}]")


@pytest.mark.parametrize("first", FIRST)
def test_a_mode_that_stands_first_is_edited_too(tmp_path: Path, first: str) -> None:
    path = tmp_path / "headrace.yaml"
    path.write_text(BLOCK.replace("    MODE\n", "").replace("name: r # the one", first + "\n    name: r"))
    assert run(path, "r").exit_code == 0
    assert share(path).percents[-1] in (10, 10.0)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = table(tmp_path, "steps")
    text = path.read_text()
    result = run(path, "r", "--dry-run")
    assert "25 % now, 50 %" in result.output
    assert "1 steps that had not begun" in result.output
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("form", "args", "why"),
    [("live", ["r"], "everything already"), ("shadow", ["r", "--back"], "nothing"), ("live", ["x"], "no route")],
)
def test_what_is_no_step_is_refused_in_one_line(tmp_path: Path, form: str, args: list[str], why: str) -> None:
    path = table(tmp_path, form)
    text = path.read_text()
    result = run(path, *args)
    assert result.exit_code == 1
    assert why in result.output
    assert len(result.output.splitlines()) == 1
    assert path.read_text() == text


def test_the_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = table(tmp_path, "shadow")
    path.chmod(0o640)
    assert run(path, "r").exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["headrace.yaml"]
