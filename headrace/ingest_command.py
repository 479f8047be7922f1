"""``headrace ingest``: one process that serves the public port, or a parent that keeps several serving it.

The parent holds the listening sockets, one for each child, and never accepts: connections that wait for a child that
was killed wait on, and are served by the child that takes its place. Each child dies with the parent.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from headrace.child import starting
from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.ingest_admin import IngestAdmin, Metrics
from headrace.ingest_process import IngestOptions, IngestProcess, stop_event
from headrace.level_signals import obey_level_signals
from headrace.listen_socket import bind
from headrace.live_sources import live_sources

POLL_S = 0.1
PAUSE_S_MIN, PAUSE_S_MAX = 0.2, 5.0
WELL_AFTER_S = 30.0  # a child that lived this long starts again at once
QUICK_DEATHS_MAX = 20  # in a row, over all children: then something is wrong that no restart mends
STOP_TIMEOUT_S = 20.0  # a child drains for 10 s and stops its producer within 6 s

log = structlog.get_logger("ingest")


class IngestFailed(Exception):
    """Ingest cannot go on; the text says why."""


async def run_ingest(settings: Settings, options: IngestOptions) -> int:
    """Accept events until SIGTERM or SIGINT, finish those in flight, and return 0.

    Raises:
        ConfigError, SourceError: the routing table or a secret is not usable.
        PortTaken, AdminPortTaken: a port is.
        IngestFailed, TopicError: it cannot go on.
    """
    table = settings.table()
    live_sources(settings, table)  # every mistake before anything starts
    settings.kafka(table)
    sockets = bind(options.host, options.port, options.processes)
    try:
        if options.processes == 1:
            return await _run_alone(settings, table, options, sockets[0])
        return await Children(settings, table, options, sockets).run()
    finally:
        for sock in sockets:
            sock.close()


async def _run_alone(settings: Settings, table: RoutingTable, options: IngestOptions, sock: socket.socket) -> int:
    registry = CollectorRegistry()
    process = IngestProcess(settings, table, options, registry)
    stopped = stop_event(process)
    admin = IngestAdmin(
        settings, table, options, sources=[registry], pids=lambda: [os.getpid()], ready=process.why_not_ready
    )
    async with admin.serving(), process.serving(sock):
        _log_started(sock, options)
        admin.failure.add_done_callback(lambda _: stopped.set())
        await stopped.wait()
        log.info("ingest_stopping")
    if admin.failure.done():
        raise admin.failure.result()
    return 0


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
    monotonic_s: Callable[[], float] = time.monotonic
    _children: list[_Child] = field(default_factory=list)
    _quick_deaths: int = 0

    async def run(self) -> int:
        """Keep the children up until SIGTERM or SIGINT; then let them drain, and return 0."""
        self.metrics_dir = _fresh_dir(self.settings.data_dir.absolute() / f"ingest-metrics-{self._port}")
        self._children = [_Child(sock) for sock in self.sockets]
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        loop.add_signal_handler(signal.SIGINT, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._signal, signal.SIGHUP)
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
        async with admin.serving():
            try:
                _log_started(self.sockets[0], self.options)
                while not stopped.is_set() and not admin.failure.done():
                    self.keep_up()
                    await asyncio.sleep(POLL_S)
            finally:
                await self._stop()
        shutil.rmtree(self.metrics_dir, ignore_errors=True)
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
                "config_path": str(settings.config_path),
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

    @property
    def _port(self) -> int:
        port: int = self.sockets[0].getsockname()[1]
        return port


def _fresh_dir(path: Path) -> Path:
    """Return ``path`` as an empty directory: what an earlier start counted is not added to this one."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def _log_started(sock: socket.socket, options: IngestOptions) -> None:
    log.info("ingest_started", port=sock.getsockname()[1], processes=options.processes, pid=os.getpid())
