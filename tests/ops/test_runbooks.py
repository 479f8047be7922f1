"""Each alert has its runbook, each runbook its alert, and what they tell to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from headrace.cli import main
from tests.ops import rules
from tests.ops.boards import boards

ROOT = Path(__file__).parents[2]
PAGES = sorted(rules.RUNBOOKS.glob("Headrace*.md"))
ALERTS = {alert["alert"] for alert in rules.alerts()}
# Programs of others that a runbook may tell to type.
FOREIGN = {"amtool", "curl", "df", "docker", "du", "systemctl"}
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def commands(text: str) -> list[list[str]]:
    """Return each line of the ``sh`` blocks, as words, and each command of Headrace's or make's in backticks."""
    lines = [line for block in _BLOCK.findall(text) for line in block.splitlines() if line.strip()]
    lines += re.findall(r"`((?:headrace|make) [a-z][^`]*)`", _BLOCK.sub("", text))
    return [shlex.split(line, comments=True) for line in lines]


def plain_words(words: list[str]) -> list[str]:
    """Return the words that are no options."""
    return [word for word in words if not word.startswith("-")]


def mistake(words: list[str]) -> str | None:
    """Return what is wrong with a command line, or ``None``: an unknown command, option or target."""
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        return None if words[1] in targets else f"make has no target {words[1]}"
    if words[0] != "headrace":
        return None if words[0] in FOREIGN else f"what is {words[0]}?"
    command: click.Command = main
    context = click.Context(main, info_name="headrace")
    rest = words[1:]
    while isinstance(command, click.Group) and not (command.invoke_without_command and not plain_words(rest)):
        found = command.get_command(context, rest[0]) if rest else None
        if found is None:
            return f"headrace has no command {' '.join(words[1:])}"
        command, rest = found, rest[1:]
    if "--help" in rest:
        return None
    try:
        command.make_parser(context).parse_args(args=list(rest))
    except click.UsageError as error:
        return error.format_message()
    arguments = [one for one in command.params if isinstance(one, click.Argument) and one.required]
    return None if len(plain_words(rest)) >= len(arguments) else f"{' '.join(words)} lacks an argument"


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert {page.stem for page in PAGES} == ALERTS


@each_page
def test_pages_are_short_and_of_one_form(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["What it means", "Look", "Do"]
    assert len(text.splitlines()) <= 60
    assert max(map(len, (line for line in text.splitlines() if not line.startswith("|")))) <= 130


@each_page
def test_commands_exist(page: Path) -> None:
    assert [found for words in commands(page.read_text()) if (found := mistake(words))] == []


@each_page
def test_names_exist(page: Path) -> None:
    """Alerts, dashboards, panels and pages that a runbook names are there."""
    text = page.read_text()
    assert set(re.findall(r"\bHeadrace[A-Z]\w+", text)) <= ALERTS
    titles = {board.json["title"].removeprefix("Headrace / "): board for board in boards()}
    panels = {panel["title"] for board in titles.values() for panel in board.panels()}
    for name in re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", text):
        board, arrow, panel = name.rpartition(" → ")
        if arrow and board != "Status":  # that is Prometheus' own page
            assert panel in {one["title"] for one in titles[board].panels()}, name
        elif not arrow:
            assert name in panels | titles.keys() | {"Inhibited"}, name
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (page.parent / target).exists(), target
    for path in re.findall(r"\bdocs/[\w/-]+\.md", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    "line",
    ["headrace dlq lits", "headrace dlq list --all", "headrace resume", "make no-such", "frobnicate now", "headrace"],
)
def test_mistakes_are_found(line: str) -> None:
    assert mistake(shlex.split(line))
