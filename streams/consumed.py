"""A record as it was read from a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from aiokafka import TopicPartition


@dataclass(frozen=True)
class Consumed:
    """Raw key, value and headers, and where it stands."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int = 0  # when it came into the queue, Unix milliseconds

    @cached_property
    def fields(self) -> Mapping[str, bytes]:
        """The headers by name; the last of a name counts."""
        return dict(self.headers)

    @property
    def part(self) -> TopicPartition:
        """The partition that it was read from."""
        return TopicPartition(self.topic, self.partition)

    @property
    def route(self) -> str:
        """The name of its delivery's route, empty if it has none."""
        return self.fields.get("headrace-route", b"").decode(errors="replace")

    @property
    def replay(self) -> int:
        """The number of its delivery's replay, 0 for one that is none."""
        replay = self.fields.get("headrace-replay", b"")
        return int(replay) if replay.isdigit() else 0
