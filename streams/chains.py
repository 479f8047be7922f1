"""What must go one after another: a chain for each key, on which each link waits for the one before it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable


class Link:
    """One place in a chain. Exactly one end is told, whatever happens."""

    __slots__ = ("_before", "_chains", "_ended", "_key")

    def __init__(self, chains: Chains, key: Hashable, before: asyncio.Future[bool] | None) -> None:
        self._chains, self._key, self._before = chains, key, before
        self._ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def waits(self) -> bool:
        """Whether the one before it has not ended."""
        return self._before is not None and not self._before.done()

    async def turn(self) -> bool:
        """Wait for the one before, and return whether it is done with; if not, this one must not go either."""
        return self._before is None or await asyncio.shield(self._before)

    def end(self, *, done: bool) -> None:
        """Let the next one go, or, if this one is not done with, tell it that it must not."""
        if not self._ended.done():
            self._ended.set_result(done)
            self._chains._forget(self._key, self)


class Chains:
    """The chains that have a link which has not ended."""

    def __init__(self) -> None:
        self._last: dict[Hashable, Link] = {}

    def join(self, key: Hashable) -> Link:
        """Return a new last link of the key's chain. Call it in the order that is to be kept."""
        last = self._last.get(key)
        link = self._last[key] = Link(self, key, None if last is None else last._ended)
        return link

    def __len__(self) -> int:
        return len(self._last)

    def _forget(self, key: Hashable, link: Link) -> None:
        if self._last.get(key) is link:
            del self._last[key]
