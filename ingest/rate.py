"""A source's own rate limit: how many verified requests a source may send."""

from __future__ import annotations

import re

_RATE = re.compile(r"([0-9]{1,9})/(s|m|h)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_rate(text: str) -> float:
    """Return requests per second of ``100/s``, ``100/m`` or ``100/h``.

    Raises:
        ValueError: the text has another form, or the number is 0.
    """
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f"not a rate: {text!r} (expected a number and /s, /m or /h, such as 100/s)")
    return int(match[1]) / _SECONDS[match[2]]


class RateLimit:
    """At most ``per_s`` requests a second, with a burst of one second's worth, and of one request at least.

    It counts in one process: each of several ingest processes gets its share.
    """

    def __init__(self, per_s: float) -> None:
        self._interval_s = 1 / per_s
        self._burst_s = max(1.0, self._interval_s)
        self._full_at_s = 0.0

    def used_ratio(self, now_s: float) -> float:
        """Return how much of the burst is used at ``now_s``, from 0 to 1; what was taken comes back with time."""
        return min(1.0, max(0.0, self._full_at_s - now_s) / self._burst_s)

    def wait_s(self, now_s: float) -> float:
        """Take one request at ``now_s`` of a monotonic clock and return 0, or take none and return how long to wait."""
        full_at_s = max(self._full_at_s, now_s) + self._interval_s
        wait_s = full_at_s - now_s - self._burst_s
        if wait_s > 1e-9:  # rounding may not cost the last request of a burst
            return wait_s
        self._full_at_s = full_at_s
        return 0.0
