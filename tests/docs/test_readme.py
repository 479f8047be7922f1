"""The README's commands, run as a newcomer runs them: beside ``headrace run``, in a folder with the repository's table.

What cannot run here, and why: ``make up`` and ``docker compose`` need a container engine (tests/docs/test_commands.py
checks their services and options), ``$EDITOR`` a person, ``make test`` would be this.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import StartHeadrace
from tests.docs.blocks import blocks
from tests.docs.newcomer import Newcomer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NOT_HERE = ("make ", "docker compose ", "$EDITOR ")


@pytest.fixture
def newcomer(tmp_path: Path, headrace_process: StartHeadrace) -> Newcomer:
    return Newcomer(tmp_path, headrace_process)


def test_every_command_of_the_readme_works(newcomer: Newcomer) -> None:
    ran: list[str] = []
    receipt = ""
    for block in (one for one in blocks() if one.page.name == "README.md"):
        if "openssl" in block.text:
            _posts_by_hand(newcomer, block.text)
            continue
        for line in block.text.splitlines():
            command = line.partition("  #")[0].strip()
            if not command or command.startswith(NOT_HERE):
                continue
            if receipt:
                command = command.replace("github/3/0", receipt)
            printed = newcomer.types(command)
            ran.append(command)
            found = re.search(r"github/\d+/\d+", printed)
            receipt = found[0] if found and not receipt else receipt
    assert receipt, ran
    warned = [line for line in newcomer.run.stderr.splitlines() if '"level":"warning"' in line or "Traceback" in line]
    assert warned == []  # a first start is quiet
    assert {"send", "event", "dlq"} <= {command.split()[1] for command in ran if "headrace" in command}, ran


def _posts_by_hand(newcomer: Newcomer, script: str) -> None:
    """Run the curl of the compose part against this system, with its secret where compose has it."""
    secrets = dict(
        line.split("=", 1)
        for line in (newcomer.directory / ".headrace" / "secrets.env").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    (newcomer.directory / "secrets").mkdir()
    (newcomer.directory / "secrets" / "GITHUB_WEBHOOK_SECRET").write_text(secrets["GITHUB_WEBHOOK_SECRET"])
    assert "http://127.0.0.1:8080/" in script
    printed = newcomer.types(script.replace("127.0.0.1:8080", f"127.0.0.1:{newcomer.port}"))
    assert "200 OK" in printed
    assert json.loads(printed.splitlines()[-1])["status"] == "queued"
