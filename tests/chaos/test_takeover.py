"""Taking over by steps, in full size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import HeadraceProcess, KafkaForTests, Receiver
from tests.takeover_moves import take_over


@pytest.mark.timeout(900)
async def test_there_and_back_while_workers_are_killed(
    kafka: KafkaForTests, tmp_path: Path, headrace_process: Callable[..., HeadraceProcess], receiver: Receiver
) -> None:
    sides = await take_over(
        kafka,
        tmp_path,
        headrace_process,
        receiver,
        percents=(0, 10, 50, 100, 0),
        step_s=20,
        per_s=200,
        kills=4,
    )
    print(f"{len(sides.sent)} sent, {len(sides.live)} by the route, {len(sides.mirrored)} by its mirror")
    sides.assert_each_on_one_side()
