"""What services say of their quota is read in all its forms, and heeded before it is used up."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import RateLimited
from connectors.quota import Quota, read_quota
from connectors.rate_limit import RateLimiter
from tests.connectors.clock import Clock

NOW_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "quota"),
    [
        ({b"ratelimit": b'"default";r=50;t=30'}, Quota(50, 30)),
        ({b"ratelimit": b'"default";r=50;t=30', b"ratelimit-policy": b'"default";q=100;w=60'}, Quota(50, 30, 100)),
        ({b"ratelimit": b'"day";r=900;t=4000, "minute";r=3;t=20'}, Quota(3, 20)),
        ({b"ratelimit": b"limit=100, remaining=50, reset=5"}, Quota(50, 5, 100)),
        ({b"ratelimit-limit": b"9, 9;w=60", b"ratelimit-remaining": b"7", b"ratelimit-reset": b"9"}, Quota(7, 9, 9)),
        ({b"x-ratelimit-remaining": b"7", b"x-ratelimit-reset": b"1700000060"}, Quota(7, 60)),
        (
            {b"x-ratelimit-limit": b"5", b"x-ratelimit-remaining": b"1", b"x-ratelimit-reset-after": b"0.5"},
            Quota(1, 0.5, 5),
        ),
        ({b"x-rate-limit-remaining": b"7", b"x-rate-limit-reset": b"60"}, Quota(7, 60)),
        ({b"x-ratelimit-remaining": b"7"}, None),
        ({b"x-ratelimit-remaining": b"-7", b"x-ratelimit-reset": b"5"}, None),
        ({b"ratelimit": b"nonsense"}, None),
        ({}, None),
    ],
)
def test_each_form_is_read(headers: dict[bytes, bytes], quota: Quota | None) -> None:
    assert read_quota(headers, now_s=NOW_S) == quota


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_whatever_a_service_says_is_a_quota_or_none(ratelimit: bytes, other: bytes) -> None:
    for headers in (
        {b"ratelimit": ratelimit, b"ratelimit-policy": other},
        {b"x-ratelimit-remaining": ratelimit, b"x-ratelimit-reset": other, b"x-ratelimit-limit": other},
    ):
        quota = read_quota(headers, now_s=NOW_S)
        assert quota is None or (quota.remaining >= 0 and 0 <= quota.reset_s <= 86_400)


class Service:
    """Allows ``limit`` calls in each period of ``period_s``, says so, and counts its refusals."""

    def __init__(self, clock: Clock, *, limit: int, period_s: float) -> None:
        self.clock, self.limit, self.period_s = clock, limit, period_s
        self.period, self.used, self.refusals = -1, 0, 0
        self.at_s: list[float] = []

    def call(self) -> Quota:
        period = int(self.clock() // self.period_s)
        if period != self.period:
            self.period, self.used = period, 0
        self.used += 1
        self.at_s.append(self.clock())
        self.refusals += self.used > self.limit
        reset_s = (period + 1) * self.period_s - self.clock()
        return Quota(max(0, self.limit - self.used), reset_s, self.limit)


async def test_the_second_half_of_a_quota_is_spread_and_no_call_is_refused() -> None:
    clock = Clock()
    service = Service(clock, limit=100, period_s=60)
    limiter = RateLimiter(None, now=clock, sleep=clock.sleep)
    for _ in range(350):
        await limiter.acquire()
        quota = service.call()
        if quota.remaining:
            limiter.learn(quota)
        else:
            limiter.block_for(quota.reset_s)
        await clock.sleep(0.01)
    assert service.refusals == 0
    gaps_s = [later - earlier for earlier, later in zip(service.at_s, service.at_s[1:], strict=False)]
    assert max(gaps_s) < 5  # spread, not stopped until the period ends
    assert service.at_s[-1] - service.at_s[0] < 4 * 60


async def test_workers_share_what_is_left() -> None:
    clock = Clock()
    limiter = RateLimiter(None, now=clock, sleep=clock.sleep)
    limiter.share(1, 4)
    limiter.learn(Quota(40, 60, 100))
    for _ in range(10):
        await limiter.acquire()
    assert clock() < 1060
    await limiter.acquire()
    assert clock() >= 1060


async def test_answers_that_overtake_one_another_give_no_call_back() -> None:
    clock = Clock()
    limiter = RateLimiter(None, now=clock, sleep=clock.sleep)
    limiter.learn(Quota(1, 30, 100))
    limiter.learn(Quota(9, 30, 100))
    await limiter.acquire()
    await limiter.acquire()
    assert clock() >= 1030


async def test_calls_in_flight_are_counted_before_the_service_counts_them() -> None:
    clock = Clock()
    limiter = RateLimiter(None, now=clock, sleep=clock.sleep)
    limiter.learn(Quota(5, 30, 100), in_flight=5)
    await limiter.acquire()
    assert clock() >= 1030


async def test_a_period_begins_with_no_more_calls_than_the_quota_has() -> None:
    clock = Clock()
    limiter = RateLimiter(None, now=clock, sleep=clock.sleep)
    limiter.learn(Quota(0, 4, 10))
    for _ in range(10):
        await limiter.acquire()
    assert 1004 <= clock() < 1005
    await limiter.acquire()  # no answer has told of the period: it is taken for over
    assert 1014 <= clock() < 1015
    before_s = clock()
    for _ in range(100):
        await limiter.acquire()  # nor is there a quota any more
    assert clock() == before_s


async def test_the_first_answer_of_a_period_says_what_is_left_of_it() -> None:
    clock = Clock()
    limiter = RateLimiter(None, now=clock, sleep=clock.sleep)
    limiter.learn(Quota(3, 4, None))
    await clock.sleep(5)
    await limiter.acquire()
    limiter.learn(Quota(99, 60, 100), in_flight=1)
    for _ in range(98):
        await limiter.acquire()
    assert clock() < 1060
    await limiter.acquire()
    assert clock() >= 1065


async def test_each_worker_may_find_out_about_a_period_however_small_its_share() -> None:
    clock = Clock()
    limiter = RateLimiter(None, now=clock, sleep=clock.sleep)
    limiter.share(1, 8)
    limiter.learn(Quota(0, 4, 5))
    await limiter.acquire()
    assert 1004 <= clock() < 1005


@pytest.mark.parametrize("status", [200, 429])
async def test_a_quota_that_an_answer_calls_used_up_is_remembered_for_the_next_period(
    open_destination: Any, service: Any, status: int
) -> None:
    clock = Clock()
    settings = {"base_url": service.base_url, "retry": {"attempts": 1}, "delays_s": []}
    destination = await open_destination("http", settings, now=clock, sleep=clock.sleep)
    headers = {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4"}
    service.answer(status, headers=headers)
    service.answer(200)

    async def go() -> None:
        pass

    async def send() -> float:
        with contextlib.suppress(RateLimited):
            await destination.call("request", {}, idempotency_key="k", before_attempt=go)
        return clock()

    assert await send() < 1004
    assert 1004 <= await send() < 1005
    assert await send() < 1005
    assert await send() >= 1014


async def test_a_quota_that_is_ample_slows_nothing() -> None:
    clock = Clock()
    limiter = RateLimiter(None, now=clock, sleep=clock.sleep)
    limiter.learn(Quota(4000, 3600, 5000))
    for _ in range(100):
        assert await limiter.acquire() == 0
