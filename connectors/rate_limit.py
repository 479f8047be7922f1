"""The rate of one destination: a token bucket that holds at most half a second's worth.

Each worker takes the share of its partitions, so that all together never exceed the rate. A bucket starts empty, and
again after each change of share: tokens saved up under another share, or before a restart, would add to those of the
worker that took over. Where the rate is lower than the number of workers, each may hold one call, and so many may go at
once.

What the service itself says is left of its quota is spread over the time until it is filled again, before it is used
up: each worker takes its share, less its calls in flight, which the service may not have counted yet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from connectors.quota import Quota
from connectors.turns import Turns

BLOCK_S_MAX = 3600.0  # then a call finds out whether the service still means it
RECHECK_S = 1.0  # a wait looks again this often, since share and block may change under it
BURST_S = 0.5  # of the rate: calls that are held up on their way come closer together than they were let go
ASSUMED_S = 10.0  # a period that no answer tells of is taken for over: the service may have no quota any more
SPREAD_BELOW = 20  # calls left: from here on they are spread, however large the quota is; else from half of it on
_SLACK = 1e-9

HeldBy = Literal["blocked", "spread"]
"""Why a service holds calls up: it asked to be left alone, or what is left of its quota is spread over the time."""


@dataclass(slots=True)
class _Spread:
    """This worker's part of a quota: calls left until ``until_s``, of ``most`` in all, the last made at ``last_s``.

    ``assumed`` is one that no answer has told of yet.
    """

    calls: float
    until_s: float
    most: float
    last_s: float
    spread: bool
    assumed: bool = False


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
        on_held: Callable[[HeldBy, float], None] = lambda held_by, seconds: None,
    ) -> None:
        """Prepare a limiter; ``on_held`` gets the time that the first in line waited on behalf of the service."""
        self._whole_rate_per_s = rate_per_s
        self._on_held = on_held
        self._held_by: HeldBy | None = None
        self._share = (1, 1)
        self._now = now
        self._sleep = sleep
        self._tokens = 0.0
        self._filled_s = now()
        self._blocked_until_s = self._filled_s
        self._quota: _Spread | None = None
        self._waits_until_s = float("-inf")
        self._turns = Turns(1)  # first come, first served, high priority before; and only the first sleeps

    @property
    def rate_per_s(self) -> float | None:
        """This worker's part of the rate; None without a limit."""
        if self._whole_rate_per_s is None:
            return None
        return self._whole_rate_per_s * self._share[0] / self._share[1]

    @property
    def used_ratio(self) -> float:
        """How much of the bucket is used, from 0 to 1; 0 without a limit."""
        if self.rate_per_s is None:
            return 0.0
        self._fill()
        return 1.0 - min(1.0, self._tokens / self._burst())

    @property
    def blocked_s(self) -> float:
        """For how long nothing goes, because the service asked for it."""
        return max(0.0, self._blocked_until_s - self._now())

    @property
    def waits_until_s(self) -> float:
        """Until when the first in line waits, as far as can be told; that is past if nobody waits."""
        return self._waits_until_s

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

    def learn(self, quota: Quota, *, in_flight: int = 0) -> None:
        """Take over what an answer says is left; ``in_flight`` are this worker's calls that may not be counted yet."""
        now_s, (numerator, denominator) = self._now(), self._share
        calls = quota.remaining * numerator / denominator - in_flight
        until_s = now_s + min(quota.reset_s, BLOCK_S_MAX)
        known = self._quota
        most = float(max(quota.remaining, quota.limit or 0))
        if known is not None and not known.assumed and until_s <= known.until_s + 1 + 0.05 * quota.reset_s:
            # The same period: answers that overtake one another must not give calls back.
            calls, most = min(calls, known.calls), max(most, known.most)
        spread = quota.remaining < max(most / 2, SPREAD_BELOW)
        last_s = known.last_s if known is not None else now_s
        self._quota = _Spread(calls, until_s, most, last_s, spread=spread)

    async def acquire(self, *, high: bool = False) -> float:
        """Wait for leave to call, and return the seconds waited. A cancelled wait takes nothing."""
        if self._whole_rate_per_s is None and self._quota is None and self._blocked_until_s <= self._now():
            return 0.0
        started_s = self._now()
        await self._turns.take(high)
        try:
            while (wait_s := self._take()) > 0:
                self._waits_until_s = self._now() + wait_s
                await self._wait(min(wait_s, RECHECK_S))
        finally:
            self._waits_until_s = float("-inf")
            self._turns.give_back(high)
        return self._now() - started_s

    async def _wait(self, seconds: float) -> None:
        held_by, since_s = self._held_by, self._now()
        try:
            await self._sleep(seconds)
        finally:
            if held_by is not None:
                self._on_held(held_by, self._now() - since_s)

    def _take(self) -> float:
        """Take a token and return 0, or return the seconds until there may be one."""
        self._held_by = None
        if self.blocked_s > 0:
            self._held_by = "blocked"
            return self.blocked_s
        if (wait_s := self._quota_wait_s()) > 0:
            self._held_by = "spread"
            return wait_s
        wait_s = self._take_token()
        if wait_s <= 0 and self._quota is not None:
            self._quota.calls -= 1
            self._quota.last_s = self._now()
        return wait_s

    def _quota_wait_s(self) -> float:
        now_s = self._now()
        if self._quota is not None and self._quota.until_s <= now_s:
            self._quota = self._next_period(self._quota, now_s)
        quota = self._quota
        if quota is None:
            return 0.0
        if quota.calls < 1:
            return quota.until_s - now_s
        if not quota.spread:
            return 0.0
        pause_s = (quota.until_s - quota.last_s) / (quota.calls + 1)
        return max(0.0, quota.last_s + pause_s - now_s - _SLACK)

    def _next_period(self, ended: _Spread, now_s: float) -> _Spread | None:
        """Return what this worker may call in the period after ``ended``, until an answer tells; None for anything."""
        if ended.assumed:
            return None
        calls = max(1.0, ended.most * self._share[0] / self._share[1])  # one finds out
        return _Spread(calls, now_s + ASSUMED_S, ended.most, now_s, spread=False, assumed=True)

    def _take_token(self) -> float:
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
        return max(1.0, BURST_S * (self.rate_per_s or 0.0))
