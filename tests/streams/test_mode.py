"""Shares: an event goes the same way whenever it is looked at, and a mirror takes exactly the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.event import Event
from streams.mode import BUCKETS, Share, bucket
from streams.routing import LIVE, SHADOW, Routes, RouteSettings, compile_routes

T0 = datetime(2026, 12, 1, tzinfo=UTC)
T0_MS = int(T0.timestamp() * 1000)
EVENT = Event("s", "1", "1", "t", T0_MS, b"{}", b"1")
HOUR_MS = 3600 * 1000


def settings(**keys: Any) -> RouteSettings:
    return RouteSettings.model_validate({"name": "r", "source": "s", "to": "crm", "action": "x", **keys})


def steps(*percents: float) -> list[dict[str, object]]:
    return [{"from": f"2026-12-01T{hour:02}:00Z", "percent": percent} for hour, percent in enumerate(percents)]


def routes(**keys: Any) -> Routes:
    return compile_routes([settings(mirror={"url_env": "HOOK"}, **keys)])


def ways(found: Routes, event: Event) -> dict[str, str | None]:
    return {route.name: route.carries(event) for route in found.for_event(event)}


@given(
    percents=st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=6),
    hours=st.integers(-2, 8),
    dedup_id=st.text(min_size=1, max_size=20),
)
def test_each_event_goes_exactly_one_way(percents: list[float], hours: int, dedup_id: str) -> None:
    found = routes(mode="percent", percent=steps(*percents))
    event = replace(EVENT, time_ms=T0_MS + hours * HOUR_MS, dedup_id=dedup_id)
    assert ways(found, event) in ({"r": LIVE}, {"r": SHADOW, "r.mirror": LIVE})


@given(low=st.floats(0, 100), high=st.floats(0, 100), dedup_id=st.text(min_size=1))
def test_a_larger_share_keeps_what_a_smaller_one_had(low: float, high: float, dedup_id: str) -> None:
    low, high = sorted((low, high))
    small, large = (Share((0,), (percent,)) for percent in (low, high))
    assert not small.takes(time_ms=1, dedup_id=dedup_id) or large.takes(time_ms=1, dedup_id=dedup_id)


def test_the_share_is_about_what_it_says() -> None:
    share = Share((0,), (10.0,))
    taken = sum(share.takes(time_ms=1, dedup_id=str(number)) for number in range(20_000))
    assert 1_800 < taken < 2_200
    assert {bucket(str(number)) < BUCKETS for number in range(1000)} == {True}


def test_steps_begin_at_their_time_in_any_order_of_writing() -> None:
    share = settings(mode="percent", percent=steps(10, 50, 100, 0)[::-1]).share
    assert [share.percent_at(T0_MS + offset) for offset in (-1, 0, HOUR_MS - 1, HOUR_MS, 9 * HOUR_MS)] == [
        0,
        10,
        10,
        50,
        0,
    ]


def test_steps_may_stand_under_mode_itself() -> None:
    assert settings(mode=steps(10)) == settings(mode="percent", percent=steps(10))


def test_without_steps_a_mirror_copies_everything() -> None:
    assert ways(routes(), EVENT) == {"r": LIVE, "r.mirror": LIVE}
    assert ways(routes(mode="shadow"), EVENT) == {"r": SHADOW, "r.mirror": LIVE}


def test_a_mirror_takes_what_only_says_of_what_its_route_takes() -> None:
    found = compile_routes(
        [settings(when="body.a == 1 or body.a == 2", mirror={"url_env": "HOOK", "only": "body.a == 2 or body.b"})]
    )
    mirror = found.named("r.mirror")
    assert mirror is not None
    assert [mirror.matches({"body": {"a": a, "b": False}}) for a in (1, 2, 3)] == [False, True, False]


def test_what_has_begun_may_not_change() -> None:
    now_ms = T0_MS + HOUR_MS // 2
    begun = settings(mode="percent", percent=steps(10)).share
    more = settings(mode="percent", percent=steps(10, 50)).share
    assert not more.changed_in_the_past(begun, now_ms=now_ms)
    assert more.changed_in_the_past(begun, now_ms=T0_MS + 2 * HOUR_MS)  # its new step would already have begun
    assert settings(mode="percent", percent=steps(20)).share.changed_in_the_past(begun, now_ms=now_ms)
    shadow, live = settings(mode="shadow").share, settings().share
    assert not settings(mode="percent", percent=steps(0, 50)).share.changed_in_the_past(shadow, now_ms=now_ms)
    assert settings(mode="percent", percent=steps(0, 50)).share.changed_in_the_past(live, now_ms=now_ms)
    back = [{"from": "1970-01-01", "percent": 100}, {"from": "2026-12-01T01:00Z", "percent": 0}]
    assert not settings(mode="percent", percent=back).share.changed_in_the_past(live, now_ms=now_ms)


@pytest.mark.parametrize(
    "keys",
    [
        {"mode": "percent"},
        {"percent": steps(10)},
        {"mode": "shadow", "percent": steps(10)},
        {"mode": "percent", "percent": []},
        {"mode": "percent", "percent": [{"from": "2026-12-01", "percent": 101}]},
        {"mode": "percent", "percent": [{"from": "soon", "percent": 1}]},
        {"mode": "both"},
        {"mirror": {}},
        {"mirror": {"url_env": "https://hooks.zapier.com/hooks/catch/1/2"}},
        {"mirror": {"url_env": "HOOK", "rate": "fast"}},
    ],
)
def test_what_makes_no_sense_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**keys)
