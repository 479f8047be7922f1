from __future__ import annotations

from itertools import pairwise

import pytest

from ingest.accept import RETRY_AFTER_S
from ingest.refused import BACK_PER_S, REST_MAX_S, REST_MIN_S, Refused
from ingest.server import Limits


def test_who_is_refused_alone_is_read_again_soon() -> None:
    refused = Refused()
    for now_s in (100.0, 101.0, 102.0):
        assert refused.back_s(now_s) == pytest.approx(now_s + REST_MIN_S)


def test_many_come_back_one_after_the_other() -> None:
    refused, count = Refused(), 1000
    turns_s = [refused.back_s(100.0) for _ in range(count)]
    gaps_s = [later - sooner for sooner, later in pairwise(turns_s)]
    assert gaps_s == pytest.approx([1 / BACK_PER_S] * (count - 1))
    assert turns_s[-1] == pytest.approx(100 + REST_MIN_S + (count - 1) / BACK_PER_S)


def test_all_connections_that_a_process_may_have_come_back_at_the_steady_rate() -> None:
    refused, count = Refused(), Limits().connections_max
    turns_s = sorted(refused.back_s(100.0) for _ in range(count))
    for second in range(3):
        assert sum(100 + second < turn_s <= 101 + second for turn_s in turns_s) <= BACK_PER_S * 1.02
    assert REST_MAX_S < RETRY_AFTER_S


def test_nobody_rests_for_longer_than_the_bound() -> None:
    refused = Refused()
    assert max(refused.back_s(100.0) for _ in range(20_000)) == pytest.approx(100 + REST_MAX_S)
    assert refused.back_s(100.0 + 2 * REST_MAX_S) == pytest.approx(100.0 + 2 * REST_MAX_S + REST_MIN_S)
