"""What the queues of one worker share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from streams.cancellations import Cancellations
from streams.herald import Herald
from streams.kafka import KafkaSettings
from streams.metrics import StreamsMetrics
from streams.own_events import OwnEvents
from streams.pauses import Pauses
from streams.routing import Routes
from streams.topics import TopicNames
from streams.tracing import Tracing


@dataclass(frozen=True)
class Shared:
    """The log, the clocks, and what every queue looks up; ``routes`` returns those of the moment."""

    kafka: KafkaSettings
    names: TopicNames
    producer: AIOKafkaProducer
    routes: Callable[[], Routes]
    pauses: Pauses
    cancellations: Cancellations
    own_events: OwnEvents
    herald: Herald
    metrics: StreamsMetrics
    tracing: Tracing = field(default_factory=Tracing)
    now_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic
