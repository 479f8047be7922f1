"""What carrying out a delivery needs from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from streams.metrics import StreamsMetrics
from streams.own_events import OwnEvents
from streams.record import Record
from streams.routing import Routes
from streams.topics import TopicNames
from streams.tracing import Tracing


class Settlement(Protocol):
    """What a call that succeeded reports; `connectors.destination.Settled` is one."""

    @property
    def attempts(self) -> int: ...  # noqa: D102  see the class
    @property
    def status(self) -> int | None: ...  # noqa: D102
    @property
    def made(self) -> str: ...  # noqa: D102  how the service names what was made: the outcome's detail


Call = Callable[[str, dict[str, object], str], Awaitable[Settlement]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The log, the destination and the clock.

    ``send`` returns when the record is acknowledged. ``call`` carries out one round of attempts: action, rendered
    parameters, idempotency key. ``check`` says what is wrong with parameters, ``""`` if they fit the action. ``pause``
    pauses this destination, for a reason. ``own_events`` makes what is told of a dead letter. ``now_s`` is Unix time.
    ``cancelled`` says of a delivery id and replay why it is not to be called.
    """

    destination: str
    delays_s: tuple[int, ...]
    names: TopicNames
    routes: Callable[[], Routes]
    send: Callable[[Record], Awaitable[None]]
    call: Call
    check: Callable[[str, Mapping[str, object]], str]
    pause: Callable[[str], Awaitable[None]]
    own_events: OwnEvents
    now_s: Callable[[], float]
    metrics: StreamsMetrics
    cancelled: Callable[[str, int], str | None] = lambda _delivery_id, _replay: None
    tracing: Tracing = field(default_factory=Tracing)
