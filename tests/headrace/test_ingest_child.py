"""What an ingest process says that cannot start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_child_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    settings = {
        "config_path": str(tmp_path / "headrace.yaml"),
        "base_dir": str(tmp_path),
        "data_dir": str(tmp_path),
        "kafka_bootstrap_servers": "127.0.0.1:1",
        "topic_prefix": "",
        "log_format": "json",
        "log_level": "info",
    }
    options = {"port": 0, "admin_port": 0, "host": "127.0.0.1"}
    argument = json.dumps({"settings": settings, "options": options, "fd": 0})
    done = subprocess.run(
        [sys.executable, "-m", "headrace.ingest_child", argument],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["event"] == "ingest_failed"
    assert "there is no such file" in json.loads(line)["error"]
