import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.quota import Quota
from connectors.rate_limit import RateLimiter
from connectors.settings import rate_per_s
from tests.connectors.clock import Clock, never


def limiter_of(rate, clock):
    return RateLimiter(rate, now=clock, sleep=clock.sleep)


async def passed_within(limiter, clock, seconds):
    until_s, passed = clock.now_s + seconds, 0
    while True:
        await limiter.acquire()
        if clock.now_s > until_s + 1e-6:
            return passed
        passed += 1


@pytest.mark.parametrize(("text", "per_s"), [("10/s", 10), ("120/m", 2), ("1800/h", 0.5)])
def test_rates_are_per_second_minute_or_hour(text, per_s):
    assert rate_per_s(text) == per_s


async def test_a_bucket_starts_empty_and_then_keeps_the_rate():
    clock = Clock()
    assert await passed_within(limiter_of(10, clock), clock, 5) == 50


async def test_a_burst_is_at_most_half_a_second():
    clock = Clock()
    limiter = limiter_of(10, clock)
    clock.now_s += 3600
    assert await passed_within(limiter, clock, 0.01) == 5


async def test_a_rate_below_one_a_second_still_passes():
    clock = Clock()
    assert await passed_within(limiter_of(1 / 6, clock), clock, 60) == 10


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 3)), max_size=8))
def test_never_above_the_rate_whatever_the_share_does(changes):
    async def run():
        clock = Clock()
        limiter = limiter_of(6, clock)
        allowed = 1.0
        for part, seconds in changes:
            limiter.share(part, 6)
            allowed += part * seconds + 1e-6
            passed = 0
            task = asyncio.ensure_future(passed_within(limiter, clock, seconds)) if part else None
            passed = await task if task else 0
            assert passed <= part * seconds + max(1, part) + 1e-6

    asyncio.run(run())


async def test_a_change_of_share_empties_the_bucket_and_the_same_share_does_not():
    clock = Clock()
    limiter = limiter_of(10, clock)
    clock.now_s += 10
    limiter.share(2, 2)
    assert limiter.used_ratio == 0
    limiter.share(1, 2)
    assert limiter.used_ratio == 1
    assert limiter.rate_per_s == 5
    assert await passed_within(limiter, clock, 2) == 10


async def test_no_part_lets_nothing_go_until_there_is_one():
    clock = Clock()
    limiter = limiter_of(10, clock)
    limiter.share(0, 4)
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    limiter.share(4, 4)
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize(("part", "whole"), [(1, 0), (-1, 2), (3, 2)])
def test_what_is_no_share_is_refused(part, whole):
    with pytest.raises(ValueError, match="not a share"):
        limiter_of(1, Clock()).share(part, whole)


@pytest.mark.parametrize("rate", [None, 100.0])
async def test_a_block_holds_everybody_and_the_longest_stays(rate):
    clock = Clock()
    limiter = limiter_of(rate, clock)
    assert limiter.block_for(20)
    assert not limiter.block_for(5)
    assert await limiter.acquire() >= 20
    assert clock.now_s >= 1_020


async def test_a_block_is_an_hour_at_most():
    clock = Clock()
    limiter = limiter_of(None, clock)
    limiter.block_for(1e12)
    assert limiter.blocked_s == 3600
    limiter.block_for(-5)


async def test_what_a_service_holds_up_is_told_and_ones_own_rate_is_not():
    clock, held = Clock(), []
    limiter = RateLimiter(10, now=clock, sleep=clock.sleep, on_held=lambda by, seconds: held.append((by, seconds)))
    for _ in range(20):
        await limiter.acquire()
    assert held == []
    limiter.block_for(20)
    await asyncio.gather(*(limiter.acquire() for _ in range(3)))  # one waits, and the others for it
    assert {by for by, _ in held} == {"blocked"}
    assert sum(seconds for _, seconds in held) == pytest.approx(20)
    assert max(seconds for _, seconds in held) <= 1  # told on the way, so that a long wait shows
    held.clear()
    limiter.learn(Quota(remaining=4, reset_s=50))
    for _ in range(4):
        await limiter.acquire()
    assert {by for by, _ in held} == {"spread"}
    assert sum(seconds for _, seconds in held) == pytest.approx(40, abs=0.5)


async def test_a_wait_that_is_cancelled_was_held_up_all_the_same():
    clock, held = Clock(), []

    async def sleep(seconds):
        clock.now_s += 0.4
        await never(seconds)

    limiter = RateLimiter(None, now=clock, sleep=sleep, on_held=lambda by, seconds: held.append((by, seconds)))
    limiter.block_for(20)
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert held == [("blocked", pytest.approx(0.4))]


async def test_first_come_first_served_and_a_cancelled_wait_takes_nothing():
    clock = Clock()
    limiter = limiter_of(1, clock)
    order = []

    async def take(name):
        await limiter.acquire()
        order.append(name)

    tasks = [asyncio.create_task(take(name)) for name in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4]
    assert clock.now_s == pytest.approx(1_004)


async def test_a_cancelled_sleeper_hands_on_its_turn():
    limiter = RateLimiter(1, sleep=never)
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert limiter._turns._free == 1
