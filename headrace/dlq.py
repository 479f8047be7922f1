"""What the ``headrace dlq`` commands do; how it looks is in ``headrace/commands/dlq.py``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict

from headrace.context import Settings
from streams.acknowledged import publish_each
from streams.dead_letter import tombstone
from streams.delivery import FAILURES_HEADER, read_failures
from streams.event import format_time
from streams.kafka import producing
from streams.letters import Letters, Selection, Stored, with_bodies
from streams.replay import Replay, Result


async def read_letters(settings: Settings, selection: Selection) -> list[Stored]:
    """Return the selected outstanding letters, without bodies, oldest failure first.

    Raises:
        KafkaUnavailable: the broker does not answer.
    """
    async with Letters(settings.kafka(), settings.topic_names) as letters:
        await letters.catch_up()
        return selection.of(letters.outstanding())


async def read_body(settings: Settings, stored: Stored) -> bytes | None:
    """Return the letter's body, or ``None`` if its state has just changed."""
    async for found in with_bodies(settings.kafka(), settings.topic_names, [stored]):
        return found.letter.body
    return None


async def replay_letters(settings: Settings, selection: Selection, *, rate: float | None) -> AsyncIterator[Result]:
    """Replay the selected letters, at most ``rate`` a second; see `streams.replay`."""
    table = settings.table()
    kafka, names = settings.kafka(table), settings.topic_names
    async with producing(kafka) as producer, Letters(kafka, names) as letters:
        replay = Replay(kafka=kafka, names=names, routes=table.compiled_routes(), producer=producer, pace=Pace(rate))
        async for result in replay.run(letters, selection):
            yield result


async def discard_letters(settings: Settings, chosen: list[Stored]) -> AsyncIterator[str]:
    """End the chosen letters for good."""
    async with producing(settings.kafka()) as producer:
        topic = settings.topic_names.dead_letter
        async for record in publish_each(producer, (tombstone(topic, stored.letter.id) for stored in chosen)):
            yield record.key.decode()


class Pace:
    """Spreads work over time: at most ``rate`` a second, ``None`` for no limit."""

    def __init__(self, rate: float | None) -> None:
        self._interval_s = 1 / rate if rate else 0.0
        self._next_s = time.monotonic()

    @property
    def chunk_max(self) -> int:
        """How many may be done together without a burst of more than a second."""
        return max(1, int(1 / self._interval_s)) if self._interval_s else 1_000_000

    async def wait(self, count: int) -> None:
        """Return when ``count`` more may be done."""
        await asyncio.sleep(max(0.0, self._next_s - time.monotonic()))
        self._next_s = max(time.monotonic(), self._next_s) + count * self._interval_s


def describe(stored: Stored) -> dict[str, object]:
    """Return a letter as JSON shows it, without its body."""
    letter, failure = stored.letter, stored.letter.failure
    return {
        "id": letter.id,
        "state": letter.state,
        "source": letter.header("ce_source"),
        "event_id": letter.header("ce_id"),
        "event_type": letter.header("ce_type"),
        "receipt": letter.header("headrace-receipt") or None,
        "route": letter.header("headrace-route"),
        "destination": letter.header("headrace-destination"),
        "item": int(letter.header("headrace-item")) if letter.header("headrace-item") else None,
        "stage": failure.stage,
        "error": failure.error_class,
        "message": failure.message,
        "status": failure.status,
        "attempts": failure.attempts,
        "replays": int(letter.header("headrace-replay") or 0),
        "accepted": letter.header("ce_time") or None,
        "first_failure": format_time(failure.first_failure_ms),
        "last_failure": format_time(failure.last_failure_ms),
        "topic": failure.topic,
        "partition": failure.partition,
        "offset": failure.offset,
        "last_attempts": [
            {**asdict(attempt), "time": format_time(attempt.time_ms)}
            for attempt in read_failures(dict(letter.headers).get(FAILURES_HEADER, b""))
        ],
    }
