"""The fold of a small topic, kept current: complete when it is handed out, and then each new record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from streams.kafka import KafkaSettings, tail_topic

Apply = Callable[[bytes | None, bytes | None], None]


@asynccontextmanager
async def following_fold(settings: KafkaSettings, topic: str, apply: Apply) -> AsyncIterator[asyncio.Task[None]]:
    """Call ``apply`` with key and value of every record of ``topic`` while the block runs; on entry it has seen all.

    The task that is yielded ends only by an error; the caller watches it.

    Raises:
        KafkaUnavailable: the topic cannot be read.
    """
    ready = asyncio.Event()

    async def follow() -> None:
        async for record in tail_topic(settings, topic, at_end=ready.set):
            apply(record.key, record.value)

    task = asyncio.create_task(follow(), name=topic)
    waiter = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    try:
        if task.done():
            task.result()
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
