"""The open connections of one process: how many there may be, and for how long a request's head may take.

Both keep senders that are slow on purpose (slowloris) from using up what others need. A connection that asks nothing
costs some kilobytes; when there are too many, the one that has been idle longest makes room for the new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Connection(Protocol):
    """What is asked of a connection."""

    @property
    def idle(self) -> bool:
        """Whether no request is being answered on it."""

    def end(self) -> None:
        """Close it; one that has sent a part of a head is told 408."""


class Connections:
    """Counts connections, and ends those that wait for too long or are too many."""

    def __init__(
        self, *, count_max: int, head_timeout_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._count_max = count_max
        self._head_timeout_s = head_timeout_s
        self._monotonic_s = monotonic_s
        self._open: dict[Connection, None] = {}  # the one whose last request is longest ago first
        self._heads: dict[Connection, float] = {}  # since when a part of a head is there, the oldest first
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def used_ratio(self) -> float:
        """Return the used share of the limit."""
        return len(self._open) / self._count_max

    def opened(self, connection: Connection) -> None:
        """Note a new connection; end the one that has been idle longest if there are too many, or the new one."""
        self._open[connection] = None
        if len(self._open) > self._count_max:
            self.evicted += 1
            victim = next((one for one in self._open if one.idle), connection)
            self.closed(victim)
            victim.end()

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)
        self._heads.pop(connection, None)

    def received(self, connection: Connection, *, whole_head: bool) -> None:
        """Note that bytes came: they ended the head of a request, or are a part of one."""
        if not whole_head:
            self._heads.setdefault(connection, self._monotonic_s())
            return
        self._heads.pop(connection, None)
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def sweep(self) -> None:
        """End the connections whose head takes too long; call it about once a second."""
        too_old_s = self._monotonic_s() - self._head_timeout_s
        for connection in [one for one, since_s in self._heads.items() if since_s <= too_old_s]:
            self.closed(connection)
            connection.end()
