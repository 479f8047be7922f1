"""Keeps one part of `headrace run` going: starts it again when it dies, after a pause that grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from headrace.broker import BrokerError

SOON_S = 60.0  # a part that lived longer is started again as if nothing had been
PAUSE_S_MAX = 10.0
STRIKES_MAX = 20
STRIKES_UNREADY = 4  # so five deaths before it was ready, or twenty soon after, in a row

log = structlog.get_logger("run")


class PartLost(Exception):
    """A part died again and again. The text is one line for a person."""


class Part(Protocol):
    """Something that is kept running: a child process, or Kafka."""

    async def start(self) -> None:
        """Start it; does nothing if it runs. `BrokerError` counts as a death."""

    async def wait(self) -> str:
        """Return when it has ended, with one sentence on how."""


class Keeper:
    """One part and its restarts. ``ready`` is set once the part was ready for the first time."""

    def __init__(
        self,
        name: str,
        part: Part,
        *,
        wait_ready: Callable[[], Awaitable[None]],
        tell: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self._part, self._wait_ready = part, wait_ready
        self._tell, self._now, self._sleep = tell, now, sleep

    async def run(self) -> None:
        """Keep the part running until cancelled; stops nothing then.

        Raises:
            PartLost: it cannot be kept up.
        """
        strikes = deaths = 0
        while True:
            began_s = self._now()
            how, was_ready = await self._live()
            if self._now() - began_s >= SOON_S:
                strikes = deaths = 0
            deaths += 1
            strikes += 1 if was_ready else STRIKES_UNREADY
            if strikes >= STRIKES_MAX:
                raise PartLost(f"{self.name} cannot be kept up, it died {deaths} times in a row: {how}")
            pause_s = min(0.5 * 2 ** (deaths - 1), PAUSE_S_MAX)
            log.warning("part_died", part=self.name, reason=how, deaths=deaths, restart_in_s=pause_s)
            self._tell(f"{how}; starting it again in {pause_s:g} s")
            await self._sleep(pause_s)

    async def _live(self) -> tuple[str, bool]:
        """Start the part and return how it ended, and whether it had been ready."""
        try:
            await self._part.start()
        except BrokerError as error:
            return str(error), False
        getting_ready = asyncio.ensure_future(self._wait_ready())
        getting_ready.add_done_callback(lambda done: None if done.cancelled() else self.ready.set())
        try:
            how = await self._part.wait()
            return how, getting_ready.done()
        finally:
            getting_ready.cancel()
