"""Whether Kafka is away: a circuit breaker over acknowledgements, so that not each request waits for one in vain."""

from __future__ import annotations

FAILURES_MAX = 3  # in a row: one lost acknowledgement is no outage
PROBE_INTERVAL_S = 1.0  # each probe of a broker that hangs may leave one more repeat for fan-out to drop


class Outage:
    """Begins after `FAILURES_MAX` failures in a row, and ends with the first acknowledgement."""

    def __init__(self) -> None:
        self.away = False
        self._failures = 0
        self._probe_at_s = float("-inf")

    def may_try(self, now_s: float) -> bool:
        """Return whether to try Kafka: during an outage for one event in each `PROBE_INTERVAL_S`."""
        if not self.away:
            return True
        if now_s < self._probe_at_s:
            return False
        self._probe_at_s = now_s + PROBE_INTERVAL_S
        return True

    def failed(self, now_s: float) -> bool:
        """Note an acknowledgement that did not come; return whether the outage begins with it."""
        self._failures += 1
        if self.away or self._failures < FAILURES_MAX:
            return False
        self.away, self._probe_at_s = True, now_s + PROBE_INTERVAL_S
        return True

    def acknowledged(self) -> bool:
        """Note an acknowledgement; return whether the outage ends with it."""
        ended, self.away, self._failures = self.away, False, 0
        return ended
