"""How far each part of a worker is, and which of them stands still or has failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.exporter import DepthExporter
from headrace.parts import PartFailed
from headrace.queues import DestinationQueues
from headrace.watchdog import find_stalled
from streams.fan_out_member import FanOutMember
from streams.retries import Retries

STALL_S_MAX = 180.0
WATCH_INTERVAL_S = 5.0

States = Mapping[str, tuple[bool, object]]


def states_of(
    queues: DestinationQueues | None, fan_out: FanOutMember | None, retries: Retries | None, exporter: DepthExporter
) -> States:
    """Return of each part whether it has due work, and how far it is; a value that changes as it advances."""
    states: dict[str, tuple[bool, object]] = {}
    for queue in queues.all.values() if queues is not None else ():
        states[queue.topic] = (queue.has_due_work(exporter.depths), queue.progress)
    if fan_out is not None:
        progress = fan_out.progress()
        states["fan-out"] = (progress.due, progress.advanced)
    if retries is not None:
        states["retries"] = (True, retries.turns)  # it looks at least once a second
    # Without news of the depths the broker is away, and nothing can advance.
    fresh = exporter.fresh()
    return {part: (due and fresh, progress) for part, (due, progress) in states.items()}


async def stalled(states: Callable[[], States]) -> PartFailed:
    """Return when a part has had due work for `STALL_S_MAX` and did not advance, as what to raise."""
    part = await find_stalled(states, stall_s_max=STALL_S_MAX, interval_s=WATCH_INTERVAL_S)
    return PartFailed(f"{part} has work that is due and has not advanced for {STALL_S_MAX:.0f} s")


async def failing(fan_out: FanOutMember) -> None:
    """Wait for as long as fan-out works.

    Raises:
        PartFailed: it has failed, for the error that is the cause.
    """
    raise PartFailed("fan-out") from await fan_out.wait_failed()
