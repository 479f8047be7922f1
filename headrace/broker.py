"""The embedded Kafka: a real Apache Kafka in KRaft mode, one node, bound to loopback, data kept between runs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from headrace.child import die_with_parent
from headrace.java import find_java
from headrace.kafka_dir import FREE_BYTES_MIN, KafkaDirectory
from headrace.kafka_fault import BrokerError, explain
from headrace.kafka_jars import default_cache_dir, ensure_jars
from headrace.kafka_settings import jvm_options, log4j_properties, server_properties
from streams.kafka import KafkaSettings, KafkaUnavailable, wait_for_kafka

__all__ = ["BrokerError", "EmbeddedKafka"]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.05
_FORMAT_TIMEOUT_S = 60.0
_OUTPUT_BYTES_MAX = 256 * 1024  # of each log, from its end: enough for the last words of a JVM


class EmbeddedKafka:
    """One Kafka in ``<data_dir>/kafka``, started, stopped and started again by this process.

    ``port`` is the bootstrap port; without one the system chooses, and later starts keep the choice. It is also
    written to ``<data_dir>/kafka/port``. The JVM is killed when the thread that started it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        java: Path | None = None,
        cache_dir: Path | None = None,
        heap_mb: int = 512,
        free_bytes_min: int = FREE_BYTES_MIN,
    ) -> None:
        self.directory = KafkaDirectory(data_dir, free_bytes_min=free_bytes_min)
        self.port = port
        self._java = java
        self._cache_dir = cache_dir or default_cache_dir(os.environ)
        self._heap_mb = heap_mb
        self._jvm: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, such as ``127.0.0.1:9092``; known once `start` has begun."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id of the JVM that was started last."""
        return self._jvm.pid if self._jvm else None

    @property
    def running(self) -> bool:
        """Whether the JVM lives."""
        return self._jvm is not None and self._jvm.poll() is None

    def prepare(self) -> None:
        """Find Java and download what is missing, with progress on stderr; blocks. `start` does it if need be.

        Raises:
            BrokerError: there is no Java, or the download failed.
        """
        self._java = self._java or find_java(os.environ)
        self._class_path = ensure_jars(self._cache_dir)

    async def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start Kafka and return when it answers.

        Raises:
            BrokerError: one line that says why not; nothing of it runs on.
        """
        if self.running:
            return
        self.prepare()
        cluster_id = self.directory.claim()
        try:
            self._choose_ports()
            self._write_settings()
            if not self.directory.formatted:
                await self._format(cluster_id)
            self.directory.mark_formatted(cluster_id)
            self._spawn()
            await self._wait_ready(timeout_s)
        except OSError as error:
            self._end()
            raise BrokerError(f"cannot start Kafka in {self.directory.path}: {error.strerror or error}") from error
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self.kill()
        self.directory.lock.release()

    def _choose_ports(self) -> None:
        if self.port is None:
            self.port = _free_port()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                reason = error.strerror if error.errno != errno.EADDRINUSE else "another program has it"
                raise BrokerError(
                    f"port {self.port} of 127.0.0.1 cannot be used ({reason}): choose another with --kafka-port"
                ) from error

    def _write_settings(self) -> None:
        port = self.port or 0
        # The system may give this port to another program before Kafka binds it; then the start fails, and says so.
        controller_port = _free_port(other_than=port)
        directory = self.directory
        directory.properties.write_text(
            server_properties(port=port, controller_port=controller_port, log_dir=directory.log_dir)
        )
        (directory.path / "log4j2.properties").write_text(log4j_properties(directory.logs))
        directory.port_file.write_text(f"{port}\n")

    def _command(self, *arguments: str) -> list[str]:
        options = jvm_options(self.directory.logs, heap_mb=self._heap_mb)
        return [str(self._java), *options, "-cp", self._class_path, *arguments]

    async def _format(self, cluster_id: str) -> None:
        self._open_log()
        properties = str(self.directory.properties)
        self._launch("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", f"--config={properties}")
        assert self._jvm is not None  # noqa: S101 - set by _launch
        deadline = time.monotonic() + _FORMAT_TIMEOUT_S
        while self.running:
            if time.monotonic() > deadline:
                raise BrokerError(f"formatting {self.directory.log_dir} did not end within {_FORMAT_TIMEOUT_S:.0f} s")
            await asyncio.sleep(_POLL_S)
        if self._jvm.returncode != 0:
            raise BrokerError(self.last_words())

    def _spawn(self) -> None:
        self._open_log()
        self._launch("kafka.Kafka", str(self.directory.properties))
        self.directory.pid_file.write_text(f"{self.pid}\n")

    def _launch(self, *arguments: str) -> None:
        with self._console.open("wb") as console:
            self._jvm = subprocess.Popen(  # noqa: S603 - our own command
                self._command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                cwd=self.directory.path,
                start_new_session=True,  # Ctrl-C is for headrace, which stops Kafka last
                preexec_fn=die_with_parent(),
            )

    async def _wait_ready(self, timeout_s: float) -> None:
        answers = asyncio.ensure_future(self._wait_answer())
        try:
            deadline = time.monotonic() + timeout_s
            while not answers.done():
                if not self.running:
                    raise BrokerError(self.last_words())
                if time.monotonic() > deadline:
                    raise BrokerError(f"Kafka did not answer within {timeout_s:.0f} s: {self.last_words()}")
                await asyncio.wait([answers], timeout=_POLL_S)
            await answers
        finally:
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError, KafkaUnavailable):
                await answers

    async def _wait_answer(self) -> None:
        while True:  # aiokafka logs an error for each refused connection: ask it only once the port is open
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                break
            await asyncio.sleep(_POLL_S)
        await wait_for_kafka(KafkaSettings(self.bootstrap_servers), pause_s=_POLL_S)

    async def wait(self) -> str:
        """Return when the JVM has died, with one line that says why."""
        while self.running:  # noqa: ASYNC110 - a Popen has no event, and is bound to no loop
            await asyncio.sleep(_POLL_S)
        return self.last_words()

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop Kafka, by force after ``timeout_s``, and give the directory back. Does nothing when it is stopped."""
        if self.running:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)  # a frozen JVM could not obey
            deadline = time.monotonic() + timeout_s
            while self.running and time.monotonic() < deadline:  # noqa: ASYNC110 - as in wait
                await asyncio.sleep(_POLL_S)
        self._end()

    def kill(self) -> None:
        """End the JVM at once, as ``kill -9`` does; nothing acknowledged is lost. The directory stays locked."""
        if self._jvm is not None:
            self._jvm.kill()
            self._jvm.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the JVM, if it lives."""
        if self._jvm is not None:
            self._jvm.send_signal(number)

    def last_words(self) -> str:
        """Return one line on why the JVM ended, from what this run of it printed and logged."""
        log, console = _read_from(self.directory.logs / "server.log", self._log_start), _read_from(self._console, 0)
        return self._explain(f"{console}\n{log}")

    def _explain(self, output: str) -> str:
        exit_code = self._jvm.poll() if self._jvm else None
        return explain(output, port=self.port or 0, directory=self.directory.path, exit_code=exit_code)

    @property
    def _console(self) -> Path:
        return self.directory.logs / "console.log"

    def _open_log(self) -> None:
        log = self.directory.logs / "server.log"
        self._log_start = log.stat().st_size if log.exists() else 0


def _read_from(path: Path, start: int) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = start if start <= size else 0  # the log was rolled since
            file.seek(max(start, size - _OUTPUT_BYTES_MAX))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _free_port(*, other_than: int = 0) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port != other_than:
            return port
