from __future__ import annotations

from streams.room import BODY_BYTES_IN_WORK_MAX, CHAINED_MAX, IN_WORK_PER_SLOT, Room


def test_each_topic_has_its_own_room() -> None:
    room = Room(slots=2)
    for _ in range(2 * IN_WORK_PER_SLOT):
        assert room.free(high=False) > 0
        room.take(10, high=False)
    assert room.free(high=False) == 0
    assert room.free(high=True) == 2 * IN_WORK_PER_SLOT
    room.leave(10, high=False)
    assert room.free(high=False) == 1
    assert room.in_work == 2 * IN_WORK_PER_SLOT - 1


def test_who_waits_for_others_of_its_key_takes_no_room_but_that_of_the_chained() -> None:
    room = Room(slots=1)
    waiting = [room.chained(high=False) for _ in range(CHAINED_MAX)]
    for one in waiting:
        room.take(1, high=False)
        one.__enter__()
    assert room.in_work == 0
    assert room.free(high=False) == 0
    waiting.pop().__exit__(None, None, None)
    assert room.in_work == 1
    assert room.free(high=False) == IN_WORK_PER_SLOT - 1


def test_large_bodies_fill_it_before_many_records_do() -> None:
    room = Room(slots=100)
    room.take(BODY_BYTES_IN_WORK_MAX, high=False)
    assert room.free(high=False) == 0
    assert room.used_ratios() == {"records_in_work": 1 / (100 * IN_WORK_PER_SLOT), "body_bytes_in_work": 1.0}
    room.leave(BODY_BYTES_IN_WORK_MAX, high=False)
    assert room.free(high=False) == 100 * IN_WORK_PER_SLOT
