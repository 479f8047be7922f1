import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import PermanentError, RateLimited, TransientError
from connectors.retry import backoff_s, call_with_retries
from connectors.settings import RetrySettings
from tests.connectors.clock import Clock

SETTINGS = RetrySettings(attempts=3, backoff_s=(2, 10))


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0.1, 100), st.floats(0, 1000))
def test_a_backoff_is_always_within_its_bounds(failures, chance, low, more):
    settings = RetrySettings(backoff_s=(low, low + more))
    assert low <= backoff_s(failures, settings, random=lambda: chance) <= low + more


def test_a_backoff_doubles_with_jitter():
    assert [backoff_s(n, SETTINGS, random=lambda: 0.5) for n in (1, 2, 3, 4)] == [3, 6, 9, 10]


async def attempts_of(errors, settings=SETTINGS):
    clock, calls = Clock(), []

    async def attempt():
        calls.append(clock.now_s)
        error = errors[len(calls) - 1]
        if error is not None:
            raise error
        return "done"

    try:
        result = await call_with_retries(attempt, settings, sleep=clock.sleep, random=lambda: 0.5)
    except Exception as error:
        result = error
    return result, len(calls), clock.slept_s


async def test_success_needs_one_attempt():
    assert await attempts_of([None]) == ("done", 1, [])


async def test_transient_failures_are_tried_again_with_backoff():
    assert await attempts_of([TransientError("a"), TransientError("b"), None]) == ("done", 3, [3, 6])


async def test_the_last_failure_is_raised_when_the_attempts_are_spent():
    last = TransientError("c")
    assert await attempts_of([TransientError("a"), TransientError("b"), last]) == (last, 3, [3, 6])


async def test_one_attempt_is_one_attempt():
    error = TransientError("a")
    assert await attempts_of([error], RetrySettings(attempts=1)) == (error, 1, [])


@pytest.mark.parametrize("error", [PermanentError("no"), KeyError("x"), TransientError("later", retry_after_s=10.5)])
@pytest.mark.parametrize("before", [0, 1])
async def test_what_waiting_in_place_does_not_help_is_raised_at_once(error, before):
    result, calls, _ = await attempts_of([TransientError("a")] * before + [error])
    assert (result, calls) == (error, before + 1)


async def test_a_short_retry_after_is_waited_in_place():
    assert await attempts_of([RateLimited("slow", retry_after_s=8), None]) == ("done", 2, [8])
