"""Admission: how many requests one process takes on at once, so that those which it takes are answered in time.

Beyond that it answers 503 at once, which is a part of the work. A fixed number cannot be right: a quick machine
serves a thousand in 100 ms, a busy one needs a second. So the limit follows what is measured, as in CoDel (RFC 8289)
and Netflix's concurrency-limits: when half of an interval's requests waited too long, there is a standing queue,
and the limit falls; while it is used and there is none, it rises.

CoDel judges by the quickest. Here many are answered together, by one acknowledgement of Kafka, and those that came last
before it hide how long the others waited.

Weakness: what waits in the kernel, before the request is read, is seen only as the lag of the event loop.
"""

from __future__ import annotations

import math
import statistics

TARGET_S = 0.1  # half of the 200 ms that a producer should wait: the other half is for what is not measured here
INTERVAL_S = 0.1  # between two judgements, as in CoDel: longer than an ordinary answer takes
START = 250  # what a slow process answers within the target; the first wave of an overload is no larger
# With so few in flight nobody waits long for another, even where each costs 1 ms of the process: what takes long then
# is Kafka, or a machine that is busy with something else, and to refuse some would not help the others.
FLOOR = 64
# What is in flight is the rate times the waiting (Little's law), so the limit falls in the measure of the waiting: from
# 1,000 to the floor within 0.4 to 1.3 s, and up again within 3 s.
FALL_MIN, FALL_MAX, RISE = 0.5, 0.8, 1.1


class Admission:
    """The limit of one process; at most ``in_flight_max``."""

    def __init__(self, in_flight_max: int) -> None:
        self._in_flight_max = in_flight_max
        self._limit = float(min(START, in_flight_max))
        self._floor = min(FLOOR, in_flight_max)
        self._durations_s: list[float] = []
        self._peak = 0
        self._lag_s = 0.0
        self._base_s = 0.0  # what Kafka itself takes, as measured at the floor; 0 until it is slow

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return int(self._limit)

    def admits(self, in_flight: int) -> bool:
        """Return whether one more may join the ``in_flight``."""
        self._peak = max(self._peak, in_flight)
        return in_flight < self.limit

    def accepted(self, duration_s: float) -> None:
        """Note how long an accepted event took. Refusals are quick and say nothing of the queue."""
        self._durations_s.append(duration_s)

    def judge(self, lag_s: float) -> None:
        """Set the limit anew; call it once in each `INTERVAL_S`. ``lag_s`` is how late the event loop woke up."""
        usual_s = statistics.median(self._durations_s) if self._durations_s else math.inf
        self._durations_s.clear()
        peak, self._peak = self._peak, 0
        standing_lag_s, self._lag_s = min(lag_s, self._lag_s), lag_s  # one late wake-up is no queue
        answered = math.isfinite(usual_s)
        waited_s = standing_lag_s + (usual_s - self._base_s if answered else 0.0)
        if waited_s <= TARGET_S:
            if 2 * peak >= self.limit:  # else it would rise untried, and let all of a sudden wave in
                self._limit = min(self._limit * RISE, float(self._in_flight_max))
            self._base_s = min(self._base_s, usual_s)
            return
        if answered and self.limit <= self._floor:
            self._base_s = usual_s
        elif peak <= self._floor:
            return
        fall = min(FALL_MAX, max(FALL_MIN, TARGET_S / waited_s))
        self._limit = max(float(self._floor), min(self._limit, float(peak)) * fall)
