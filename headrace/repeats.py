"""Repeats of a log line: beyond a number in an interval they become one line with ``suppressed: n``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

BURST = 20  # lines of one kind in one interval that are written
INTERVAL_S = 10.0
KINDS_MAX = 10_000  # a bound on memory: kinds are made of names in the code and in the routing table

Write = Callable[[int], None]


@dataclass(slots=True)
class _Window:
    began_s: float
    lines: int = 0
    suppressed: int = 0
    write: Write | None = field(default=None, repr=False)


class Repeats:
    """Counts the lines of each kind. For the threads of one process: a race may let one line more through.

    The line that stands for the suppressed ones comes when their interval is over, where a loop runs; else with the
    next line of any kind. Weakness: those of the last interval before an end are not told.
    """

    def __init__(
        self,
        *,
        burst: int = BURST,
        interval_s: float = INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst, self._interval_s, self._monotonic_s = burst, interval_s, monotonic_s
        self._windows: dict[Hashable, _Window] = {}

    def passes(self, kind: Hashable, write: Write) -> bool:
        """Return whether to write a line of this kind; ``write`` is called later with how many did not pass."""
        now_s = self._monotonic_s()
        self._tell_over(now_s)
        window = self._windows.get(kind)
        if window is None or now_s - window.began_s >= self._interval_s:
            if len(self._windows) >= KINDS_MAX:
                self._windows = {kind: one for kind, one in self._windows.items() if one.suppressed}
            window = self._windows[kind] = _Window(now_s)
        window.lines += 1
        if window.lines <= self._burst:
            return True
        window.suppressed += 1
        if window.suppressed == 1:
            window.write = write
            self._wake_after(self._interval_s - (now_s - window.began_s))
        return False

    def _wake_after(self, seconds: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a thread without one
            return
        loop.call_later(seconds + 0.01, lambda: self._tell_over(self._monotonic_s()))

    def _tell_over(self, now_s: float) -> None:
        over = [
            window
            for window in list(self._windows.values())
            if window.write is not None and now_s - window.began_s >= self._interval_s
        ]
        for window in over:
            write, window.write = window.write, None
            if write is not None:
                write(window.suppressed)
