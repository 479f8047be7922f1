"""Attempts in place: exponential backoff with jitter, by tenacity. Longer waits are the retry topics' part."""

from __future__ import annotations

import random as random_module
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from connectors.errors import TransientError
from connectors.settings import RetrySettings

T = TypeVar("T")


def backoff_s(failures: int, settings: RetrySettings, *, random: Callable[[], float] = random_module.random) -> float:
    """Return how long to wait after so many failures in a row: doubling, with jitter, always within the bounds."""
    low, high = settings.backoff_s
    floor = min(high, low * 2.0 ** min(failures - 1, 32))
    return floor + random() * (min(high, 2 * floor) - floor)


def is_worth_waiting(error: BaseException, settings: RetrySettings, *, in_place: bool = False) -> bool:
    """Return whether to wait in place: the failure is transient, and asks for no more than the longest backoff.

    With ``in_place`` it may ask for any wait.
    """
    if not isinstance(error, TransientError):
        return False
    return in_place or (error.retry_after_s or 0.0) <= settings.backoff_s[1]


async def call_with_retries(
    attempt: Callable[[], Awaitable[T]],
    settings: RetrySettings,
    *,
    sleep: Callable[[float], Awaitable[None]],
    random: Callable[[], float] = random_module.random,
    in_place: bool = False,
) -> T:
    """Return what ``attempt`` returns, after at most ``settings.attempts`` calls of it.

    ``in_place`` waits as long as a failure asks for, however long that is.

    Raises:
        Whatever the last attempt, or ``sleep``, raised.
    """
    try:
        return await attempt()  # most calls end here: tenacity, which costs 24 µs a call, sees failures only
    except TransientError as error:
        if settings.attempts == 1 or not is_worth_waiting(error, settings, in_place=in_place):
            raise
        first = error

    def wait_s(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s or 0.0 if isinstance(error, TransientError) else 0.0
        return max(asked_s, backoff_s(state.attempt_number, settings, random=random))

    failed: list[TransientError] = [first]

    async def attempt_again() -> T:
        if failed:
            raise failed.pop()
        return await attempt()

    retrying = AsyncRetrying(
        stop=stop_after_attempt(settings.attempts),
        wait=wait_s,
        retry=retry_if_exception(lambda error: is_worth_waiting(error, settings, in_place=in_place)),
        sleep=sleep,
        reraise=True,
    )
    return await retrying(attempt_again)
