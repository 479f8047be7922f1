"""Whose turn it is: places that are given in the order of asking, calls of high priority first.

Some places are kept for each of the two kinds, so that neither waits for the other to end; and after
`HIGH_IN_A_ROW_MAX` of high priority one that is not goes, so that it is slowed down and never starved.
"""

from __future__ import annotations

import asyncio
from collections import deque

HIGH_IN_A_ROW_MAX = 9


class Turns:
    """``places`` that are taken and given back. A cancelled wait takes none."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._places = places
        self._held = {False: 0, True: 0}
        self._most = {False: places, True: places}
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {False: deque(), True: deque()}
        self._high_in_a_row = 0

    def keep(self, places: int) -> None:
        """Keep so many places for each kind: neither may hold the last ``places`` of them all."""
        self._most = dict.fromkeys(self._most, max(1, self._places - places))

    async def take(self, high: bool) -> None:
        """Return when a place is held; `give_back` must follow."""
        if self._may(high) and all(turn.done() for turn in self._waiting[high]):
            self._hold(high)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[high].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(high)  # it was given just before
            raise

    def give_back(self, high: bool) -> None:
        """Give a held place back, to whoever is next."""
        self._free += 1
        self._held[high] -= 1
        while (next_ := self._next()) is not None:
            self._hold(next_)
            self._waiting[next_].popleft().set_result(None)

    def _may(self, high: bool) -> bool:
        return self._free > 0 and self._held[high] < self._most[high]

    def _next(self) -> bool | None:
        """Return of which kind the next to go is, ``None`` if nobody may."""
        for waiting in self._waiting.values():
            while waiting and waiting[0].done():
                waiting.popleft()  # its wait was cancelled
        ready = [high for high in (True, False) if self._may(high) and self._waiting[high]]
        if len(ready) == 2 and self._high_in_a_row >= HIGH_IN_A_ROW_MAX:
            return False
        return ready[0] if ready else None

    def _hold(self, high: bool) -> None:
        self._free -= 1
        self._held[high] += 1
        self._high_in_a_row = self._high_in_a_row + 1 if high else 0
