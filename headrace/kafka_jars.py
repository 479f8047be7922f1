"""The jars of Kafka: downloaded once, checked against pinned hashes, then used from a cache without a network.

``kafka_jars.txt`` lists every jar that `jgo` resolved for ``org.apache.kafka:kafka_2.13`` of this version, and the
bridge that lets Kafka log. A jar enters the cache by a rename after its hash was checked, so a half jar is never used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import click

from headrace.kafka_fault import BrokerError

KAFKA_VERSION = "4.1.1"
_ROOTS = ("org.apache.kafka:kafka_2.13:{version}", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")
_TRIES = 3
_TRY_PAUSE_S = 2.0
_READ_TIMEOUT_S = 30

Advance = Callable[[int], None]  # takes the bytes received since the last call


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar."""

    sha256: str
    size_bytes: int
    group: str
    artifact: str
    version: str

    @property
    def file_name(self) -> str:
        """The jar's name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def pinned_jars() -> list[Jar]:
    """Return what ``kafka_jars.txt`` lists."""
    text = files("headrace").joinpath("kafka_jars.txt").read_text()
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [Jar(sha256, int(size), *coordinate.split(":")) for sha256, size, coordinate in rows]


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """Return ``HEADRACE_CACHE_DIR``, else ``headrace`` in the user's cache directory."""
    if chosen := environ.get("HEADRACE_CACHE_DIR"):
        return Path(chosen)
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace"


def ensure_jars(cache_dir: Path) -> str:
    """Return the class path of Kafka, after downloading what the cache lacks, with progress on stderr.

    Blocks: seconds to minutes the first time, a millisecond later. Processes that do this at once take turns.

    Raises:
        BrokerError: a jar could not be downloaded, or is not the pinned one.
    """
    jars, directory = pinned_jars(), cache_dir / f"kafka-{KAFKA_VERSION}"
    try:
        if _missing(jars, directory):
            directory.mkdir(parents=True, exist_ok=True)
            with (directory / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if missing := _missing(jars, directory):
                    _download_all(missing, directory)
    except OSError as error:
        raise BrokerError(f"cannot keep Kafka's jars in {directory}: {error.strerror or error}") from error
    return os.pathsep.join(str(directory / jar.file_name) for jar in jars)


def _missing(jars: list[Jar], directory: Path) -> list[Jar]:
    return [jar for jar in jars if not _has_size(directory / jar.file_name, jar.size_bytes)]


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False


def _download_all(jars: list[Jar], directory: Path) -> None:
    for left_over in directory.glob(".download-*"):  # of a download that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    with _progress(jars) as advance, tempfile.TemporaryDirectory(dir=directory, prefix=".download-") as scratch:
        for jar in jars:
            _download_patiently(jar, Path(scratch), advance).replace(directory / jar.file_name)


def _download_patiently(jar: Jar, scratch: Path, advance: Advance) -> Path:
    for attempt in range(1, _TRIES):
        with contextlib.suppress(BrokerError):
            return _download(jar, scratch / str(attempt), advance)
        time.sleep(_TRY_PAUSE_S * attempt)
    return _download(jar, scratch / "last", advance)


def _download(jar: Jar, scratch: Path, advance: Advance) -> Path:
    # Imported here: it takes a while, and is needed once in the life of a machine.
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext, PythonResolver
    from requests import RequestException

    @contextlib.contextmanager
    def on_progress(_name: str, _size_bytes: int) -> Iterator[Advance]:
        yield advance

    # The repositories of the user's own jgo settings come after the default one, as in jgo itself.
    context = MavenContext(
        resolver=PythonResolver(progress_callback=on_progress), repo_cache=scratch, timeout=_READ_TIMEOUT_S
    )
    context.remote_repos.update(GlobalSettings.load().repositories)
    try:
        path = Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
    except (RequestException, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BrokerError(
            f"cannot download {jar.file_name} of Kafka {KAFKA_VERSION} (needed once, then kept): {reason}"
        ) from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
        raise BrokerError(f"the downloaded {jar.file_name} is not the pinned one: its SHA-256 differs")
    return path


@contextlib.contextmanager
def _progress(jars: list[Jar]) -> Iterator[Advance]:
    title = f"downloading Kafka {KAFKA_VERSION}"
    total_bytes = sum(jar.size_bytes for jar in jars)
    if not sys.stderr.isatty():
        click.echo(f"{title}: {len(jars)} files, {total_bytes / 1e6:.0f} MB, once", err=True)
        yield lambda _bytes: None
        click.echo(f"{title}: done", err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total_bytes)
        yield lambda count: progress.advance(task, count)


def write_pins(version: str = KAFKA_VERSION) -> None:
    """Resolve Kafka's jars anew and write ``kafka_jars.txt``: what a maintainer runs to move to another version."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch))
        wanted = [context.create_dependency(name.format(version=version)) for name in _ROOTS]
        roots, others = context.resolver.resolve(wanted)
        artifacts = [one.artifact for one in [*roots, *(other for other in others if other.scope != "test")]]
        rows = []
        for artifact in artifacts:
            content = Path(artifact.resolve()).read_bytes()
            coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            rows.append(f"{hashlib.sha256(content).hexdigest()} {len(content)} {coordinate}")
    head = f"# The jars of Kafka {version}, one a line: SHA-256, bytes, group:artifact:version."
    rows.sort(key=lambda row: row.rsplit(" ", 1)[1])
    target = Path(__file__).with_name("kafka_jars.txt")
    target.write_text("\n".join([f"{head} Written by: python -m headrace.kafka_jars", *rows]) + "\n")


if __name__ == "__main__":
    write_pins()
