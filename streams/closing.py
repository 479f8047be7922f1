"""Closing Kafka clients, which hang while the broker is away (aiokafka #1101)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError


async def close_within(
    timeout_s: float, closing: Awaitable[object], failed: Callable[[Exception], object] = lambda _error: None
) -> None:
    """Await ``closing`` for so long at most; ``failed`` is told why it did not end well, and nothing is raised."""
    try:
        async with asyncio.timeout(timeout_s):
            await closing
    except (KafkaError, TimeoutError, OSError) as error:
        failed(error)
