"""The README's commands, run as a newcomer runs them: beside ``headrace run``, in a folder with the repository's table.

What cannot run here, and why: ``make up`` and ``docker compose`` need a container engine (tests/docs/test_commands.py
checks their services and options), ``$EDITOR`` a person, ``make test`` would be this.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartHeadrace
from tests.docs.blocks import ROOT, blocks
from tests.harness import HeadraceProcess, free_port, free_ports, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NOT_HERE = ("make ", "docker compose ", "$EDITOR ")
HEADRACE = str(Path(sys.executable).with_name("headrace"))


class Newcomer:
    """A folder with the routing table, ``headrace run`` in it, and a shell."""

    def __init__(self, directory: Path, start: StartHeadrace) -> None:
        self.directory = directory
        shutil.copy(ROOT / "headrace.yaml", directory)
        (directory / ".venv").mkdir()
        (directory / ".venv" / "bin").symlink_to(Path(HEADRACE).parent)
        self.port, self.kafka_port = free_port(), free_port()
        echo = re.search(r"127\.0\.0\.1:(\d+)", (ROOT / "headrace.yaml").read_text())
        ports = ["--port", self.port, "--admin-port", free_ports(2), "--kafka-port", self.kafka_port]
        if echo:  # the table's own receiver, as make run starts it, but where nobody else has it
            echo_port = free_port()
            table = directory / "headrace.yaml"
            table.write_text(table.read_text().replace(echo[0], f"127.0.0.1:{echo_port}"))
            ports += ["--echo-port", echo_port]
        self.run: HeadraceProcess = start("run", *map(str, ports), cwd=directory)
        wait_until(lambda: "headrace ready" in self.run.stdout or not self.run.running, 120)
        assert self.run.running, self.run.tail()

    def types(self, script: str) -> str:
        """Run a script and return what it printed; it must succeed."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("HEADRACE_", "KAFKA_"))}
        environ["HEADRACE_URL"] = f"http://127.0.0.1:{self.port}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


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
