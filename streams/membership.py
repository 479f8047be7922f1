"""Whether a consumer still owns what its group gave it: a fence for workers that were frozen or cut off.

A worker that was frozen beyond the session timeout goes on, when thawed, as if nothing had happened, until its next
heartbeat is refused. Until then only the age of its last heartbeat tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer

from streams.kafka import SESSION_TIMEOUT_S

HEARTBEAT_AGE_S_MAX = SESSION_TIMEOUT_S * 0.9


class Membership:
    """One consumer's membership of its group. Call `watch` between ``start`` and ``subscribe`` of the consumer.

    aiokafka keeps the time of the last heartbeat in a local variable and the generation in its coordinator: hence its
    exact pin in pyproject.toml.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        *,
        on_beat: Callable[[], None] = lambda: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._on_beat = on_beat
        self._monotonic_s = monotonic_s
        self._beat_at_s = float("-inf")

    @property
    def generation(self) -> int:
        """The generation of the group that this consumer is a member of; negative while it is none."""
        generation: int = self._consumer._coordinator.generation
        return generation

    def watch(self) -> None:
        """Note each heartbeat that the broker accepts."""
        coordinator = self._consumer._coordinator
        beat = coordinator._do_heartbeat

        async def watched() -> bool:
            sent_at_s = self._monotonic_s()  # the broker extends the session later than this
            alive: bool = await beat()
            if alive:
                self._beat_at_s = sent_at_s
                self._on_beat()
            return alive

        coordinator._do_heartbeat = watched

    def joined(self) -> int:
        """Note that an assignment has just come, which is as good as a heartbeat; return its generation."""
        self._beat_at_s = self._monotonic_s()
        return self.generation

    def lost(self, generation: int) -> bool:
        """Return whether what ``generation`` assigned is certainly no longer this consumer's."""
        return self.generation != generation

    def certain(self, generation: int) -> bool:
        """Return whether what ``generation`` assigned is certainly this consumer's now."""
        return not self.lost(generation) and self._monotonic_s() - self._beat_at_s < HEARTBEAT_AGE_S_MAX
