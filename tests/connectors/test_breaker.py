import asyncio

import pytest

from connectors.breaker import CircuitBreaker
from tests.connectors.clock import Clock, never


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def changes():
    return []


@pytest.fixture
def breaker(clock, changes):
    return CircuitBreaker(3, 30, now=clock, sleep=clock.sleep, on_change=changes.append)


async def fail(breaker, times):
    for _ in range(times):
        (await breaker.admit()).failed()


async def test_opens_after_failures_in_a_row_and_a_success_begins_the_count_anew(breaker, changes):
    await fail(breaker, 2)
    (await breaker.admit()).succeeded()
    await fail(breaker, 2)
    assert breaker.state == "closed"
    await fail(breaker, 1)
    assert breaker.state == "open"
    assert breaker.is_open
    assert changes == ["open"]


async def test_waits_then_lets_one_probe_through_whose_success_closes(breaker, clock, changes):
    await fail(breaker, 3)
    probe = await breaker.admit()
    assert probe.is_probe
    assert clock.now_s == pytest.approx(1_030)
    assert breaker.is_open
    assert breaker.state == "half_open"
    other = asyncio.create_task(breaker.admit())
    await asyncio.sleep(0.01)
    assert not other.done()
    probe.succeeded()
    assert not (await other).is_probe
    assert breaker.state == "closed"
    assert changes == ["open", "half_open", "closed"]


async def test_a_failed_probe_opens_for_the_whole_time_again(breaker, clock):
    await fail(breaker, 3)
    (await breaker.admit()).failed()
    assert breaker.state == "open"
    assert (await breaker.admit()).is_probe
    assert clock.now_s == pytest.approx(1_060)


async def test_an_abandoned_probe_gives_its_place_to_the_next(breaker):
    await fail(breaker, 3)
    probe = await breaker.admit()
    waiting = asyncio.create_task(breaker.admit())
    await asyncio.sleep(0.01)
    probe.abandoned()
    assert (await waiting).is_probe


async def test_half_open_is_not_open_until_a_probe_is_out_so_that_somebody_takes_a_record_to_probe_with(breaker, clock):
    await fail(breaker, 3)
    clock.now_s += 30
    assert breaker.state == "half_open"
    assert not breaker.is_open
    await asyncio.wait_for(breaker.wait_closed(), 1)


async def test_the_end_of_a_call_from_before_the_opening_says_nothing(breaker):
    late = [await breaker.admit() for _ in range(4)]
    await fail(breaker, 3)
    late[0].succeeded()
    assert breaker.state == "open"
    probe = await breaker.admit()
    late[1].succeeded()
    late[2].failed()
    assert breaker.state == "half_open"
    probe.succeeded()
    late[3].failed()
    assert breaker.state == "closed"


async def test_late_failures_do_not_keep_it_open_longer(breaker, clock):
    late = [await breaker.admit() for _ in range(3)]
    await fail(breaker, 3)
    clock.now_s += 20
    for admission in late:
        admission.failed()
    assert (await breaker.admit()).is_probe
    assert clock.now_s == pytest.approx(1_030)


async def test_only_the_first_end_counts(breaker):
    admission = await breaker.admit()
    for _ in range(5):
        admission.failed()
    assert breaker.state == "closed"


async def test_a_cancelled_wait_takes_nothing():
    breaker = CircuitBreaker(1, 30, sleep=never)
    (await breaker.admit()).failed()
    waiting = asyncio.create_task(breaker.admit())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert breaker.state == "open"
