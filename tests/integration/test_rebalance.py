"""Partitions that move: workers join, leave, are killed, frozen, and lose their data directory, with a ledger.

What goes wrong without the fix is a race (docs/adr/0003); ``-m chaos`` runs it both ways.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.harness import KafkaForTests, eventually
from tests.integration.fan_out_scenario import FanOutScenario, Worker, event

# Enough work for all of the moves: stock Faust does one record after the other, fan-out 128 at once.
STOCK = {"without": "all", "pause_s": 0.012}
STOCK_EVENTS = 3000
FIXED = {"pause_s": 0.25}
FIXED_EVENTS = 20_000


async def keep_posting(scenario: FanOutScenario, until: asyncio.Event, per_round: int) -> None:
    for n in itertools.count():
        await scenario.post([event(f"e{n}-{i}") for i in range(per_round)])
        with suppress(TimeoutError):  # the pace of the load
            await asyncio.wait_for(until.wait(), 0.25)
            return


async def advanced(scenario: FanOutScenario, by: int = 50) -> None:
    """Return when deliveries have grown: a worker is at work again."""
    before = sum((await scenario.delivered()).values())

    async def grown() -> bool:
        return sum((await scenario.delivered()).values()) >= before + by

    await eventually(grown, 40)


async def restart_if_ended(scenario: FanOutScenario, worker: Worker, name: str, **options: Any) -> Worker:
    """What `headrace run` does with a worker that ended by itself."""
    return worker if worker.process.poll() is None else scenario.start(name, **options)


@pytest.mark.timeout(240)
async def test_workers_join_leave_die_freeze_and_lose_their_data(kafka: KafkaForTests, tmp_path: Path) -> None:
    options = {"pause_s": 0.05}  # times 128 in flight: work goes on through all of it
    async with FanOutScenario(kafka, tmp_path) as scenario:
        moved = asyncio.Event()
        posting = asyncio.create_task(keep_posting(scenario, moved, 100))
        first = scenario.start("w1", **options)
        await advanced(scenario)
        second = scenario.start("w2", **options)  # joins
        await second.joined()
        assert await second.end() == 0  # leaves
        await advanced(scenario)
        assert await scenario.repeated() == 0  # so far nobody was killed
        second = scenario.start("w2", **options)
        await second.joined()
        await first.end(signal.SIGKILL)
        shutil.rmtree(tmp_path / "w1")  # and its disk is gone
        first = scenario.start("w1", **options)
        await first.joined()
        await advanced(scenario)
        second.process.send_signal(signal.SIGSTOP)
        await first.holds(scenario.partitions)  # the second's session is over
        await advanced(scenario)
        had = len(second.assignments())
        second.process.send_signal(signal.SIGCONT)
        await eventually(lambda: len(second.assignments()) > had or second.process.poll() is not None, 60)
        await advanced(scenario)
        moved.set()
        await posting
        await scenario.all_committed(90)
        assert await scenario.repeated() <= 2 * 2 * 128  # in flight, on two routes: killed once, frozen once
        first, second = await restart_if_ended(scenario, first, "w1"), await restart_if_ended(scenario, second, "w2")
        before = await scenario.delivered()
        assert [await first.end(), await second.end()] == [0, 0]
        scenario.start("w1")  # the same after one more restart
        await scenario.post([event("last")])
        await scenario.all_committed(90)
        assert sum((await scenario.delivered()).values()) == sum(before.values()) + 2


async def churn(scenario: FanOutScenario, **options: Any) -> None:
    """The sequence of moves under which stock Faust loses records: join, SIGTERM, join, kill -9, join."""
    first = scenario.start("w1", **options)
    await asyncio.sleep(9)
    second = scenario.start("w2", **options)
    await asyncio.sleep(12)
    await second.end()
    await asyncio.sleep(4)
    second = scenario.start("w2", **options)
    await asyncio.sleep(9)
    await first.end(signal.SIGKILL)
    await asyncio.sleep(3)
    scenario.start("w1", **options)


async def lost_for_good(scenario: FanOutScenario, events: int, **options: Any) -> int:
    """Return how many deliveries are missing once everything is committed; a stall is ended by new processes."""
    await scenario.post([event(f"e{i}") for i in range(events)])
    await churn(scenario, **options)
    for _ in range(4):
        still, last = 0, -1
        while still < 15 and await scenario.uncommitted():
            await asyncio.sleep(1)
            now = sum((await scenario.delivered()).values())
            still, last = (still + 1, last) if now == last else (0, now)
        if not await scenario.uncommitted():
            break
        for worker in scenario.workers:
            await worker.end(signal.SIGKILL)
        scenario.start("w1", **options)
    return len(scenario.expected - set(await scenario.delivered()))


@pytest.mark.chaos
@pytest.mark.timeout(1200)
async def test_without_the_fixes_records_are_lost(kafka: KafkaForTests, tmp_path: Path) -> None:
    losses = []
    for attempt in range(6):
        async with FanOutScenario(kafka, tmp_path / str(attempt)) as scenario:
            losses.append(await lost_for_good(scenario, STOCK_EVENTS, **STOCK))
        if losses[-1]:
            break
    assert losses[-1] > 0, f"no loss in {len(losses)} runs: is Faust mended? Then the fix may go"


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("attempt", range(3))
async def test_with_the_fixes_none_is_lost(kafka: KafkaForTests, tmp_path: Path, attempt: int) -> None:
    async with FanOutScenario(kafka, tmp_path) as scenario:
        assert await lost_for_good(scenario, FIXED_EVENTS, **FIXED) == 0
        await scenario.all_committed()
