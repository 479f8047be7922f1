"""Keeping an event: in Kafka, or in the spool while Kafka is away.

Not known to be in Kafka is not the same as not in Kafka: an event whose acknowledgement came too late is in both, and
fan-out drops the second by its dedup id.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from ingest.accept import Unavailable
from ingest.outage import Outage
from ingest.publisher import Publisher
from ingest.spool import Spool, SpoolBroken, SpoolFull
from ingest.spool_metrics import SpoolMetrics
from streams.event import Event, Receipt

log = structlog.get_logger("ingest")


class SpooledPublisher:
    """Publishes as `Publisher` does; what Kafka does not acknowledge within ``after_s`` goes to the spool."""

    def __init__(
        self,
        publisher: Publisher,
        spool: Spool,
        outage: Outage,
        metrics: SpoolMetrics,
        *,
        after_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher, self._spool, self._outage, self._metrics = publisher, spool, outage, metrics
        self._after_s = after_s
        self._monotonic_s = monotonic_s

    @property
    def has_room(self) -> bool:
        """Whether the spool would take an event, as far as is known."""
        return not self._spool.full and not self._spool.broken

    async def publish(self, event: Event) -> Receipt | None:
        """Return the event's address once every in-sync replica has it, or ``None`` once the spool has it.

        Raises:
            Unavailable: neither has it for sure.
        """
        # A probe of the connection that failed is known sooner than acknowledgements that do not come.
        if self._publisher.ready and self._outage.may_try(self._monotonic_s()):
            try:
                receipt = await self._publisher.publish(event, timeout_s=self._after_s)
            except Unavailable:
                if self._outage.failed(self._monotonic_s()):
                    log.warning("outage_began", reason="Kafka does not acknowledge: events go to the spool")
            else:
                if self._outage.acknowledged():
                    log.warning("outage_ended", spooled=self._spool.events)
                return receipt
        try:
            await self._spool.put(event)
        except (SpoolFull, SpoolBroken) as error:
            reason = "full" if isinstance(error, SpoolFull) else "broken"
            self._metrics.refused.labels(reason).inc()
            raise Unavailable from error
        self._metrics.spooled.inc()
        log.debug("event_spooled", source=event.source, event_id=event.id)
        return None
