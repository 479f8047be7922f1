"""Programs that only a check needs: promtool, prometheus, docker-compose and the like."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

# The Debian and Ubuntu package of each; a name that is not here is its own package.
_PACKAGES = {
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "systemd-analyze": "systemd",
    "postgres": "postgresql",
}


def find_postgres() -> Path:
    """Return the folder of PostgreSQL's server, which Debian keeps off the PATH; without one as `find_tool`."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    return find_tool("postgres").parent


def find_tool(name: str) -> Path:
    """Return the path of an installed program; without it skip the test, or fail when HEADRACE_REQUIRE_TOOLS is 1."""
    if found := shutil.which(name):
        return Path(found)
    reason = f"{name} is not installed: apt-get install {_PACKAGES.get(name, name)}"
    if os.environ.get("HEADRACE_REQUIRE_TOOLS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
