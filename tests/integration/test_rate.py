"""A rate over all workers: never above it, while they come and go."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Answer, HeadraceProcess, KafkaForTests, Received, Receiver, eventually
from tests.integration.scenario import Scenario, Worker
from tests.integration.test_deliver import bodies, table

pytestmark = pytest.mark.integration

Start = Callable[..., HeadraceProcess]
RATE = 10
BURST = 10


def most_in_a_second(times_s: list[float]) -> int:
    """Return the most calls that came within any one second."""
    first = most = 0
    for last, at_s in enumerate(times_s):
        while times_s[first] <= at_s - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


class Service:
    """Refuses with 429 what is more than the rate and its burst in any one second, as a service with a limit does."""

    def __init__(self) -> None:
        self.refused = 0
        self._recent_s: deque[float] = deque()

    def answer(self, call: Received, _earlier: int) -> Answer:
        self._recent_s.append(call.at_s)
        while self._recent_s[0] <= call.at_s - 1:
            self._recent_s.popleft()
        if len(self._recent_s) <= RATE + BURST:
            return Answer()
        self.refused += 1
        return Answer(429, headers={"Retry-After": "1"})


async def calls_at_the_rate(scenario: Scenario, receiver: Receiver, *, stretch_s: float) -> list[int]:
    """Run three workers, kill one, add one; return the calls of each stretch without a change of members.

    The service has a limit, and none of all the calls runs into it.
    """
    service = Service()
    receiver.answers["/orders"] = service.answer
    await scenario.topics()
    await scenario.publish("orders", bodies(int(3 * stretch_s * RATE + 90 * RATE)))
    await scenario.worker("fan-out", "--only", "fan-out").ready()

    def member(name: str) -> Worker:
        return scenario.worker(name, "--only", "deliver")

    workers = [member(f"w{n}") for n in range(3)]
    for worker in workers:
        await worker.ready()
    counts = []

    async def each_has_its_share(members: list[Worker]) -> bool:
        group = scenario.names.deliver_group("crm")
        owned = [await worker.metric("headrace_assigned_partitions", group=group) for worker in members]
        assert all(owned), owned
        assert sum(owned) == scenario.partitions, owned
        return True

    async def stretch(members: list[Worker]) -> None:
        await eventually(lambda: each_has_its_share(members), 60)
        await asyncio.sleep(1)  # the buckets, which each new share empties, fill
        begun, begun_s = len(receiver.calls()), time.time()
        await asyncio.sleep(stretch_s)
        counts.append(len([c for c in receiver.calls()[begun:] if c.at_s < begun_s + stretch_s]))

    await stretch(workers)
    workers[0].process.kill()
    await stretch(workers[1:])
    workers[0] = await member("w3").ready()
    await stretch(workers)
    assert service.refused == 0
    return counts


def check_rate(receiver: Receiver, counts: list[int], *, stretch_s: float, tolerance: float) -> None:
    times_s = sorted(call.at_s for call in receiver.calls())
    assert most_in_a_second(times_s) <= RATE + BURST
    for count in counts:
        assert (1 - tolerance) * RATE * stretch_s <= count <= (1 + tolerance) * RATE * stretch_s, counts


async def test_three_workers_keep_a_rate_while_one_dies_and_one_comes(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    scenario = Scenario(kafka, tmp_path, table(receiver, rate=f"{RATE}/s"), headrace_process, partitions=8)
    counts = await calls_at_the_rate(scenario, receiver, stretch_s=4)
    # Over so short a stretch, what a busy machine delays shows; tests/chaos measures full minutes.
    check_rate(receiver, counts, stretch_s=4, tolerance=0.5)


async def test_a_quota_that_the_service_tells_is_never_used_up(
    kafka: KafkaForTests, tmp_path: Path, receiver: Receiver, headrace_process: Start
) -> None:
    limit, period_s, used = 30, 4.0, {}

    def answer(call: Received, _earlier: int) -> Answer:
        period = int(call.at_s // period_s)
        used[period] = used.get(period, 0) + 1
        left = limit - used[period]
        reset_s = (period + 1) * period_s - call.at_s
        headers = {
            "RateLimit": f'"default";r={max(0, left)};t={int(reset_s) + 1}',
            "RateLimit-Policy": f'"default";q={limit}',
        }
        return Answer(status=200 if left >= 0 else 429, headers=headers, delay_s=0.02)

    receiver.answers["/orders"] = answer
    scenario = Scenario(kafka, tmp_path, table(receiver, concurrency=2), headrace_process)
    await scenario.topics()
    worker = await scenario.worker().ready()
    await scenario.publish("orders", bodies(80))
    await eventually(lambda: len(receiver.keys()) == 80, 60)
    assert await worker.metric("headrace_attempts_total", destination="crm", outcome="rate_limited") == 0
    assert max(used.values()) <= limit
