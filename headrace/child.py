"""Child processes that do not outlive their parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from headrace.hangup import hold_hangups
from headrace.level_signals import ignore_level_signals

_PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int = signal.SIGKILL) -> Callable[[], None]:
    """Return a ``preexec_fn``: the child gets ``signal_number`` when the thread that started it ends.

    So start such a child from the main thread. On Linux alone (prctl(2), PR_SET_PDEATHSIG); elsewhere a child of a
    killed parent lives on until it is found by its pid file, or by its closed standard input.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    # Everything that may take a lock happens before the fork.
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def set_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return set_signal


def starting() -> Callable[[], None]:
    """Return the ``preexec_fn`` of a process of Headrace: as `die_with_parent`, and no signal that asks for a
    reload or another level ends it."""
    bind_to_parent = die_with_parent()

    def start() -> None:
        ignore_level_signals()
        hold_hangups()
        bind_to_parent()

    return start


class Child:
    """One ``headrace`` process that `headrace run` keeps: started again as often as wanted, never two at once.

    It runs in a session of its own, so that Ctrl-C reaches the parent alone; what it prints goes to stderr.
    """

    def __init__(self, name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self.name = name
        self._command = [sys.executable, "-P", "-m", "headrace", *arguments]
        self._environ = dict(environ)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process. Call it in the main thread: the child dies with the thread that started it."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            preexec_fn=starting(),
        )

    async def wait(self) -> str:
        """Return when the process has ended, with one sentence on how."""
        if self._process is None:
            return f"{self.name} was never started"
        code = await self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"{self.name} {how}"

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it lives."""
        if self._process is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """End the process and every process that it started, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def stop(self, timeout_s: float) -> None:
        """Let the process end by itself (``SIGTERM``), by force after ``timeout_s``."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # a frozen one could not obey
        try:
            async with asyncio.timeout(timeout_s):
                await self.wait()
        except TimeoutError:
            pass
        finally:
            self.kill()  # also what it left behind
        await self.wait()
