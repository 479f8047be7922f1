"""The directory of an embedded Kafka: who owns it, what is written there, and which JVM was left over in it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

from headrace.kafka_fault import BrokerError, damaged
from headrace.kafka_jars import KAFKA_VERSION

FREE_BYTES_MIN = 256 * 1024 * 1024
_STALE_WAIT_S = 10.0


class DirectoryLock:
    """A lock on a directory that ends with the process that holds it, however it ends."""

    def __init__(self, directory: Path, *, owner: str) -> None:
        self.path = directory / "lock"
        self.owner = owner
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, or keep it when it is held already.

        Raises:
            BrokerError: another process holds it, or the directory cannot be written.
        """
        if self._file is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BrokerError(f"cannot use {self.path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            raise BrokerError(f"{self.path.parent} is in use by another {self.owner}: stop it first") from error
        self._file = file

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class KafkaDirectory:
    """The files of one embedded Kafka under ``<data_dir>/kafka``.

    ``cluster.json`` says whose data this is: the cluster's id, the Kafka that wrote it last, and whether its log
    directory was formatted. It is written before and after formatting, so that a crash between is seen and repaired.
    """

    def __init__(self, data_dir: Path, *, free_bytes_min: int = FREE_BYTES_MIN) -> None:
        self.path = data_dir.resolve() / "kafka"
        self.log_dir = self.path / "log"
        self.logs = self.path / "logs"
        self.properties = self.path / "server.properties"
        self.port_file = self.path / "port"
        self.pid_file = self.path / "pid"
        self.lock = DirectoryLock(self.path, owner="headrace run")
        self._marker = self.path / "cluster.json"
        self._free_bytes_min = free_bytes_min

    def claim(self) -> str:
        """Lock the directory, end a JVM that was left over in it, and return the id of its cluster.

        Raises:
            BrokerError: the directory is in use, full, somebody else's, damaged, or of a newer Kafka.
        """
        foreign = self.path.is_dir() and not self._marker.exists() and self._holds_files()
        if foreign:
            raise BrokerError(f"{self.path} holds files that are not Headrace's: choose another --data-dir")
        self.lock.acquire()
        try:
            self._end_stale_jvm()
            self._require_space()
            self.logs.mkdir(exist_ok=True)
            return self._cluster_id()
        except OSError as error:
            raise BrokerError(f"cannot use {self.path}: {error.strerror}") from error

    def _holds_files(self) -> bool:
        ours = {"lock", "logs"}  # what a first start that ended early leaves
        return any(entry.name not in ours for entry in self.path.iterdir())

    def _require_space(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < self._free_bytes_min:
            raise BrokerError(
                f"the disk of {self.path} is full: {free // 2**20} MB are free, and Kafka needs at least "
                f"{self._free_bytes_min // 2**20} MB"
            )

    def _cluster_id(self) -> str:
        if not self._marker.exists():
            cluster_id = new_cluster_id()
            self._mark(cluster_id, formatted=False)
            return cluster_id
        try:
            marker = json.loads(self._marker.read_text())
            cluster_id, version = str(marker["cluster_id"]), str(marker["kafka_version"])
            newer = _version(version) > _version(KAFKA_VERSION)
        except (ValueError, KeyError, TypeError) as error:
            raise BrokerError(f"{self._marker} is damaged: restore it from a backup") from error
        if newer:
            raise BrokerError(f"{self.path} was written by Kafka {version}, newer than this one ({KAFKA_VERSION})")
        if marker.get("formatted"):
            self._require_own_log(cluster_id)
        else:
            shutil.rmtree(self.log_dir, ignore_errors=True)  # a crash while formatting: nothing was stored yet
        return cluster_id

    def _require_own_log(self, cluster_id: str) -> None:
        try:
            lines = (self.log_dir / "meta.properties").read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            lines = []
        found = dict(line.split("=", 1) for line in lines if "=" in line).get("cluster.id")
        if found is None:
            raise damaged(self.path, "log/meta.properties cannot be read")
        if found != cluster_id:
            raise BrokerError(f"{self.log_dir} belongs to another Kafka cluster: choose another --data-dir")
        self._require_metadata()

    def _require_metadata(self) -> None:
        """Refuse a metadata log that is no log: Kafka would start empty from it, and delete the topics as strays.

        Looks at the head of each file alone; a torn end is ordinary after a crash, and Kafka repairs it.
        """
        metadata = self.log_dir / "__cluster_metadata-0"
        topics = [entry for entry in self.log_dir.glob("*-[0-9]*") if entry.is_dir() and entry != metadata]
        if topics and not metadata.is_dir():
            raise damaged(self.path, f"{metadata.name} is missing")
        for segment in (*metadata.glob("*.log"), *metadata.glob("*.checkpoint")):
            with segment.open("rb") as file:
                head = file.read(17)
            # A record batch: base offset (8 bytes), length, epoch, and the magic byte 2. A snapshot counts from 0.
            base_offset = int(segment.stem) if segment.suffix == ".log" else 0
            if head and (head[:8] != base_offset.to_bytes(8, "big") or head[16:] != b"\2"):
                raise damaged(self.path, f"{metadata.name}/{segment.name} is no Kafka log")

    @property
    def formatted(self) -> bool:
        """Whether the log directory was formatted."""
        return self._marker.exists() and bool(json.loads(self._marker.read_text()).get("formatted"))

    def mark_formatted(self, cluster_id: str) -> None:
        """Keep that the log directory is complete, and written by this version."""
        self._mark(cluster_id, formatted=True)

    def _mark(self, cluster_id: str, *, formatted: bool) -> None:
        fields = {"cluster_id": cluster_id, "kafka_version": KAFKA_VERSION, "formatted": formatted}
        scratch = self._marker.with_suffix(".tmp")
        scratch.write_text(json.dumps(fields) + "\n")
        scratch.replace(self._marker)

    def _end_stale_jvm(self) -> None:
        """Kill the JVM that a killed run left here; only one whose command line names this directory."""
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return
        if str(self.properties) not in command_line(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _STALE_WAIT_S
        while str(self.properties) in command_line(pid):
            if time.monotonic() > deadline:
                raise BrokerError(f"an old Kafka (process {pid}) still holds {self.path}, and cannot be ended")
            time.sleep(0.02)


def new_cluster_id() -> str:
    """Return a random id as Kafka makes them: 22 characters of URL-safe Base64, not beginning with a dash."""
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):  # Kafka's tools would take it for an option
            return cluster_id


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process that runs; empty for one that is gone, or only waits to be reaped."""
    try:
        return [os.fsdecode(part) for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return []
    except (ProcessLookupError, PermissionError):
        return []
    done = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607 - a system without /proc
    return done.stdout.split()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
