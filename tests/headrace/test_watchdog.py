"""What counts as standing still."""

from __future__ import annotations

import asyncio
import threading
import time

from headrace.watchdog import EXIT_STALLED, LoopWatchdog, ProgressWatchdog


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_part_that_does_not_advance_although_work_is_due_has_stalled() -> None:
    clock = Clock()
    watchdog = ProgressWatchdog(stall_s_max=60, monotonic_s=clock)
    assert not watchdog.stalled("a", due=True, progress=1)
    clock.now_s = 61
    assert watchdog.stalled("a", due=True, progress=1)


def test_progress_and_idleness_begin_the_time_anew() -> None:
    clock = Clock()
    watchdog = ProgressWatchdog(stall_s_max=60, monotonic_s=clock)
    watchdog.stalled("a", due=True, progress=1)
    clock.now_s = 50
    assert not watchdog.stalled("a", due=True, progress=2)
    clock.now_s = 100
    assert not watchdog.stalled("a", due=False, progress=2)
    clock.now_s = 150
    assert not watchdog.stalled("a", due=True, progress=2)
    assert not watchdog.stalled("b", due=True, progress=2)
    clock.now_s = 161
    assert watchdog.stalled("a", due=True, progress=2)
    assert not watchdog.stalled("b", due=True, progress=2)


async def test_a_loop_that_is_blocked_ends_the_process() -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    task = asyncio.create_task(LoopWatchdog(stall_s_max=0.5, end=end).run())
    await asyncio.sleep(0)
    deadline = time.monotonic() + 20
    while not ended.is_set() and time.monotonic() < deadline:
        time.sleep(0.05)
    task.cancel()
    assert codes == [EXIT_STALLED]


def test_a_process_that_was_frozen_as_a_whole_is_given_its_time_again() -> None:
    clock = Clock()
    watchdog = LoopWatchdog(stall_s_max=60, monotonic_s=clock)
    for now_s in (1, 2, 100):  # frozen between 2 and 100: the watching thread did not run either
        clock.now_s = now_s
        assert not watchdog.stalled()
    for now_s in range(105, 161, 5):
        clock.now_s = now_s
        assert not watchdog.stalled()
    clock.now_s = 165
    assert watchdog.stalled()
