"""Ends the process when nothing advances although there is work that is due, or when the event loop stands still.

A consumer can stop silently (faust-streaming #175, #523, #532), and a user's handler can block the loop. Whoever
started the process starts it again, and nothing is lost by that: what was not acknowledged is carried out again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping

LOOP_STALL_S_MAX = 60.0
EXIT_STALLED = 70  # EX_SOFTWARE of sysexits.h


class LoopWatchdog:
    """A thread that ends the process when the event loop has not run for ``stall_s_max``."""

    def __init__(
        self,
        *,
        stall_s_max: float = LOOP_STALL_S_MAX,
        end: Callable[[int], object] = os._exit,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stall_s_max = stall_s_max
        self._end = end
        self._monotonic_s = monotonic_s
        self._beat_at_s = monotonic_s()
        self._checked_at_s = monotonic_s()
        self._stopped = threading.Event()

    async def run(self) -> None:
        """Beat until cancelled; start this in the loop that is to be watched."""
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._beat_at_s = self._monotonic_s()
                await asyncio.sleep(1.0)
        finally:
            self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(1.0):
            if self.stalled():
                sys.stderr.write('{"level":"error","event":"event_loop_stalled"}\n')
                self._end(EXIT_STALLED)
                return

    def stalled(self) -> bool:
        """Return whether the loop stands still. A process that was frozen as a whole is given its time again."""
        now_s = self._monotonic_s()
        if now_s - self._checked_at_s > 10.0:  # this thread did not run either
            self._beat_at_s = now_s
        self._checked_at_s = now_s
        return now_s - self._beat_at_s > self._stall_s_max


class ProgressWatchdog:
    """Says which part has had work that is due for ``stall_s_max`` without advancing."""

    def __init__(self, *, stall_s_max: float, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._stall_s_max = stall_s_max
        self._monotonic_s = monotonic_s
        self._since_s: dict[str, tuple[object, float]] = {}

    def stalled(self, part: str, *, due: bool, progress: object) -> bool:
        """Note the state of ``part`` and return whether it has stalled. ``progress`` is any value that changes."""
        now_s = self._monotonic_s()
        before = self._since_s.get(part)
        if not due or before is None or before[0] != progress:
            self._since_s[part] = (progress, now_s)
            return False
        return now_s - before[1] > self._stall_s_max


async def find_stalled(
    states: Callable[[], Mapping[str, tuple[bool, object]]],
    *,
    stall_s_max: float,
    interval_s: float,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> str:
    """Return the first part that has stalled, as soon as one has.

    ``states`` returns, by the part's name, whether work is due and any value that changes with progress.
    """
    watchdog = ProgressWatchdog(stall_s_max=stall_s_max, monotonic_s=monotonic_s)
    while True:
        await sleep(interval_s)
        for part, (due, progress) in states().items():
            if watchdog.stalled(part, due=due, progress=progress):
                return part
