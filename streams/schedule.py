"""A schedule: a cron entry that makes events by itself. When it is due, and what event a tick is.

Cron expressions are read by cronsim: five fields as Debian's cron has them (also ``L``, ``LW``, ``MON#2`` and
``@daily``), or six with seconds first. A time is meant on the clock of the schedule's zone:

- an hour that daylight saving skips: an entry at a fixed time is due when the skipped hour has passed (02:30 at 03:00);
- an hour that it repeats: an entry at a fixed time is due the first time only;
- an entry whose minute or hour begins with ``*`` goes by elapsed time: nothing in the skipped hour, all in both others.

Sources: crontab(5) and cron(8) of Debian; cronsim's README.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import orjson
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from streams.event import SCHEDULES_SOURCE, Event, format_time
from streams.routing import Name

SCHEDULE_HEADER, DUE_HEADER, MANUAL_HEADER = "headrace-schedule", "headrace-due", "headrace-manual"  # kept headers
JITTER_S_MAX = 24 * 3600
BODY_BYTES_MAX = 256 * 1024  # what the topic of a source without a larger limit holds

ALIASES = {  # crontab(5); @reboot has no meaning here
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_DURATION = re.compile(r"([0-9]{1,6})(s|m|h)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}
_WINDOWS_S = (60, 3600, 86_400, 40 * 86_400, 400 * 86_400, 50 * 366 * 86_400)


def _read_duration_s(value: object) -> object:
    if isinstance(value, float):
        return value
    match = None if isinstance(value, bool) else _DURATION.fullmatch(str(value))
    if match is None:
        raise ValueError("not a duration: expected a number and s, m or h, such as 30s")
    return int(match[1]) * _SECONDS[match[2]]


class ScheduleSettings(BaseModel):
    """One entry of ``schedules`` in the routing table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="Names the schedule; also the type of its events. Unique.")
    timezone: str = Field("UTC", description="The zone on whose clock the times are meant, such as Europe/Berlin.")
    cron: str = Field(description="Minute, hour, day of month, month, day of week; or six fields with seconds first.")
    body: Any = Field(default_factory=dict, description="The body of each event: any JSON.")
    jitter: Annotated[int, BeforeValidator(_read_duration_s), Field(ge=0, le=JITTER_S_MAX)] = Field(
        0, description="At most so much later than due, the same on every worker: a number of seconds, or 30s, 5m."
    )
    starts: datetime | None = Field(None, description="Not due before this time; without an offset, of the zone.")
    ends: datetime | None = Field(None, description="Not due at this time or later.")
    catch_up: Literal["none", "last", "all"] = Field(
        "none", description="What becomes of times that passed while no worker ran: nothing, the last one, or all."
    )
    enabled: bool = Field(True, description="Whether it makes events; the times while it is off are not caught up.")

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("there is no time zone of this name: names are such as Europe/Berlin or UTC")
        return value

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, value: str) -> str:
        try:
            minutes, seconds = _split(value)
            next(CronSim(minutes, datetime(2000, 1, 1, tzinfo=UTC)))
        except CronSimError as error:
            raise ValueError(f"not a cron expression: {error}") from error
        except StopIteration:
            raise ValueError("the cron expression names a day that never comes") from None
        if not seconds:
            raise ValueError("not a cron expression: Bad second")
        return value

    @field_validator("body")
    @classmethod
    def _check_body(cls, value: object) -> object:
        try:
            json.dumps(value, allow_nan=False)  # orjson writes null for what JSON lacks
            size = len(orjson.dumps(value))
        except (TypeError, ValueError) as error:
            raise ValueError("the body is not JSON") from error
        if size > BODY_BYTES_MAX:
            raise ValueError(f"the body is larger than {BODY_BYTES_MAX} bytes")
        return value

    @field_validator("starts", "ends")
    @classmethod
    def _in_zone(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=ZoneInfo(info.data.get("timezone", "UTC")))


