"""Connections whose request met an overload: nothing is read from them for a moment, and nothing that was is answered.

A refusal costs about a third of an acceptance. Producers that post again at once, over a thousand connections, would
fill each pass of the event loop with refusals; an accepted request takes several passes, so it would be late, and few
would be accepted at all. So those that were refused are read again one after the other, at a steady rate.

Weakness: behind a load balancer that shares its connections, the request that waits may be another producer's. It waits
for no longer than `REST_MAX_S`; Retry-After asks the refused one to wait for longer.
"""

from __future__ import annotations

BACK_PER_S = 5000  # at about 50 µs a refusal, a quarter of the process
REST_MIN_S = 0.05
REST_MAX_S = 2.1  # what the 10,000 connections that a process may have need, one after the other


class Refused:
    """Says when each of the refused connections of one process is read again."""

    def __init__(self) -> None:
        self._last_s = 0.0  # when the last of them is

    def back_s(self, now_s: float) -> float:
        """Return when the one that is refused now is read again, by the same clock."""
        self._last_s = min(max(self._last_s + 1 / BACK_PER_S, now_s + REST_MIN_S), now_s + REST_MAX_S)
        return self._last_s
