"""SIGUSR1 writes debug lines, SIGUSR2 goes back to the level that the process was started with.

Two signals rather than one that toggles: a signal that is sent twice, or reaches a process that was started since, says
the same. By default either would end a process, so one that starts ignores them until it is ready to obey.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial

import structlog

from headrace.logs import LogLevel

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)

log = structlog.get_logger("logs")


def ignore_level_signals() -> None:
    """Ignore both signals from now on; a child that is started inherits it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def obey_level_signals(level: LogLevel | None, pass_on: Callable[[int], None] = lambda number: None) -> None:
    """Change the level by signal, on the running loop; ``pass_on`` gets each signal, for the processes below.

    Without a ``level``, for a process whose logs somebody else configured, they are only passed on.
    """

    def change(number: int) -> None:
        if level is not None:
            _change(level, number)
        pass_on(number)

    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, partial(change, number))


def _change(level: LogLevel, number: int) -> None:
    wanted = "debug" if number == signal.SIGUSR1 else level.started_with
    if wanted == level.level:
        return
    level.change("info")  # so that this line is written whatever the level was
    log.info("log_level_changed", to=wanted)
    level.change(wanted)