class Schedule:
    """A schedule, compiled. Times are Unix milliseconds; a due time is of a whole second."""

    def __init__(self, settings: ScheduleSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self._zone = ZoneInfo(settings.timezone)
        self._minutes, self._seconds = _split(settings.cron)
        self._starts_ms = None if settings.starts is None else int(settings.starts.timestamp() * 1000)
        self._ends_ms = None if settings.ends is None else int(settings.ends.timestamp() * 1000)
        self._body = orjson.dumps(settings.body)

    def due_after(self, after_ms: int) -> Iterator[int]:
        """Yield every due time later than ``after_ms``, ascending; it ends with ``ends``, or when no such day comes."""
        if self._starts_ms is not None:
            after_ms = max(after_ms, self._starts_ms - 1)
        # A moment before the minute of after_ms, so that later seconds of that minute are found.
        start_s = after_ms // 60_000 * 60 - 1
        for minute in CronSim(self._minutes, datetime.fromtimestamp(start_s, self._zone)):
            minute_ms = int(minute.timestamp()) * 1000
            for second in self._seconds:
                due_ms = minute_ms + second * 1000
                if self._ends_ms is not None and due_ms >= self._ends_ms:
                    return
                # A repeated hour is entered at its first pass, whichever pass after_ms is in.
                if due_ms > after_ms:
                    yield due_ms

    def next_due(self, after_ms: int) -> int | None:
        """Return the first due time later than ``after_ms``, or ``None`` if there is none."""
        return next(self.due_after(after_ms), None)

    def last_due(self, after_ms: int, until_ms: int) -> int | None:
        """Return the last due time later than ``after_ms`` and not later than ``until_ms``, or ``None``.

        It looks back through growing windows: the last of a year of seconds is found in the last minute of it.
        """
        for window_s in _WINDOWS_S:
            begin_ms = max(after_ms, until_ms - window_s * 1000)
            last = None
            for due_ms in self.due_after(begin_ms):
                if due_ms > until_ms:
                    break
                last = due_ms
            if last is not None or begin_ms == after_ms:
                return last
        return None

    def count_due(self, after_ms: int, until_ms: int, *, most: int) -> int:
        """Return how many due times there are later than ``after_ms`` and not later than ``until_ms``, up to most."""
        count = 0
        for due_ms in islice(self.due_after(after_ms), most):
            if due_ms > until_ms:
                break
            count += 1
        return count

    def delay_ms(self, due_ms: int) -> int:
        """Return the jitter of one tick: the same on every worker, so that all of them fire at one moment."""
        if not self.settings.jitter:
            return 0
        digest = hashlib.sha256(f"{self.name}@{due_ms}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % (self.settings.jitter * 1000)

    def tick(self, due_ms: int, *, now_ms: int) -> Event:
        """Return the event of one due time; two workers that both make it make one event."""
        return self._event(f"{self.name}@{format_time(due_ms)}", due_ms, now_ms, {})

    def manual_tick(self, *, now_ms: int, nonce: str) -> Event:
        """Return an event that somebody asked for now; no other has its id."""
        id_ = f"{self.name}@{format_time(now_ms)}-manual-{nonce}"
        return self._event(id_, now_ms, now_ms, {MANUAL_HEADER: "true"})

    def _event(self, id_: str, due_ms: int, now_ms: int, headers: Mapping[str, str]) -> Event:
        return Event(
            source=SCHEDULES_SOURCE,
            id=id_,
            dedup_id=id_,
            type=self.name,
            time_ms=now_ms,
            body=self._body,
            key=self.name.encode(),  # one partition: the ticks of a schedule keep their order
            content_type="application/json",
            headers={SCHEDULE_HEADER: self.name, DUE_HEADER: format_time(due_ms), **headers},
        )


def _split(cron: str) -> tuple[str, tuple[int, ...]]:
    """Return the five fields of a cron expression and the seconds of a minute that the sixth, the first, names.

    So that Debian's rules for daylight saving hold for six fields too: cronsim keeps them for five alone.

    Raises:
        CronSimError: it has neither five fields nor six, or the seconds are not valid.
    """
    fields = ALIASES.get(cron.strip(), cron).split()
    if len(fields) == 5:
        return " ".join(fields), (0,)
    if len(fields) != 6:
        raise CronSimError("expected five fields, or six with seconds first")
    minute = datetime(2000, 1, 1, tzinfo=UTC)
    every = CronSim(f"{fields[0]} * * * * *", datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC))
    seconds = []
    for moment in every:
        if (moment - minute).total_seconds() >= 60:
            break
        seconds.append(moment.second)
    return " ".join(fields[1:]), tuple(seconds)
