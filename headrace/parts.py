"""The parts of a process: tasks that all run as long as it does, so that one that ends by itself ends it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any


class PartFailed(Exception):
    """A part ended, or stopped advancing, although nobody stopped it."""


class Parts:
    """What must go on. ``ended`` is set when the process is to end, and ``failure`` is why, if nobody asked for it."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.failure: BaseException | None = None

    def spawn(self, stack: contextlib.AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` as a part until the stack is unwound."""
        task = asyncio.create_task(work, name=name)
        self.watch(task, name)
        stack.push_async_callback(_cancel, task)

    def watch(self, task: asyncio.Future[None], name: str) -> None:
        """End the process when ``task`` fails, or ends before the process does."""

        def ended(task: asyncio.Future[None]) -> None:
            if task.cancelled() or self.ended.is_set():
                return
            self.fail(task.exception() or PartFailed(f"{name} ended"))

        task.add_done_callback(ended)

    def fail(self, error: BaseException) -> None:
        """End the process for this reason, unless there is one already."""
        if self.failure is None:
            self.failure = error
        self.ended.set()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
