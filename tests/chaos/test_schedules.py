"""Schedules in full size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import HeadraceProcess, KafkaForTests, Receiver
from tests.schedule_moves import fire_through_kills


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [2, 3])
async def test_200_schedules_each_second_for_ten_minutes(
    kafka: KafkaForTests,
    tmp_path: Path,
    headrace_process: Callable[..., HeadraceProcess],
    receiver: Receiver,
    workers: int,
) -> None:
    fired = await fire_through_kills(
        kafka, tmp_path, headrace_process, receiver, schedules=200, workers=workers, seconds=600, kills=8
    )
    late_s, copies = fired.late_s, len(fired.events) - len({event.id for event in fired.events})
    print(f"{workers} workers, 8 kills: {len(fired.due)} due, {len(fired.due - set(fired.keys))} missing,")
    print(f"{copies} copies that fan-out dropped, late p50 {late_s[len(late_s) // 2]:.3f} s,")
    print(f"p99 {late_s[len(late_s) * 99 // 100]:.3f} s, most {late_s[-1]:.3f} s")
    fired.assert_each_is_one_event()
