"""The herald: publishes the own events that no record waits for, such as a circuit that opened.

Best effort, unlike what is told of dead letters: it tries again while the broker is away, and what a stop or a crash
leaves unsent is gone. A stop says so in the log; metrics and alerts show the same trouble all the same.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaError

from streams.own_events import OwnEvent, OwnEvents, circuit_opened, destination_paused
from streams.pauses import Pause
from streams.record import Record

SPACING_S = 60.0  # between two openings of one circuit that are told: one that flaps tells no more
RETRY_S = 1.0
STOP_S_MAX = 2.0

log = structlog.get_logger("herald")


class Herald:
    """One for each worker. ``send`` returns when a record is acknowledged."""

    def __init__(
        self,
        own_events: OwnEvents,
        send: Callable[[Record], Awaitable[None]],
        *,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._own_events, self._send = own_events, send
        self._now_s, self._monotonic_s, self._sleep = now_s, monotonic_s, sleep
        self._worker = f"{socket.gethostname()}/{os.getpid()}"
        self._told_at_s: dict[str, float] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def paused(self, pause: Pause) -> None:
        """Tell of a destination that this worker paused."""
        self._tell(destination_paused(pause, now_ms=self._now_ms()))

    def circuit_opened(self, destination: str, *, reason: str, open_s: float) -> None:
        """Tell of a circuit that was closed and opened, unless it told so less than `SPACING_S` ago."""
        now_s = self._monotonic_s()
        if now_s - self._told_at_s.get(destination, float("-inf")) < SPACING_S:
            log.info("own_event_spared", type="circuit_opened", destination=destination, reason="told a moment ago")
            return
        self._told_at_s[destination] = now_s
        self._tell(
            circuit_opened(destination, reason=reason, worker=self._worker, open_s=open_s, now_ms=self._now_ms())
        )

    async def stop(self) -> None:
        """End within `STOP_S_MAX`; what was not acknowledged by then is logged."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=STOP_S_MAX)
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _tell(self, told: OwnEvent) -> None:
        for record in self._own_events.records(told):
            task = asyncio.create_task(self._publish(told, record), name="herald")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _publish(self, told: OwnEvent, record: Record) -> None:
        """Try until it is acknowledged, or refused for good."""
        while True:
            try:
                return await self._send(record)
            except KafkaError as error:
                if not error.retriable:
                    _log_unsent(told, repr(error))
                    return None
            except asyncio.CancelledError:
                _log_unsent(told, "stopping")
                raise
            await self._sleep(RETRY_S)

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)


def _log_unsent(told: OwnEvent, reason: str) -> None:
    log.error("own_event_unsent", type=told.type, destination=told.destination, reason=reason)
