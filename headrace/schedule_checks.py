"""The schedules of the routing table, checked one by one and against one another."""

from __future__ import annotations

from headrace.validation import Findings
from streams.schedule import Schedule, ScheduleSettings

SCHEDULES_MAX = 10_000


def check_schedules(value: object, findings: Findings) -> list[ScheduleSettings]:
    """Return the valid schedules, and note every mistake in ``schedules``."""
    if value is None:
        return []
    if not isinstance(value, list):
        findings.add(("schedules",), "must be a list of schedules")
        return []
    if len(value) > SCHEDULES_MAX:
        findings.add(("schedules",), f"must hold at most {SCHEDULES_MAX} schedules")
        return []
    schedules: list[ScheduleSettings] = []
    first: dict[object, int] = {}
    for index, entry in enumerate(value):
        keys = ("schedules", index)
        if not isinstance(entry, dict):
            findings.add(keys, "must be a mapping with the keys name and cron")
            continue
        name = entry.get("name")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            findings.add((*keys, "name"), f"the name {name!r} is taken by schedules[{first[name]}]")
        settings = findings.validate(ScheduleSettings, entry, keys)
        if settings is not None:
            _check_bounds(settings, keys, findings)
            schedules.append(settings)
    return schedules


def _check_bounds(settings: ScheduleSettings, keys: tuple[str, int], findings: Findings) -> None:
    if settings.starts is None or settings.ends is None:
        return
    if settings.starts >= settings.ends:
        findings.add((*keys, "ends"), "is not after 'starts': the schedule is never due")
    elif Schedule(settings).next_due(0) is None:
        findings.add((*keys, "cron"), "is not due between 'starts' and 'ends'")
