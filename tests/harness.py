"""What tests on real processes share: a Kafka to hurt, a receiver that answers as told, Headrace as a process."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from headrace.broker import EmbeddedKafka
from headrace.child import die_with_parent
from streams.kafka import KafkaSettings
from tests.receiver import Answer, Received, Receiver, free_port, free_ports

__all__ = [
    "Answer",
    "HeadraceProcess",
    "KafkaForTests",
    "Received",
    "Receiver",
    "eventually",
    "free_port",
    "free_ports",
    "github_headers",
    "missing_and_repeated",
    "processes_with",
    "wait_until",
]

T = TypeVar("T")


async def eventually(condition: Callable[[], T | Awaitable[T]], timeout_s: float = 30.0, pause_s: float = 0.05) -> T:
    """Return the first truthy result of ``condition`` (sync or async); an AssertionError in it means: not yet."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while True:
        try:
            result = condition()
            value = await result if inspect.isawaitable(result) else result
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s; the last result was {last!r}")
        await asyncio.sleep(pause_s)


def wait_until(condition: Callable[[], T], timeout_s: float = 30.0, pause_s: float = 0.05) -> T:
    """`eventually` for tests that have no loop."""
    return asyncio.run(eventually(condition, timeout_s, pause_s))


class KafkaForTests:
    """An embedded Kafka, driven from tests with or without a loop."""

    def __init__(self, broker: EmbeddedKafka) -> None:
        self.broker = broker

    @property
    def bootstrap_servers(self) -> str:
        return self.broker.bootstrap_servers

    def settings(self, prefix: str | None = None, **options: Any) -> KafkaSettings:
        """Return settings with topics of their own: behind ``prefix``, or a prefix that nobody has."""
        chosen = prefix if prefix is not None else f"t{uuid.uuid4().hex[:8]}-"
        return KafkaSettings(self.bootstrap_servers, topic_prefix=chosen, **options)

    def pause(self) -> None:
        """Freeze the broker: connections stay open, nothing answers."""
        self.broker.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.broker.signal(signal.SIGCONT)

    def kill(self) -> None:
        self.broker.kill()

    async def restart(self) -> None:
        """Start it again on the same port, after `kill`."""
        await self.broker.start()


class HeadraceProcess:
    """A real ``headrace`` process, its output kept in files beside its working directory."""

    def __init__(self, args: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None, name: str = "") -> None:
        self.args = list(args)
        stem = f"{name or args[0]}-{uuid.uuid4().hex[:6]}"
        self.stdout_path, self.stderr_path = cwd / f"{stem}.out", cwd / f"{stem}.err"
        with self.stdout_path.open("wb") as stdout, self.stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("headrace")), *args],
                cwd=cwd,
                env={**_clean_environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    def logs(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return the log lines that are JSON, or those of one event."""
        lines = [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if event is None or line.get("event") == event]

    async def wait_for(self, text: str, timeout_s: float = 60.0) -> None:
        """Return when ``text`` was printed on stdout or stderr; fail at once when the process ends first."""

        def printed() -> bool:
            running = self.running
            if text in self.stdout or text in self.stderr:
                return True
            if not running:
                raise RuntimeError(
                    f"headrace {' '.join(self.args)} ended with {self.process.returncode}: {self.tail()}"
                )
            return False

        await eventually(printed, timeout_s)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9, and reap."""
        self.process.kill()
        self.process.wait(30)

    async def terminate(self, timeout_s: float = 30.0) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.terminate()
        return await self.wait(timeout_s)

    async def wait(self, timeout_s: float = 30.0) -> int:
        """Return the exit code once the process has ended by itself."""
        await eventually(lambda: not self.running, timeout_s)
        return self.process.returncode

    def tail(self, characters: int = 3000) -> str:
        return f"\n--- stdout\n{self.stdout[-characters:]}\n--- stderr\n{self.stderr[-characters:]}"


def _clean_environment() -> dict[str, str]:
    """Return the environment without what a developer may have set for Headrace."""
    unwanted = ("HEADRACE_", "KAFKA_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    if cache_dir := os.environ.get("HEADRACE_CACHE_DIR"):
        kept["HEADRACE_CACHE_DIR"] = cache_dir
    return kept


def processes_with(text: str) -> list[int]:
    """Return the ids of the processes, zombies excepted, that have ``text`` in their command line."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (directory / "cmdline").read_bytes():
                found.append(int(directory.name))
        except OSError:
            continue
    return found


def github_headers(body: bytes, secret: str, delivery: str, event: str = "push") -> dict[str, str]:
    """Return the headers with which GitHub posts ``body``."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={signature}",
    }


def missing_and_repeated(expected: Iterable[str], got: Counter[str]) -> tuple[set[str], dict[str, int]]:
    """Return the expected keys that never came, and how often each came more than once."""
    return set(expected) - set(got), {key: count - 1 for key, count in got.items() if count > 1}
