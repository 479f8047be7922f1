from __future__ import annotations

from itertools import pairwise

import pytest

from ingest.refused import BACK_PER_S, REST_MAX_S, REST_MIN_S, Refused


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


def test_nobody_rests_for_longer_than_retry_after_says() -> None:
    refused = Refused()
    assert max(refused.back_s(100.0) for _ in range(20_000)) == pytest.approx(100 + REST_MAX_S)
    assert refused.back_s(100.0 + 2 * REST_MAX_S) == pytest.approx(100.0 + 2 * REST_MAX_S + REST_MIN_S)
