"""What README and docs tell people to type exists: each block is a script, each command and option is known.

Pages are found by themselves. What runs for real is in test_readme.py.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from headrace.cli import main
from tests.docs.blocks import ROOT, Block, blocks, pages

BLOCKS = blocks()
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SERVICES = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
UNITS = {path.name.partition(".")[0].rstrip("@") for path in (ROOT / "deploy" / "systemd").iterdir()}
COMPOSE = {
    "build",
    "config",
    "cp",
    "down",
    "exec",
    "kill",
    "logs",
    "ps",
    "pull",
    "restart",
    "run",
    "start",
    "stop",
    "up",
}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_a_script(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_its_commands_and_their_options_exist(block: Block) -> None:
    for words in block.commands():
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
            words = words[1:]
        if words:
            check(words)


def check(words: list[str]) -> None:
    name = Path(words[0]).name
    if name == "headrace":
        check_headrace(words[1:])
    elif name == "make":
        wanted = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)]
        assert set(wanted) <= TARGETS, words
        for word in words[1:]:
            if word.startswith("ARGS=") and wanted == ["replay-dlq"]:
                check_headrace(["dlq", "replay", *word.removeprefix("ARGS=").split()])
    elif words[:2] == ["docker", "compose"]:
        check_compose(words[2:])
    elif name in ("systemctl", "journalctl"):
        named = [re.split(r"[@.]", word)[0] for word in words if word.startswith("headrace")]
        assert set(named) <= UNITS | {"headrace-*"}, words
    elif words[0].startswith(("deploy/", "bench/", "ops/")):
        assert (ROOT / words[0]).exists(), words


def check_compose(words: list[str]) -> None:
    words = [word for word in words if word != "-T"]
    subcommand = next(word for word in words if not word.startswith("-"))
    assert subcommand in COMPOSE, words
    if subcommand in ("exec", "run"):
        rest = [word for word in words[words.index(subcommand) + 1 :] if not word.startswith("--")]
        assert rest[0] in SERVICES, words
        check(rest[1:] if subcommand == "exec" else ["headrace", *rest[1:]])


def check_headrace(words: list[str]) -> None:
    """Parse as the command line does, and stop before anything is done."""
    command: click.Command = main
    context = click.Context(main, info_name="headrace")
    while True:
        words = [word for word in words if not re.fullmatch(r"[<>]|\d?>.*", word)]
        if words and words[0] == "…":
            return
        _, words, _ = command.make_parser(context).parse_args(list(words))
        if not isinstance(command, click.Group):
            return
        if not words:
            return
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=found.name, parent=context)


def test_what_is_wrong_would_be_found() -> None:
    for wrong in (["worker", "--ony", "deliver"], ["dlq", "replai"], ["doctr"]):
        with pytest.raises(click.UsageError):
            check_headrace(wrong)
    with pytest.raises(AssertionError):
        check(["make", "nothing"])
    assert any(block.page.name == "README.md" for block in BLOCKS)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target
