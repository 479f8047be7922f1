"""List the schedules with their next and last runs, or run one now."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from headrace.command_group import CommandGroup
from headrace.context import Settings
from headrace.options import with_settings

if TYPE_CHECKING:
    from streams.schedule import Schedule


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a schedule.")
@with_settings
def command(settings: Settings, *, as_json: bool) -> None:
    """List the schedules with their next and last runs.

    The last run is what the workers have written down; without Kafka it is not known, and the list says so.
    """
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is not None:
        ctx.obj = {**(ctx.obj or {}), "settings": settings}
        return
    schedules = settings.table().compiled_schedules()
    if not schedules:
        click.echo("the routing table has no schedules", err=True)
        return
    rows = [_row(schedule, *found) for schedule, found in zip(schedules, _runs(settings, schedules), strict=True)]
    if as_json:
        import orjson

        for row in rows:
            click.echo(orjson.dumps(row).decode())
        return
    _print_table(rows)


@command.command("run")
@click.argument("name")
@with_settings
def run(settings: Settings, *, name: str) -> None:
    """Make an event of schedule NAME now, and print its receipt; its ordinary times are not touched.

    A schedule that is not enabled can be run too. The event has the kept header headrace-manual.
    """
    from headrace.manual_tick import UnknownSchedule, run_schedule

    try:
        receipt = asyncio.run(run_schedule(settings, name))
    except UnknownSchedule as error:
        raise click.UsageError(str(error)) from None
    click.echo(receipt)


def _runs(settings: Settings, schedules: list[Schedule]) -> list[tuple[int | None, int | None, bool]]:
    """Return of each schedule when it is due next, the due time of its last event, and whether that is known."""
    from streams.kafka import KafkaUnavailable
    from streams.marks import Marks, read_marks

    try:
        marks: Marks | None = asyncio.run(read_marks(settings.kafka(), settings.topic_names))
    except KafkaUnavailable as error:
        click.echo(f"the last runs are not known: {error}", err=True)
        marks = None
    now_ms = int(time.time() * 1000)
    found: list[tuple[int | None, int | None, bool]] = []
    for schedule in schedules:
        mark = marks.get(schedule.name) if marks is not None else None
        after_ms = max(now_ms, mark.due_ms) if mark is not None else now_ms
        next_ms = schedule.next_due(after_ms) if schedule.settings.enabled else None
        found.append((next_ms, (mark.fired_ms or None) if mark is not None else None, marks is not None))
    return found


def _row(schedule: Schedule, next_ms: int | None, last_ms: int | None, known: bool) -> dict[str, Any]:
    from streams.event import format_time

    settings = schedule.settings
    return {
        "schedule": schedule.name,
        "cron": settings.cron,
        "timezone": settings.timezone,
        "enabled": settings.enabled,
        "catch_up": settings.catch_up,
        "next": None if next_ms is None else format_time(next_ms),
        "last": None if last_ms is None else format_time(last_ms),
        "last_known": known,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from headrace.text_table import text_table

    lines = []
    for row in rows:
        last = _local(row["last"], row["timezone"]) or ("never" if row["last_known"] else "unknown")
        next_ = _local(row["next"], row["timezone"]) or ("never again" if row["enabled"] else "off")
        lines.append((row["schedule"], row["cron"], next_, last))
    for line in text_table(("SCHEDULE", "CRON", "NEXT RUN", "LAST RUN"), lines):
        click.echo(line)


def _local(text: str | None, timezone: str) -> str:
    if text is None:
        return ""
    return datetime.fromisoformat(text).astimezone(ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M:%S %Z")
