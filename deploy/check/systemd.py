"""Lets systemd's own tool read the units, in a root directory made for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.check.tools import complaints

EXPOSURE_MAX = 15  # tenths of the score of `systemd-analyze security`: 0 is a prison, 96 an ordinary service
# What the units name of the system; empty stand-ins do.
_TARGETS = ("sysinit", "basic", "shutdown", "network-online", "network", "multi-user")


def mistakes(units: Path) -> Iterator[str]:
    """Yield what systemd says against the units of a directory, and those that are less confined than they can be.

    Raises:
        ToolMissing: there is no systemd-analyze.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        system = root / "etc" / "systemd" / "system"
        shutil.copytree(units, system)
        for target in _TARGETS:
            (system / f"{target}.target").write_text("[Unit]\nDescription=Stand-in\n")
        names = sorted(path.name for path in units.iterdir() if path.suffix in {".service", ".target"})
        for name in names:
            if name.endswith(".service"):
                _stand_in(root, units / name)
        started = [name.replace("@.", "@0.") for name in names]
        yield from complaints("systemd-analyze", "verify", "--man=no", f"--root={root}", *started, quiet=True)
    for unit in sorted(units.glob("*.service")):
        limit = f"--threshold={EXPOSURE_MAX}"
        yield from complaints("systemd-analyze", "security", "--offline=yes", "--no-pager", limit, unit)[-1:]


def read(unit: Path) -> dict[str, list[str]]:
    """Return the settings of a unit's section ``[Service]``; a setting may stand more than once."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def _stand_in(root: Path, unit: Path) -> None:
    """Make an empty program for each that the unit runs: systemd asks whether it is there."""
    settings = read(unit)
    for key in ("ExecStart", "ExecReload"):
        for command in settings.get(key, ()):
            program = root / command.split()[0].lstrip("-@+!:/")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
