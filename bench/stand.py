"""The test stand: an embedded Kafka, a receiver, Headrace's processes, and what they use of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from headrace.broker import EmbeddedKafka
from headrace.child import die_with_parent
from headrace.context import Settings
from headrace.topics import ensure_topics

SECRET = "bench-secret"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Stand:
    """One broker and one routing table in a directory that goes away afterwards."""

    directory: Path
    kafka: EmbeddedKafka
    environment: dict[str, str]
    settings: Settings

    @property
    def broker_pid(self) -> int:
        """The broker's process."""
        assert self.kafka.pid is not None
        return self.kafka.pid

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """Start a headrace process; it ends with this one."""
        log = (self.directory / f"{args[0]}.log").open("ab")
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("headrace")), *args],
            cwd=self.directory,
            env={**os.environ, **self.environment},
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(),
        )


@contextlib.asynccontextmanager
async def stand(table: Mapping[str, Any], *, partitions: int = 8) -> AsyncIterator[Stand]:
    """Give a stand with the topics of ``table``."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        directory = Path(name)
        (directory / "headrace.yaml").write_text(yaml.safe_dump(dict(table)))
        kafka = EmbeddedKafka(directory / "data")
        await kafka.start()
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "HEADRACE_PARTITIONS": str(partitions),
            "GITHUB_WEBHOOK_SECRET": SECRET,
            "HEADRACE_LOG_LEVEL": "warning",
        }
        settings = Settings(
            config_path=directory / "headrace.yaml",
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            environ=environment,
        )
        await ensure_topics(settings, settings.table())
        try:
            yield Stand(directory, kafka, environment, settings)
        finally:
            await kafka.stop()


@contextlib.asynccontextmanager
async def receiver(delay_s: float) -> AsyncIterator[str]:
    """Give the URL of a receiver, a process of its own, that answers 200 after ``delay_s``; ``/count`` counts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.receiver", str(delay_s)], stdout=subprocess.PIPE, preexec_fn=die_with_parent()
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.wait()


async def ready(admin_port: int, timeout_s: float = 60) -> None:
    """Return when a part's ``/readyz`` says 200."""
    async with asyncio.timeout(timeout_s), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{admin_port}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def metrics(admin_port: int) -> dict[str, float]:
    """Return every sample of a part's ``/metrics``."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{admin_port}/metrics") as answer,
    ):
        lines = [line for line in (await answer.text()).splitlines() if line and not line.startswith("#")]
    return {head: float(value) for head, _, value in (line.rpartition(" ") for line in lines)}


def quantile(samples: Mapping[str, float], name: str, labels: str, share: float) -> float:
    """Return a quantile of a Prometheus histogram, interpolated as ``histogram_quantile`` does."""
    buckets = []
    for head, count in samples.items():
        if head.startswith(f"{name}_bucket{{") and labels in head:
            edge = head.split('le="')[1].split('"')[0]
            buckets.append((float(edge), count))
    buckets.sort()
    wanted, below, low = share * buckets[-1][1], 0.0, 0.0
    for edge, count in buckets:
        if count >= wanted:
            if edge == float("inf"):
                return low
            return low + (edge - low) * (wanted - below) / max(1.0, count - below)
        below, low = count, edge
    return low


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far and peak resident MiB of a process and its children."""

    cpu_s: float
    peak_mib: float


def usage(pid: int) -> Usage:
    """Return what a process and its descendants have used."""
    cpu_s = peak_mib = 0.0
    for member in _family(pid):
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            cpu_s += (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
            status = Path(f"/proc/{member}/status").read_text()
            peak_mib += int(status.split("VmHWM:")[1].split()[0]) / 1024
    return Usage(cpu_s, peak_mib)


def _family(pid: int) -> list[int]:
    members = [pid]
    for parent in members:
        with contextlib.suppress(OSError):
            members += [int(n) for n in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return members


def report(title: str, rows: Mapping[str, Any]) -> None:
    """Print figures, one a line, and as one line of JSON for those who compare runs."""
    print(title)
    for name, value in rows.items():
        print(f"  {name:42} {value:,.3f}" if isinstance(value, float) else f"  {name:42} {value:,}")
    print(json.dumps({"bench": title, **rows}))


def monotonic_s() -> float:
    """Return the time for durations."""
    return time.monotonic()
