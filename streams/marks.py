"""How far each schedule has come: the fold of the compacted topic ``schedules``, the same on all workers.

A mark says that every due time up to it has been dealt with: its event was acknowledged, or it was passed over. It is
written after the event, so a crash in between makes the event again, with the id it had, and fan-out drops it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson
import structlog

from streams.event import format_time, parse_time
from streams.kafka import KafkaSettings, read_topic
from streams.record import Record
from streams.topics import TopicNames

AHEAD_MS_MAX = 5 * 60_000  # a mark further in the future than this was written by a clock that was wrong

log = structlog.get_logger("schedules")


@dataclass(frozen=True, slots=True)
class Mark:
    """``due_ms``, Unix milliseconds, is the last due time that has been dealt with, and ``worker`` who did.

    ``fired_ms`` is the due time of the last event, 0 before the first. ``enabled`` is whether the schedule was on.

    A mark with ``reset`` begins the schedule, switches it on or off, or puts right what a wrong clock wrote; several
    workers may write it, and the first in the log holds. Any other mark holds if it is not behind.
    """

    schedule: str
    due_ms: int
    worker: str
    fired_ms: int = 0
    enabled: bool = True
    reset: bool = False

    def to_record(self, topic: str) -> Record:
        """Return the mark's record; its key is the schedule."""
        value = {
            "version": 1,
            "due": format_time(self.due_ms),
            "fired": format_time(self.fired_ms) if self.fired_ms else None,
            "worker": self.worker,
            "enabled": self.enabled,
            "reset": self.reset,
        }
        return Record(topic, self.schedule.encode(), orjson.dumps(value))


class Marks:
    """The newest mark of each schedule; ``on_change`` is called after each that holds."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}
        self.on_change: Callable[[], None] = lambda: None

    def get(self, schedule: str) -> Mark | None:
        """Return the mark of a schedule, or ``None`` before its first."""
        return self._marks.get(schedule)

    def apply(self, mark: Mark) -> None:
        """Take a mark over, unless it is behind the one that is there."""
        found = self._marks.get(mark.schedule)
        if found is None or self._holds(mark, found):
            self._marks[mark.schedule] = mark
            self.on_change()

    @staticmethod
    def _holds(mark: Mark, found: Mark) -> bool:
        if mark.reset:
            return mark.enabled != found.enabled or found.due_ms > mark.due_ms + AHEAD_MS_MAX
        return found.enabled and mark.due_ms >= found.due_ms

    def read(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record of the topic. One that cannot be read is logged and passed over: the schedule begins anew."""
        schedule = (key or b"").decode(errors="replace")
        if value is None:
            self._marks.pop(schedule, None)
            return
        try:
            fields = orjson.loads(value)
            fired = fields["fired"]
            mark = Mark(
                schedule,
                parse_time(fields["due"]),
                str(fields["worker"]),
                parse_time(fired) if fired else 0,
                bool(fields["enabled"]),
                bool(fields["reset"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            log.error("schedule_mark_unreadable", schedule=schedule, error=type(error).__name__)
            return
        self.apply(mark)


async def read_marks(settings: KafkaSettings, names: TopicNames) -> Marks:
    """Return the marks as they are now, for the command line.

    Raises:
        KafkaUnavailable: the topic cannot be read.
    """
    marks = Marks()
    async for record in read_topic(settings, names.schedules):
        marks.read(record.key, record.value)
    return marks
