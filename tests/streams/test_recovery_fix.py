"""The fix is for one version of Faust, and stops the flow before Faust seeks. What for: tests/integration."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer, ThreadDelegateConsumer

from streams import recovery_fix


def test_another_faust_is_refused_with_a_reason() -> None:
    recovery_fix.require_known_faust()
    with pytest.raises(RuntimeError, match=r"0\.15\.4 is installed, but .* written for 0\.15\.3"):
        recovery_fix.require_known_faust("0.15.4")


def test_applying_twice_is_applying_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recovery, "on_recovery_completed", Recovery.on_recovery_completed)
    monkeypatch.setattr(Consumer, "_wait_next_records", Consumer._wait_next_records)
    monkeypatch.setattr(ThreadDelegateConsumer, "seek_to_committed", ThreadDelegateConsumer.seek_to_committed)

    def methods() -> tuple[object, ...]:
        return Recovery.on_recovery_completed, Consumer._wait_next_records, ThreadDelegateConsumer.seek_to_committed

    recovery_fix.apply()
    once = methods()
    recovery_fix.apply()
    assert methods() == once


async def test_faust_seeks_only_when_the_consumers_loop_stands_still() -> None:
    events: list[str] = []
    fetched = asyncio.Event()

    async def fetch(_: Any, timeout: float) -> str:
        events.append("fetch begins")
        await fetched.wait()
        events.append("fetch ends")
        return "records"

    async def seek(_: Any, generation_id: int) -> None:
        events.append(f"seek in generation {generation_id}")

    async def wait(waited: Any, timeout: float | None = None) -> None:
        await (waited.wait() if isinstance(waited, asyncio.Event) else waited)

    consumer = SimpleNamespace(flow_active=True, should_stop=False, can_resume_flow=asyncio.Event(), wait=wait)
    consumer.stop_flow = lambda: setattr(consumer, "flow_active", False)
    flow_control = SimpleNamespace(suspend=lambda: events.append("suspend"), clear=lambda: events.append("clear"))
    recovery: Any = SimpleNamespace(app=SimpleNamespace(consumer=consumer, flow_control=flow_control), _wait=wait)
    wait_next_records = recovery_fix._noting_idleness(fetch)

    async def loop() -> None:
        while True:
            await wait_next_records(consumer, 1.0)

    looping = asyncio.create_task(loop())
    await asyncio.sleep(0)
    completing = asyncio.create_task(recovery_fix._stopping_the_flow(seek)(recovery, 7))
    for _ in range(10):
        await asyncio.sleep(0)
    assert events == ["fetch begins", "suspend"]
    fetched.set()
    await completing
    assert events == ["fetch begins", "suspend", "fetch ends", "clear", "seek in generation 7"]
    looping.cancel()
