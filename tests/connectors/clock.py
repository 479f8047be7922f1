"""A clock that only sleeping moves: tests of waits take no time."""

import asyncio


class Clock:
    def __init__(self, now_s: float = 1_000.0) -> None:
        self.now_s = now_s
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Wake when the clock has come that far; whoever sleeps shortest moves it."""
        self.slept_s.append(seconds)
        until_s = self.now_s + seconds
        await asyncio.sleep(0)
        self.now_s = max(self.now_s, until_s)


async def never(seconds: float) -> None:
    await asyncio.Event().wait()
