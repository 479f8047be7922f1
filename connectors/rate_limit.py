"""The rate of one destination: a token bucket that holds at most one second's worth.

Each worker takes the share of its partitions, so that all together never exceed the rate. A bucket starts empty, and
again after each change of share: tokens saved up under another share, or before a restart, would add to those of the
worker that took over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from connectors.turns import Turns

BLOCK_S_MAX = 3600.0  # then a call finds out whether the service still means it
RECHECK_S = 1.0  # a wait looks again this often, since share and block may change under it
_SLACK = 1e-9


class RateLimiter:
    """Lets calls through in the order in which they came.

    ``rate_per_s`` of None is no limit: `block_for` holds all the same. A bucket of less than one call a second holds
    one, so that it can ever be used.
    """

    def __init__(
        self,
        rate_per_s: float | None,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._whole_rate_per_s = rate_per_s
        self._share = (1, 1)
        self._now = now
        self._sleep = sleep
        self._tokens = 0.0
        self._filled_s = now()
        self._blocked_until_s = self._filled_s
        self._turns = Turns(1)  # first come, first served, high priority before; and only the first sleeps

    @property
    def rate_per_s(self) -> float | None:
        """This worker's part of the rate; None without a limit."""
        if self._whole_rate_per_s is None:
            return None
        return self._whole_rate_per_s * self._share[0] / self._share[1]

    @property
    def used_ratio(self) -> float:
        """How much of the last second's worth is used, from 0 to 1; 0 without a limit."""
        if self.rate_per_s is None:
            return 0.0
        self._fill()
        return 1.0 - min(1.0, self._tokens / self._burst())

    @property
    def blocked_s(self) -> float:
        """For how long nothing goes, because the service asked for it."""
        return max(0.0, self._blocked_until_s - self._now())

    def share(self, numerator: int, denominator: int) -> None:
        """Take ``numerator`` parts in ``denominator`` of the rate. A change empties the bucket; 0 parts let nothing go.

        Raises:
            ValueError: not a part of a whole.
        """
        if not 0 <= numerator <= denominator or denominator < 1:
            raise ValueError(f"{numerator}/{denominator} is not a share")
        if numerator * self._share[1] != self._share[0] * denominator:
            self._tokens = 0.0
            self._filled_s = self._now()
        self._share = (numerator, denominator)

    def block_for(self, seconds: float) -> bool:
        """Let nothing go for ``seconds``, an hour at most; a longer block stays. Returns whether it was free before."""
        was_free = self.blocked_s <= 0
        self._blocked_until_s = max(self._blocked_until_s, self._now() + min(max(seconds, 0.0), BLOCK_S_MAX))
        return was_free and self.blocked_s > 0

    async def acquire(self, *, high: bool = False) -> float:
        """Wait for leave to call, and return the seconds waited. A cancelled wait takes nothing."""
        if self._whole_rate_per_s is None and self._blocked_until_s <= self._now():
            return 0.0
        started_s = self._now()
        await self._turns.take(high)
        try:
            while (wait_s := self._take()) > 0:
                await self._sleep(min(wait_s, RECHECK_S))
        finally:
            self._turns.give_back(high)
        return self._now() - started_s

    def _take(self) -> float:
        """Take a token and return 0, or return the seconds until there may be one."""
        if self.blocked_s > 0:
            return self.blocked_s
        rate = self.rate_per_s
        if rate is None:
            return 0.0
        self._fill()
        if self._tokens >= 1 - _SLACK:
            self._tokens = max(0.0, self._tokens - 1)
            return 0.0
        return (1 - self._tokens) / rate if rate > 0 else RECHECK_S

    def _fill(self) -> None:
        now_s = self._now()
        gained = (now_s - self._filled_s) * (self.rate_per_s or 0.0)
        self._tokens = min(self._burst(), self._tokens + gained)
        self._filled_s = now_s

    def _burst(self) -> float:
        return max(1.0, self.rate_per_s or 0.0)
