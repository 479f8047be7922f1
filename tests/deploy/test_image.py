"""The Dockerfile's build stage, carried out in a folder: its commands and locks, a Python of this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.check import dockerfile
from tests.deploy.container import ROOT

BUILD = dockerfile.stages(dockerfile.parse((ROOT / "Dockerfile").read_text()))[0]
LIBRARIES = "aiosmtplib, asyncpg, botocore, opentelemetry.sdk, uvloop, rocksdict, faust, cramjam"


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_the_build_stage_makes_a_headrace_that_runs(tmp_path: Path) -> None:
    programs, source = tmp_path / "programs", tmp_path / "src"
    programs.mkdir()
    source.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    environ = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(Path.home())}
    for one in BUILD:
        if one.word == "ENV":
            environ |= dict(pair.split("=", 1) for pair in one.arguments() if not pair.startswith("PIP_NO_CACHE_DIR"))
        elif one.word == "COPY":
            *names, target = one.arguments()
            for name in names:
                _copy(ROOT / name, source / target, single=len(names) == 1)
        elif one.word == "RUN":
            command = one.rest.replace("/opt/", f"{tmp_path}/opt/")
            done = subprocess.run(
                ["sh", "-ec", command],
                cwd=source,
                env=environ,
                capture_output=True,
                text=True,
                timeout=500,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    built = tmp_path / "opt" / "headrace" / "bin"
    printed = subprocess.check_output([built / "headrace", "--version"], cwd=tmp_path, text=True)
    assert re.fullmatch(r"headrace \d+\.\d+\.\d+\n", printed)
    script = f"import {LIBRARIES}\nfrom connectors.registry import connector_names, load_connector\n"
    script += "print(sum(load_connector(name) is not None for name in connector_names()))"
    assert int(subprocess.check_output([built / "python", "-c", script], cwd=tmp_path, text=True)) > 3
    absent = subprocess.run([built / "python", "-c", "import pytest"], cwd=tmp_path, capture_output=True, check=False)
    assert absent.returncode != 0, "what only tests need is not in the image"


def _copy(source: Path, target: Path, *, single: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return
    folder = target if not single or target.suffix == "" else target.parent
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, folder)
