"""What docker-compose.yml and the Dockerfile start, as processes on this machine: no engine, the same words.

Paths and addresses of the containers are replaced by those of the test; nothing else is.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.check import compose, dockerfile
from headrace.child import die_with_parent

ROOT = Path(__file__).parents[2]
COMPOSE = compose.load(ROOT / "docker-compose.yml")
IMAGE = dockerfile.stages(dockerfile.parse((ROOT / "Dockerfile").read_text()))[-1]


def service(name: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a service with its variables filled in."""
    filled: dict[str, Any] = compose.resolve(COMPOSE["services"][name], environ)
    return filled


def image_environment() -> dict[str, str]:
    """Return the variables that the image sets, but for the path of its programs."""
    pairs = [pair.split("=", 1) for one in IMAGE if one.word == "ENV" for pair in one.arguments()]
    return {name: value for name, value in pairs if name.startswith("HEADRACE_")}


class Container:
    """A process that a service describes, with its output in a file."""

    def __init__(self, command: list[str], environ: Mapping[str, str], directory: Path, name: str) -> None:
        self.environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(directory), **environ}
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=self.environ,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),
            )

    def healthy(self, test: list[str]) -> bool:
        """Run a health check in the form ``[CMD, …]``; fail at once when the process has ended."""
        assert test[0] == "CMD", test
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return subprocess.run(test[1:], env=self.environ, capture_output=True, timeout=60, check=False).returncode == 0

    def end(self, timeout_s: float = 60) -> int:
        """Stop it as an engine does, and return the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        finally:
            self.process.kill()


def placed(value: Any, places: Mapping[str, str]) -> Any:
    """Return ``value`` with every place of a container replaced by the one here."""
    if isinstance(value, dict):
        return {key: placed(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [placed(item, places) for item in value]
    text = str(value)
    for there, here in places.items():
        text = text.replace(there, here)
    return text


def make_secrets(directory: Path) -> Path:
    """Let deploy/make-secrets make the secrets in a copy, and return the folder as a container sees it."""
    (directory / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "make-secrets", directory / "deploy")
    shutil.copy(ROOT / "docker-compose.yml", directory)
    subprocess.run([directory / "deploy" / "make-secrets"], check=True, capture_output=True)
    seen = directory / "run-secrets"
    seen.mkdir()
    for name, declared in COMPOSE["secrets"].items():
        shutil.copy(directory / declared["file"], seen / name)
    return seen
