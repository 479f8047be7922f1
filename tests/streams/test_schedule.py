"""When a schedule is due: seconds, zones, the hours that daylight saving skips and repeats, bounds and jitter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.schedule import DUE_HEADER, Schedule, ScheduleSettings

BERLIN = "Europe/Berlin"
MINUTE_MS = 60_000
DAY_MS = 24 * 3600 * 1000


def schedule(cron: str, **settings: Any) -> Schedule:
    return Schedule(ScheduleSettings(name="digest", cron=cron, **settings))


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def utc(due_ms: int) -> str:
    return datetime.fromtimestamp(due_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def first(found: Schedule, after: int, count: int) -> list[str]:
    return [utc(due) for due in islice(found.due_after(after), count)]


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 9 * * 1", "2026-11-25", ["2026-11-30 09:00:00", "2026-12-07 09:00:00"]),
        ("*/20 * * * *", "2026-11-25 10:19:59", ["2026-11-25 10:20:00", "2026-11-25 10:40:00"]),
        ("10,40 30 9 * * *", "2026-11-25 09:30:10", ["2026-11-25 09:30:40", "2026-11-26 09:30:10"]),
        ("*/30 * * * * *", "2026-11-25 23:59:59", ["2026-11-26 00:00:00", "2026-11-26 00:00:30"]),
        ("@daily", "2026-11-25 00:00:00", ["2026-11-26 00:00:00", "2026-11-27 00:00:00"]),
        ("0 0 L * *", "2026-11-25", ["2026-11-30 00:00:00", "2026-12-31 00:00:00"]),
        ("0 8 * * MON#1", "2026-11-25", ["2026-12-07 08:00:00", "2027-01-04 08:00:00"]),
        ("0 0 29 2 *", "2026-11-25", ["2028-02-29 00:00:00", "2032-02-29 00:00:00"]),
    ],
)
def test_due_times(cron: str, after: str, expected: list[str]) -> None:
    assert first(schedule(cron), ms(after), 2) == expected


def test_a_time_in_the_skipped_hour_is_due_when_that_has_passed() -> None:
    """Berlin, 2026-03-29: 02:00 is followed by 03:00 (01:00 UTC)."""
    found = schedule("30 2 * * *", timezone=BERLIN)
    days = first(found, ms("2026-03-28 00:00", BERLIN), 3)
    assert days == ["2026-03-28 01:30:00", "2026-03-29 01:00:00", "2026-03-30 00:30:00"]
    # Also one second after the change, and when the walk begins anew at the tick itself.
    assert first(found, ms("2026-03-29 00:59:59"), 1) == ["2026-03-29 01:00:00"]
    assert first(found, ms("2026-03-29 01:00:00"), 1) == ["2026-03-30 00:30:00"]


def test_a_time_in_the_repeated_hour_is_due_the_first_time_only() -> None:
    """Berlin, 2026-10-25: 02:00 to 03:00 comes twice (00:00 and 01:00 UTC)."""
    found = schedule("30 2 * * *", timezone=BERLIN)
    days = first(found, ms("2026-10-24 12:00", BERLIN), 2)
    assert days == ["2026-10-25 00:30:00", "2026-10-26 01:30:00"]
    between = ms("2026-10-25 02:15", BERLIN, fold=1)
    assert first(found, between, 1) == ["2026-10-26 01:30:00"]


def test_a_wildcard_goes_by_elapsed_time_through_both_changes() -> None:
    every = schedule("*/30 * * * *", timezone=BERLIN)
    for change in ("2026-03-29 00:00", "2026-10-25 00:00"):
        due = list(islice(every.due_after(ms(change) - 2 * 3600_000), 16))
        assert {later - earlier for earlier, later in pairwise(due)} == {30 * MINUTE_MS}


def test_six_fields_follow_the_same_rules_as_five() -> None:
    found = schedule("5,10 30 2 * * *", timezone=BERLIN)
    assert first(found, ms("2026-03-28 12:00"), 2) == ["2026-03-29 01:00:05", "2026-03-29 01:00:10"]
    assert first(found, ms("2026-10-24 12:00"), 3) == [
        "2026-10-25 00:30:05",
        "2026-10-25 00:30:10",
        "2026-10-26 01:30:05",
    ]


CRONS = st.sampled_from(
    ["* * * * * *", "*/7 * * * *", "0,30 1-4 * * *", "15 2 * * *", "3,33 45 2 * * *", "0 */3 * * *", "0 2,3 * * 0"]
)


@given(
    cron=CRONS,
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    start=st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30)),
    steps=st.integers(1, 30),
)
def test_where_a_walk_begins_changes_nothing(cron: str, zone: str, start: datetime, steps: int) -> None:
    """A worker that starts anew at any mark sees the due times that the one before it would have seen."""
    found = schedule(cron, timezone=zone)
    after = int(start.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    walked = list(islice(found.due_after(after), steps))
    assert walked == sorted(set(walked))
    assert walked[0] > after
    anew, position = [], after
    for _ in range(steps):
        due = found.next_due(position)
        assert due is not None
        anew.append(due)
        position = due
    assert anew == walked


def test_starts_and_ends_bound_it() -> None:
    found = schedule("0 12 * * *", timezone=BERLIN, starts="2026-12-01T12:00", ends="2026-12-03T12:00")
    assert first(found, 0, 9) == ["2026-12-01 11:00:00", "2026-12-02 11:00:00"]
    assert found.next_due(ms("2026-12-02 11:00")) is None


def test_the_last_due_time_is_found_without_walking_the_years() -> None:
    until = ms("2026-11-25 10:00:30")
    assert schedule("* * * * * *").last_due(0, until) == until
    assert schedule("0 0 1 1 *").last_due(0, until) == ms("2026-01-01")
    assert schedule("0 0 29 2 *").last_due(0, until) == ms("2024-02-29")
    assert schedule("0 0 1 1 *").last_due(ms("2026-01-01"), until) is None
    assert schedule("0 9 * * *").count_due(ms("2026-11-01"), until, most=10) == 10
    assert schedule("0 9 * * *").count_due(ms("2026-11-20"), until, most=10) == 6


@given(due=st.integers(0, 2**41), jitter=st.integers(1, 86_400))
def test_jitter_is_bounded_and_the_same_everywhere(due: int, jitter: int) -> None:
    one, other = (schedule("* * * * *", jitter=jitter) for _ in range(2))
    assert one.delay_ms(due) == other.delay_ms(due)
    assert 0 <= one.delay_ms(due) < jitter * 1000


def test_a_tick_is_the_same_event_whoever_makes_it_and_whenever() -> None:
    found = schedule("0 9 * * 1", body={"kind": "digest"})
    due = ms("2026-11-30 09:00")
    one, other = found.tick(due, now_ms=due + 5), found.tick(due, now_ms=due + 900)
    assert one.id == one.dedup_id == other.id == "digest@2026-11-30T09:00:00.000Z"
    assert (one.source, one.type, one.body, one.key) == ("schedules", "digest", b'{"kind":"digest"}', b"digest")
    assert one.headers[DUE_HEADER] == "2026-11-30T09:00:00.000Z"
    assert found.manual_tick(now_ms=due, nonce="a").id != one.id


@pytest.mark.parametrize(
    "settings",
    [
        {"cron": "* * * *"},
        {"cron": "60 * * * *"},
        {"cron": "61 * * * * *"},
        {"cron": "0 0 30 2 *"},
        {"cron": ""},
        {"cron": "@reboot"},
        {"cron": "0 9 * * *", "timezone": "Mars/Base"},
        {"cron": "0 9 * * *", "jitter": "2 days"},
        {"cron": "0 9 * * *", "jitter": -1},
        {"cron": "0 9 * * *", "jitter": True},
        {"cron": "0 9 * * *", "catch_up": "some"},
        {"cron": "0 9 * * *", "body": "x" * 300_000},
        {"cron": "0 9 * * *", "body": float("inf")},
        {"cron": "0 9 * * *", "starts": "tomorrow"},
        {"cron": "0 9 * * *", "name": "Weekly"},
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScheduleSettings.model_validate({"name": "digest", **settings})


@given(cron=st.text(alphabet="0123456789*/,-# LWMON\u0663", max_size=30))
def test_any_text_is_a_cron_expression_or_is_refused(cron: str) -> None:
    try:
        found = schedule(cron)
    except ValidationError:
        return
    due = found.next_due(ms("2026-11-25"))
    assert due is None or due > ms("2026-11-25")


def test_a_year_of_ticks_counts_its_days() -> None:
    begin = ms("2026-01-01", BERLIN)
    found = schedule("30 2 * * *", timezone=BERLIN)
    due = list(islice(found.due_after(begin), 365))
    local = [datetime.fromtimestamp(moment / 1000, ZoneInfo(BERLIN)).date() for moment in due]
    assert local == [datetime(2026, 1, 1).date() + timedelta(days=n) for n in range(365)]
