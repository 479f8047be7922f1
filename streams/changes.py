"""Waiting for something to change, for so long at most."""

from __future__ import annotations

import asyncio

LOOK_S_MAX = 1.0


async def happens_within(event: asyncio.Event, timeout_s: float) -> bool:
    """Return as soon as ``event`` is set, or after ``timeout_s``; says whether it is."""
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False


class Changes:
    """Something that many wait for to change; each looks again by itself, at least once a second."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def wake(self) -> None:
        """Let all who wait look again."""
        changed, self._next = self._next, asyncio.Event()
        changed.set()

    async def wait(self, timeout_s: float = LOOK_S_MAX) -> None:
        """Return at the next change, or after ``timeout_s``."""
        await happens_within(self._next, timeout_s)
