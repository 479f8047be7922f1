"""Places are given in the order of asking, high priority first, and none is lost or given twice."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from connectors.turns import HIGH_IN_A_ROW_MAX, Turns


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Queue:
    """Takers of turns, which note when they got theirs."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.got: list[str] = []

    def ask(self, name: str, *, high: bool) -> asyncio.Task[None]:
        async def take() -> None:
            await self.turns.take(high)
            self.got.append(name)

        return asyncio.create_task(take())


async def test_high_goes_before_what_waits_and_each_kind_in_its_order() -> None:
    queue = Queue(Turns(1))
    await queue.turns.take(False)
    for n in range(3):
        queue.ask(f"n{n}", high=False)
    for n in range(2):
        queue.ask(f"h{n}", high=True)
    await settle()
    for held in (False, True, True, False):
        queue.turns.give_back(held)
        await settle()
    assert queue.got == ["h0", "h1", "n0", "n1"]


async def test_a_stream_of_high_slows_the_others_down_and_does_not_starve_them() -> None:
    queue = Queue(Turns(1))
    await queue.turns.take(True)
    for n in range(30):
        queue.ask(f"h{n}", high=True)
    queue.ask("normal", high=False)
    await settle()
    while "normal" not in queue.got:
        queue.turns.give_back(True)
        await settle()
    assert queue.got.index("normal") <= HIGH_IN_A_ROW_MAX


async def test_places_are_kept_for_each_kind() -> None:
    queue = Queue(Turns(10))
    queue.turns.keep(2)
    for n in range(10):
        queue.ask(f"n{n}", high=False)
    await settle()
    assert len(queue.got) == 8
    for n in range(3):
        queue.ask(f"h{n}", high=True)
    await settle()
    assert queue.got[8:] == ["h0", "h1"]


async def test_a_place_that_is_given_back_passes_over_waits_that_were_cancelled_at_the_same_moment() -> None:
    queue = Queue(Turns(1))
    await queue.turns.take(False)
    tasks = [queue.ask(f"n{n}", high=False) for n in range(3)]
    await settle()
    tasks[0].cancel()
    queue.turns.give_back(False)
    await settle()
    assert queue.got == ["n1"]


@given(st.lists(st.tuples(st.sampled_from(["take", "give", "cancel"]), st.booleans()), max_size=60), st.integers(1, 3))
def test_no_place_is_lost_or_given_twice(steps: list[tuple[str, bool]], kept: int) -> None:
    async def run() -> None:
        turns = Turns(4)
        turns.keep(kept)
        waiting: list[tuple[bool, asyncio.Task[None]]] = []
        for step, high in steps:
            done = [one for one in waiting if one[1].done()]
            if step == "take":
                waiting.append((high, asyncio.create_task(turns.take(high))))
            elif step == "give" and done:
                waiting.remove(done[0])
                turns.give_back(done[0][0])
            elif step == "cancel" and waiting:
                one = waiting.pop()
                if not one[1].cancel() or (await asyncio.gather(one[1], return_exceptions=True)) == [None]:
                    turns.give_back(one[0])
            await settle()
            held = [high for high, task in waiting if task.done()]
            assert len(held) <= 4
            assert max(held.count(True), held.count(False)) <= max(1, 4 - kept)
        for _, task in waiting:
            task.cancel()
        await settle()
        for high, task in waiting:
            if not task.cancelled():
                turns.give_back(high)
        assert turns._free == 4
        assert turns._held == {False: 0, True: 0}

    asyncio.run(run())
