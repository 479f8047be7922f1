"""The rows of ``seen``, and how far a database says that it holds the changelog."""

from __future__ import annotations

import asyncio

import pytest

from streams.seen import OFFSET_KEY, SeenTable
from streams.taken import Revoked


class Changelog:
    def __init__(self, end: int = 0) -> None:
        self.end = end
        self.hold: asyncio.Future[None] | None = None

    async def append(self, partition: int, key: bytes, row: bytes) -> int:
        offset, self.end = self.end, self.end + 1
        if self.hold is not None:
            await self.hold
        return offset


class Rows(dict[bytes, bytes]):
    put = dict.__setitem__


def table(databases: dict[int, Rows], changelog: Changelog, reached: int | None) -> SeenTable:
    return SeenTable(databases, reached=lambda _: reached, append=changelog.append)


async def test_a_row_is_there_at_once_and_its_offset_when_the_changelog_has_it() -> None:
    rows, changelog = Rows(), Changelog(10)
    changelog.hold = asyncio.get_running_loop().create_future()
    seen = table({2: rows}, changelog, 9)
    putting = asyncio.create_task(seen.put(2, b"k", b"1 5"))
    await asyncio.sleep(0)
    assert seen.get(2, b"k") == b"1 5"
    assert OFFSET_KEY not in rows
    changelog.hold.set_result(None)
    await putting
    assert rows[OFFSET_KEY] == b"10"


async def test_a_partition_that_is_not_open_is_revoked_and_never_opened() -> None:
    databases: dict[int, Rows] = {}
    seen = table(databases, Changelog(), -1)
    with pytest.raises(Revoked):
        seen.get(0, b"k")
    with pytest.raises(Revoked):
        await seen.put(0, b"k", b"1 5")
    assert databases == {}


@pytest.mark.parametrize("after", [{}, {0: Rows()}], ids=["closed", "opened again"])
async def test_an_answer_that_comes_after_the_revocation_moves_no_offset(after: dict[int, Rows]) -> None:
    rows, changelog = Rows(), Changelog()
    changelog.hold = asyncio.get_running_loop().create_future()
    databases = {0: rows}
    seen = table(databases, changelog, -1)
    putting = asyncio.create_task(seen.put(0, b"k", b"1 5"))
    await asyncio.sleep(0)
    databases.clear()
    databases.update(after)
    changelog.hold.set_result(None)
    with pytest.raises(Revoked):
        await putting
    assert all(OFFSET_KEY not in database for database in (rows, *after.values()))


async def test_the_offset_never_moves_past_rows_of_another_owner() -> None:
    rows, changelog = Rows(), Changelog(10)
    seen = table({0: rows}, changelog, 9)
    await seen.put(0, b"a", b"1 5")
    changelog.end = 20  # another owner wrote: this worker was frozen
    await seen.put(0, b"b", b"1 5")
    await seen.put(0, b"c", b"1 5")
    assert rows[OFFSET_KEY] == b"10"
    seen.forget()


async def test_after_a_recovery_the_offset_goes_on() -> None:
    rows, changelog = Rows(), Changelog(10)
    reached = 9
    seen = SeenTable({0: rows}, reached=lambda _: reached, append=changelog.append)
    changelog.end = 12
    await seen.put(0, b"a", b"1 5")
    assert OFFSET_KEY not in rows
    seen.forget()
    reached = 12
    await seen.put(0, b"b", b"1 5")
    assert rows[OFFSET_KEY] == b"13"
