"""The parent of several ingest processes, which share the public port.

It holds the listening sockets, one for each child, and never accepts: connections that wait for a child that was
killed wait on, and are served by the child that takes its place. Each child dies with the parent, and reads the copy
of the routing table that was found valid here: one that was edited and never taken over is not theirs.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from headrace.child import starting
from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.ingest_admin import IngestAdmin, Metrics
from headrace.ingest_process import IngestOptions, stop_event
from headrace.ingest_reload import Hangup
from headrace.level_signals import obey_level_signals
from headrace.shared_dir import shared_dir

POLL_S = 0.1
PAUSE_S_MIN, PAUSE_S_MAX = 0.2, 5.0
WELL_AFTER_S = 30.0  # a child that lived this long starts again at once
TABLE_COPY = "headrace.yaml"
QUICK_DEATHS_MAX = 20  # in a row, over all children: then something is wrong that no restart mends
STOP_TIMEOUT_S = 20.0  # a child drains for 10 s and stops its producer within 6 s

log = structlog.get_logger("ingest")


class IngestFailed(Exception):
    """Ingest cannot go on; the text says why."""


@dataclass
class _Child:
    """One place for a child: its socket, the process that has it now, and when it may be started."""

    sock: socket.socket
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    start_at_s: float = 0.0
    pause_s: float = PAUSE_S_MIN


@dataclass
class Children:
    """The parent of several ingest processes."""

    settings: Settings
    table: RoutingTable
    options: IngestOptions
    sockets: list[socket.socket]
    hangup: Hangup
    monotonic_s: Callable[[], float] = time.monotonic
    _children: list[_Child] = field(default_factory=list)
    _quick_deaths: int = 0

    async def run(self) -> int:
        """Keep the children up until SIGTERM or SIGINT; then let them drain, and return 0."""
        with shared_dir(self.settings.data_dir.absolute()) as self.metrics_dir:
            return await self._run()

    async def _run(self) -> int:
        self._children = [_Child(sock) for sock in self.sockets]
        stopped = stop_event()
        obey_level_signals(self.settings.logs, self._signal)
        collector = self._collector()
        admin = IngestAdmin(
            self.settings,
            self.table,
            self.options,
            sources=[collector],
            pids=self.pids,
            ready=self.why_not_ready,
        )
        self._keep_table(self._raw_table())
        async with admin.serving():
            reloads = asyncio.create_task(self.hangup.serve(lambda: self._reload(admin)), name="reload")
            try:
                log_started(self.sockets[0], self.options)
                while not stopped.is_set() and not admin.failure.done():
                    self.keep_up()
                    await asyncio.sleep(POLL_S)
            finally:
                reloads.cancel()
                await self._stop()
        if admin.failure.done():
            raise admin.failure.result()
        return 0

    def keep_up(self) -> None:
        """Start what is not running and may be started.

        Raises:
            IngestFailed: children die as soon as they are started.
        """
        for number, child in enumerate(self._children):
            if child.process is not None and child.process.poll() is not None:
                self._bury(number, child)
            if child.process is None and self.monotonic_s() >= child.start_at_s:
                child.process = self._spawn(child.sock)
                child.started_s = self.monotonic_s()

    def pids(self) -> list[int]:
        """Return this process and its children."""
        return [os.getpid(), *(child.process.pid for child in self._children if child.process is not None)]

    def why_not_ready(self) -> str | None:
        """Return why not every child accepts events, or ``None``."""
        running = sum(child.process is not None for child in self._children)
        if running < len(self._children):
            return f"{running} of {len(self._children)} processes run"
        metrics = [metric for metric in self._collector().collect() if metric.name == "headrace_ingest_ready"]
        ready = sum(sample.value for metric in metrics for sample in metric.samples)
        return None if ready >= running else "starting, or Kafka does not answer"

    async def _reload(self, admin: IngestAdmin) -> None:
        """Let every child take over the table, or none: each reads the copy that was found valid here."""
        raw = self._raw_table()
        taken = await admin.reread(unchanged=lambda: self._raw_table() == raw)
        if taken is not None:
            self._keep_table(raw)
            self._signal(signal.SIGHUP)

    def _raw_table(self) -> bytes:
        try:
            return self.settings.config_path.read_bytes()
        except OSError:  # reading it as a table says what is wrong
            return b""

    def _keep_table(self, raw: bytes) -> None:
        """Keep what children read, at their start too: a table that was edited and never taken over is not theirs."""
        scratch = self.metrics_dir / f"{TABLE_COPY}.new"
        scratch.write_bytes(raw)
        scratch.replace(self.metrics_dir / TABLE_COPY)

    def _collector(self) -> Metrics:
        collector: Metrics = MultiProcessCollector(CollectorRegistry(), path=str(self.metrics_dir))  # type: ignore[no-untyped-call]  # it has no types
        return collector

    def _bury(self, number: int, child: _Child) -> None:
        assert child.process is not None  # noqa: S101 - the caller has looked
        lived_s = self.monotonic_s() - child.started_s
        mark_process_dead(child.process.pid, str(self.metrics_dir))  # type: ignore[no-untyped-call]  # it has no types
        if lived_s > WELL_AFTER_S:
            child.pause_s, self._quick_deaths = PAUSE_S_MIN, 0
        self._quick_deaths += 1
        if self._quick_deaths > QUICK_DEATHS_MAX:
            raise IngestFailed(f"ingest processes end as soon as they start (exit code {child.process.returncode})")
        log.error(
            "ingest_process_died",
            number=number,
            pid=child.process.pid,
            exit_code=child.process.returncode,
            restart_in_s=child.pause_s,
        )
        child.process = None
        child.start_at_s = self.monotonic_s() + child.pause_s
        child.pause_s = min(2 * child.pause_s, PAUSE_S_MAX)

    def _spawn(self, sock: socket.socket) -> subprocess.Popen[bytes]:
        settings = self.settings
        told = {
            "settings": {
                "config_path": str(self.metrics_dir / TABLE_COPY),
                "base_dir": str(settings.config_path.parent.absolute()),
                "data_dir": str(settings.data_dir),
                "kafka_bootstrap_servers": settings.bootstrap_servers,
                "topic_prefix": settings.topic_prefix,
                "log_format": settings.log_format,
                "log_level": settings.log_level,
            },
            "options": asdict(self.options),
            "fd": sock.fileno(),
        }
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "headrace.ingest_child", json.dumps(told)],
            stdin=subprocess.DEVNULL,
            pass_fds=(sock.fileno(),),
            env={**settings.environ, "PROMETHEUS_MULTIPROC_DIR": str(self.metrics_dir)},
            start_new_session=True,  # Ctrl-C is for the parent, which drains its children
            preexec_fn=starting(),
        )

    def _signal(self, number: int) -> None:
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(number)

    async def _stop(self) -> None:
        log.info("ingest_stopping")
        # First our own hold on the sockets: with the child's it closes, and nobody new waits for an answer.
        for child in self._children:
            child.sock.close()
        self._signal(signal.SIGTERM)
        deadline_s = self.monotonic_s() + STOP_TIMEOUT_S
        processes = [child.process for child in self._children if child.process is not None]
        while any(process.poll() is None for process in processes) and self.monotonic_s() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)  # a Popen has no event
        for process in processes:
            if process.poll() is None:
                log.error("ingest_process_killed", pid=process.pid)
                process.kill()
                process.wait()


def log_started(sock: socket.socket, options: IngestOptions) -> None:
    """Say that ingest serves."""
    log.info("ingest_started", port=sock.getsockname()[1], processes=options.processes, pid=os.getpid())
