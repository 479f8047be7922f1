"""The fix of a Faust defect that loses records at rebalances (docs/adr/0003).

Stock faust-streaming 0.15.3, an agent with a table, partitions that move: once the tables are recovered,
``Recovery.on_recovery_completed`` resumes the source partitions while the consumer's flow is already on, and seeks to
the committed offsets afterwards. Two things go wrong in between:

- a fetch that is under way, or a batch that is being handed out, belongs to the positions before the seek. The seek
  rewinds ``Consumer._read_offset`` beneath it, so its next record looks like a jump, the records between are booked
  as a gap that compaction left, and the gap is committed: they are lost for good;
- what was written for this, ``Consumer.wait_for_stopped_flow``, waits for nothing: the event that it awaits is set at
  the beginning of a fetch, where it should be cleared.

The fix stops the flow first, waits until the consumer's loop is back at its start and stays there, drops what the
queues hold, and only then lets Faust resume and seek. The seek leaves out partitions without a commit (aiokafka's
``seek_to_committed``): what was handed out of them and dropped would be read again only by a new start, so that the fix
seeks these to the beginning of the log. `streams.intake` keeps the other half of the promise: it commits by
itself, in order, and refuses a jump that retention does not explain (`streams.positions`).
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer, ThreadDelegateConsumer

FAUST_VERSION = "0.15.3"
STOP_S_MAX = 30.0  # a fetch ends within 1 s; only a consumer that is being torn down takes longer
_IDLE = "headrace_idle"


def require_known_faust(found: str | None = None) -> None:
    """Return only if the installed Faust is the one that this fix was written for.

    Raises:
        RuntimeError: it is another version: read its table recovery anew, run tests/integration/test_rebalance.py.
    """
    found = found or version("faust-streaming")
    if found != FAUST_VERSION:
        raise RuntimeError(
            f"faust-streaming {found} is installed, but streams/recovery_fix.py is written for {FAUST_VERSION}: "
            f"another version may lose records (docs/adr/0003)"
        )


def apply() -> None:
    """Replace the three methods in this process; applying twice is the same as once.

    Raises:
        RuntimeError: as `require_known_faust`.
    """
    require_known_faust()
    if getattr(Recovery.on_recovery_completed, "headrace", False):
        return
    recovery: Any = Recovery
    consumer: Any = Consumer
    delegate: Any = ThreadDelegateConsumer
    recovery.on_recovery_completed = _stopping_the_flow(recovery.on_recovery_completed)
    consumer._wait_next_records = _noting_idleness(consumer._wait_next_records)
    delegate.seek_to_committed = _leaving_none_out(delegate.seek_to_committed)


def _stopping_the_flow(original: Any) -> Any:
    async def on_recovery_completed(self: Recovery, generation_id: int = 0) -> None:
        consumer, flow_control = self.app.consumer, self.app.flow_control
        consumer.stop_flow()
        flow_control.suspend()
        # `_wait` ends this when another rebalance begins or the app stops, as everywhere in the recovery.
        await self._wait(_idle(consumer).wait(), timeout=STOP_S_MAX)
        flow_control.clear()
        await original(self, generation_id)

    on_recovery_completed.headrace = True  # type: ignore[attr-defined]  # a mark on a function: `apply` reads it
    return on_recovery_completed


def _noting_idleness(original: Any) -> Any:
    """Wrap the beginning of the consumer's loop, so that it is known when the loop stands there with the flow off."""

    async def wait_next_records(self: Any, timeout: float) -> Any:
        idle = _idle(self)
        idle.set()
        while not self.flow_active and not self.should_stop:
            await self.wait(self.can_resume_flow)
        idle.clear()  # no await between the check of the flow and here: whoever stops it now waits for this round
        return await original(self, timeout)

    return wait_next_records


def _leaving_none_out(original: Any) -> Any:
    async def seek_to_committed(self: Any) -> Any:
        committed = await original(self)
        left_out = [part for part, offset in committed.items() if not offset and not self._is_changelog_tp(part)]
        if left_out:
            await self.seek_wait(await self.earliest_offsets(*left_out))
        return committed

    return seek_to_committed


def _idle(consumer: Any) -> asyncio.Event:
    idle: asyncio.Event | None = getattr(consumer, _IDLE, None)
    if idle is None:
        idle = asyncio.Event()
        idle.set()  # the loop has not begun
        setattr(consumer, _IDLE, idle)
    return idle
