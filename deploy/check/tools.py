"""Programs that only these checks need: run one, or say how to install it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {  # of Debian and Ubuntu; the others come with `make check-tools`
    "docker-compose": "apt-get install docker-compose",
    "haproxy": "apt-get install haproxy",
    "systemd-analyze": "apt-get install systemd",
}


class ToolMissing(Exception):
    """A program is not installed; the text says how to."""


def find(name: str) -> str:
    """Return the path of a program: from ``.tools``, where ``make check-tools`` puts some, or from the PATH.

    Raises:
        ToolMissing: it is nowhere.
    """
    found = shutil.which(name, path=f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise ToolMissing(f"{name} is not installed: {PACKAGES.get(name, 'make check-tools')}")
    return found


def complaints(*command: str | Path, cwd: Path = ROOT, quiet: bool = False) -> list[str]:
    """Run a program and return what it complains of, one line each; nothing when it is content.

    With ``quiet`` whatever it says is a complaint, for programs that warn and end with 0.

    Raises:
        ToolMissing: there is no such program.
    """
    name, *arguments = map(str, command)
    done = subprocess.run(
        [find(name), *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode == 0:
        return said if quiet else []
    return said or [f"{name} ended with {done.returncode}"]
