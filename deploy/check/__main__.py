"""Check everything that deploys Headrace; a program that is missing is named, and its checks left out.

With ``HEADRACE_REQUIRE_TOOLS=1`` a missing program is a mistake.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import yaml

from deploy.check import compose, dockerfile, systemd
from deploy.check.tools import ROOT, ToolMissing, complaints

COMPOSE = ROOT / "docker-compose.yml"
HA = ROOT / "deploy" / "ha.env"


def compose_1_29() -> Iterator[str]:
    """Yield what docker-compose says against the file: alone, and with the profile of three brokers."""
    with tempfile.TemporaryDirectory() as scratch:
        known = Path(scratch) / "docker-compose.yml"
        known.write_text(yaml.safe_dump(compose.for_1_29(compose.load(COMPOSE)), sort_keys=False))
        command = ("docker-compose", "--project-directory", ROOT, "--file", known)
        yield from complaints(*command, "config", "--quiet")
        yield from complaints(*command, "--env-file", HA, "config", "--quiet")


def compose_2() -> Iterator[str]:
    """Yield what the compose plugin of Docker says; nothing where it is not installed."""
    try:
        if complaints("docker", "compose", "version"):
            return
    except ToolMissing:
        return
    yield from complaints("docker", "compose", "config", "--quiet")
    yield from complaints("docker", "compose", "--env-file", HA, "config", "--quiet")


CHECKS: tuple[tuple[str, Callable[[], Iterable[str]]], ...] = (
    ("docker-compose.yml", lambda: compose.mistakes(compose.load(COMPOSE))),
    ("compose-spec", lambda: complaints("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)),
    ("docker-compose config", compose_1_29),
    ("docker compose config", compose_2),
    ("Dockerfile", lambda: dockerfile.mistakes(ROOT / "Dockerfile")),
    ("hadolint", lambda: complaints("hadolint", "--failure-threshold", "warning", "Dockerfile")),
    ("systemd", lambda: systemd.mistakes(ROOT / "deploy" / "systemd")),
    ("haproxy", lambda: complaints("haproxy", "-c", "-f", "deploy/haproxy/haproxy.cfg")),
)


def main() -> int:
    """Run every check, print what is wrong, and return 1 if anything is."""
    required = os.environ.get("HEADRACE_REQUIRE_TOOLS") == "1"
    failed = False
    for name, check in CHECKS:
        try:
            found = list(check())
        except ToolMissing as missing:
            found = [str(missing)] if required else []
            print(f"deploy: {name}: left out: {missing}", file=sys.stderr)
        for line in found:
            print(f"deploy: {name}: {line}", file=sys.stderr)
        failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
