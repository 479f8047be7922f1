"""The settled offsets beyond the prefix."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.offsets import WINDOW, CommitPoint, Progress, decode_settled, encode_settled


@given(st.integers(0, 2**40), st.sets(st.integers(0, WINDOW - 1)))
def test_settled_offsets_survive_the_metadata(prefix: int, beyond: set[int]) -> None:
    settled = {prefix + n for n in beyond}
    assert decode_settled(prefix, encode_settled(prefix, settled)) == settled


def test_the_worst_window_fits_into_the_brokers_limit() -> None:
    generator = random.Random(7)
    settled = {n for n in range(WINDOW) if generator.random() < 0.5}  # incompressible
    assert len(encode_settled(0, settled)) <= 4096


@given(st.text())
def test_foreign_metadata_says_nothing(metadata: str) -> None:
    decoded = decode_settled(5, metadata)
    assert all(offset >= 5 for offset in decoded)


@given(st.data())
@settings(max_examples=200)
def test_any_order_of_settling_and_any_crash_loses_and_repeats_nothing(data: st.DataObject) -> None:
    """Whoever reads from a commit point carries out exactly what was not settled at that moment."""
    gaps = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=40))
    offsets = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    progress = Progress(0)
    taken = [offset for offset in offsets if progress.take(offset)]
    order = data.draw(st.permutations(taken))
    settled = set(order[: data.draw(st.integers(0, len(order)))])
    for offset in order:
        if offset in settled:
            progress.settle(offset)
    point = progress.commit_point()
    assert progress.in_work == len(offsets) - len(settled)

    successor = Progress(point.offset, point.metadata)
    again = [offset for offset in offsets if offset >= point.offset and successor.take(offset)]
    assert sorted(set(again) | settled) == offsets
    assert not set(again) & settled


def test_the_prefix_reaches_the_end_when_all_is_settled() -> None:
    progress = Progress(10)
    for offset in (10, 11, 14):
        assert progress.take(offset)
    for offset in (14, 10, 11):
        progress.settle(offset)
    assert progress.commit_point() == CommitPoint(15, "")
    assert progress.settled_beyond() == 0


def test_a_record_read_again_is_not_taken_twice() -> None:
    progress = Progress(0)
    assert progress.take(0)
    assert not progress.take(0)


def test_the_window_closes_and_opens() -> None:
    progress = Progress(0)
    for offset in range(WINDOW):
        assert progress.has_room
        progress.take(offset)
    assert not progress.has_room
    progress.settle(0)
    assert progress.has_room


def test_offsets_settled_by_an_earlier_owner_move_the_prefix() -> None:
    first = Progress(0)
    for offset in range(4):
        first.take(offset)
    first.settle(1)
    first.settle(2)
    point = first.commit_point()
    second = Progress(point.offset, point.metadata)
    assert [offset for offset in range(4) if second.take(offset)] == [0, 3]
    second.settle(0)
    assert second.commit_point() == CommitPoint(3, "")
