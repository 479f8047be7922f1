"""Restarts, without processes or a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from headrace.broker import BrokerError
from headrace.keeper import SOON_S, Keeper, PartLost


class Mortal:
    """A part that lives as long as its script says; a text is an error at its start."""

    def __init__(self, lives_s: list[float | str], clock: Clock) -> None:
        self.lives_s, self.clock, self.starts = lives_s, clock, 0

    async def start(self) -> None:
        life = self.lives_s[self.starts]
        self.starts += 1
        if isinstance(life, str):
            raise BrokerError(life)

    async def wait(self) -> str:
        if self.starts == len(self.lives_s):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        self.clock.now_s += float(self.lives_s[self.starts - 1])
        return "it ended with code 1"


class Clock:
    def __init__(self) -> None:
        self.now_s, self.slept_s = 0.0, list[float]()

    async def sleep(self, pause_s: float) -> None:
        self.slept_s.append(pause_s)
        await asyncio.sleep(0)


def _keeper(lives_s: list[float | str], *, ready: bool) -> tuple[Keeper, Mortal, Clock, list[str]]:
    clock, said = Clock(), list[str]()
    part = Mortal(lives_s, clock)

    async def wait_ready() -> None:
        if not ready:
            await asyncio.Event().wait()

    keeper = Keeper("it", part, wait_ready=wait_ready, tell=said.append, now=lambda: clock.now_s, sleep=clock.sleep)
    return keeper, part, clock, said


async def _run_until(keeper: Keeper, condition: Callable[[], bool]) -> None:
    task = asyncio.create_task(keeper.run())
    for _ in range(1000):
        if condition():
            break
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_pauses_grow_and_each_is_said() -> None:
    keeper, part, clock, said = _keeper([1.0] * 8, ready=True)
    await _run_until(keeper, lambda: part.starts == 8)
    assert clock.slept_s == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert said[0] == "it ended with code 1; starting it again in 0.5 s"
    assert keeper.ready.is_set()


async def test_a_long_life_is_forgiven() -> None:
    keeper, part, clock, _ = _keeper([1.0, 1.0, SOON_S, 1.0, 1.0], ready=True)
    await _run_until(keeper, lambda: part.starts == 5)
    assert clock.slept_s == [0.5, 1.0, 0.5, 1.0]


async def test_a_part_that_is_never_ready_is_given_up_after_five_deaths() -> None:
    keeper, part, _, _ = _keeper([1.0] * 9, ready=False)
    with pytest.raises(PartLost, match="it cannot be kept up, it died 5 times in a row: it ended with code 1"):
        await keeper.run()
    assert part.starts == 5
    assert not keeper.ready.is_set()


async def test_a_part_that_is_ready_each_time_gets_more_tries() -> None:
    keeper, part, _, _ = _keeper([1.0] * 30, ready=True)
    with pytest.raises(PartLost, match="died 20 times in a row"):
        await keeper.run()
    assert part.starts == 20


async def test_a_start_that_fails_counts() -> None:
    keeper, part, _, said = _keeper(["the disk is full", "the disk is full", 1.0], ready=True)
    await _run_until(keeper, lambda: part.starts == 3)
    assert said == ["the disk is full; starting it again in 0.5 s", "the disk is full; starting it again in 1 s"]
