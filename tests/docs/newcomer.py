"""Who types what the pages say: a folder, the system running in it, and a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import StartHeadrace
from tests.docs.blocks import ROOT
from tests.harness import HeadraceProcess, free_port, free_ports, wait_until

HEADRACE = str(Path(sys.executable).with_name("headrace"))


class Newcomer:
    """A folder with a routing table (the repository's), ``headrace run`` in it, and a shell."""

    def __init__(self, directory: Path, start: StartHeadrace, table: str | None = None) -> None:
        self.directory = directory
        text = table or (ROOT / "headrace.yaml").read_text()
        (directory / "headrace.yaml").write_text(text)
        (directory / ".venv").mkdir()
        (directory / ".venv" / "bin").symlink_to(Path(HEADRACE).parent)
        self.port, self.admin_port, self.kafka_port = free_port(), free_ports(2), free_port()
        echo = re.search(r"base_url: http://127\.0\.0\.1:\d+", text) if table is None else None
        ports = ["--port", self.port, "--admin-port", self.admin_port, "--kafka-port", self.kafka_port]
        if echo:  # the table's own receiver, as make run starts it, but where nobody else has it
            echo_port = free_port()
            (directory / "headrace.yaml").write_text(text.replace(echo[0], f"base_url: http://127.0.0.1:{echo_port}"))
            ports += ["--echo-port", echo_port]
        self.run: HeadraceProcess = start("run", *map(str, ports), cwd=directory)
        wait_until(lambda: "headrace ready" in self.run.stdout or not self.run.running, 120)
        assert self.run.running, self.run.tail()

    def types(self, script: str) -> str:
        """Run a script and return what it printed; it must succeed."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("HEADRACE_", "KAFKA_"))}
        path = f"{self.directory / '.venv' / 'bin'}:{environ['PATH']}"
        environ.update(HEADRACE_URL=f"http://127.0.0.1:{self.port}", HEADRACE_PORT=str(self.port), PATH=path)
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
