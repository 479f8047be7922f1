"""SIGHUP asks a part to reload. One that comes while the part starts is kept until the part listens to it.

By default it would end the process, and ignored it would be lost: the table may have been read already, and have
changed since. A blocked signal waits, and a program inherits what is blocked from the process that starts it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


def hold_hangups() -> None:
    """Let SIGHUP wait in this thread, and in the programs that it becomes or starts, until `take_hangups`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def take_hangups(reload: Callable[[], object]) -> None:
    """Call ``reload`` on the running loop after each SIGHUP, one that waits included. Call it in the main thread."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
