"""Waits that can be ended early, when their worker drains: calls in flight go on, waits do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Interrupted(Exception):
    """A wait was ended early, and nothing was called in it: whoever is next begins the delivery again."""


class Interruption:
    """Ends the waits of everything that began before it; what begins afterwards waits in peace."""

    def __init__(self) -> None:
        self.period = 0
        self._waits: set[asyncio.Timeout] = set()

    def interrupt(self) -> None:
        """End all waits, and those that calls of this period would still begin."""
        self.period += 1
        waits, self._waits = self._waits, set()
        for wait in waits:
            wait.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def interruptible(self, period: int) -> AsyncIterator[None]:
        """Run the block, which must be cancellation safe, unless and until it is interrupted.

        ``period`` is `period` as it was when the caller began its work.

        Raises:
            Interrupted: it was.
        """
        if period != self.period:
            raise Interrupted
        # asyncio.timeout tells its own cancellation from a foreign one, which goes through.
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if wait.expired():
                raise Interrupted from None
            raise
